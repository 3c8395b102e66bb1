"""What every maker of transfer sets must do."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_source import TransferSource
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.testing.assertions import ensure, ensure_equal
from limbeck.testing.images import natural
from limbeck.testing.parts import teacher_for
from limbeck.transfer.catalogue import find_maker, settings_of
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.settings import MakerSettings

Options = dict[str, Any]
OTHERS = "python:others"
"""Images that are not the pool's, for makers whose settings name some: `{"pools": [OTHERS]}`."""
_BUDGET = 12


def _settings(name: str, options: Options) -> MakerSettings:
    return settings_of(name)(**{"maker": name, "budget": _BUDGET, **options})


def _context(folder: str, *, seed: int = 0) -> MakerContext:
    images, others = natural(40, size=8), natural(40, size=8, seed=1)
    return MakerContext(
        folder=Path(folder, f"making-{seed}"),
        pool=images,
        classes=images.classes,
        shape=images.shape,
        teacher=_giving_every_class(teacher_for(images), others),
        handed={OTHERS: others},
        seed=seed,
    )


def _giving_every_class(teacher: Classifier, images: ImageSet) -> Classifier:
    """In evaluation mode, and with logits that are 0 on the mean: untrained, it would give all images one class."""
    teacher.eval()
    head = teacher.network.get_submodule(str(teacher.taps.embedding))
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.bias.sub_(teacher(images.tensor()).logits.mean(0))
    return teacher


def _grown(source: TransferSource, context: MakerContext) -> TransferSource:
    """After its first round, where it has rounds."""
    if source.steps_per_round is not None:
        channels, side, _ = context.shape
        student = create("convnet_d3", num_classes=len(context.classes), channels=channels, input_size=side, width=4)
        source.refresh(0, student)
    return source


def settings_can_be_written_down(name: str, options: Options) -> None:
    """As recipes do it, and the changes of the controls are valid, too."""
    settings = _settings(name, options)
    written = json.loads(json.dumps(settings.model_dump(mode="json")))
    ensure(
        settings_of(name).model_validate(written) == settings, f"the settings of {name} must survive being written down"
    )
    ensure(settings.maker == name, f"`maker` of the settings must be {name!r}, got {settings.maker!r}")
    for control, variant in settings.controls_beside(written).items():
        changed = (
            {**written, **variant.changes} if "maker" not in variant.changes else {"budget": _BUDGET, **variant.changes}
        )
        try:
            settings_of(str(changed["maker"])).model_validate(changed)
        except ValueError as error:
            raise AssertionError(f"the control {control!r} of {name} makes no valid settings: {error}") from error


def makes_what_it_counts(name: str, options: Options) -> None:
    """As many images as it says before, of the right shape and classes, with distinct ids, evidence and a cost."""
    maker, settings = find_maker(name), _settings(name, options)
    with TemporaryDirectory() as folder:
        context = _context(folder)
        count = maker.count(settings, context)
        result = maker.make(settings, context)
        images = _grown(result.source, context).images(0).images
        ensure(images.shape == context.shape, f"{name} must make images {context.shape}, got {images.shape}")
        ensure(images.classes == context.classes, f"{name} must make images of the classes {context.classes}")
        ensure(len(images.ids.unique()) == len(images), f"the ids of {name} must be distinct")
        fits = len(images) == count if result.source.steps_per_round is None else len(images) <= count
        ensure(fits, f"{name} counts {count} images, and makes {len(images)}")
        ensure(result.evidence.headline, f"the evidence of {name} must have a headline")
        ensure(result.cost.seconds >= 0, f"the cost of {name} must be told")
        assert context.teacher is not None
        ensure(not context.teacher.training, f"{name} must leave the teacher in evaluation mode")


def makes_the_same_again(name: str, options: Options) -> None:
    """From the same seed, and loads what it made."""
    maker, settings = find_maker(name), _settings(name, options)
    with TemporaryDirectory() as folder, TemporaryDirectory() as other_folder:
        context = _context(folder)
        first = _grown(maker.make(settings, context).source, context).images(0).images
        other_context = _context(other_folder)
        second = _grown(maker.make(settings, other_context).source, other_context).images(0).images
        ensure(first.fingerprint == second.fingerprint, f"{name} of one seed must make the same images")
        loaded = _grown(maker.load(settings, context), context).images(0).images
        ensure_equal(loaded.ids, first.ids, f"{name} must load what it made")
        ensure(loaded.fingerprint == first.fingerprint, f"{name} must load what it made")


def goes_on_from_its_state(name: str, options: Options) -> None:
    """A source that grows is what its state says, so that a run that was killed goes on."""
    maker, settings = find_maker(name), _settings(name, options)
    with TemporaryDirectory() as folder:
        context = _context(folder)
        source = maker.make(settings, context).source
        if source.steps_per_round is None:
            return
        grown = _grown(source, context)
        again = maker.load(settings, context)
        again.load_state_dict({key: value.clone() for key, value in grown.state_dict().items()})
        same = again.images(0).images.fingerprint == grown.images(0).images.fingerprint
        ensure(same, f"{name} with the state of another must hold the same images: all they hang on is in the state")


def refuses_budgets_before_any_work(name: str, options: Options) -> None:
    """More images than there are, or fewer than it needs, is a `UserError`; or it makes as many."""
    maker = find_maker(name)
    with TemporaryDirectory() as folder:
        for budget in (1, 100_000):
            try:
                count = maker.count(_settings(name, {**options, "budget": budget}), _context(folder))
            except UserError:
                continue
            ensure(count == budget, f"{name} must count {budget} images or refuse them, got {count}")
        ensure(not Path(folder, "making-0").exists(), f"{name} must write nothing when it counts")


CHECKS: Mapping[str, Callable[..., None]] = {
    "settings can be written down": settings_can_be_written_down,
    "makes what it counts": makes_what_it_counts,
    "makes the same again": makes_the_same_again,
    "goes on from its state": goes_on_from_its_state,
    "refuses budgets before any work": refuses_budgets_before_any_work,
}
