"""The view cache of a teacher on a GPU: warm equals cold bit for bit, and it holds the teacher's outputs."""

import shutil
from pathlib import Path

import pytest
import torch
from tests.gpu.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights

from limbeck.data.views import augmentation
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.settings import CacheSettings

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("changes", [{}, {"dtype": "float32"}, {"top_k": 1}, {"keep": ["logits", "stages"]}], ids=str)
def test_warm_is_cold_to_the_bit(teach: Run, own_cache: Path, changes: dict, precision: str) -> None:
    """Outputs of a cold run are used on the GPU where they were computed; those of a warm run come from disk."""
    brief = settings(steps=20, views_per_image=2, cache=changes, precision=precision, channels_last=True)
    cold, warm = (teach(folder, settings=brief) for folder in ("cold", "warm"))
    assert warm.teacher_passes_saved == 20 * 8 > cold.teacher_passes_saved > 0
    assert same(weights(cold.student), weights(warm.student))
    shutil.rmtree(own_cache)
    assert same(weights(teach("again", settings=brief).student), weights(cold.student))


def test_what_is_kept_is_what_the_teacher_says(device: torch.device) -> None:
    images, messages = stripes(70), []
    frozen = FrozenTeacher(network(9), device=device)
    views = augmentation("none")
    entries = torch.arange(64)
    pixels = images.gather(entries).to(device)
    expected = frozen(pixels).logits
    for stored in (0, 64):
        cache = open_view_cache(frozen, images, views, CacheSettings(dtype="float32"), say=messages.append)
        assert cache is not None
        assert cache.late == (device.type == "cuda")
        positions = cache.entries(entries, torch.zeros(64, dtype=torch.int64))
        outputs, stored_count = cache(pixels, positions, ("logits",))
        cache.close()
        assert stored_count == stored
        assert outputs.logits.device.type == device.type
        torch.testing.assert_close(outputs.logits, expected, rtol=1e-4, atol=1e-4)
    assert not any("thrown away" in line for line in messages)


def test_another_teacher_under_the_same_name_is_noticed(device: torch.device) -> None:
    images, messages = stripes(64), []
    frozen = FrozenTeacher(network(9), device=device)
    entries = torch.arange(64)
    pixels = images.gather(entries).to(device)
    cache = open_view_cache(frozen, images, augmentation("none"), CacheSettings(), say=messages.append)
    assert cache is not None
    cache(pixels, entries, ("logits",))
    with torch.no_grad():
        for parameter in frozen.parameters():
            parameter.mul_(1.5)
    cache.known()  # writes the outputs that are pending
    assert not cache.verify(pixels, entries)
    assert any("thrown away" in line for line in messages)
    cache.close()
