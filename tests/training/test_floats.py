"""Students of sets that have floats are trained on the floats."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.interruption import Paused
from limbeck.objectives import weighted_sum
from limbeck.training import batches as batches_module
from limbeck.training.batches import BatchStream

BEYOND = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 3


def learned(floats: torch.Tensor = BEYOND, dtype: torch.dtype = torch.float32) -> ImageSet:
    shapes = stripes(40)
    return ImageSet.of_floats(floats.to(dtype), shapes.labels, classes=shapes.classes)


def stream(images: ImageSet, **changes: Any) -> BatchStream:
    return BatchStream(
        images,
        augmentation=augmentation("none"),
        **{"batch_size": 8, "seed": 5, "device": torch.device("cpu"), **changes},
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("resident", [True, False])
def test_batches_are_floats_as_they_are(dtype: torch.dtype, resident: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not resident:
        monkeypatch.setattr(batches_module, "RESIDENT_BYTES", 4 * 40 * 64 - 1)
    images = learned(dtype=dtype)
    batches = stream(images, steps=20)
    assert (batches.pixels is not None) == resident
    for step in (0, 1, 7):
        batch = batches[step]
        assert batch.images.dtype == torch.float32
        assert torch.equal(batch.images, BEYOND.to(dtype).float()[images.positions(batch.ids)])
    batches.close()
    short = stream(images, steps=2)  # images are read when they are shown
    assert short.pixels is None
    assert torch.equal(short[0].images, batch_of(stream(images), 0))


def batch_of(batches: BatchStream, step: int) -> torch.Tensor:
    return batches[step].images


def test_whole_levels_teach_as_their_pixels_do(teach: Run) -> None:
    images, brief = stripes(40), settings(views="none", steps=6, validations=0)
    alone = {"teacher": None, "objective": weighted_sum({"cross_entropy": 1.0}), "settings": brief}
    by_pixels = teach("pixels", source=images, **alone).student
    by_floats = teach("floats", source=learned(images.floats()), **alone).student
    assert same(weights(by_pixels), weights(by_floats))
    other = teach("other", source=learned(), **alone).student
    assert not same(weights(by_floats), weights(other))
    clamped = teach("clamped", source=ImageSet(learned().tensor(), images.labels, classes=images.classes), **alone)
    assert not same(weights(other), weights(clamped.student)), "what lies beyond [0, 1] teaches, too"


def test_a_teacher_is_asked_about_floats_once(teach: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    arguments = {"source": learned(), "settings": settings(views="none", steps=10, validations=0)}
    first = teach("first", **arguments)
    again = teach("again", **arguments)
    alone = teach("alone", **{**arguments, "settings": settings(views="none", steps=10, validations=0, cache=False)})
    assert same(weights(first.student), weights(again.student))
    assert (first.teacher_passes_saved, again.teacher_passes_saved, alone.teacher_passes_saved) == (40, 80, 0)
    whole = learned(BEYOND.clamp(0, 1))
    assert teach("clamped", source=whole, settings=arguments["settings"]).teacher_passes_saved == 40, "another answer"


def test_views_that_would_round_are_refused(teach: Run) -> None:
    for views in ("pad-crop-flip", ["none", "colour-jitter"], "cutmix"):
        with pytest.raises(
            UserError, match=r"`training.views` are of 8-bit images, got .*; set `training.views: none`"
        ):
            teach(source=learned(), settings=settings(views=views))


@pytest.mark.parametrize("per_image", [1, 4])
def test_what_images_hold_is_taught(teach: Run, per_image: int) -> None:
    transfer_set = TransferSet(stripes(40), per_image=per_image)
    alone = {"teacher": None, "objective": weighted_sum({"cross_entropy": 1.0})}
    one_epoch = settings(views="none", epochs=1, steps=None, validations=0)
    taught = teach("held", source=transfer_set, settings=one_epoch, **alone)
    assert taught.steps == 40 * per_image // 8
    assert same(
        weights(taught.student),
        weights(teach("whole", source=transfer_set.decoded(), settings=one_epoch, **alone).student),
    )


def test_a_run_on_floats_resumes_to_the_same_student(teach: Run) -> None:
    arguments: dict[str, Any] = {
        "source": learned(dtype=torch.float16),
        "settings": settings(views="none"),
        "teacher": None,
    }
    arguments["objective"] = weighted_sum({"cross_entropy": 1.0})
    whole = teach("whole", student=network(), **arguments).student
    with pytest.raises(Paused):
        teach("parts", student=network(), until=0.5, **arguments)
    assert same(weights(whole), weights(teach("parts", resume=True, student=network(), **arguments).student))
