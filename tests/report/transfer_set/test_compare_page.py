"""The page of several folders of transfer sets."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_old_layouts import values

import limbeck as lb
from limbeck.data import ImageSet, TransferSet
from limbeck.errors import UserError
from limbeck.report import write_selections_report
from limbeck.transfer.evidence import Evidence

Make = Callable[..., Path]
_KEYS = {"entropy": 1, "variance": 2, "random": 3, "balanced-random": 4, "kmeans": 5}


def save(folder: Path, images: ImageSet, criterion: str, budget: int, *, keep: bool = True, seed: int = 0) -> Path:
    """A transfer set of the images of highest scores, with its evidence or, instead of rows, their numbers."""
    scores = np.random.default_rng(_KEYS[criterion]).random(len(images))
    chosen = scores.argsort().argsort() >= len(images) - budget
    ids = images.ids[torch.from_numpy(chosen)]
    provenance = {"source": [images.name] * budget, "source_id": ids}
    about = {"maker": f"select/{criterion}", "budget": f"{budget} images", "seed": seed}
    TransferSet(images.subset(ids), provenance=provenance, about=about).save(folder)
    assert images.labels is not None
    columns = {"id": images.ids.numpy(), "label": images.labels.numpy(), "score": scores, "chosen": chosen}
    evidence = Evidence(
        headline=f"{budget} of {len(images):,} images, by {criterion}",
        rows=lambda: iter([columns]),
        pictures=[factory.pictures(f"Left out, highest {criterion}")],
        classes=images.classes,
        score="" if criterion.endswith("random") else criterion,
    )
    (evidence if keep else replace(evidence.summarised(), rows=None)).save(folder / "evidence")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the folder of a transfer set of handwritten digits."""
    images = lb.load("digits")

    def made(criterion: str, name: str = "", budget: str = "100", **options: Any) -> Path:
        return save(tmp_path / (name or criterion), images, criterion, int(budget), **options)

    return made


def words_of(page: Path) -> str:
    return markup(page).replace("\N{NO-BREAK SPACE}", " ")


def ids(folder: Path) -> np.ndarray:
    table = pq.read_table(folder / "evidence" / "table.parquet")
    return table["id"].to_numpy()[table["chosen"].to_numpy()]


def test_selections_are_set_against_one_another(tmp_path: Path, make: Make) -> None:
    folders = [make(name) for name in ("entropy", "variance", "random", "balanced-random")]
    page = write_selections_report(folders, tmp_path / "shared.html")
    pairs = {frozenset((row["arm"], row["other"])): row for row in values(page, "overlap-0")}
    assert len(pairs) == 6
    both = len(np.intersect1d(ids(folders[0]), ids(folders[1])))
    assert pairs[frozenset(("entropy", "variance"))]["both"] == both
    words = words_of(page)
    for part in (
        "<h1>digits/train, 4 transfer sets</h1>",
        "Shared by two sets at 100 images",
        "Each chose 100 of 1,437 images. Two draws by chance would share 7.0 %",
        "may share more than chance.",
        "Left out, highest entropy",
        "entropy: 100 of 1,437 images, by entropy",
    ):
        assert part in words, part
    assert "Chosen again" not in words
    assert "balanced random and random share" not in words, "the headline tells of what somebody asked for"
    assert outline(page).scripts == 1


def test_numbers_of_images_are_compared_with_their_equals(tmp_path: Path, make: Make) -> None:
    folders = [make("entropy"), make("variance"), make("kmeans", budget="50"), make("entropy", "small", budget="50")]
    folders.append(make("variance", "alone", budget="20"))
    page = write_selections_report(folders, tmp_path / "shared.html")
    assert len(values(page, "overlap-0")) == len(values(page, "overlap-1")) == 1
    assert "No other holds as many images: alone (20)." in words_of(page)


def test_sets_whose_evidence_has_numbers_alone_have_ids_too(tmp_path: Path, make: Make) -> None:
    folder = make("entropy", "numbers", keep=False)
    assert not (folder / "evidence" / "table.parquet").exists()
    page = write_selections_report([make("entropy"), folder], tmp_path / "shared.html")
    assert values(page, "overlap-0")[0]["share"] == 1


def test_selections_of_before_are_compared_with_new_sets(tmp_path: Path, make: Make) -> None:
    new, old = make("entropy"), make("variance")
    (old / "selection").mkdir()
    (old / "evidence" / "table.parquet").rename(old / "selection" / "table.parquet")
    shutil.rmtree(old / "evidence")
    page = write_selections_report([new, old], tmp_path / "shared.html")
    assert len(values(page, "overlap-0")) == 1
    assert "variance: 100 of 1,437 images of digits/train (7.0 %) were chosen" in words_of(page)


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, make: Make) -> None:
    page = write_selections_report([make("entropy", "a/same"), make("variance", "b/same")], tmp_path / "shared.html")
    assert str(tmp_path / "a/same") in words_of(page)


def test_refusals(tmp_path: Path, make: Make) -> None:
    page, entropy = tmp_path / "shared.html", make("entropy")
    with pytest.raises(UserError, match=r"each once, got .*entropy and .*entropy"):
        write_selections_report([entropy, entropy], page)
    with pytest.raises(UserError, match=r"equally many images, got 100 in .* and 50 in .*; use one budget"):
        write_selections_report([entropy, make("entropy", "half", budget="50")], page)
    other = lb.load("digits", "test")
    save(tmp_path / "other", other, "entropy", 100)
    with pytest.raises(UserError, match=r"same images, got 'digits/train' in .* and 'digits/test' in .*other"):
        write_selections_report([entropy, tmp_path / "other"], page)
    (entropy / "data/train-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"lacks data/train.*where the ids are\. Copy the whole folder"):
        write_selections_report([entropy, make("variance")], page)
    assert not page.exists()
