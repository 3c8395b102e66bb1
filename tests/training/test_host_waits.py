"""No step waits for a GPU: tested for every objective and view without one; `tests/gpu` tests on a GPU."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from tests.host_waits import META, HostWaits, host_waits, meta_copies_alone
from tests.objectives.pairs import ALL, Pair
from tests.training.conftest import Run
from tests.training.tiny import settings, stripes
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.mixing import weights
from limbeck.data.normalised_views import normalised_views
from limbeck.data.views import _yiq, augmentation
from limbeck.models import Outputs, create
from limbeck.models.classifier import _luma
from limbeck.objectives import WeightedSum, weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.momentum_memory import MomentumMemory, _LateReports
from limbeck.training.batches import BatchStream
from limbeck.training.view_cache.outputs import joined_outputs, outputs_in_blocks

__all__ = ["meta_copies_alone"]

KNOWN = {"kdsvd": {"_linalg_svd.default"}}
"""Operations that wait in every step: torch checks on the CPU whether singular values have converged."""

VIEWS: list[Any] = [
    "none",
    "pad-crop-flip",
    "resized-crop-flip",
    "shuffled-patches",
    "colour-jitter",
    "mixup",
    ["pad-crop-flip", "cutmix", "colour-jitter"],
    {"mixup-or-cutmix": {"share": 0.5}},
    ["pad-crop", "colour-jitter"],
    ["pad-crop-flip", "none"],
]


def options_of(name: str) -> list[dict[str, Any]]:
    """The published options, and others that take different paths through the code."""
    allowed = OBJECTIVES[name].options
    choices: dict[str, list[Any]] = {
        "standardise": [True],
        "confident": [True],
        "form": ["authors"],
        "memory": ["queue", "momentum"],
        "enqueue": ["after"],
        "draws": ["independent"],
        "positives": ["same-class"],
        "negatives": ["any"],
        "label_smoothing": [0.1],
        "warmup_levels": [4],
    }
    small = {"negatives_count": 4} if "negatives_count" in allowed else {}
    momentum = {"memory": "momentum"} if "memory" in allowed else {}
    cases = [small]
    for option, values in choices.items():
        if option in allowed:
            memory = {"memory": "queue"} if option == "enqueue" else momentum
            cases += [{**memory, **small, option: value} for value in values]
    return cases


def on_meta(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(on_meta(part) for part in value)
    return value.detach().to(META).requires_grad_(value.requires_grad) if isinstance(value, Tensor) else value


def in_memory(objective: WeightedSum) -> None:
    """Puts memories into the state after the first step, where each checks once whether it was used before."""
    for part in objective.modules():
        if isinstance(part, MomentumMemory):
            part._normed = True


@pytest.mark.parametrize("name", ALL)
def test_no_objective_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_LateReports, "after", lambda self, report: [])  # late reports need a GPU
    pair = Pair()
    signals = {key: on_meta(value) for key, value in pair.signals().items()}
    phases = (True, False) if "preparing" in OBJECTIVES[name].options else (False,)
    for options in options_of(name):
        objective = weighted_sum({"cross_entropy": 1, name: options})
        objective.build(pair.setup, seed=0)
        in_memory(objective.to(META))
        for preparing in phases:
            with host_waits() as waits:
                loss, _ = objective(signals, preparing=preparing)
                loss.backward()
            assert set(waits) == KNOWN.get(name, set()), (options, preparing)


@pytest.mark.usefixtures("meta_copies_alone")
@pytest.mark.parametrize("per_image", [None, 2])
@pytest.mark.parametrize("views", VIEWS, ids=str)
def test_no_batch_waits(views: Any, per_image: int | None) -> None:
    pixels = torch.zeros(20, 3, 8, 8, dtype=torch.uint8)
    _yiq(META)  # built once in a process, as is a table of quantiles
    weights(1.0, 1.0, torch.zeros(1, dtype=torch.int64, device=META))
    stream = BatchStream(
        ImageSet(pixels, torch.arange(20) % 2),
        augmentation=augmentation(views, per_image=per_image),
        batch_size=8,
        seed=0,
        device=META,
    )
    with host_waits() as waits:
        for step in range(4):
            batch = stream[step]
            assert batch.images.shape == (8, 3, 8, 8)
            assert batch.images.device == META
    assert waits == []


@pytest.mark.parametrize("views", [{"dsa": {"mode": "all"}}, ["dsa", "crop-scale-rotate"]], ids=str)
def test_no_normalised_views_wait(views: Any) -> None:
    augment, images = normalised_views(views), torch.zeros(8, 3, 16, 16, device=META, requires_grad=True)
    with host_waits() as waits:
        for step in range(8):
            shown = augment.apply(images, augment.draw(8, seed=0, step=step, device=META))
            shown.square().sum().backward()
    assert waits == []


@pytest.mark.usefixtures("meta_copies_alone")
def test_no_read_ahead_batch_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.training.batches.RESIDENT_BYTES", 0)
    stream = BatchStream(stripes(20), augmentation=augmentation("pad-crop"), batch_size=8, seed=0, device=META, steps=2)
    with host_waits() as waits:
        assert stream[0].images.device == stream[1].images.device == META
    stream.close()
    assert waits == []


@pytest.mark.usefixtures("meta_copies_alone")
def test_kept_outputs_get_to_the_device_without_a_wait() -> None:
    with host_waits() as waits:
        outputs = joined_outputs({"logits": torch.ones(8, 2), "stages.0": torch.ones(8, 3, 4, 4)}, META)
    assert waits == []
    assert outputs.logits.device == outputs.stages[0].device == META


@pytest.mark.usefixtures("meta_copies_alone")
def test_a_teacher_is_asked_in_blocks_without_a_wait() -> None:
    teacher = _Answering()
    with host_waits() as waits:
        outputs = outputs_in_blocks(teacher, torch.zeros(8, 3, 4, 4, device=META), np.array([1, 5]), {"logits"}, 4)
    assert waits == []
    assert outputs["logits"].device == META


class _Answering:
    def __call__(self, images: Tensor, want: Any) -> Any:
        return Outputs(images.flatten(1))


@pytest.mark.parametrize(("channels", "taken"), [(3, 1), (1, 3), (3, 3)])
def test_no_network_waits_for_its_images(channels: int, taken: int) -> None:
    network, want = create("resnet8", num_classes=2, channels=taken), ("logits", "embedding", "stages")
    images = torch.zeros(2, channels, 16, 16, dtype=torch.uint8)
    network(images, want)  # the first pass finds out what the network overwrites
    _luma(META, torch.float32)  # built once in a process
    network.to(META)
    with host_waits() as waits:
        outputs = network(images.to(META, non_blocking=True), want)
        outputs.logits.sum().backward()
    assert waits == []


class Watch:
    """An observer of the loop that records what waits between the steps of a run, and ends the run."""

    def __init__(self, mode: HostWaits, last: int) -> None:
        self.mode, self.last = mode, last
        self.steps: dict[int, list[str]] = {}

    def after_step(self, step: int, batch: object, outputs: object) -> None:
        self.steps[step] = list(self.mode.found)
        self.mode.found.clear()
        if step == self.last:
            raise Ended

    def after_epoch(self, epoch: int, student: object) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class Ended(Exception):
    """Ends a run that has shown enough."""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_norm": 1.0, "optimizer": "adamw"},
        {"cache": False},
        {"normalised_views": {"dsa": {"mode": "all"}}, "sharpness": {}},
    ],
    ids=str,
)
def test_the_loop_reads_nothing_but_what_is_due(teach: Run, changes: dict[str, Any]) -> None:
    """Of 1,200 steps, every 12th is logged."""
    mode = HostWaits()
    watch = Watch(mode, last=13)
    long = settings(steps=1200, validations=0, checkpoint_seconds=1000, **changes)
    with pytest.raises(Ended), mode:
        teach(settings=long, observers=[watch], objective=weighted_sum({"cross_entropy": 1, "kd": 1, "crd": 1}))
    # The first step inspects networks and memories; what is due after the 12th shows at the 13th.
    assert [step for step, waits in watch.steps.items() if waits] == [1, 13]


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: bool(x.sum() > 0),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: torch.linalg.inv(x),
        lambda x: torch.where(x > 0),
        lambda x: x.unique(),
    ],
)
def test_waits_are_seen_on_the_cpu(wait: Callable[[Tensor], object]) -> None:
    with host_waits() as waits:
        wait(torch.eye(3))
    assert waits


@pytest.mark.parametrize(
    "wait",
    [
        lambda x: x + torch.ones(3).to(META),
        lambda x: x.new_tensor([1.0]),
        lambda x: torch.tensor([1, 2], device=META),
        lambda x: torch.as_tensor(1, device=META),
        lambda x: x[torch.tensor([0, 1])],
        lambda x: torch.linalg.inv(x),
    ],
)
def test_waits_are_seen_without_memory(wait: Callable[[Tensor], object]) -> None:
    with host_waits() as waits:
        wait(torch.eye(3, device=META))
    assert waits
