import os
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import hypothesis.strategies as st
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from tests.transfer.borrow.fake_pools import PICTURES, as_pool, pool_of, write_pngs

from limbeck.data import load
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.pool_table import PoolTable, pool_table
from limbeck.transfer.borrow.pools import Pool, open_pools
from limbeck.transfer.borrow.settings import SURENESS, PoolSettings
from limbeck.transfer.choice import allocate
from limbeck.transfer.score_table.shards import Shards
from limbeck.transfer.scoring import features
from limbeck.transfer.scoring.score import predicted_class, score_images
from limbeck.transfer.select import Criterion, score_table

COLUMNS = [criterion_by(name).column for name in SURENESS]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "PIXELS_PER_BATCH", 2**9)
    monkeypatch.setattr(features, "FEWEST_IMAGES", 8)


def pools() -> list[Pool]:
    return [
        pool_of("b", [*range(20, 45), 3, 3]),
        pool_of("a", range(24), seed=1),
        pool_of("c", [30, 59], labelled=False),
    ]


def rows_of(found: PoolTable) -> list[dict[str, Any]]:
    assert found.table.path is not None
    return pq.read_table(found.table.path).to_pylist()


def test_one_table_of_distinct_pictures(tmp_path: Path, teacher: Classifier) -> None:
    images_of = {pool.name: pool.images for pool in pools()}
    result = pool_table(pools(), teacher, tmp_path)
    rows = rows_of(result)
    assert list(rows[0]) == ["id", "source", "group", "native", "digest", *COLUMNS]
    assert [row["source"] for row in rows] == ["a"] * 24 + ["b"] * 21 + ["c"]
    digests = {
        name: dict(zip(pool_images.ids.tolist(), pool_images.digests().tolist(), strict=True))
        for name, pool_images in images_of.items()
    }
    assert all(list(row["digest"]) == digests[row["source"]][row["id"]] for row in rows)
    assert len({row["digest"] for row in rows}) == len(rows) == 46
    for row in rows:
        images = images_of[row["source"]]
        native = -1 if images.labels is None else int(images.labels[images.positions([row["id"]])])
        assert row["native"] == native
    about = result.table.about
    assert about["pools"]["a"] == {
        "images": 24, "unreadable": 0, "excluded": {}, "equal": 0, "judged": 0, "classes": ["ant", "bee", "cat"],
        "fingerprint": images_of["a"].fingerprint,
    }  # fmt: skip
    assert [about["pools"][name]["equal"] for name in "abc"] == [0, 6, 1]
    assert about["groups"] == ["0", "1", "2", "3"]
    assert about["precision"] in ("fp32", "bf16")
    assert about["lacks"] == {}
    assert result.table.columns == tuple(COLUMNS)
    (batch,) = result.table.batches("digest", "native", "group")
    assert [bytes(digest) for digest in batch["digest"]] == [row["digest"] for row in rows]


def test_scores_and_groups_are_those_of_the_pool_alone(tmp_path: Path, teacher: Classifier) -> None:
    result = pool_table(pools(), teacher, tmp_path, precision="fp32")
    images = pools()[1].images
    rows = {row["id"]: row for row in rows_of(result) if row["source"] == "a"}
    alone = pq.read_table(
        score_table(
            images,
            tmp_path / "alone.parquet",
            criteria=[criterion_by(name) for name in SURENESS],
            teacher=teacher,
            precision="fp32",
        )
    ).to_pylist()
    assert len(rows) == len(alone)
    for name in COLUMNS:
        assert [rows[row["id"]][name] for row in alone] == pytest.approx(
            [row[name] for row in alone], rel=1e-4, abs=1e-5
        )
    logits = features.collect(images, features.representation("teacher-logits", images, context_of(teacher)))
    assert [rows[id_]["group"] for id_ in images.ids.tolist()] == logits.argmax(1).tolist()


def test_equal_pictures_are_scored_alike_wherever_they_stand(tmp_path: Path, teacher: Classifier) -> None:
    """In another batch, at another place, among others, and in a last batch of one: to the bit."""
    many = [pool_of("a", [5, *range(40), 5, 5]), pool_of("b", [*range(30, 60), 5], seed=1), pool_of("c", [5], seed=2)]
    pool_table(many, teacher, tmp_path, precision="fp32")
    answers: dict[bytes, set[tuple[float, ...]]] = {}
    for path in tmp_path.glob("pool-*.parquet"):
        for row in pq.read_table(path).to_pylist():
            answers.setdefault(row["digest"], set()).add((row["group"], *(row[name] for name in COLUMNS)))
    assert len(answers) == 60
    assert {len(answer) for answer in answers.values()} == {1}


def context_of(teacher: Classifier) -> Any:
    return features.ScoringContext(teacher=teacher, precision="fp32")


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=14), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.sets(st.integers(0, 11), max_size=4),
)
def test_the_order_of_pools_does_not_matter(
    teacher: Classifier, contents: list[list[int]], chance: Any, judged: set[int]
) -> None:
    """Against a plain loop over pictures, in the order of pool and id, that asks whether each was there before."""
    named = [pool_of(f"pool {number}", pictures, seed=number) for number, pictures in enumerate(contents)]
    held_out = [ImageSet(PICTURES[sorted(judged)], name="test")] if judged else []
    expected, seen = [], set(judged)
    for pool, pictures in zip(named, contents, strict=True):
        kept = set()
        for one, picture in sorted(zip(pool.images.ids.tolist(), pictures, strict=True)):
            if picture not in seen:
                kept.add(one)
            seen.add(picture)
        expected += [(pool.name, image_id) for image_id in pool.images.ids.tolist() if image_id in kept]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        if not expected:
            with pytest.raises(UserError, match=r"none of the \d+ images? of .* is left: the student is judged"):
                pool_table(named, teacher, Path(first), held_out=held_out, overlap="leave-out")
            return
        one = pool_table(named, teacher, Path(first), held_out=held_out, overlap="leave-out")
        assert [(row["source"], row["id"]) for row in rows_of(one)] == expected
        counts = one.table.about["pools"]
        assert all(counts[pool.name]["images"] == len(pool.images) for pool in named)
        assert sum(part["equal"] + part["judged"] for part in counts.values()) + len(expected) == sum(
            map(len, contents)
        )
        chance.shuffle(named)
        other = pool_table(named, teacher, Path(second), held_out=held_out, overlap="leave-out")
        assert one.table.path is not None
        assert other.table.path is not None
        assert one.table.path.read_bytes() == other.table.path.read_bytes()


def test_the_table_is_chosen_from(tmp_path: Path, teacher: Classifier) -> None:
    result = pool_table(pools(), teacher, tmp_path)
    for name in SURENESS:
        criterion = replace(criterion_by(name), allocation="top-n")
        assert allocate(result.table, criterion, 5, balance="group", maker="borrow").count == 5


def test_found_again_it_costs_no_pass(tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pool_table(pools(), teacher, tmp_path)
    assert (first.cost.teacher_passes, first.cost.images_read, first.cost.passes_saved) == (53, 53, 0)
    assert first.cost.seconds > 0
    monkeypatch.setattr(features, "outputs_over", lambda *_, **__: pytest.fail("the teacher was asked again"))
    again = pool_table(pools()[::-1], teacher, tmp_path)
    assert again.table.path == first.table.path
    assert (again.cost.teacher_passes, again.cost.passes_saved) == (53, 53)
    assert pool_table(pools(), teacher, tmp_path, own=True).cost.passes_saved == 0
    fewer = pool_table(pools()[:2], teacher, tmp_path)
    assert (len(fewer.table), fewer.cost.passes_saved) == (45, 51), "every pool is scored once, whatever is beside it"


def test_replaced_photos_of_an_encoded_pool_are_scored_anew(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.transfer.score_table.identity.SOME", 2)
    photos = tmp_path / "photos"
    write_pngs(photos, PICTURES[:20])

    def opened() -> list[Pool]:
        return [as_pool("photos", load(photos, in_memory=False))]

    first = pool_table(opened(), teacher, tmp_path / "kept")
    assert pool_table(opened(), teacher, tmp_path / "kept").table.path == first.table.path
    path, moment = photos / "07.png", (photos / "07.png").stat().st_mtime_ns
    write_pngs(photos, PICTURES[50:51], first=7)
    os.utime(path, ns=(moment, moment))  # as `cp -p`
    again = pool_table(opened(), teacher, tmp_path / "kept")
    digests = [row["digest"] for row in rows_of(again)]
    assert digests[7] == opened()[0].images.digests()[7].numpy().tobytes()
    assert [row["digest"] for row in rows_of(first)][8:] == digests[8:]
    with pytest.raises(UserError, match="pool 'photos' holds 1 picture"):
        pool_table(opened(), teacher, tmp_path / "kept", held_out=[ImageSet(PICTURES[50:51], name="test")])


def test_runs_that_need_a_table_at_the_same_time_make_it_once(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts, real = [], features.outputs_over

    def outputs_over(network: Any, images: ImageSet, *arguments: Any, **options: Any) -> Any:
        counts.append(len(images))
        return real(network, images, *arguments, **options)

    monkeypatch.setattr(features, "outputs_over", outputs_over)
    with ThreadPoolExecutor(3) as runs:
        results = list(
            runs.map(lambda named: pool_table(named, teacher, tmp_path), [pools(), pools()[::-1], pools()[:2]])
        )
    assert sum(counts) == 53
    assert sum(result.cost.teacher_passes - result.cost.passes_saved for result in results) == 53
    assert results[0].table.path == results[1].table.path
    assert [len(result.table) for result in results] == [46, 46, 45]


def test_others_make_others(tmp_path: Path, teacher: Classifier) -> None:
    """Nothing is reused from another teacher, another precision, or other pixels."""
    pool_table(pools(), teacher, tmp_path, precision="fp32")
    other = create("resnet8", num_classes=4, channels=1, seed=2, input_size=8).eval()
    assert pool_table(pools(), other, tmp_path, precision="fp32").cost.passes_saved == 0
    assert pool_table(pools(), teacher, tmp_path, precision="bf16").cost.passes_saved == 0
    pixels = pools()[2].images.tensor().clone()
    pixels[0, 0, 0, 0] ^= 1
    images = ImageSet(pixels, None, ids=pools()[2].images.ids, name="c/train")
    assert pool_table([*pools()[:2], as_pool("c", images)], teacher, tmp_path, precision="fp32").cost.passes_saved == 51


def test_killed_at_any_shard_it_goes_on(tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pool_table(pools(), teacher, tmp_path / "whole")
    real, counts, left = Shards.score, [], 0

    def dying(self: Shards, index: int) -> int:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        counts.append(len(self.images))
        return real(self, index)

    monkeypatch.setattr(Shards, "score", dying)
    stopped = 0
    while True:
        left = 1
        try:
            result = pool_table(pools(), teacher, tmp_path / "killed")
            break
        except KeyboardInterrupt:
            stopped += 1
    assert stopped == len(counts) - 1 >= 7, "of every shard once"
    assert whole.table.path is not None
    assert result.table.path is not None
    assert result.table.path.read_bytes() == whole.table.path.read_bytes()


def test_killed_while_it_is_joined(tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.transfer.borrow.pool_table._kept", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            pool_table(pools(), teacher, tmp_path)
    assert not list(tmp_path.glob("pools-*.parquet"))
    assert len(pool_table(pools(), teacher, tmp_path).table) == 46


TEST = ImageSet(PICTURES[[3, 44, 58]], name="test")
LEAVE: Literal["leave-out"] = "leave-out"


def test_judged_pictures_are_refused_before_a_pool_is_scored(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "outputs_over", lambda *_, **__: pytest.fail("the teacher was asked"))
    message = (
        r"pool 'a' holds 1 picture \(first: id \d+, which is id 0 of 'test'\), and pool 'b' "
        r"holds 3 pictures .*`overlap: leave-out`"
    )
    with pytest.raises(UserError, match=message):
        pool_table(pools(), teacher, tmp_path, held_out=[TEST])


def test_judged_pictures_that_a_sample_missed_are_refused_after(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    TEST.digests()
    monkeypatch.setattr("limbeck.transfer.borrow.overlap.HeldOutDigests.look", lambda *_: None)
    with pytest.raises(UserError, match=r"pool 'a' holds 1 picture \(.*, and pool 'b' holds 3 pictures \("):
        pool_table(pools(), teacher, tmp_path, held_out=[TEST])
    left = pool_table(pools(), teacher, tmp_path, held_out=[TEST], overlap="leave-out")
    assert left.cost.passes_saved == 53
    assert [left.table.about["pools"][name]["judged"] for name in "abc"] == [1, 3, 0]
    assert [left.table.about["pools"][name]["equal"] for name in "abc"] == [0, 4, 1]
    assert not set(rows_of(left)[0]) & {"label"}
    assert {row["digest"] for row in rows_of(left)}.isdisjoint(map(bytes, TEST.digests().tolist()))


def leaving_out(*excluded: str) -> tuple[Pool, ...]:
    """The pools, opened without classes of "a" and "b"."""
    sets = {f"python:{pool.name}": pool.images for pool in pools()}
    named = [PoolSettings(name=name, exclude=[] if name == "python:c" else list(excluded)) for name in sets]
    return open_pools(named, (1, 8, 8), handed=sets)


@pytest.mark.parametrize("held_out", [[], [TEST]], ids=["", "judged"])
def test_of_one_scoring_any_classes_are_left_out(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch, held_out: list[ImageSet]
) -> None:
    """Rows and scores are those of pools that never had the others, some of which equal rows that stay."""
    choices, expected = [("bee",), ("ant", "cat"), ()], []
    for excluded in choices:
        alone = [as_pool(pool.name, pool.images) for pool in leaving_out(*excluded)]
        result = pool_table(alone, teacher, tmp_path / "-".join(("alone", *excluded)), held_out=held_out, overlap=LEAVE)
        expected.append(rows_of(result))
    assert len({len(rows) for rows in expected}) == 3
    criterion = Criterion(score="margin", representation="teacher-logits", allocation="top-n")
    for number, (excluded, rows) in enumerate(zip(choices, expected, strict=True)):
        named = leaving_out(*excluded)
        result = pool_table(named, teacher, tmp_path / "shared", held_out=held_out, overlap=LEAVE)
        assert rows_of(result) == rows
        assert result.cost.teacher_passes == result.cost.images_read == 53, "of excluded images, too"
        assert result.cost.passes_saved == (53 if number else 0)
        counts = result.table.about["pools"]
        assert [counts[pool.name]["excluded"] for pool in named] == [pool.excluded for pool in named]
        gone = sum(part["equal"] + part["judged"] + sum(part["excluded"].values()) for part in counts.values())
        assert gone + len(rows) == 53
        assert allocate(result.table, criterion, 5, balance="group", maker="borrow").count == 5
        monkeypatch.setattr(features, "outputs_over", lambda *_, **__: pytest.fail("the teacher was asked again"))


def test_judged_pictures_of_excluded_classes_are_none_of_the_pool(tmp_path: Path, teacher: Classifier) -> None:
    held_out = [ImageSet(PICTURES[[58]], name="test")]
    images = ImageSet(PICTURES[[1, 58, 2]], [0, 1, 0], classes=["ant", "bee"], name="a")
    whole, left = (
        open_pools([PoolSettings(name="python:a", exclude=[*exclude])], (1, 8, 8), handed={"python:a": images})
        for exclude in ((), ("bee",))
    )
    with pytest.raises(UserError, match="holds 1 picture"):
        pool_table(whole, teacher, tmp_path, held_out=held_out)
    assert len(pool_table(left, teacher, tmp_path, held_out=held_out).table) == 2


@pytest.mark.parametrize("classes", [2, 1000])
def test_teachers_of_few_and_of_many_classes(tmp_path: Path, classes: int) -> None:
    network = create("resnet8", num_classes=classes, channels=1, seed=1, input_size=8).eval()
    result = pool_table(pools(), network, tmp_path)
    assert len(result.table.about["groups"]) == classes
    assert max(row["group"] for row in rows_of(result)) < classes
    assert result.table.has("minimal-margin:teacher-logits")


class Deep(torch.nn.Module):
    """A head of two layers, of which none is the boundary between classes; some answers may be no numbers."""

    def __init__(self, broken: float = -1) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 4)
        )
        self.broken = broken

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        brightest = x.flatten(1).amax(1, keepdim=True) * 0.25 + 0.5  # as it was before it was normalised
        return self.layers(x).masked_fill((brightest > self.broken) & (self.broken >= 0), float("nan"))


def own(network: torch.nn.Module) -> Classifier:
    return Classifier(network, num_classes=4, channels=1, input_size=8).eval()


def test_a_teacher_without_a_head_to_read(tmp_path: Path) -> None:
    result = pool_table(pools(), own(Deep()), tmp_path)
    assert result.table.columns == tuple(COLUMNS[1:])
    assert "reads the weights of a linear last layer" in result.table.about["lacks"]["minimal-margin"]


def test_answers_that_are_no_numbers(tmp_path: Path) -> None:
    brightest = PICTURES[:24].flatten(1).amax(1)
    limit = float(brightest.sort().values[-2:].double().mean()) / 255
    with pytest.raises(
        UserError, match=r"the teacher's logits are not numbers for \d+ of \d+ images of '[ab]/train' \(first: id \d+\)"
    ):
        pool_table(pools(), own(Deep(limit)), tmp_path)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([], {}, "`pools` must hold at least one, got none"),
        (["a", "a"], {}, "`pools` must have distinct names, got 'a' 2 times"),
        (["a"], {"workers": 0}, "`workers` must be at least 1, got 0"),
        (["a"], {"precision": "half"}, "unknown precision 'half'"),
    ],
)
def test_refusals(tmp_path: Path, teacher: Classifier, given: Sequence[str], options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pool_table([pool_of(name, [1, 2]) for name in given], teacher, tmp_path, **options)


def test_pools_of_several_shapes(tmp_path: Path, teacher: Classifier) -> None:
    wide = as_pool("wide", ImageSet(PICTURES[:3].repeat(1, 3, 1, 1)))
    with pytest.raises(UserError, match=r"one shape, the student's, got \[1, 8, 8\] of 'a', \[3, 8, 8\] of 'wide'"):
        pool_table([pool_of("a", [1]), wide], teacher, tmp_path)


def test_a_teacher_of_one_class(tmp_path: Path) -> None:
    network = create("resnet8", num_classes=1, channels=1, input_size=8).eval()
    with pytest.raises(UserError, match="`teacher` must tell at least 2 classes apart to be sure of one, got 1 of"):
        pool_table(pools(), network, tmp_path)


def test_a_pool_of_one_image(tmp_path: Path, teacher: Classifier) -> None:
    assert len(pool_table([pool_of("a", [7])], teacher, tmp_path).table) == 1


def test_given_classes() -> None:
    logits = torch.tensor([[0.0, 2.0, 2.0], [float("nan"), 1.0, 0.0], [-1e3, 1e3, 0.0]])
    assert predicted_class(logits).tolist() == [1, -1, 1]
    assert np.isfinite(score_images(pools()[0].images, Criterion(score="variance")).numpy()).all()
