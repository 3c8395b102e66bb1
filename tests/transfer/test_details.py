"""What a selection leaves for its report: the same from images and from a table of scores, and nothing like data."""

import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from tests.transfer.conftest import natural

from limbeck.data import TransferSet, load
from limbeck.data.image_set import ImageSet
from limbeck.transfer.details import NUMBERS, PICTURES, TABLE, save_details
from limbeck.transfer.select import score_table, select, select_from_scores
from limbeck.transfer.summary import Summary, summarise


def images() -> ImageSet:
    few = natural(150)
    return ImageSet(few.tensor(), few.labels, ids=few.ids, classes=few.classes, name="blotches")


@pytest.mark.parametrize("criterion", ["entropy", "entropy-whole-lowest", "random", "variance"])
@pytest.mark.parametrize("rows", [64, 2**20])
def test_a_table_leaves_the_numbers_of_the_images(
    tmp_path: Path, criterion: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.transfer.score_table.read.ROWS", rows)
    path = score_table(images(), tmp_path / "scores.parquet", criteria=[criterion])
    save_details(tmp_path / "table", images(), select_from_scores(path, criterion=criterion, budget="20%", seed=2))
    selection = select(images(), criterion=criterion, budget="20%", seed=2)
    save_details(tmp_path / "direct", images(), selection)
    found = Summary.from_dict(json.loads((tmp_path / "table" / NUMBERS).read_text()))
    columns = {"chosen": selection.chosen, "score": selection.scores, "label": selection.labels}
    arrays = {name: column.numpy() for name, column in columns.items() if column is not None}
    expected = summarise(lambda: iter([arrays]))
    assert (found.whole.sizes, found.whole.chosen) == (expected.whole.sizes, expected.whole.chosen)
    assert found.classes is not None
    assert expected.classes is not None
    assert (found.classes.sizes, found.classes.chosen) == (expected.classes.sizes, expected.classes.chosen)
    assert found.scores == (None if criterion == "random" else expected.scores)
    pictures, others = (load_file(tmp_path / where / PICTURES) for where in ("table", "direct"))
    for name, value in others.items():
        assert torch.equal(pictures[name], value), name
    assert not (tmp_path / "table" / TABLE).exists()


def test_details_are_no_data(tmp_path: Path) -> None:
    selection = select(images(), criterion="k-means", budget=12)
    folder = tmp_path / "set"
    selection.transfer_set(images()).save(folder)
    before = (folder / "README.md").read_text()
    save_details(folder, images(), selection)
    table = pq.read_table(folder / TABLE)
    assert table.column_names == ["id", "label", "score", "chosen", "group"]
    assert np.sum(table["chosen"].to_numpy()) == 12
    assert (folder / "README.md").read_text() == before
    rows = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "hf"))
    assert {name: len(split) for name, split in rows.items()} == {"train": 12}
    assert len(load(folder)) == len(TransferSet.load(folder)) == 12


def test_unlabelled_tables(tmp_path: Path) -> None:
    plain = ImageSet(images().tensor(), ids=images().ids, name="plain")
    path = score_table(plain, tmp_path / "scores.parquet", criteria=["entropy-whole"])
    save_details(tmp_path, plain, select_from_scores(path, criterion="entropy-whole", budget=150))
    found = Summary.from_dict(json.loads((tmp_path / NUMBERS).read_text()))
    assert (found.classes, found.images, found.chosen) == (None, 150, 150)
    assert load_file(tmp_path / PICTURES)["rejected_highest.ids"].tolist() == []
