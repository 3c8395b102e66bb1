"""Logits that are already known: taken into the cache only where the teacher would compute the same bits."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.tiny import network
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.known_logits import KnownLogits
from limbeck.data.views import augmentation
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.known import take_known
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings

VIEWS = {"pad-crop": {"padding": 1}}  # nine of them
COUNT = 100


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def teacher() -> FrozenTeacher:
    return FrozenTeacher(network(9), device=torch.device("cpu"))


def some_images(count: int = COUNT) -> ImageSet:
    pixels = torch.randint(0, 256, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    return ImageSet(pixels, classes=list("abc"))


def known_of(teacher: FrozenTeacher, images: ImageSet, views: Any = VIEWS, change: float = 0.0) -> KnownLogits:
    """Logits of one view of each image, computed in a single batch."""
    augment = augmentation(views)
    draws = torch.arange(len(images)) % (augment.distinct or 1)
    logits = teacher(augment.render(images.tensor(), draws)).logits + change
    return KnownLogits(augment, draws, logits.__getitem__)


def opened(teacher: FrozenTeacher, images: ImageSet, views: Any = VIEWS, **settings: Any) -> ViewCache:
    cache = open_view_cache(teacher, images, augmentation(views), CacheSettings(**settings), say=print)
    assert cache is not None
    return cache


def ask(cache: ViewCache, images: ImageSet, draws: Tensor) -> tuple[Tensor, int]:
    shown = augmentation(VIEWS).render(images.tensor(), draws)
    outputs, hits = cache(shown, cache.entries(torch.arange(len(images)), draws), ("logits",))
    return outputs.logits, hits


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_was_taken_is_read_as_if_it_had_been_asked_for(teacher: FrozenTeacher, dtype: str) -> None:
    images = some_images()
    known_logits = known_of(teacher, images)
    expected, missing = ask(opened(teacher, images, dtype=dtype), images, known_logits.draws)
    assert missing == 0
    for entry in opened(teacher, images, dtype=dtype).files.values():
        entry.clear()
    cache = opened(teacher, images, dtype=dtype)
    assert take_known(cache, images, augmentation(VIEWS), known_logits) == COUNT
    before = teacher.passes
    read, hits = ask(cache, images, known_logits.draws)
    assert hits == COUNT
    assert teacher.passes - before == cache.block  # to verify that the hits are this teacher's
    assert torch.equal(read, expected)
    assert ask(cache, images, (known_logits.draws + 1) % 9)[1] == 0


def test_a_block_is_asked_for_again_and_each_time_that_twice_as_many_were_taken(teacher: FrozenTeacher) -> None:
    images, views = some_images(200), augmentation(VIEWS)
    extra = []
    for count in (64, 90, 128, 150, 200):  # a growing set
        part = images.subset(images.ids[:count])
        cache, before = opened(teacher, part), teacher.passes
        take_known(cache, part, views, known_of(teacher, part))
        extra.append(teacher.passes - before - count)
    assert extra == [32, 0, 0, 0, 32]  # 90 is not twice 64; at 128 and 150, fewer than two blocks are new


def test_where_a_bit_differs_nothing_is_taken_then_or_later(teacher: FrozenTeacher) -> None:
    images, views = some_images(), augmentation(VIEWS)
    cache = opened(teacher, images)
    assert take_known(cache, images, views, known_of(teacher, images, change=0.01)) == 0
    known_logits = known_of(teacher, images)
    assert take_known(cache, images, views, known_logits) == 0
    assert ask(cache, images, known_logits.draws)[1] == 0


@pytest.mark.parametrize("what", ["other views", "views by id", "other outputs", "too few"])
def test_what_does_not_fit_is_left_aside_without_asking(teacher: FrozenTeacher, what: str) -> None:
    images = some_images(50 if what == "too few" else COUNT)
    known_logits = known_of(teacher, images, "none" if what == "other views" else VIEWS)
    settings = {"keep": ["logits", "embedding"]} if what == "other outputs" else {}
    cache, views = opened(teacher, images, **settings), augmentation(VIEWS)
    before = teacher.passes
    if what == "views by id":
        views = augmentation(VIEWS, per_image=2)
        known_logits = KnownLogits(views, known_logits.draws % 2, known_logits.read)
    assert take_known(cache, images, views, known_logits) == 0
    assert teacher.passes == before


def test_what_is_there_is_not_written_again(teacher: FrozenTeacher) -> None:
    images = some_images()
    known_logits = known_of(teacher, images)
    ask(opened(teacher, images), images, known_logits.draws)
    assert take_known(opened(teacher, images), images, augmentation(VIEWS), known_logits) == 0
