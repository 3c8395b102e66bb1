"""The section of a run that compares teacher and student, from what the run left in inside.safetensors."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from limbeck.errors import UserError
from limbeck.evaluation.correlation import similar_order
from limbeck.evaluation.similarity import INSIDE_FILE
from limbeck.evaluation.tsne import fastest_installed, tsne_map, turned_onto
from limbeck.files import atomic_path
from limbeck.report import formats
from limbeck.report.blocks import Block, Chart, Image, Section, Table
from limbeck.report.figures import similarity as figures
from limbeck.report.vega import figure
from limbeck.tensor_files import read_safetensors

Row = dict[str, Any]
Arrays = dict[str, NDArray[Any]]
MAPS_FILE = "maps.safetensors"
_MOST_PAIRS = 8


def similarity_section(folder: Path) -> Section | None:
    """Correlations and maps; None for a run that left no such file.

    Raises:
        UserError: inside.safetensors is broken.
    """
    content = _read(folder / INSIDE_FILE)
    if content is None:
        return None
    arrays, about = content
    classes = [str(name) for name in about["classes"]]
    blocks: list[Block] = [_numbers(about, classes)]
    order = list(range(len(classes)))
    if len(classes) > 2:
        order = similar_order(torch.from_numpy(arrays["correlation.teacher"]))
        blocks += _correlation(arrays, about, classes, order)
    if about.get("neighbours"):
        blocks.append(_maps(folder / MAPS_FILE, arrays, classes, order))
    return Section("inside", "Inside teacher and student", blocks)


def _read(path: Path) -> tuple[Arrays, Row] | None:
    if not path.is_file():
        return None
    try:
        arrays, header = read_safetensors(path, "np")
        return arrays, json.loads(header["about"])
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read ({error}). Delete it and report again to go without.") from error


def _numbers(about: Row, classes: list[str]) -> Table:
    follows = np.asarray(about["class_correlation"])
    least, most = int(follows.argmin()), int(follows.argmax())
    rows = [
        ("Mean difference of the correlations of two classes, unsigned", _two(about["difference"])),
        ("Correlation of a class's logits, teacher and student, mean over classes", _two(float(follows.mean()))),
        (f"the least of any class: {classes[least]}", _two(float(follows[least]))),
        (f"the most of any class: {classes[most]}", _two(float(follows[most]))),
    ]
    near = about.get("neighbours")
    if near:
        rows += [
            (f"Share of the {near['k']} nearest images that both have in common", _share(near, "overlap")),
            ("what unrelated embeddings would share by chance", _share(near, "chance")),
            (f"Share of the {near['k']} nearest images that are of the same class, teacher", _share(near, "teacher")),
            ("the same, student", _share(near, "student")),
        ]
    where = f"On {formats.number(about['n'])} test images"
    where += f"; nearest images among {formats.number(near['n'])} of them, in the embedding itself" if near else ""
    return Table(where, ("Measure", "Value"), rows)


def _correlation(arrays: Arrays, about: Row, classes: list[str], order: list[int]) -> list[Block]:
    teacher, student = (arrays[f"correlation.{who}"][np.ix_(order, order)] for who in ("teacher", "student"))
    names = [classes[place] for place in order]
    largest = figures.largest_difference(teacher, student)
    caption = (
        f"Correlation of the logits of two classes over {formats.number(about['n'])} test images, each image's logits "
        "centred, because softmax does not see what is added to all of them. Blue: the two rise and fall together; "
        "orange: one rises where the other falls. If the student related classes just as the teacher does, the left "
        f"picture would be its own mirror image and the right one empty; there, full colour is {_two(largest)}. The "
        "order puts side by side what the teacher takes for related."
    )
    label = "Correlations of the logits of teacher and student, and their difference"
    if len(names) > figures.MOST_CELLS:
        uris = figures.correlation_pictures(teacher, student)
        titles = zip(uris, figures.TITLES, ("", caption), strict=True)
        blocks: list[Block] = [Image(uri, f"{label}: {title}", f"{title}. {words}") for uri, title, words in titles]
    else:
        chart = figures.correlation_maps(teacher, student, names)
        still = None if len(names) <= figures.MOST_NAMED else Markup(figures.correlation_still(teacher, student))
        drawn = figure(chart, "correlation", label, fluid=False, still=still)
        blocks = [Chart(drawn, "Which classes are taken for related", caption)]
    return [*blocks, _pairs(teacher, student, names)]


def _pairs(teacher: NDArray[Any], student: NDArray[Any], names: list[str]) -> Table:
    first, second = np.triu_indices(len(names), 1)
    difference = (student - teacher)[first, second]
    largest = np.argsort(-np.abs(difference), kind="stable")[:_MOST_PAIRS]
    rows = [
        (
            f"{names[first[pair]]} and {names[second[pair]]}",
            _two(float(teacher[first[pair], second[pair]])),
            _two(float(student[first[pair], second[pair]])),
            _two(float(difference[pair])),
        )
        for pair in largest
    ]
    return Table("Where they differ most", ("Classes", "Teacher", "Student", "Difference"), rows, folded=True)


def _maps(path: Path, arrays: Arrays, classes: list[str], order: list[int]) -> Chart:
    places, by = _places(path, arrays["embedding.teacher"], arrays["embedding.student"])
    rank = {label: place for place, label in enumerate(order)}
    says = {who: arrays[f"says.{who}"].tolist() for who in ("teacher", "student")}
    rows = [
        {
            "id": image,
            "class": classes[label],
            "place": rank[label],
            **{who: classes[named[i]] for who, named in says.items()},
            **{f"{who[0]}right": named[i] == label for who, named in says.items()},
            **{f"{who[0]}{axis}": round(float(places[who][i, j]), 3) for who in says for j, axis in enumerate("xy")},
        }
        for i, (image, label) in enumerate(zip(arrays["ids"].tolist(), arrays["labels"].tolist(), strict=True))
    ]
    caption = (
        f"t-SNE ({by}) of the embeddings of the same {formats.number(len(rows))} test images, the input of each "
        "network's classifier head; the student's map is turned to lie on the teacher's. A cross is an image that the "
        "network of its map takes for another class. Near means alike; distances between groups and their sizes mean "
        "nothing, so trust the shares in the table above rather than the picture. "
    )
    if len(classes) <= figures.MOST_NAMED:
        caption += "Pointing at an image marks it in both maps; a click on a class in the legend fades the others."
    else:
        caption += (
            "Classes that the teacher takes for related have similar colours. Pointing at an image marks it in both "
            "maps; the menu below them shows one class alone."
        )
    chart = figures.embedding_maps(rows, classes, order)
    drawn = figure(chart, "embedding", "Maps of the embeddings of teacher and student", fluid=False)
    return Chart(drawn, "The same images as teacher and student see them", caption)


def _places(path: Path, teacher: NDArray[Any], student: NDArray[Any]) -> tuple[Arrays, str]:
    """Positions of both maps and the t-SNE that made them; cached at `path`, because they take seconds."""
    digest = hashlib.blake2b(teacher.tobytes() + student.tobytes(), digest_size=16).hexdigest()
    try:
        with safe_open(path, framework="np") as file:
            header = file.metadata() or {}
            if header.get("digest") == digest:
                return {who: file.get_tensor(who) for who in ("teacher", "student")}, header["by"]
    except (SafetensorError, OSError, KeyError):
        pass
    by = fastest_installed()
    teacher_map, student_map = (tsne_map(embedding, implementation=by) for embedding in (teacher, student))
    places: Arrays = {"teacher": teacher_map, "student": turned_onto(student_map, teacher_map)}
    kept = {who: np.ascontiguousarray(positions) for who, positions in places.items()}
    with atomic_path(path) as temporary:
        save_file(kept, temporary, {"digest": digest, "by": by})
    return places, by


def _two(value: float | None) -> str:
    return formats.number(value, 2)


def _share(near: Row, measure: str) -> str:
    return formats.percent(near[measure])
