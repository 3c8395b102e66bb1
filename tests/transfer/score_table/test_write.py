import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from hypothesis import given, settings
from tests.transfer import reference
from tests.transfer.borrow.fake_pools import write_pngs
from tests.transfer.conftest import natural, reordered

from limbeck.data import load
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.plugins import register, unregister
from limbeck.progress import Silent
from limbeck.transfer.score_table import write as score_tables
from limbeck.transfer.score_table.shards import Shards
from limbeck.transfer.scoring import features
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import batch_size_for, collect, representation
from limbeck.transfer.scoring.score import score_images
from limbeck.transfer.select import (
    CRITERIA,
    Criterion,
    ScoreTable,
    find_criterion,
    score_table,
    select,
    select_from_scores,
)

CHEAP = ["entropy", "entropy-average-adjusted", "patch-entropy", "variance"]


def images() -> ImageSet:
    """Three batches, so that shards are not all of the set."""
    source = natural(150)
    return ImageSet(source.tensor(), source.labels, ids=source.ids, classes=source.classes, name="blotches")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr("limbeck.transfer.scoring.features.PIXELS_PER_BATCH", 2**10)
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
        values = torch.tensor(table[CRITERIA[name].column].to_pylist(), dtype=torch.float64)
        assert torch.equal(values, scores), name
    assert not (tmp_path / "scores.parquet.parts").exists()
    assert pq.ParquetFile(path).num_row_groups == 3


@pytest.mark.parametrize("criterion", [*CHEAP, "random", "balanced-random", "entropy-whole-lowest"])
def test_the_table_selects_as_the_images_do(tmp_path, criterion):
    path = score_table(images(), tmp_path / "scores.parquet", criteria=[criterion], shard=64)
    chosen = select_from_scores(path, criterion=criterion, budget="20%", seed=4)
    expected = select(images(), criterion=criterion, budget="20%", seed=4)
    assert chosen.ids.tolist() == expected.ids.tolist()
    transfer_set = chosen.transfer_set(images())
    assert len(transfer_set) == 30
    assert transfer_set.provenance["source"] == ["blotches"] * 30
    assert chosen.score_table.classes == images().classes


MANY = [
    *CHEAP,
    "entropy-rgb",
    "margin",
    "minimal-margin",
    "el2n",
    "lv/variance",
    "teacher-embedding/variance",
    "energy",
]


def test_several_criteria_are_one_pass(tmp_path, teacher, monkeypatch):
    """Each image is read once and asked about once, and every column is what it is alone, to the bit."""
    looks, counts = [], []
    gather, real = ImageSet.gather, features.outputs_over
    whole, context = images(), ScoringContext(teacher=teacher)
    expected = {
        find_criterion(criterion).column: score_images(whole, find_criterion(criterion), context=context)
        for criterion in MANY
    }
    monkeypatch.setattr(ImageSet, "gather", lambda self, rows: looks.append(len(rows)) or gather(self, rows))

    def outputs_over(network, images, *arguments, **options):
        counts.append(len(images))
        return real(network, images, *arguments, **options)

    monkeypatch.setattr(features, "outputs_over", outputs_over)
    path = score_table(
        images(), tmp_path / "scores.parquet", criteria=MANY, teacher=teacher, beside=["digest", "group"], shard=64
    )
    assert sum(counts) == 150
    assert sum(looks) == 150 + 150 + 3 * 2, (
        "once for the average histogram, once for all scores; ends to see whether it is they"
    )
    table = pq.read_table(path)
    assert table.column_names == ["id", "label", *expected, "digest", "group"]
    for name, scores in expected.items():
        assert table[name].to_pylist() == scores.tolist(), name
    assert [list(digest) for digest in table["digest"].to_pylist()] == images().digests().tolist()
    logits = collect(images(), representation("teacher-logits", images(), context))
    assert table["group"].to_pylist() == logits.argmax(1).tolist()
    assert ScoreTable(path).names("group") == ("0", "1", "2", "3")
    assert ScoreTable(path).columns == tuple(expected)
    assert context.cost.teacher_passes


def test_what_cannot_be_beside_scores(tmp_path, teacher):
    with pytest.raises(UserError, match="unknown column `beside` the scores: 'digst'; did you mean 'digest'"):
        score_table(images(), tmp_path / "scores.parquet", beside=["digst"])
    with pytest.raises(UserError, match="`beside` asks for the class that a teacher gives, and none is given; give a"):
        score_table(images(), tmp_path / "scores.parquet", beside=["group"])


def test_own_functions_may_write_into_what_they_are_given(tmp_path, teacher):
    """Several criteria read the same pixels and features."""

    def darkened(pixels):
        return pixels.div_(2, rounding_mode="floor").flatten(1).float()

    def spoilt(values):
        return values.zero_().sum(1)

    register("representations", "darkened", darkened)
    register("scores", "spoilt", spoilt)
    try:
        criteria = [{"representation": "darkened"}, {"score": "spoilt"}, "variance", "margin"]
        path = score_table(images(), tmp_path / "scores.parquet", criteria=criteria, teacher=teacher)
    finally:
        unregister("representations", "darkened")
        unregister("scores", "spoilt")
    table = pq.read_table(path)
    for name in ("variance", "margin"):
        scores = score_images(images(), CRITERIA[name], context=ScoringContext(teacher=teacher))
        assert table[CRITERIA[name].column].to_pylist() == scores.tolist()


CLUSTERED = [
    "k-means",
    "km/rng",
    {"allocation": "k-means", "clusters": 7, "order": "lowest"},
    "k-means-per-class",
    {"score": "random", "allocation": "kmpc", "space": "rgb-histogram", "clusters": 3},
    "manifold",
    {"score": "variance", "allocation": "manifold-per-class", "clusters": 5},
    {"score": "margin", "allocation": "manifold", "space": "teacher-embedding", "clusters": 9, "components": 1},
]


def test_clusters_are_found_once_and_give_every_budget(tmp_path, teacher):
    path = score_table(images(), tmp_path / "scores.parquet", criteria=CLUSTERED, seed=4, teacher=teacher, shard=64)
    table = ScoreTable(path)
    assert sum(name.startswith("clusters:") for name in table.columns) == 7
    assert "clusters:k-means:grayscale-histogram:clusters=7" in table.columns
    for criterion in CLUSTERED:
        for budget in (4, 13, "20%", "21/class", 150):
            chosen = select_from_scores(table, criterion=criterion, budget=budget, seed=4)
            expected = select(images(), criterion=criterion, budget=budget, seed=4, teacher=teacher)
            assert chosen.ids.tolist() == expected.ids.tolist(), (criterion, budget)
            assert torch.equal(chosen.groups, expected.groups), (criterion, budget)
    summary = select_from_scores(table, criterion="k-means", budget="20%", seed=4).summary()
    assert summary.groups is not None
    assert sum(summary.groups.chosen) == 30
    with pytest.raises(UserError, match=r"`seed` must be 4, with which .* was made for 'k-means', got 0"):
        select_from_scores(table, criterion="k-means", budget=30)
    with pytest.raises(UserError, match=r"unknown column of .*'clusters:k-means:grayscale-histogram:clusters=8'"):
        select_from_scores(table, criterion={"allocation": "km", "clusters": 8}, budget=30, seed=4)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=60),
    st.sampled_from(["k-means", "k-means-per-class", "manifold", "manifold-per-class"]),
    st.sampled_from(["highest", "lowest", "random"]),
    st.data(),
)
def test_any_clusters_give_what_sorting_gives(rows, allocation, order, data):
    """Clusters of one's own in place of those found, so that ties, empty classes and clusters of one are drawn, too."""
    ids = data.draw(st.permutations(range(len(rows))))
    named = [
        {"id": id_, "cluster": cluster, "label": label, "score": float(score)}
        for id_, (cluster, label, score) in zip(ids, rows, strict=True)
    ]
    n = data.draw(st.integers(len({row["label"] for row in named}), len(rows)))
    criterion = Criterion(allocation=allocation, order=order)
    clusters = [row["label"] * 4 + row["cluster"] if criterion.per_class else row["cluster"] for row in named]
    columns = {name: [row[name] for row in named] for name in ("id", "label")}
    columns |= {criterion.column: [row["score"] for row in named], criterion.clusters_column: clusters}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("limbeck.transfer.score_table.read.ROWS", 7)
        path = Path(folder) / "scores.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=7)
        chosen = select_from_scores(path, criterion=criterion, budget=n, seed=2)
    assert chosen.ids.tolist() == reference.chosen(criterion, n, named, 2)


def test_clusters_that_were_kept_are_not_found_again(tmp_path, monkeypatch):
    real = score_tables.clusters_of
    with monkeypatch.context() as patch:
        patch.setattr(score_tables, "_join", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            score_table(images(), tmp_path / "scores.parquet", criteria=["k-means"], shard=64)
    monkeypatch.setattr(score_tables, "clusters_of", lambda *arguments: 1 / 0)
    path = score_table(images(), tmp_path / "scores.parquet", criteria=["k-means"], shard=64)
    clusters = pq.read_table(path)["clusters:k-means:grayscale-histogram"].to_pylist()
    features = collect(images(), representation("grayscale-histogram", images(), ScoringContext()))
    assert clusters == real(features, images().ids, images().labels, CRITERIA["k-means"], 0).tolist()


def test_tables_of_other_images_are_refused(tmp_path):
    path = score_table(images(), tmp_path / "scores.parquet")
    chosen = select_from_scores(path, criterion="entropy", budget=8)
    other = ImageSet(images().tensor(), images().labels, ids=images().ids, name="others")
    with pytest.raises(UserError, match="scores of images whose name is blotches, got others of 'others'; score these"):
        chosen.transfer_set(other)
    narrow = ImageSet(images().tensor()[..., 1:], images().labels, ids=images().ids, name="blotches")
    with pytest.raises(UserError, match=r"whose shape is \[.*\], got \[.*\] of 'blotches'"):
        chosen.transfer_set(narrow)


def test_tables_of_images_that_came_or_went_since_are_refused(tmp_path):
    path = score_table(images(), tmp_path / "scores.parquet")
    chosen = select_from_scores(path, criterion="entropy", budget=8)
    whole = images()
    assert len(chosen.transfer_set(reordered(whole, 1))) == 8
    fewer = ImageSet(whole.tensor()[1:], whole.labels[1:], classes=whole.classes, name=whole.name)
    for other in (fewer, ImageSet(whole.tensor(), whole.labels.flip(0), ids=whole.ids, name=whole.name)):
        with pytest.raises(
            UserError, match=r"scores of other images than 'blotches' has now \(files came or went since"
        ):
            chosen.transfer_set(other)
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"limbeck"])
    del metadata["ids_and_labels"]  # as older tables
    pq.write_table(table.replace_schema_metadata({"limbeck": json.dumps(metadata)}), tmp_path / "older.parquet")
    chosen = select_from_scores(tmp_path / "older.parquet", criterion="entropy", budget=8)
    assert len(chosen.transfer_set(whole)) == 8


def test_the_table_that_was_chosen_from_is_not_replaced(tmp_path, monkeypatch):
    path = score_table(images(), tmp_path / "scores.parquet")
    chosen = select_from_scores(path, criterion="entropy", budget=8)
    monkeypatch.chdir(tmp_path)
    for same in (path, "scores.parquet"):
        with pytest.raises(UserError, match=r"`path` must be another file than .*, whose scores were chosen from"):
            chosen.to_parquet(same)
    chosen.to_parquet(tmp_path / "chosen.parquet")
    assert len(pq.read_table(path)) == len(images())


def test_two_scorings_of_one_path_do_not_share_parts(tmp_path):
    path = tmp_path / "scores.parquet"
    parts = tmp_path / "scores.parquet.parts"
    parts.mkdir()
    holds = FileLock(parts / ".lock")
    holds.acquire()

    class OtherEnds(Said):
        def say(self, message):
            super().say(message)
            path.write_text("made by another")
            holds.release()

    progress = OtherEnds()
    with pytest.raises(UserError, match=r"parquet' exists already and is never overwritten; choose another path"):
        score_table(images(), path, progress=progress)
    assert any("another process is scoring into" in line for line in progress.lines)
    assert path.read_text() == "made by another"


def test_small_sets_have_several_shards_too(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.transfer.scoring.features.FEWEST_IMAGES", 4)
    path = score_table(images(), tmp_path / "scores.parquet")
    assert pq.ParquetFile(path).num_row_groups == 13  # of 12 images, which are three batches


def test_clusters_that_cannot_be(tmp_path):
    bare = ImageSet(images().tensor(), name="bare")
    with pytest.raises(
        UserError, match=r"'k-means-per-class' finds clusters within every class, and 'bare' has no lab"
    ):
        score_table(bare, tmp_path / "scores.parquet", criteria=["k-means-per-class"])
    path = score_table(bare, tmp_path / "scores.parquet", criteria=["k-means"])
    assert select_from_scores(path, criterion="k-means", budget=30).count == 30
    table = pq.read_table(path)
    name = "clusters:k-means:grayscale-histogram"
    place = table.column_names.index(name)
    for wrong, message in ((None, "lacks values in some rows"), (-1, "holds no cluster for id 0")):
        broken = table.set_column(place, name, pa.array([wrong, *table[name].to_pylist()[1:]], pa.int64()))
        pq.write_table(broken, tmp_path / "broken.parquet")
        with pytest.raises(UserError, match=f"column '{name}' of .* {message}; score again"):
            select_from_scores(tmp_path / "broken.parquet", criterion="k-means", budget=30)


def test_networks_are_trained_on_the_whole_set(tmp_path):
    criteria = [{"representation": "cfv", "epochs": 1}, {"score": "forgetting", "epochs": 1}]
    path = score_table(images(), tmp_path / "scores.parquet", criteria=criteria, folder=tmp_path / "kept", shard=64)
    table = pq.read_table(path)
    for spec in criteria:
        expected = select(images(), criterion=spec, budget=8, folder=tmp_path / "kept")
        assert expected.criterion.column.endswith(":epochs=1")
        assert table[expected.criterion.column].to_pylist() == expected.scores.tolist()
        with pytest.raises(UserError, match="`seed` must be 0, with which"):
            select_from_scores(path, criterion=spec, budget=8, seed=1)
        with pytest.raises(UserError, match="unknown column of"):
            select_from_scores(path, criterion={**spec, "epochs": 2}, budget=8)


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


@pytest.mark.parametrize("in_memory", [True, False])
def test_images_that_were_replaced_since_are_not_chosen(tmp_path, monkeypatch, in_memory):
    monkeypatch.setattr("limbeck.transfer.score_table.identity.SOME", 2)
    photos, pictures = tmp_path / "photos", natural(25).tensor()
    write_pngs(photos, pictures[:20])
    path = score_table(load(photos, in_memory=in_memory), tmp_path / "scores.parquet", criteria=["entropy-whole"])
    chosen = select_from_scores(path, criterion="entropy-whole", budget=8)
    shutil.copytree(photos, tmp_path / "copied")  # with its times
    for folder in (photos, tmp_path / "copied"):
        for held in (True, False):
            images = load(folder, in_memory=held)
            same_name = ImageSet(images.storage, images.labels, ids=images.ids, name="photos/train")
            assert len(chosen.transfer_set(same_name)) == 8
    write_pngs(photos, pictures[20:21], first=7)
    with pytest.raises(UserError, match=r"scores of other images than 'photos/train' has now \(files were changed"):
        chosen.transfer_set(load(photos, in_memory=in_memory))
    table = pq.read_table(path)
    metadata = json.loads(table.schema.metadata[b"limbeck"])
    del metadata["content"]  # as older tables
    pq.write_table(table.replace_schema_metadata({"limbeck": json.dumps(metadata)}), tmp_path / "older.parquet")
    older = select_from_scores(tmp_path / "older.parquet", criterion="entropy-whole", budget=8)
    assert len(older.transfer_set(load(photos, in_memory=in_memory))) == 8


def test_a_scoring_does_not_go_on_with_replaced_files(tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.transfer.score_table.identity.SOME", 2)
    photos, real = tmp_path / "photos", Shards.score
    write_pngs(photos, natural(150).tensor())
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "score", lambda self, index: 1 / 0 if index else real(self, index))
        with pytest.raises(ZeroDivisionError):
            score_table(load(photos, in_memory=False), tmp_path / "scores.parquet", shard=64)
    write_pngs(photos, natural(151).tensor()[150:], first=70)
    with pytest.raises(UserError, match="holds parts of another scoring"):
        score_table(load(photos, in_memory=False), tmp_path / "scores.parquet", shard=64)


def test_parts_of_another_scoring_are_refused(tmp_path):
    parts = tmp_path / "scores.parquet.parts"
    parts.mkdir()
    (parts / "plan.json").write_text(json.dumps({"seed": 1}))
    with pytest.raises(UserError, match="holds parts of another scoring"):
        score_table(images(), tmp_path / "scores.parquet")


@pytest.mark.parametrize("decoded", [True, False])
def test_parts_of_changed_pixels_are_not_mixed_in(tmp_path, monkeypatch, decoded):
    monkeypatch.setattr(ImageSet, "is_decoded", decoded)
    real = Shards.score
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "score", lambda self, index: 1 / 0 if index else real(self, index))
        with pytest.raises(ZeroDivisionError):
            score_table(images(), tmp_path / "scores.parquet", shard=64)
    pixels = images().tensor().clone()
    pixels[70, 0, 0, 0] ^= 1
    changed = ImageSet(pixels, images().labels, ids=images().ids, classes=images().classes, name="blotches")
    with pytest.raises(UserError, match="holds parts of another scoring"):
        score_table(changed, tmp_path / "scores.parquet", shard=64)
    assert score_table(images(), tmp_path / "scores.parquet", shard=64).exists()


class Foreign(torch.nn.Module):
    """A network of the user's own, whose `forward` nobody vouches for."""

    def __init__(self, network: torch.nn.Module, divisor: float) -> None:
        super().__init__()
        self.network = network
        self.divisor = divisor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) / self.divisor


@pytest.mark.parametrize("trusted", [False, True])
def test_parts_of_a_foreign_teacher_are_for_one_process(tmp_path, teacher, monkeypatch, trusted):
    def scored(divisor: float = 1.0) -> Path:
        foreign = Classifier(Foreign(teacher.network, divisor), num_classes=4, channels=1, input_size=8)
        options = {"teacher": foreign, "shard": 64, "progress": watching, "trust_teacher": trusted}
        return score_table(images(), tmp_path / "scores.parquet", criteria=["margin"], **options)

    def failing(self, index):
        raise KeyboardInterrupt

    watching = Said()
    with monkeypatch.context() as patch:
        patch.setattr(Shards, "score", failing)
        with pytest.raises(KeyboardInterrupt):
            scored()
    lines = [line for line in watching.lines if "code of Foreign cannot be vouched for" in line]
    assert len(lines) == (0 if trusted else 1)
    with pytest.raises(UserError, match="holds parts of another scoring"):
        scored(divisor=4.0)
    monkeypatch.setattr(score_tables, "process_token", lambda: "another")
    if not trusted:
        with pytest.raises(
            UserError, match=r"that another process asked of a teacher that cannot be recognised; remove"
        ):
            scored()
        monkeypatch.undo()
        monkeypatch.setattr("limbeck.transfer.scoring.features.PIXELS_PER_BATCH", 2**10)
    assert scored().exists()


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"shard": 0}, "`shard` must be at least 1, got 0"),
        ({"criteria": ["margin"]}, "asks a teacher"),
        ({"criteria": ["entrpy"]}, "unknown criterion 'entrpy'"),
        (
            {"criteria": [{"representation": "function"}]},
            "a `function` has no name to resume by; select from the images",
        ),
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
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:6379")
    message = r"RAY_ADDRESS is '127.0.0.1:6379', and Ray is not installed; `pip install 'limbeck\[scale\]'`, or unset"
    with pytest.raises(UserError, match=message):
        score_table(images(), tmp_path / "scores.parquet", workers=2, shard=64)


KILLED = """
import os, signal, sys
from limbeck.data import load
from limbeck.transfer.select import score_table
from limbeck.transfer.scoring import features
from limbeck.transfer.score_table import write as score_tables
from limbeck.transfer.score_table.shards import Shards
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
def test_one_and_four_workers_make_the_same_table(tmp_path):
    alone = score_table(partial(natural, 600), tmp_path / "one.parquet", criteria=CHEAP, shard=64)
    four = score_table(partial(natural, 600), tmp_path / "four.parquet", criteria=CHEAP, shard=64, workers=4)
    assert four.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_a_killed_workers_shard_is_done_again(tmp_path):
    alone = score_table(partial(natural, 600), tmp_path / "one.parquet", shard=64)
    load = partial(Dying, str(tmp_path / "died"), os.getpid())
    two = score_table(load, tmp_path / "two.parquet", shard=64, workers=2)
    assert (tmp_path / "died").exists()
    assert two.read_bytes() == alone.read_bytes()


@pytest.mark.slow
def test_workers_that_keep_dying_are_reported(tmp_path):
    load = partial(Dying, str(tmp_path / "died"), os.getpid(), always=True)
    with pytest.raises(UserError, match="the worker of shard 3 died 3 times"):
        score_table(load, tmp_path / "two.parquet", shard=64, workers=2)
    assert list((tmp_path / "two.parquet.parts").glob("*.parquet"))
