"""Batches with a teacher's logits, for users' own training loops."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.tiny import named, network, settings, stripes, turned

import limbeck as lb
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.training.distillation_loader import DistillationLoader


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


HOW: dict[str, Any] = {"batch_size": 8, "device": "cpu", "precision": "fp32"}


def test_logits_are_those_of_the_views_that_are_shown() -> None:
    images, teacher = stripes(20), network().eval()
    with DistillationLoader(teacher, images, views="pad-crop", seed=2, **HOW) as loader:
        assert (len(loader), loader.classes) == (3, ("rows", "columns"))
        for epoch in range(2):
            loader.set_epoch(epoch)
            seen_ids = []
            for batch, labels, logits, ids in loader:
                with torch.no_grad():
                    assert torch.allclose(teacher(batch).logits, logits, atol=2e-2)  # the cache holds float16
                assert labels is not None
                assert images.labels is not None
                assert torch.equal(labels, images.labels[ids])
                seen_ids += ids.tolist()
            assert sorted(seen_ids) == list(range(20))


def test_what_training_asked_is_not_asked_again(teach: Callable[..., Any]) -> None:
    images, teacher = stripes(400), network(9)
    keywords: dict[str, Any] = {**HOW, "batch_size": 40, "views": "pad-crop", "seed": 2}
    taught = {"steps": 10, "batch_size": 40, "precision": "fp32", "validations": 1}
    teach(source=images, teacher=teacher, seed=2, settings=settings(**taught), validation=None)
    with DistillationLoader(teacher, images, **keywords) as loader:
        batches = list(loader)
        assert loader.passes < 150  # only to verify the cache, less and less often
    assert len(batches) == 10
    with DistillationLoader(teacher, images, cache=False, **keywords) as loader:
        assert all(
            torch.allclose(batch[2], expected[2], atol=2e-2) for batch, expected in zip(loader, batches, strict=True)
        )
        assert loader.passes == 400


def test_classes_are_found_by_name() -> None:
    images, teacher = turned(8), network().eval()
    with DistillationLoader(teacher, images, shuffle=False, cache=False, **HOW) as loader:
        assert torch.allclose(next(iter(loader)).teacher_logits, predict(teacher, images)[:, [1, 0]], atol=1e-5)
    with pytest.warns(UserWarning, match="no names"):
        DistillationLoader(network(classes=2).eval(), lb.ImageSet(images.tensor(), images.labels), **HOW)
    with pytest.raises(UserError, match=r"`teacher` tells 3 classes apart and 'images' has 2; give a teacher of these"):
        DistillationLoader(named("a", "b", "c").eval(), images, **HOW)
    unlabelled = images.with_labels(None, ())
    batch = next(iter(DistillationLoader(named("a", "b", "c").eval(), unlabelled, **HOW)))
    assert batch.labels is None
    assert batch.teacher_logits.shape == (8, 3)


def test_mixtures_are_shown_to_the_teacher() -> None:
    images, teacher = stripes(8), network().eval()
    batch = next(iter(DistillationLoader(teacher, images, views="mixup", **HOW)))
    assert batch.labels is not None
    assert batch.labels.shape == (8, 2)
    with torch.no_grad():
        assert torch.allclose(teacher(batch.images).logits, batch.teacher_logits, atol=1e-5)


def test_of_transfer_sets_floats_and_objects() -> None:
    teacher = network().eval()
    learned = lb.ImageSet.of_floats(torch.randn(8, 1, 8, 8), [0, 1] * 4, classes=("rows", "columns"))
    with lb.distillation_loader(teacher, lb.TransferSet(learned), normalise=([0.5], [0.2]), **HOW) as loader:
        batch, _, logits, ids = next(iter(loader))
    assert torch.allclose(batch, (learned.floats(ids) - 0.5) / 0.2)
    assert torch.allclose(logits, teacher(learned.floats(ids)).logits.detach(), atol=2e-2)
    data = (torch.rand(8, 1, 8, 8), ["rows", "columns"] * 4)
    with pytest.raises(UserError, match=r"`batch_size` must be a whole number, at least 1, got 0"):
        lb.distillation_loader(teacher, data, batch_size=0)
    with pytest.raises(UserError, match=r"`images` must be images as `lb\.load` gives them, or a data"):
        lb.distillation_loader(teacher, 3, batch_size=1)  # pyright: ignore[reportArgumentType]
