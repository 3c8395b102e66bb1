import json
import os
import signal
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.transfer.select import CRITERIA, score_table, select, select_from_scores
from limbeck.transfer.select.features import batch_size_for
from limbeck.transfer.select.score_tables import Shards

from .conftest import natural

CHEAP = ["entropy", "entropy-average-adjusted", "patch-entropy", "variance"]
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (limbeck[scale])")


def images() -> ImageSet:
    """Three batches, so that shards are not all of the set."""
    few = natural(150)
    return ImageSet(few.tensor(), few.labels, ids=few.ids, classes=few.classes, name="blotches")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr("limbeck.transfer.select.features.PIXELS_PER_BATCH", 2**10)
    assert batch_size_for(natural(10)) == 64


def test_the_table_holds_the_scores_of_select(tmp_path, teacher):
    criteria = [*CHEAP, "margin", "minimal-margin", "random", "entropy-whole"]
    path = score_table(images(), tmp_path / "scores.parquet", criteria=criteria, teacher=teacher, shard=64)
    table = pq.read_table(path)
    assert table.column_names[:2] == ["id", "label"]
    assert len(table.column_names) == 2 + 6
    assert table["id"].to_pylist() == images().ids.tolist()
    assert table["label"].to_pylist() == images().labels.tolist()
    for name in criteria[:-2]:
        scores = select(images(), criterion=name, budget=8, teacher=teacher).scores
        found = torch.tensor(table[CRITERIA[name].column].to_pylist(), dtype=torch.float64)
        assert torch.equal(found, scores), name
    assert not (tmp_path / "scores.parquet.parts").exists()
    assert pq.ParquetFile(path).num_row_groups == 3


@pytest.mark.parametrize("criterion", [*CHEAP, "random", "balanced-random", "entropy-whole-lowest"])
def test_the_table_selects_as_the_images_do(tmp_path, criterion):
    path = score_table(images(), tmp_path / "scores.parquet", criteria=[criterion], shard=64)
    chosen = select_from_scores(path, criterion=criterion, budget="20%", seed=4)
    expected = select(images(), criterion=criterion, budget="20%", seed=4)
    assert sorted(chosen.ids.tolist()) == sorted(expected.ids.tolist())
    transfer_set = chosen.transfer_set(images())
    assert len(transfer_set) == 30
    assert transfer_set.provenance["source"] == ["blotches"] * 30
    assert chosen.table.classes == images().classes


def test_networks_are_trained_on_the_whole_set(tmp_path):
    criteria = [{"representation": "cfv", "epochs": 1}, {"score": "forgetting", "epochs": 1}]
    path = score_table(images(), tmp_path / "scores.parquet", criteria=criteria, folder=tmp_path / "kept", shard=64)
    table = pq.read_table(path)
    for spec in criteria:
        expected = select(images(), criterion=spec, budget=8, folder=tmp_path / "kept")
        assert table[expected.criterion.column].to_pylist() == expected.scores.tolist()


def test_finished_shards_are_not_done_again(tmp_path, monkeypatch):
    whole = score_table(images(), tmp_path / "whole.parquet", criteria=CHEAP, shard=64)
    real, done = Shards.score, []

    def failing(self, index):
        if index == 2:
            raise KeyboardInterrupt
        done.append(index)
        return real(self, index)

    monkeypatch.setattr(Shards, "score", failing)
    with pytest.raises(KeyboardInterrupt):
        score_table(images(), tmp_path / "scores.parquet", criteria=CHEAP, shard=64)
    assert done == [0, 1]
    assert not (tmp_path / "scores.parquet").exists()
    monkeypatch.setattr(Shards, "score", lambda self, index: done.append(index) or real(self, index))
    path = score_table(images(), tmp_path / "scores.parquet", criteria=CHEAP, shard=64)
    assert done == [0, 1, 2]
    assert path.read_bytes() == whole.read_bytes()


def test_parts_of_another_scoring_are_refused(tmp_path):
    parts = tmp_path / "scores.parquet.parts"
    parts.mkdir()
    (parts / "plan.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(UserError, match="holds parts of another scoring"):
        score_table(images(), tmp_path / "scores.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"shard": 0}, "`shard` must be at least 1, got 0"),
        ({"criteria": ["margin"]}, "asks a teacher"),
        ({"criteria": ["entrpy"]}, "unknown criterion 'entrpy'"),
        ({"criteria": [{"representation": "function"}]}, "reads a `function`"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(UserError, match=message):
        score_table(images(), tmp_path / "scores.parquet", **arguments)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "scores.parquet").write_text("mine")
    with pytest.raises(UserError, match="exists already and is never overwritten"):
        score_table(images(), tmp_path / "scores.parquet")


def test_without_ray(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.transfer.select.workers.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"2 `workers` need Ray; `pip install limbeck\[scale\]`, or use 1"):
        score_table(images(), tmp_path / "scores.parquet", workers=2, shard=64)


KILLED = """
import os, signal, sys
from limbeck.data import load
from limbeck.transfer.select import features, score_table
from limbeck.transfer.select.score_tables import Shards
features.PIXELS_PER_BATCH = 2**12
real = Shards.score
def score(self, index):
    if index == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, index)
if sys.argv[2] == "die":
    Shards.score = score
score_table(load("digits"), sys.argv[1], criteria=["entropy", "hrgb"], shard=200)
"""


@pytest.mark.slow
def test_killed_and_resumed(tmp_path):
    def run(path, how):
        return subprocess.run([sys.executable, "-c", KILLED, path, how], check=False, capture_output=True).returncode

    assert run(tmp_path / "whole.parquet", "live") == 0
    assert run(tmp_path / "scores.parquet", "die") == -signal.SIGKILL
    kept = sorted(path.name for path in (tmp_path / "scores.parquet.parts").glob("*.parquet"))
    assert kept == ["000000.parquet", "000001.parquet", "000002.parquet"]
    assert run(tmp_path / "scores.parquet", "live") == 0
    assert (tmp_path / "scores.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


class Dying(ImageSet):
    """Images of which reading some kills the process that reads them, once or always, but never the parent."""

    def __init__(self, flag: str, parent: int, *, always: bool = False) -> None:
        whole = natural(600)
        super().__init__(whole.tensor(), whole.labels, ids=whole.ids, classes=whole.classes, name=whole.name)
        self.flag, self.parent, self.always = Path(flag), parent, always

    def subset(self, ids):
        if os.getpid() != self.parent and int(self.ids[200]) in ids and (self.always or not self.flag.exists()):
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().subset(ids)


@pytest.mark.slow
@needs_ray
def test_one_and_four_workers_make_the_same_table(tmp_path):
    one = score_table(partial(natural, 600), tmp_path / "one.parquet", criteria=CHEAP, shard=64)
    four = score_table(partial(natural, 600), tmp_path / "four.parquet", criteria=CHEAP, shard=64, workers=4)
    assert four.read_bytes() == one.read_bytes()


@pytest.mark.slow
@needs_ray
def test_a_killed_workers_shard_is_done_again(tmp_path):
    one = score_table(partial(natural, 600), tmp_path / "one.parquet", shard=64)
    load = partial(Dying, str(tmp_path / "died"), os.getpid())
    two = score_table(load, tmp_path / "two.parquet", shard=64, workers=2)
    assert (tmp_path / "died").exists()
    assert two.read_bytes() == one.read_bytes()


@pytest.mark.slow
@needs_ray
def test_workers_that_keep_dying_are_reported(tmp_path):
    load = partial(Dying, str(tmp_path / "died"), os.getpid(), always=True)
    with pytest.raises(UserError, match="the worker of shard 3 died 3 times"):
        score_table(load, tmp_path / "two.parquet", shard=64, workers=2)
    assert list((tmp_path / "two.parquet.parts").glob("*.parquet"))
