"""Evidence of a selection: the same from images and from a table of scores."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from tests.transfer.conftest import image_set, natural

from limbeck.data import TransferSet, load
from limbeck.data.image_set import ImageSet
from limbeck.transfer.evidence import EVIDENCE, Pictures, read_evidence
from limbeck.transfer.select import score_table, select, select_from_scores
from limbeck.transfer.select.evidence import evidence_of, pictures


def images() -> ImageSet:
    source = natural(150)
    return ImageSet(source.tensor(), source.labels, ids=source.ids, classes=source.classes, name="blotches")


def by_title(found: list[Pictures]) -> dict[str, Pictures]:
    return {group.title: group for group in found}


def test_pictures_are_the_ends_of_each_fate(toy: ImageSet) -> None:
    selection = select(toy, criterion="entropy-whole", budget=20)
    score_of = dict(zip(toy.ids.tolist(), selection.scores.tolist(), strict=True))
    shown = by_title(pictures(selection, toy, per_group=5))
    fates = {"Chosen": selection.chosen, "Left out": ~selection.chosen}
    assert list(shown) == [f"{fate}, {end} entropy" for fate in fates for end in ("highest", "lowest")]
    for fate, among in fates.items():
        for end, sign in (("highest", -1), ("lowest", 1)):
            group = shown[f"{fate}, {end} entropy"]
            assert group.scores is not None
            assert group.labels is not None
            assert toy.labels is not None
            expected = sorted(toy.ids[among].tolist(), key=lambda id_: (sign * score_of[id_], id_))[:5]
            assert group.ids.tolist() == expected
            assert group.scores.tolist() == pytest.approx([score_of[id_] for id_ in expected])
            assert torch.equal(group.images, toy.gather(toy.positions(group.ids)))
            assert torch.equal(group.labels, toy.labels[toy.positions(group.ids)])


def test_nothing_left_out_and_no_labels() -> None:
    few = image_set(None, 4)
    shown = pictures(select(few, criterion="random", budget=4), few)
    assert [group.title for group in shown] == ["Chosen, highest random", "Chosen, lowest random"]
    assert all(len(group.ids) == 4 and group.labels is None for group in shown)


@pytest.mark.parametrize("criterion", ["entropy", "entropy-whole-lowest", "random", "variance", "k-means"])
@pytest.mark.parametrize("rows", [64, 2**20])
def test_a_table_tells_what_the_images_tell(
    tmp_path: Path, criterion: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.transfer.score_table.read.ROWS", rows)
    path = score_table(images(), tmp_path / "scores.parquet", criteria=[criterion], seed=2)
    from_table = evidence_of(select_from_scores(path, criterion=criterion, budget="20%", seed=2), images())
    expected = evidence_of(select(images(), criterion=criterion, budget="20%", seed=2), images())
    assert from_table.rows is None, "they are in a file already"
    assert from_table.headline == expected.headline
    for folder, part in (("table", from_table), ("direct", expected)):
        part.save(tmp_path / folder)
    table, direct = (read_evidence(tmp_path / folder) for folder in ("table", "direct"))
    assert table is not None
    assert direct is not None
    assert table.summary == direct.summary
    for part, other in zip(table.pictures, direct.pictures, strict=True):
        assert part.title == other.title
        assert torch.equal(part.images, other.images)
        assert torch.equal(part.ids, other.ids)


def test_words_of_strata_and_clusters() -> None:
    few = images()
    hard = {"score": "variance", "allocation": "coverage", "strata": 4}
    for criterion, budget, group, order in (
        (hard, 15, "stratum", "lowest scores first, then those cut off as too hard"),
        (hard, 100, "stratum", "lowest scores first"),
        ({**hard, "allocation": "coverage-per-class"}, 100, "stratum", "class after class, lowest scores first"),
        ("k-means", 20, "cluster", ""),
        ("entropy", 20, "", ""),
    ):
        evidence = evidence_of(select(few, criterion=criterion, budget=budget), few)
        assert (evidence.group, evidence.group_order) == (group, order)
        assert evidence.rows is not None
        columns = set(next(evidence.rows()))
        assert columns == {"id", "label", "score", "chosen"} | ({"group"} if group else set())
    assert evidence.headline.startswith(
        "20 of 150 images of blotches (13.3 %), chosen by entropy: score entropy of gray"
    )


def test_rows_say_what_was_chosen(toy: ImageSet) -> None:
    selection = select(toy, budget=8)
    evidence = evidence_of(selection, toy)
    assert evidence.rows is not None
    (batch,) = evidence.rows()
    assert sorted(batch["id"][batch["chosen"]].tolist()) == sorted(selection.ids.tolist())
    assert np.array_equal(batch["score"], selection.scores.numpy())
    assert evidence.score == "entropy"
    assert evidence_of(select(toy, criterion="random", budget=8), toy).score == ""


def test_evidence_beside_a_transfer_set_is_no_data(tmp_path: Path) -> None:
    pool = natural(150)
    selection = select(pool, criterion="k-means", budget=12)
    folder = tmp_path / "set"
    selection.transfer_set(pool).save(folder)
    before = (folder / "README.md").read_text()
    evidence_of(selection, pool).save(folder / EVIDENCE)
    assert (folder / "README.md").read_text() == before
    rows = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))
    assert {name: len(split) for name, split in rows.items()} == {"train": 12}
    assert len(load(folder)) == len(TransferSet.load(folder)) == 12
