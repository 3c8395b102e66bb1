"""The view cache goes by content: an image's outputs are shared by all sets that hold it, and by no other image."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.conftest import Run
from tests.training.sources import Growing
from tests.training.tiny import network, same, settings, stripes, weights
from tests.training.view_cache.test_cache import Told, ask, opened, stream
from torch import Tensor

from limbeck.caching import cache_entries, cache_folder
from limbeck.data.image_set import ImageSet
from limbeck.data.storage import TensorStorage
from limbeck.data.views import augmentation
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def frozen() -> FrozenTeacher:
    return FrozenTeacher(network(9), device=CPU)


def reopened(
    teacher: FrozenTeacher, images: ImageSet, told: Told | None = None, *, limit: str = "4 GB"
) -> ViewCache | None:
    """Opens a cache as the loop does every round: with the same teacher."""
    told = Told() if told is None else told
    return open_view_cache(teacher, images, augmentation("none"), CacheSettings(limit=limit), say=told)


def known(cache: ViewCache | None, images: ImageSet, *positions: int) -> int:
    """The number of hits among these images, without augmentation; computes and keeps the others."""
    assert cache is not None
    at = torch.tensor(positions or range(len(images)))
    outputs, count = cache(images.gather(at), cache.entries(at, torch.zeros_like(at)), ("logits",))
    torch.testing.assert_close(outputs.logits, cache.teacher(images.gather(at)).logits, rtol=1e-3, atol=1e-3)
    return count


def joined(*sets: ImageSet) -> ImageSet:
    return ImageSet(torch.cat([image_set.tensor() for image_set in sets]))


class Counting(TensorStorage):
    """Counts the images that are read."""

    read = 0

    def gather(self, positions: Tensor) -> Tensor:
        self.read += len(positions)
        return super().gather(positions)


def test_ten_of_twenty_thousand_images_read_and_hash_ten() -> None:
    storage = Counting(torch.randint(0, 256, (20_000, 1, 8, 8), dtype=torch.uint8))
    subset = ImageSet(storage).subset(range(0, 20_000, 2000))
    cache = opened(subset, limit="4 kB")  # of 10 x 81 x 2 x 2 bytes
    assert cache is not None
    assert storage.read == 10
    assert cache.rows.tolist() == list(range(10))
    assert (cache.folder / "index.bin").stat().st_size == 160
    assert (cache.folder / "logits-float16.bin").stat().st_size == 10 * 81 * 8


def test_sets_that_are_parts_joined_grown_or_of_other_pools_share_rows(images: ImageSet, frozen: FrozenTeacher) -> None:
    half = images.subset(range(20, 40))
    assert known(reopened(frozen, half), half) == 0
    extended = joined(stripes(5, seed=8), half, stripes(5, seed=9))
    assert known(reopened(frozen, extended), extended) == 20
    for number in range(1, 5):
        grown = ImageSet(extended.tensor()[: 6 * number + 6])
        assert known(reopened(frozen, grown), grown) == len(grown)
    elsewhere = ImageSet(images.tensor().clone(), ids=torch.arange(40) + 7, name="elsewhere")
    assert known(reopened(frozen, elsewhere), elsewhere) == 20
    assert known(opened(images, views="none"), images) == 40
    assert len(cache_entries("views")) == 1


def test_equal_images_of_a_set_share_a_row(images: ImageSet) -> None:
    twice = joined(images, images)
    cache = opened(twice)
    assert cache is not None
    assert torch.equal(cache.rows[:40], cache.rows[40:])
    assert cache.count == 40 * 81
    assert cache.summary()["bytes"] == 40 * 81 * 8
    assert known(cache, images) == 0
    assert known(cache, twice) == 80


def test_equal_bytes_in_another_shape_are_another_image(images: ImageSet) -> None:
    flat = ImageSet(images.tensor().view(40, 1, 4, 16))
    caches = [opened(image_set, views="none", keep=["stages"]) for image_set in (images, flat)]
    assert caches[0] is not None
    assert caches[1] is not None
    assert caches[0].folder != caches[1].folder


def test_views_of_an_id_are_shared_by_images_of_that_id_alone(images: ImageSet, frozen: FrozenTeacher) -> None:
    keywords = {"views": "resized-crop", "per_image": 2}
    batches = stream(images, 0, "resized-crop", per_image=2)
    ask(opened(images, **keywords), batches, 0)
    moved = ImageSet(images.tensor().flip(0), ids=images.ids.flip(0))
    cache = opened(moved, **keywords)
    assert cache is not None
    positions, draws = batches.draws(0)
    entries = cache.entries(39 - positions, draws)
    assert cache(batches[0].images, entries, ("logits",))[1] == 8
    others = ImageSet(images.tensor(), ids=images.ids + 1)
    cache = opened(others, **keywords)
    assert cache is not None
    assert cache(batches[0].images, cache.entries(positions, draws), ("logits",))[1] == 0


@pytest.mark.parametrize(
    "damage", ["lost", "truncated", "torn", "shuffled", "shifted", "garbled", "zeros", "another's"]
)
def test_a_damaged_index_never_gives_an_image_anothers_outputs(images: ImageSet, damage: str) -> None:
    assert known(opened(images, views="none"), images) == 0
    (path,) = cache_folder().glob("views/*/index.bin")
    content = path.read_bytes()
    hashes = [content[at : at + 16] for at in range(0, len(content), 16)]
    if damage == "lost":
        path.unlink()
    elif damage == "another's":
        path.write_bytes(random.Random(0).randbytes(len(content)))
    else:
        changed = {
            "truncated": b"".join(hashes[:10]),
            "torn": content[: 16 * 10 + 7],
            "shuffled": b"".join(random.Random(0).sample(hashes, 40)),
            "shifted": content[16:],
            "garbled": bytes(byte ^ (number % 16 == 3) for number, byte in enumerate(content)),
            "zeros": bytes(16 * 20) + content[16 * 20 :],
        }
        path.write_bytes(changed[damage])
    reverse = images.subset(range(39, -1, -1))
    expected = {"truncated": 10, "torn": 10, "zeros": 20}.get(damage, 0)
    hits = known(opened(reverse, views="none"), reverse)  # compares with the teacher
    assert hits == expected or (damage == "shuffled" and hits < 5)
    assert known(opened(images, views="none"), images) == 40


def test_a_lost_index_beside_a_running_cache_mixes_nothing(images: ImageSet, frozen: FrozenTeacher) -> None:
    running = reopened(frozen, images)
    assert known(running, images) == 0
    (path,) = cache_folder().glob("views/*/index.bin")
    os.truncate(path, 0)
    reverse = images.subset(range(39, -1, -1))
    assert known(opened(reverse, views="none"), reverse) == 0
    assert known(running, images) == 0
    assert known(reopened(frozen, images), images) == 0  # the running index does not read again where it read before
    assert known(reopened(frozen, images), images) == 40
    assert known(opened(images, views="none"), images) == 40


def test_a_full_disk_at_the_index_ends_the_keeping_and_not_the_run(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch, frozen: FrozenTeacher
) -> None:
    half, messages = images.subset(range(20)), Told()
    empty = opened(images, views="none")
    assert empty is not None
    expected = empty(images.tensor(), torch.arange(40), ("logits",))[0].logits
    monkeypatch.setenv("LIMBECK_CACHE", str(cache_folder() / "other"))
    assert known(reopened(frozen, half), half) == 0

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        cache = reopened(frozen, images, messages)
        assert cache is not None
        assert known(cache, images) == 20
        assert cache.rows.tolist() == [*range(20), *[-1] * 20]
        positions = torch.arange(40)
        outputs, _ = cache(images.tensor(), cache.entries(positions, torch.zeros_like(positions)), ("logits",))
        torch.testing.assert_close(outputs.logits, expected, rtol=0, atol=0)
        assert cache.known() == 20
    assert sum("no more answers of the teacher are kept" in line for line in messages.lines) == 1


def test_a_first_set_on_a_full_disk_has_no_rows(images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    messages = Told()
    cache = opened(images, views="none", say=messages)
    assert cache is not None
    assert known(cache, images) == known(cache, images) == 0
    assert cache.known() == 0
    assert "no more answers of the teacher are kept" in messages.lines[0]


def test_an_error_of_top_k_that_cannot_be_written_ends_no_run(
    images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = Told()
    cache = opened(images, views="none", top_k=1, say=messages)
    assert cache is not None
    assert known(cache, images) == 0

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("limbeck.training.view_cache.top_error.atomic_write_text", full)
    cache.close()
    assert "no more answers of the teacher are kept" in messages.lines[-1]


# Rounds


def test_a_teacher_is_fingerprinted_once_and_told_of_once(
    images: ImageSet, frozen: FrozenTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = Told()
    monkeypatch.setattr("limbeck.training.view_cache.opening.WORTH_SAYING", 20 * 8)
    first = reopened(frozen, images.subset(range(10)), messages)
    assert messages.lines == []
    monkeypatch.setattr("limbeck.training.view_cache.history.identify", lambda _: pytest.fail("again"))
    monkeypatch.setattr("limbeck.training.view_cache.opening.named_outputs", lambda *_: pytest.fail("again"))
    for size in range(11, 41):
        cache = reopened(frozen, images.subset(range(size)), messages)
        assert cache is not None
        assert first is not None
        assert cache.folder == first.folder
        cache.close()
    (line,) = messages.lines
    assert line.startswith("keeping logits of convnet_d3 for 1 view of an image in ")


def test_a_round_beyond_the_limit_keeps_nothing_and_says_so_once(images: ImageSet, frozen: FrozenTeacher) -> None:
    messages = Told()
    for size in (10, 20, 30, 40, 20):
        part = images.subset(range(size))
        cache = reopened(frozen, part, messages, limit="80 B")  # of 20 images x 2 classes x 2 bytes
        assert (cache is None) == (size > 20)
        if cache is not None:
            known(cache, part)
    index = next(cache_folder().glob("views/*/index.bin"))
    assert index.stat().st_size == 20 * 16
    (line,) = [line for line in messages.lines if "cache.limit" in line]
    assert "sets of more than 20 images: keeping logits of convnet_d3 takes 4 B for 1 view of an image" in line
    assert "`training.cache.limit` is 80 B for one transfer set or round, checksums not counted" in line


def test_rounds_of_one_run_read_what_earlier_ones_wrote(images: ImageSet, frozen: FrozenTeacher) -> None:
    first, second = images.subset(range(20)), images.subset(range(10, 40))
    cache = reopened(frozen, first)
    assert known(cache, first) == 0
    assert cache is not None
    cache.close()
    assert known(reopened(frozen, second), second) == 10


def test_two_caches_open_at_once_share_what_they_learn(images: ImageSet) -> None:
    first, second = opened(images.subset(range(25)), views="none"), opened(images.subset(range(15, 40)), views="none")
    assert known(first, images.subset(range(25))) == 0
    assert known(second, images.subset(range(15, 40))) == 10
    assert known(first, images.subset(range(25))) == 25


# Runs


def test_a_run_on_images_of_several_pools_makes_the_same_student_from_a_full_cache(
    teach: Run, images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = settings(views_per_image=2, steps=25, checkpoint_seconds=1e9)
    mixed = ImageSet(joined(images, stripes(10, seed=4)).tensor(), torch.arange(50) % 2, classes=images.classes)
    teach("pool", source=images, settings=brief)
    partly = teach("partly", source=mixed, settings=brief)
    full = teach("full", source=mixed, settings=brief)
    monkeypatch.setenv("LIMBECK_CACHE", str(cache_folder() / "other"))
    empty = teach("empty", source=mixed, settings=brief)
    assert full.teacher_passes_saved == 200
    assert empty.teacher_passes_saved < partly.teacher_passes_saved < 200
    assert same(weights(empty.student), weights(partly.student))
    assert same(weights(empty.student), weights(full.student))


@pytest.mark.parametrize("limit", ["4 GB", "30 B"])
def test_a_source_that_grows_makes_the_same_student_from_a_full_cache(teach: Run, limit: str) -> None:
    brief = settings(views="none", steps=16, validations=0, checkpoint_seconds=1e9, cache={"limit": limit})
    cold, warm = (teach(name, source=Growing(rounds=4), settings=brief, validation=None) for name in ("cold", "warm"))
    assert same(weights(cold.student), weights(warm.student))
    # Rounds show 6, 9, 12 and 15 images; the limit allows 7.
    assert warm.teacher_passes_saved == (128 if limit == "4 GB" else 32)
    assert 0 < cold.teacher_passes_saved < warm.teacher_passes_saved


FILL = """
import sys, torch
from tests.training.sources import Growing
from tests.training.tiny import network, stripes
from tests.training.view_cache.test_cache import opened
low, high = int(sys.argv[1]), int(sys.argv[2])
images = stripes(200).subset(range(low, high))
for step in range(3):
    cache = opened(images, views="none")
    at = torch.arange(len(images))
    for part in at.split(16):
        cache(images.gather(part), cache.entries(part, torch.zeros_like(part)), ("logits",))
    assert cache.known() == len(images)
"""


@pytest.mark.slow
def test_processes_with_overlapping_sets_fill_one_folder(images: ImageSet) -> None:
    ranges = [(0, 120), (60, 200), (40, 160)]
    running = [subprocess.Popen([sys.executable, "-c", FILL, *map(str, numbers)]) for numbers in ranges]
    assert [process.wait() for process in running] == [0, 0, 0]
    pool = stripes(200)
    cache = opened(pool, views="none")
    assert cache is not None
    assert sorted(cache.rows.tolist()) == list(range(200))
    at = torch.arange(200)
    outputs, count = cache(pool.tensor(), cache.entries(at, torch.zeros_like(at)), ("logits",))
    assert count == 200
    torch.testing.assert_close(outputs.logits, cache.teacher(pool.tensor()).logits, rtol=1e-3, atol=1e-3)


def test_folders_of_the_first_layout_are_listed_removed_and_not_read(images: ImageSet) -> None:
    old = cache_folder() / "views" / ("0" * 32)
    old.mkdir(parents=True)
    (old / "about.json").write_text('{"teacher": "resnet56", "data": "toy", "images": 40, "views_per_image": 1}')
    (old / "logits-float16.bin").write_bytes(os.urandom(800))
    cache = opened(images)
    assert cache is not None
    assert cache.folder != old
    assert {entry.about["images"] for entry in cache_entries("views")} == {40}
