"""The view cache: a hit equals the teacher's output, and runs differ only in time."""

import atexit
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights
from torch import Tensor, nn

from limbeck.caching import cache_entries, cache_folder, cache_key, matching_entries, remove_entries
from limbeck.data.image_set import ImageSet
from limbeck.data.views import Few, PadCrop, augmentation
from limbeck.errors import UserError
from limbeck.models import Classifier, Taps, create
from limbeck.models.forward import FrozenTeacher
from limbeck.objectives import weighted_sum
from limbeck.training.batches import BatchStream
from limbeck.training.view_cache import opening
from limbeck.training.view_cache.agreement import agree, noise_of
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.codecs import Dense
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings, parse_size, write_size

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass
class Told:
    """Collects the messages of a cache."""

    lines: list[str] = field(default_factory=list)

    def __call__(self, message: str) -> None:
        self.lines.append(message)


@dataclass
class Watching:
    """A progress that collects messages."""

    lines: list[str] = field(default_factory=list)

    def begin(self, title: str, total: int, done: int = 0) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...

    def end(self) -> None: ...

    def say(self, message: str) -> None:
        self.lines.append(message)


def opened(
    images: ImageSet, teacher: Classifier | None = None, *, views: Any = "pad-crop", **changes: Any
) -> ViewCache | None:
    frozen = FrozenTeacher(teacher or network(9), device=CPU, dtype=changes.pop("dtype", torch.float32))
    messages = changes.pop("say", Told())
    augment = augmentation(views, per_image=changes.pop("per_image", None))
    return open_view_cache(frozen, images, augment, CacheSettings(**changes), say=messages)


def stream(images: ImageSet, seed: int, views: Any = "pad-crop", per_image: int | None = None) -> BatchStream:
    augment = augmentation(views, per_image=per_image)
    return BatchStream(images, augmentation=augment, batch_size=8, seed=seed, device=CPU)


def ask(cache: ViewCache | None, batches: BatchStream, step: int, want: tuple[str, ...] = ("logits",)) -> Any:
    assert cache is not None
    return cache(batches[step].images, cache.entries(*batches.draws(step)), want)


def rounded(teacher: FrozenTeacher, images: Tensor) -> Tensor:
    """Logits in half precision, from a batch of 32 as the cache computes: kernels round by the size of the batch."""
    return teacher(images.repeat(32 // len(images), 1, 1, 1)).logits[: len(images)].half().float()


@pytest.fixture
def filled(images: ImageSet) -> Iterator[ViewCache]:
    """A cache of all 81 views of all 40 images."""
    cache = opened(images)
    assert cache is not None
    for view in range(81):
        shown = PadCrop(flip=False).render(images.tensor(), torch.full((40,), view))
        _, hits = cache(shown, torch.arange(40) * 81 + view, ("logits",))
        assert hits == 0
    yield cache
    cache.close()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("kind", ["whole", "subset", "reversed", "held out"])
def test_hits_are_what_the_teacher_says(images: ImageSet, seed: int, kind: str) -> None:
    part = {
        "whole": images,
        "subset": images.subset([3, 17, 38, 5, 20, 9, 8, 1, 0]),
        "reversed": images.subset(images.ids.flip(0)),
        "held out": images.split(0.3, seed=1)[1],
    }[kind]
    batches, teacher = stream(part, seed), FrozenTeacher(network(9), device=CPU)
    cache = opened(part)
    for step in range(30):
        outputs, hits = ask(cache, batches, step)
        assert hits == 8
        assert torch.equal(outputs.logits, rounded(teacher, batches[step].images))


@pytest.mark.usefixtures("filled")
def test_another_teacher_other_pixels_views_or_precision_know_nothing(images: ImageSet) -> None:
    batches = stream(images, 0)
    other_pixels = ImageSet(images.tensor().clone().index_fill_(3, torch.tensor([0]), 9), images.labels)
    normalised = network(9)
    normalised.mean.add_(0.1)
    normalised.normalisation = ((0.6,), normalised.normalisation[1])
    cases = {
        "weights": opened(images, network(8)),
        "pixels": opened(other_pixels),
        "views": opened(images, views={"pad-crop": {"padding": 3}}),
        "normalisation": opened(images, normalised),
        "precision": opened(images, dtype=torch.bfloat16),
        "kept": opened(images, dtype=torch.float32, keep=["logits"], top_k=1),
    }
    for case, cache in cases.items():
        assert cache is not None
        assert cache.known() == 0, case
    assert ask(opened(images), batches, 0)[1] == 8


def test_a_view_class_of_ones_own_has_answers_of_its_own(images: ImageSet) -> None:
    class Inverted(PadCrop):
        def render(self, images: torch.Tensor, draw: torch.Tensor) -> torch.Tensor:
            return 255 - super().render(images, draw)

    ours, theirs = opened(images, views=PadCrop()), opened(images, views=Inverted())
    assert ours is not None
    assert theirs is not None
    assert ours.folder != theirs.folder


def test_few_views_with_other_ids_are_others(images: ImageSet) -> None:
    renumbered = ImageSet(images.tensor(), images.labels, ids=images.ids.flip(0))
    caches = [
        opened(image_set, views="resized-crop", per_image=2)
        for image_set in (images, images.subset([1, 2]), renumbered)
    ]
    rows = [set(cache.rows.tolist()) for cache in caches if cache is not None]
    assert rows[1] == {1, 2}
    assert not rows[0] & rows[2]


@pytest.mark.usefixtures("filled")
def test_damaged_answers_are_asked_for_again(images: ImageSet) -> None:
    (path,) = cache_folder().glob("views/*/logits-*.bin")
    content = bytearray(path.read_bytes())
    content[100:3000] = bytes(2900)
    path.write_bytes(content)
    batches, teacher, missing = stream(images, 0), FrozenTeacher(network(9), device=CPU), 0
    cache = opened(images)
    for step in range(200):
        outputs, hits = ask(cache, batches, step)
        missing += 8 - hits
        assert torch.equal(outputs.logits, rounded(teacher, batches[step].images))
    assert missing > 0
    assert ask(cache, batches, 0)[1] == 8


class Foreign(nn.Module):
    """A user's network: no fingerprint sees what it reads from the environment."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 2)
        nn.init.constant_(self.linear.weight, 0.1)
        nn.init.constant_(self.linear.bias, 0.2)
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1)) * self.factor * float(os.environ.get("FACTOR", "1"))


def foreign(factor: float = 1.0) -> Classifier:
    return Classifier(Foreign(factor), num_classes=2, channels=1)


def test_answers_of_other_attributes_behind_equal_weights_are_others(images: ImageSet) -> None:
    batches = stream(images, 0)
    assert ask(opened(images, foreign(1.0)), batches, 0)[1] == 0
    again, other = opened(images, foreign(1.0)), opened(images, foreign(4.0))
    assert again is not None
    assert other is not None
    assert again.verify(batches[0].images, again.entries(*batches.draws(0)))
    assert again.known() == 8
    assert other.known() == 0
    assert other.folder != again.folder


@pytest.mark.parametrize("factor", [1.001, 0.999, 4.0, -1.0])
@pytest.mark.parametrize(
    "changes", [{}, {"dtype": "float32"}, {"keep": ["embedding", "logits"]}, {"top_k": 1}], ids=str
)
def test_answers_that_changed_unseen_are_thrown_away(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, factor: float, changes: dict[str, Any]
) -> None:
    teacher = Classifier(Foreign(), num_classes=2, channels=1, taps=Taps(embedding="linear"))
    batches, messages = stream(images, 0), Told()

    def cached() -> ViewCache:
        frozen = FrozenTeacher(teacher, device=CPU)
        cache = open_view_cache(frozen, images, augmentation("pad-crop"), CacheSettings(**changes), say=messages)
        assert cache is not None
        return cache

    first = cached()
    for step in range(4):
        ask(first, batches, step)
    monkeypatch.setenv("FACTOR", str(factor))
    second = cached()
    assert second.folder == first.folder
    assert ask(second, batches, 0)[1] == 0
    assert messages.lines[-1].endswith("are not this teacher's; they are thrown away.")
    assert second.known() == 8


def test_every_run_looks_at_what_it_finds_wherever_that_is(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    brief = settings(views_per_image=1, steps=20)
    teach("first", teacher=foreign(), settings=brief)
    assert teach("again", teacher=foreign(), settings=brief, seed=3).teacher_passes_saved == 160
    monkeypatch.setenv("FACTOR", "1.1")
    watching = Watching()
    teach("other", teacher=foreign(), settings=brief, seed=3, progress=watching)
    assert sum("are not this teacher's; they are thrown away" in line for line in watching.lines) == 1


def test_a_run_looks_again_as_it_reads_on(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    batches, messages = stream(images, 0, views="none"), Told()
    first = opened(images, foreign(), views="none")
    ask(first, batches, 0)
    monkeypatch.setenv("FACTOR", "2")
    for step in range(1, 5):
        ask(first, batches, step)  # reads only its own outputs, so it verifies nothing
    monkeypatch.delenv("FACTOR")
    second = opened(images, foreign(), views="none", say=messages)
    for step in range(5):
        ask(second, batches, step)
    assert "8 of them were read in this run before that was noticed; repeat the run" in messages.lines[-1]


def test_looking_again_costs_little(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = stream(images, 0, views="none")
    for step in range(5):
        ask(opened(images, views="none"), batches, step)
    cache, looks = opened(images, views="none"), 0
    assert cache is not None
    original = cache.verify

    def counting(*arguments: Any) -> bool:
        nonlocal looks
        looks += 1
        return original(*arguments)

    monkeypatch.setattr(cache, "verify", counting)
    for step in range(100):
        assert ask(cache, batches, step)[1] == 8
    assert looks == 7  # after 8, 16, 32 ... 512 hits


@pytest.mark.parametrize("trusted", [False, True])
def test_answers_of_foreign_code_are_for_one_process(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    batches, messages, at_exit = stream(images, 0), Told(), []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    first = opened(images, foreign(), say=messages, trust_teacher=trusted)
    assert first is not None
    ask(first, batches, 0)
    warnings = [line for line in messages.lines if "are kept for this process alone" in line]
    assert len(warnings) == (0 if trusted else 1)
    if warnings:
        assert "code of Foreign cannot be vouched for. `training.cache.trust_teacher: true` keeps" in warnings[0]
    assert ask(opened(images, foreign(), trust_teacher=trusted), batches, 0)[1] == 8
    monkeypatch.setattr("limbeck.training.view_cache.folder.process_token", lambda: "another")
    assert ask(opened(images, foreign(), trust_teacher=trusted), batches, 0)[1] == (8 if trusted else 0)
    assert first.folder.exists()
    for call in at_exit:
        call()
    assert first.folder.exists() is trusted


def test_what_a_killed_process_left_goes_with_the_next(images: ImageSet) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    processes = {"ended": [ended.pid, platform.node()], "running": [1, platform.node()], "away": [ended.pid, "x"]}
    keys = {name: cache_key(name) for name in (*processes, "shared")}
    for name, key in keys.items():
        folder = cache_folder() / "views" / key
        folder.mkdir(parents=True)
        (folder / "about.json").write_text(json.dumps({"process": processes.get(name)}))
    opened(images, foreign())
    left = {entry.key for entry in cache_entries("views")}
    assert {keys["running"], keys["away"], keys["shared"]} < left
    assert keys["ended"] not in left


def test_networks_of_limbeck_are_for_all_processes(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = stream(images, 0)
    ask(opened(images), batches, 0)
    monkeypatch.setattr("limbeck.training.view_cache.folder.process_token", lambda: "another")
    assert ask(opened(images), batches, 0)[1] == 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("changes", [{}, {"dtype": "float32"}, {"top_k": 1}], ids=str)
def test_rounding_is_no_other_teacher(images: ImageSet, dtype: torch.dtype, changes: dict[str, Any]) -> None:
    """Outputs of single images, whose kernels round differently, stand in for another processor's."""
    frozen = FrozenTeacher(network(9), device=CPU, dtype=dtype)
    batches = stream(images, 0)
    cache = open_view_cache(frozen, images, augmentation("pad-crop"), CacheSettings(**changes), say=Told())
    assert cache is not None
    cache.block = 1
    ask(cache, batches, 0)
    cache.block = 32
    assert cache.verify(batches[0].images, cache.entries(*batches.draws(0)))
    assert cache.known() == 8


@pytest.mark.parametrize("stored", ["float16", "float32"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_agreement_is_up_to_half_a_step_and_noise(stored: str, scale: float) -> None:
    values = torch.randn(32, 10, generator=torch.Generator().manual_seed(0)) * scale
    codec = Dense((10,), stored)
    decoded = codec.decode(codec.encode(values))
    noise = noise_of(CPU, torch.float32)
    assert agree(values, decoded, stored, noise)
    assert agree(values * (1 + 2**-17), decoded, stored, noise)
    assert not agree(values * (1 + 2**-10), decoded, stored, noise)
    assert not agree(values + 2**-10 * scale, decoded, stored, noise)
    assert not agree(values.roll(1, 0), decoded, stored, noise)
    assert not agree(values * torch.nan, decoded, stored, noise)
    altered = values.clone()
    altered[3, 4] += 2**-9 * values[3].abs().max()
    assert not agree(altered, decoded, stored, noise)
    assert agree(values * (1 + 2**-9), decoded, stored, noise_of(CPU, torch.bfloat16))


def test_noise_is_that_of_the_arithmetic() -> None:
    cuda = torch.device("cuda")
    assert noise_of(CPU, torch.float32).largest < noise_of(cuda, torch.float32).largest
    assert (
        noise_of(cuda, torch.float32).largest
        < noise_of(CPU, torch.bfloat16).largest
        == noise_of(cuda, torch.float16).largest
    )
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert noise_of(CPU, torch.float32) == noise_of(CPU, torch.bfloat16)
    finally:
        torch.set_float32_matmul_precision(before)


def test_what_is_not_kept_is_asked_for(images: ImageSet) -> None:
    batches = stream(images, 0)
    cache = opened(images, keep=["logits", "embedding"])
    ask(cache, batches, 0, ("logits",))  # a single pass computes everything that is kept
    outputs, hits = ask(cache, batches, 0, ("embedding",))
    assert hits == 8
    assert outputs.embedding.shape == (8, 64)
    outputs, hits = ask(cache, batches, 0, ("logits", "stages"))
    assert hits == 0
    assert len(outputs.stages) == 3


def test_stages_on_request(images: ImageSet) -> None:
    batches = stream(images, 0)
    cache = opened(images, keep=["stages"])
    first, _ = ask(cache, batches, 0, ("stages",))
    second, hits = ask(cache, batches, 0, ("stages",))
    assert hits == 8
    assert [stage.shape for stage in first.stages] == [stage.shape for stage in second.stages]
    assert all(torch.equal(*pair) for pair in zip(first.stages, second.stages, strict=True))


def test_the_last_map_on_request(images: ImageSet) -> None:
    """The network's deepest stage is not its last map."""
    teacher, batches = create("wrn_16_1", num_classes=2, channels=1, seed=1), stream(images, 0)
    cache = opened(images, teacher, keep=["stages", "last_map"], dtype=torch.float32)
    first, _ = ask(cache, batches, 0, ("stages", "last_map"))
    second, hits = ask(cache, batches, 0, ("stages", "last_map"))
    assert hits == 8
    assert torch.equal(first.last_map, second.last_map)
    assert second.last_map.min() == 0 > second.stages[-1].min()


def test_answers_beyond_half_precision_are_given_but_not_kept(images: ImageSet) -> None:
    teacher = network(9)
    with torch.no_grad():
        next(p for name, p in teacher.named_parameters() if name.endswith("bias")).fill_(1e9)
        for parameter in list(teacher.parameters())[-2:]:
            parameter.fill_(1e6)
    batches, messages = stream(images, 0), Told()
    cache = opened(images, teacher, say=messages)
    for _ in range(2):
        outputs, hits = ask(cache, batches, 0)
        assert hits == 0
        assert outputs.logits.isfinite().all()
    assert sum("logits are beyond float16 and are asked for every time" in line for line in messages.lines) == 1


def test_a_full_disk_ends_the_keeping_and_not_the_run(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    messages = Told()
    cache, batches = opened(images, say=messages), stream(images, 0)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for step in range(3):
        assert ask(cache, batches, step)[1] == 0
    assert sum("no more answers of the teacher are kept" in line for line in messages.lines) == 1


def test_it_says_where_and_how_large_it_will_be_once_where_that_is_much(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = Told()
    cache = opened(images, say=messages)
    assert messages.lines == [], "26 kB are not worth a word"
    assert cache is not None
    monkeypatch.setattr(opening, "WORTH_SAYING", 40 * 81 * (2 * 2 + 4))
    opened(images, say=messages)
    opened(images.subset(range(39)), say=messages)
    # 81 views x (2 classes x 2 bytes + 4 of checksum).
    start = "keeping logits of convnet_d3 for 81 views of an image"
    size = "up to 648 kB for every 1,000 images; `limbeck cache` lists and deletes what is kept."
    assert messages.lines == [f"{start} in {str(cache.folder)!r}: {size}"]
    monkeypatch.setattr(opening, "WORTH_SAYING", 0)
    opened(images.subset(range(20)), say=messages)
    assert messages.lines[0] == messages.lines[1], "so that who watches many runs says it once"


def test_it_says_that_the_disk_has_no_room_for_what_is_missing(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = Told()
    cache, batches = opened(images, say=messages), stream(images, 0)
    assert cache is not None
    ask(cache, batches, 0)
    missing = (40 * 81 - 8) * (2 * 2 + 4)
    for free, lines in ((missing, 0), (missing - 1, 1), (40 * 81 * 8, 0)):
        messages.lines.clear()
        monkeypatch.setattr(opening, "free_bytes", lambda _, free=free: free)
        opened(images, say=messages)
        assert len([line for line in messages.lines if "has no room for all that may be kept" in line]) == lines


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"limit": "10 kB"},
            "more than 30 images: keeping logits of convnet_d3 takes 324 B for 81 views .*cache.limit` is 10 kB for",
        ),
        ({"limit": "1 MB", "keep": ["logits", "stages"]}, "logits and stages of convnet_d3"),
    ],
)
def test_nothing_is_kept_beyond_the_limit(images: ImageSet, changes: dict[str, Any], message: str) -> None:
    messages = Told()
    assert opened(images, say=messages, **changes) is None
    assert re.search(message, messages.lines[0])


def test_unlimited_views_are_not_kept(images: ImageSet) -> None:
    assert opened(images, views="resized-crop") is None
    assert opened(images, views="resized-crop", per_image=3) is not None


def test_folder_that_cannot_be_written_is_no_error(images: ImageSet, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    messages = Told()
    assert opened(images, say=messages) is None
    assert "its answers cannot be kept" in messages.lines[0]


def test_top_k_must_be_below_the_classes(images: ImageSet) -> None:
    with pytest.raises(UserError, match=r"`training.cache.top_k` must be below the teacher's 2 classes, got 2"):
        opened(images, top_k=2)


# Runs


@pytest.mark.parametrize("objective", [{"ce": 0.1, "kd": 0.9}, {"rrd": {"weight": 1.0, "memory_size": 16}, "kd": 1}])
def test_full_and_empty_cache_make_the_same_student(teach: Run, objective: dict[str, Any], own_cache: Path) -> None:
    changes = {"settings": settings(cache={"keep": ["logits", "embedding"]})}
    if "rrd" in objective:
        objective["rrd"] = {"weight": 1.0}
    cold = teach("cold", objective=weighted_sum(objective), **changes)
    warm = teach("warm", objective=weighted_sum(objective), **changes)
    assert same(weights(cold.student), weights(warm.student))
    # 12 steps of 8 images out of 40: views of an image may repeat by chance, and these hit even in a cold cache.
    assert cold.teacher_passes == warm.teacher_passes == 96
    assert cold.teacher_passes_saved < 10
    assert warm.teacher_passes_saved == 96
    assert own_cache.exists()


def test_without_a_cache_the_student_differs_by_rounding_alone(teach: Run) -> None:
    with_cache = teach("kept", settings=settings(cache={"dtype": "float32"}))
    without_cache = teach("asked", settings=settings(cache=False))
    assert without_cache.teacher_passes_saved == 0
    for a, b in zip(weights(with_cache.student).values(), weights(without_cache.student).values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_other_students_objectives_seeds_and_subsets_use_what_is_known(teach: Run, images: ImageSet) -> None:
    teach("first", settings=settings(steps=200, views_per_image=2))
    brief = settings(views_per_image=2)
    for number, changes in enumerate(
        [
            {"student": network(3, width=8)},
            {"objective": weighted_sum("dkd")},
            {"seed": 7},
            {"source": images.subset([4, 9, 2, 30, 31, 32, 11, 12, 13])},
        ]
    ):
        assert teach(f"other-{number}", settings=brief, **changes).teacher_passes_saved == 96


def test_objective_that_needs_stages_asks_the_teacher(teach: Run) -> None:
    for number in range(2):
        assert teach(f"at-{number}", objective=weighted_sum({"at": 1.0})).teacher_passes_saved == 0


def test_the_run_is_told_what_is_kept(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Watching()
    teach(progress=watching)
    assert watching.lines == []
    monkeypatch.setattr(opening, "WORTH_SAYING", 0)
    teach("again", progress=watching)
    assert sum("keeping logits" in line for line in watching.lines) == 1


def test_top_k_error_is_stated(teach: Run, own_cache: Path) -> None:
    teach(settings=settings(cache={"top_k": 1}))
    (error,) = own_cache.glob("views/*/logits-top1-float16-error.json")
    assert '"answers": 9' in error.read_text()


def test_few_views_are_few_and_each_images_own(images: ImageSet) -> None:
    augment = augmentation("pad-crop-flip", per_image=3)
    assert isinstance(augment, Few)
    assert augment.distinct == 3
    shown = [augment(images.tensor(), images.ids, seed=seed, view=view) for seed in range(4) for view in range(6)]
    distinct = [len({batch[position].numpy().tobytes() for batch in shown}) for position in range(40)]
    assert max(distinct) <= 3
    assert min(distinct) >= 2
    draws = augment.draw(images.ids, seed=0, view=0)
    assert torch.equal(augment.show(images.tensor()[5:6], images.ids[5:6], draws[5:6])[0], shown[0][5])


def test_more_views_than_there_are_leave_the_augmentation_as_it_is() -> None:
    assert augmentation("pad-crop-flip", per_image=200).distinct == 162


# Settings and the folder


def test_sizes() -> None:
    assert [parse_size(text) for text in ("1 B", "20kB", "1.5 GB", "2 TB")] == [1, 20_000, 1_500_000_000, 2 * 10**12]
    assert [write_size(size) for size in (0, 999, 162_000_000, 1_620_000_000)] == ["0 B", "999 B", "162 MB", "1.62 GB"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit": "much"}, "must be a size such as '500 MB' or '4 GB', got 'much'"),
        ({"limit": 10}, "must be a size such as '500 MB' or '4 GB', got 10"),
        ({"keep": []}, "at least 1 item"),
        ({"keep": ["logits", "logits"]}, "each output once"),
        ({"keep": ["embedding"], "top_k": 3}, "`top_k` is about logits"),
    ],
)
def test_wrong_settings(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CacheSettings(**changes)


def test_entries_are_listed_and_removed(teach: Run) -> None:
    teach()
    (entry,) = cache_entries("views")
    assert entry.about["teacher"] == "convnet_d3"
    assert entry.about["views_per_image"] == 81
    assert entry.bytes > 0
    assert matching_entries([entry.key[:6]]) == [entry]
    with pytest.raises(UserError, match="no entry starts with 'zz'"):
        matching_entries(["zz"])
    with pytest.raises(UserError, match="unknown kind of cache 'vews'; did you mean 'views'"):
        cache_entries("vews")
    remove_entries([entry])
    assert cache_entries("views") == []
    assert teach("again").teacher_passes_saved < 10


def test_stripes_of_another_seed_share_nothing(teach: Run) -> None:
    teach("one")
    assert teach("two", source=stripes(40, seed=3)).teacher_passes_saved < 10
