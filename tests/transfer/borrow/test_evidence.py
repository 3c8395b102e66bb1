"""Evidence of borrowing: counts, curves, pictures, names that the teacher knows, distances."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import limbeck as lb
from limbeck.data import ImageSet, TransferSet
from limbeck.report import write_selection_report
from limbeck.transfer.borrow.chosen import Chosen, ChosenRows, PartCounts
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.evidence import evidence_of
from limbeck.transfer.borrow.pools import Pool
from limbeck.transfer.borrow.settings import PoolSettings
from limbeck.transfer.evidence import Evidence, Pictures, read_evidence
from limbeck.transfer.evidence_figures import LineFigure, StackedBars, TableFigure
from limbeck.transfer.real_images import real_images
from limbeck.transfer.score_table.read import ScoreTable

CLASSES = ("cat", "dog", "ship")
ZOO = ("tabby cat", "lion", "wolf", "boat")


class Case(NamedTuple):
    """A choice of a few images of hand-made pools."""

    chosen: Chosen
    table: ScoreTable
    pools: tuple[Pool, ...]
    transfer_set: TransferSet


def pool(name: str, images: int, classes: Sequence[str] = (), *, channels: int = 3, seed: int = 0, **more: Any) -> Pool:
    """Labels in turn, ids 10, 11, ..."""
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (images, channels, 8, 8), dtype=torch.uint8, generator=source)
    labels = torch.arange(images) % len(classes) if classes else None
    image_set = ImageSet(pixels, labels, ids=torch.arange(images) + 10, classes=classes or None, name=name)
    return Pool(name, PoolSettings(name=name), image_set, **more)


def case(
    pools: Sequence[Pool],
    count: int,
    *,
    by: str = "margin",
    classes: Sequence[str] = CLASSES,
    wanted: Sequence[int] | None = None,
    groups: Sequence[int] | None = None,
    about: dict[str, Any] | None = None,
) -> Case:
    """The surest of every class, by scores that are drawn; classes in turn where none are given."""
    ordered = sorted(pools, key=lambda pool_: pool_.name)
    ids = np.concatenate([pool_.images.ids.numpy() for pool_ in ordered])
    source = np.repeat(np.arange(len(ordered)), [len(pool_.images) for pool_ in ordered])
    native = np.concatenate(
        [
            np.full(len(pool_.images), -1) if pool_.images.labels is None else pool_.images.labels.numpy()
            for pool_ in ordered
        ]
    )
    group = np.arange(len(ids)) % len(classes) if groups is None else np.asarray(groups)
    margin = np.random.default_rng(3).gamma(2, 2, len(ids))
    columns: dict[str, Any] = {"id": ids, "source": [ordered[place].name for place in source], "group": group}
    columns |= {"native": native, "margin:teacher-logits": margin}
    columns |= {criterion_by("confidence").column: 1 / (1 + np.exp(-margin)) if by != "blind" else margin}
    table = ScoreTable(columns, {"groups": list(classes), "pools": about or {}})
    shares = [count // len(classes)] * len(classes) if wanted is None else list(wanted)
    rows = np.concatenate(
        [
            own[np.argsort(-margin[own])][:share]
            for share, own in ((n, np.flatnonzero(group == k)) for k, n in enumerate(shares))
        ]
    )
    chosen_rows = ChosenRows(source[rows], ids[rows], group[rows], np.zeros_like(rows), np.zeros_like(rows))
    taken = np.bincount(group[rows], minlength=len(classes))
    available = np.bincount(group, minlength=len(classes))
    part = PartCounts(by, np.array(shares), available, taken, np.zeros_like(taken))
    chosen = Chosen(
        rows=chosen_rows,
        parts=(part,),
        classes=tuple(classes),
        sources=table.sources,
        found=available,
        count=count,
        seed=0,
    )
    places = [
        ordered[place].images.positions(torch.tensor([id_])) for place, id_ in zip(source[rows], ids[rows], strict=True)
    ]
    pixels = torch.cat([ordered[place].images.gather(at) for place, at in zip(source[rows], places, strict=True)])
    transfer_set = TransferSet(ImageSet(pixels, classes=list(classes), name="borrowed"))
    return Case(chosen, table, tuple(pools), transfer_set)


def teacher(classes: Sequence[str] = CLASSES, channels: int = 3) -> lb.Classifier:
    options: dict[str, Any] = {"width": 4, "norm": "batch"}
    network = lb.create(
        "convnet_d3", num_classes=len(classes), channels=channels, input_size=8, classes=classes, **options
    )
    return network.eval()


def evidence(one: Case, real: ImageSet | None = None, **options: Any) -> Evidence:
    network = teacher(one.chosen.classes, one.transfer_set.images.shape[0])
    options = {"beside": {}, "device": "cpu", **options}
    return evidence_of(one.chosen, one.table, one.pools, one.transfer_set, network, real, **options)


def page(folder: Path, found: Evidence) -> str:
    """The report of a transfer set with this evidence, which comes back as it was."""
    (folder / "transfer_set.json").write_text('{"name": "borrowed"}')
    found.save(folder / "evidence")
    again = read_evidence(folder / "evidence")
    assert again is not None
    assert [fig.to_dict() for fig in again.figures] == json.loads(json.dumps([fig.to_dict() for fig in found.figures]))
    return write_selection_report(folder).read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")


def figure(found: Evidence, title: str, kind: type[Any] = TableFigure) -> Any:
    (match,) = [fig for fig in found.figures if fig.title.startswith(title) and isinstance(fig, kind)]
    return match


def rows_of(table: TableFigure) -> dict[Any, dict[str, Any]]:
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


@pytest.fixture
def usual() -> Case:
    zoo = pool("zoo", 40, ZOO, excluded={"boat": 9}, unreadable=2)
    street = pool("street", 30, seed=1)
    return case([zoo, street], 12, about={"zoo": {"equal": 3, "judged": 0}, "street": {"equal": 0, "judged": 1}})


def test_everything_is_told(usual: Case, tmp_path: Path) -> None:
    result = evidence(usual)
    assert result.headline == "12 images of 70 of street and zoo, borrowed by 'margin'"
    words = page(tmp_path, result)
    for part in (
        "12 images of 70 of street and zoo, borrowed by &#39;margin&#39;.",
        "What each pool gave",
        "Images of each class",
        "Images of each class, by pool",
        "Scores of the images by their rank, by margin",
        "By margin: the widest gap between the teacher",
        "cat, all of 4 images, surest first",
    ):
        assert part in words, part
    assert result.summary is None
    again = read_evidence(tmp_path / "evidence")
    assert again is not None
    assert again.summary is not None
    assert (again.summary.images, again.summary.chosen) == (70, 12)
    assert again.summary.sources is not None
    assert again.summary.sources.names == ("street", "zoo")


def test_pools_and_what_became_of_their_images(usual: Case) -> None:
    table = figure(evidence(usual), "What each pool gave")
    rows = rows_of(table)
    assert list(rows) == ["zoo", "street"], "in the order in which they were named"
    zoo = rows["zoo"]
    assert (zoo["Unreadable"], zoo["Equal to others"], zoo["Excluded"], zoo["Equal to judged ones"]) == (2, 3, 9, 0)
    assert rows["street"]["Equal to judged ones"] == 1
    assert sum(row["Chosen"] for row in rows.values()) == 12
    assert sum(row["Share of the chosen"] for row in rows.values()) == pytest.approx(1)
    assert sum(row["Distinct images"] for row in rows.values()) == 70
    assert zoo["Classes known by name"] == "1 of 3"
    assert rows["street"]["Classes known by name"] is None
    clean = figure(evidence(case([pool("zoo", 20, ZOO)], 6)), "What each pool gave")
    assert not {"Unreadable", "Excluded"} & set(clean.columns)


def test_what_the_teacher_knows_by_name_is_counted(usual: Case) -> None:
    result = evidence(usual)
    zoo = usual.pools[0].images
    assert zoo.labels is not None
    rows = usual.chosen.rows
    of_zoo = rows.ids[rows.sources == usual.table.sources.index("zoo")]
    known = int((zoo.labels[zoo.positions(torch.from_numpy(of_zoo))] == 0).sum())
    unclear = 12 - len(of_zoo)
    assert result.findings[0] == (
        f"{100 * known / 12:.1f} % of the images are of classes whose name the teacher knows: 1 of the 3 of zoo "
        f"(cat); {100 * unclear / 12:.1f} % are from pools whose names do not tell"
    )
    assert result.facts["of classes known by name"] == f"{100 * known / 12:.1f} %"


@pytest.mark.parametrize(
    ("pools", "sentence"),
    [
        ([pool("street", 30)], "Nothing tells what share of the images is of classes that the teacher knows: the pool"),
        ([pool("sea", 30, ("coral", "kelp"))], "No image is of a class whose name the teacher knows"),
        (
            [pool("all", 30, CLASSES)],
            "100.0 % of the images are of classes whose name the teacher knows: 3 of the 3 of",
        ),
    ],
)
def test_pools_that_know_all_none_or_no_names(pools: list[Pool], sentence: str) -> None:
    assert evidence(case(pools, 6)).findings[0].startswith(sentence)


def test_classes_are_counted_by_pool(usual: Case) -> None:
    result = evidence(usual)
    rows = rows_of(figure(result, "Images of each class", TableFigure))
    bars = figure(result, "Images of each class, by pool", StackedBars)
    assert list(rows) == list(bars.names) == list(CLASSES)
    for place, name in enumerate(CLASSES):
        row = rows[name]
        assert (row["Wanted"], row["Chosen"], row["Short"]) == (4, 4, 0)
        assert row["Found"] == usual.chosen.found[place]
        assert row["of street"] + row["of zoo"] == 4
        assert [bars.parts[pool][place] for pool in ("street", "zoo")] == [row["of street"], row["of zoo"]]
        natives = row["Mostly"] or ""
        assert sum(int(part.rsplit(" ", 1)[1]) for part in natives.split(", ") if part) <= row["of zoo"]


def test_one_pool_has_no_chart_of_pools() -> None:
    result = evidence(case([pool("zoo", 20, ZOO)], 6))
    assert not [fig for fig in result.figures if isinstance(fig, StackedBars)]
    assert "of zoo" not in figure(result, "Images of each class").columns


def test_curves_fall_to_where_the_budget_cut(usual: Case) -> None:
    curves = figure(evidence(usual), "Scores of the images", LineFigure)
    assert list(curves.lines) == list(CLASSES)
    for name in CLASSES:
        ranks, scores = curves.lines[name]
        assert ranks[0] == 1
        assert scores == sorted(scores, reverse=True)
        assert curves.marks[name][0] == 4
        assert curves.marks[name][1] >= scores[-1]


def test_lowest_first_curves_rise() -> None:
    borrowed = case([pool("zoo", 30, ZOO)], 6)
    entropy = -next(borrowed.table.batches("margin:teacher-logits"))["margin:teacher-logits"]
    batch = next(borrowed.table.batches("id", "group", "native"))
    columns = {**batch, "source": ["zoo"] * 30, criterion_by("entropy").column: entropy}
    table = ScoreTable(columns, {"groups": list(CLASSES)})
    part = borrowed.chosen.parts[0]
    parts = (PartCounts("entropy", part.wanted, part.passed, part.distinct, part.repeated),)
    chosen = Chosen(**{**vars(borrowed.chosen), "parts": parts})
    curves = figure(
        evidence(Case(chosen, table, borrowed.pools, borrowed.transfer_set)), "Scores of the images", LineFigure
    )
    _, scores = curves.lines["cat"]
    assert scores == sorted(scores)
    assert curves.y == "entropy, lowest first"
    assert curves.marks["cat"][0] == 2


def test_random_choices_have_no_curves_and_no_scores(tmp_path: Path) -> None:
    result = evidence(case([pool("zoo", 30, ZOO)], 6, by="balanced-random"))
    assert result.score == ""
    assert not [fig for fig in result.figures if isinstance(fig, LineFigure)]
    assert 'data-chart="scores"' not in page(tmp_path, result)


def test_pictures_go_from_the_surest_to_the_least_sure() -> None:
    borrowed = case([pool("zoo", 120, ZOO), pool("street", 60, seed=1)], 60)
    groups = [group for group in evidence(borrowed).pictures if group.title.startswith("cat")]
    assert [group.title for group in groups] == ["cat, some of 20 images, surest first", "cat, the least sure"]
    most, least = groups
    assert most.scores is not None
    assert least.scores is not None
    assert most.scores.diff().le(0).all()
    assert least.scores.diff().ge(0).all()
    assert least.scores.max() <= most.scores.min()
    for group in groups:
        check_pixels(group, borrowed.pools)


def check_pixels(group: Pictures, pools: Sequence[Pool]) -> None:
    by_name = {pool_.name: pool_.images for pool_ in pools}
    for image, id_, caption in zip(group.images, group.ids.tolist(), group.captions, strict=True):
        native, _, name = caption.rpartition(", ")
        images = by_name[name]
        assert torch.equal(images.gather(images.positions([id_]))[0], image)
        if native:
            assert images.labels is not None
            assert images.classes[images.labels[images.positions([id_])]] == native


def test_short_classes_are_told() -> None:
    groups = [0] * 20 + [1] * 8 + [2] * 2
    borrowed = case([pool("zoo", 30, ZOO)], 12, wanted=[4, 4, 4], groups=groups)
    short = Chosen(**{**vars(borrowed.chosen), "count": 12})
    result = evidence(borrowed._replace(chosen=short))
    assert result.findings[1] == "1 of 3 classes had fewer images than their share (ship): 2 are lacking"
    assert rows_of(figure(result, "Images of each class"))["ship"]["Short"] == 2


def test_repeated_images_are_told() -> None:
    borrowed = case([pool("zoo", 30, ZOO)], 12, wanted=[4, 4, 4], groups=[0] * 20 + [1] * 8 + [2] * 2)
    part, rows = borrowed.chosen.parts[0], borrowed.chosen.rows
    again = np.flatnonzero(rows.groups == 2)
    sources, ids, groups = (np.concatenate([column, column[again]]) for column in (rows.sources, rows.ids, rows.groups))
    copies = np.concatenate([rows.copies, np.ones(2, dtype=np.int64)])
    shown = ChosenRows(sources, ids, groups, copies, np.zeros_like(copies))
    parts = (PartCounts(part.by, part.wanted, part.passed, part.distinct, np.array([0, 0, 2])),)
    chosen = Chosen(**{**vars(borrowed.chosen), "parts": parts, "rows": shown})
    pixels = borrowed.transfer_set.images.tensor()
    transfer_set = TransferSet(ImageSet(torch.cat([pixels, pixels[-2:]]), classes=list(CLASSES)))
    result = evidence(Case(chosen, borrowed.table, borrowed.pools, transfer_set))
    assert result.headline.startswith("12 images, 2 of them shown again, of 30 of zoo")
    assert result.findings[1].endswith("(ship): 2 were shown again")
    assert rows_of(figure(result, "Images of each class"))["ship"]["Shown again"] == 2


@pytest.mark.parametrize(("count", "channels"), [(2, 1), (10, 3), (100, 3), (1000, 1)])
def test_any_number_of_classes_gray_or_in_colour(tmp_path: Path, count: int, channels: int) -> None:
    classes = [f"kind {place}" for place in range(count)]
    pools = [pool("zoo", 4 * count, ZOO, channels=channels), pool("street", 2 * count, channels=channels, seed=1)]
    borrowed = case(pools, 2 * count, classes=classes)
    result = evidence(borrowed, real(classes, channels, max(6, 6 * min(count, 10))))
    curves = figure(result, "Scores of the images", LineFigure)
    assert len(curves.lines) == min(count, 10)
    assert len(result.pictures) <= 24
    assert all(group.images.shape[1] == channels for group in result.pictures)
    words = page(tmp_path, result)
    assert ("<summary>Images of each class</summary>" in words) == (count > 30)
    assert len(words) < 3_000_000


def real(classes: Sequence[str], channels: int = 3, images: int = 60, *, labelled: bool = True) -> ImageSet:
    source = torch.Generator().manual_seed(7)
    pixels = torch.randint(0, 128, (images, channels, 8, 8), dtype=torch.uint8, generator=source)
    labels = torch.arange(images) % len(classes) if labelled else None
    return ImageSet(pixels, labels, classes=list(classes), name="target/test")


def test_distances_stand_beside_random_and_chance() -> None:
    borrowed = case([pool("zoo", 240, ZOO), pool("street", 60, seed=1)], 60)
    result = evidence(borrowed, real(CLASSES, images=150), beside={"noise": pool("noise", 30, seed=5).images})
    table = figure(result, "Distance from images of target/test")
    rows = rows_of(table)
    assert list(rows) == ["all classes", *CLASSES]
    whole = rows["all classes"]
    assert whole["Halves of the real ones, highest"] < whole["Borrowed"]
    assert 0 < whole["Borrowed"] < 1
    assert whole["Balanced random of the same pools"] == pytest.approx(whole["Borrowed"], abs=0.1)
    assert whole["noise"] > 0
    assert (whole["Borrowed images"], whole["Real images"]) == (60, 60), "as many of each as were chosen"
    assert rows["cat"]["Real images"] == 20
    assert result.facts["distance from real images"] == f"{whole['Borrowed']:.3f}"
    assert "that of noise" in result.facts
    assert any("does not count these passes" in note for note in result.notes)


def test_procedural_images_stand_beside_by_themselves() -> None:
    borrowed = case([pool("zoo", 40, ZOO, channels=1)], 12)
    result = evidence(borrowed, real(CLASSES, 1), beside=None)
    whole = rows_of(figure(result, "Distance from"))["all classes"]
    assert 0 < whole["Procedural, dead-leaves"] < 1
    assert "that of procedural, dead-leaves" in result.facts


def test_the_same_images_are_no_distance_away() -> None:
    images = real(CLASSES, images=90)
    borrowed = case([Pool("same", PoolSettings(name="same"), images)], 90, groups=[place % 3 for place in range(90)])
    whole = rows_of(figure(evidence(borrowed, images), "Distance from"))["all classes"]
    assert abs(whole["Borrowed"]) < 0.02


def test_real_images_without_labels_go_by_the_teacher() -> None:
    result = evidence(case([pool("zoo", 40, ZOO)], 12), real(CLASSES, labelled=False))
    table = figure(result, "Distance from")
    assert "by the classes that the teacher gives" in table.note
    other = evidence(case([pool("zoo", 40, ZOO)], 12), real(("a", "b"), images=40))
    assert "by the classes that the teacher gives" in figure(other, "Distance from").note


def test_real_images_are_those_to_learn_from_or_to_be_judged_on() -> None:
    pool_, test, odd = real(CLASSES), real(CLASSES, images=9), real(("a", "b"), images=8)
    unlabelled = real(CLASSES, labelled=False)
    assert real_images(pool_, [unlabelled, test], CLASSES) is pool_
    assert real_images(None, [unlabelled, test], CLASSES) is test
    assert real_images(None, [test, odd], CLASSES) is test
    assert real_images(None, [unlabelled, odd], CLASSES) is None
    assert real_images(None, [], CLASSES) is None


def test_too_few_images_have_no_distance() -> None:
    result = evidence(case([pool("zoo", 6, ZOO)], 3), real(CLASSES, images=3))
    rows = rows_of(figure(result, "Distance from"))
    assert rows["cat"]["Borrowed"] is None
    assert rows["all classes"]["Halves of the real ones, highest"] is None
    assert "that of halves of the real ones" not in result.facts


def test_teachers_without_an_embedding_are_told() -> None:
    borrowed = case([pool("zoo", 20, ZOO)], 6)
    bare = lb.Classifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3)), num_classes=3)
    result = evidence_of(
        borrowed.chosen, borrowed.table, borrowed.pools, borrowed.transfer_set, bare, real(CLASSES), device="cpu"
    )
    assert "no tap for its embedding" in result.notes[-1]
    assert not [fig for fig in result.figures if fig.title.startswith("Distance")]


def test_evidence_is_the_same_again(usual: Case) -> None:
    first, second = (evidence(usual, real(CLASSES)) for _ in range(2))
    assert [fig.to_dict() for fig in first.figures] == [fig.to_dict() for fig in second.figures]
    assert all(torch.equal(a.images, b.images) for a, b in zip(first.pictures, second.pictures, strict=True))


def test_tables_without_confidence_show_pictures_without_it() -> None:
    borrowed = case([pool("zoo", 20, ZOO)], 6)
    batch = next(borrowed.table.batches("id", "group", "native", "margin:teacher-logits"))
    table = ScoreTable({**batch, "source": ["zoo"] * 20}, {"groups": list(CLASSES)})
    assert all(group.scores is None for group in evidence(borrowed._replace(table=table)).pictures)
