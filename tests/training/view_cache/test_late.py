"""Outputs of a GPU are written a step later, with no other effect; tested on the CPU, which waits for nothing."""

from pathlib import Path

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.views import augmentation
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.codecs import Dense, TopLogits
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the view cache treat the CPU as a device that copies asynchronously."""
    monkeypatch.setattr("limbeck.training.view_cache.cache.copies_alone", lambda device: True)


def opened(images: ImageSet, **changes: object) -> ViewCache:
    frozen = FrozenTeacher(network(9), device=CPU)
    cache = open_view_cache(
        frozen, images, augmentation("none"), CacheSettings.model_validate(changes), say=lambda _: None
    )
    assert cache is not None
    return cache


def ask(cache: ViewCache, images: ImageSet, *rows: int) -> tuple[Tensor, int]:
    positions = torch.tensor(rows)
    entries = cache.entries(positions, torch.zeros_like(positions))
    outputs, hits = cache(images.gather(positions), entries, ("logits",))
    return outputs.logits, hits


@pytest.mark.usefixtures("late")
def test_what_was_asked_is_there_at_the_next_call() -> None:
    images = stripes(8)
    cache = opened(images)
    first, hits = ask(cache, images, 0, 1, 2)
    assert hits == 0
    second, hits = ask(cache, images, 2, 3, 1)
    assert hits == 2
    assert torch.equal(second[[2, 0]], first[[1, 2]])
    assert cache.known() == 4
    cache.close()
    again = opened(images)
    outputs, hits = ask(again, images, 0, 1, 2, 3)
    assert hits == 4
    assert torch.equal(outputs, torch.cat([first, second[1:2]]))


@pytest.mark.parametrize("changes", [{}, {"dtype": "float32"}, {"keep": ["logits", "stages"]}, {"top_k": 1}], ids=str)
def test_late_is_at_once_to_the_bit(teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict) -> None:
    """Also for top-k, which the CPU handles alone, and so at once."""
    results = []
    for folder, alone in (("late", True), ("at-once", False)):
        monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / f"cache-{folder}"))
        monkeypatch.setattr("limbeck.training.view_cache.cache.copies_alone", lambda device, alone=alone: alone)
        brief = settings(steps=20, views_per_image=2, cache=changes)
        results.append(teach(folder, settings=brief))
    late, at_once = results
    assert same(weights(late.student), weights(at_once.student))
    assert late.teacher_passes_saved == at_once.teacher_passes_saved > 0
    files = [sorted((tmp_path / f"cache-{folder}").rglob("logits-*.bin")) for folder in ("late", "at-once")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert files[0]


@pytest.mark.usefixtures("late")
def test_endless_outputs_are_handed_on_and_not_kept() -> None:
    images, messages = stripes(4), []
    teacher = network(9)
    with torch.no_grad():
        next(reversed(list(teacher.parameters()))).fill_(1e5)
    frozen = FrozenTeacher(teacher, device=CPU)
    cache = open_view_cache(frozen, images, augmentation("none"), CacheSettings(), say=messages.append)
    assert cache is not None
    logits, _ = ask(cache, images, 0, 1)
    assert logits.isfinite().all()
    assert ask(cache, images, 0, 1)[1] == 0
    assert any("beyond float16" in line for line in messages)
    cache.close()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rounding_on_the_device_is_what_is_read_back(dtype: str) -> None:
    """Also for numbers that are tiny, halfway between two, infinite or NaN."""
    wide = torch.randn(64, 6, generator=torch.Generator().manual_seed(0)) * torch.logspace(-9, 6, 6)
    odd = torch.tensor(
        [[2049.0, 2051.0, 65519.0, 65520.0, 3e-8, 2.9e-8], [torch.inf, -torch.inf, torch.nan, 0, -0.0, 1]]
    )
    values, codec = torch.cat([wide, odd]), Dense((6,), dtype)
    rounded, expected = codec.rounded(values), codec.decode(codec.encode(values))
    assert torch.equal(rounded.view(torch.int32)[:-1], expected.view(torch.int32)[:-1])
    assert torch.equal(rounded.nan_to_num(nan=7), expected.nan_to_num(nan=7))


def test_top_logits_are_told_by_the_cpu() -> None:
    codec = TopLogits(10, 2, "float16")
    assert not codec.rounds
    with pytest.raises(AssertionError, match="on the CPU alone"):
        codec.rounded(torch.zeros(1, 10))
