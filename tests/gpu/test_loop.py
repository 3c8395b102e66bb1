"""The loop on a GPU: trains as on the CPU, repeats itself, resumes bit for bit, and never waits for the device."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.gpu.conftest import CPU, Run, arm, disarm, settled_on
from tests.training.stopping import stop_at
from tests.training.test_host_waits import KNOWN
from tests.training.test_objectives import EQUAL_CHANNELS, SMALL
from tests.training.tiny import network, same, settings, stripes, weights
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.models import Classifier, create
from limbeck.models.forward import device_of
from limbeck.objectives import weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.training import Interrupted
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.view_cache.cache import ViewCache

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("more", [{}, {"normalised_views": {"dsa": {"mode": "all"}}}, {"sharpness": {}}], ids=str)
def test_it_teaches_what_the_cpu_teaches(teach: Run, device: torch.device, more: dict[str, Any]) -> None:
    changed = settings(steps=6, precision="fp32", cache=False, **more)
    result = teach("here", settings=changed)
    assert device_of(result.student).type == device.type
    with settled_on(CPU):
        expected = teach("cpu", settings=changed)
    for name, value in expected.student.state_dict().items():
        torch.testing.assert_close(result.student.state_dict()[name].cpu(), value, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("views", ["pad-crop", "resized-crop", "colour-jitter", "none"])
def test_same_seed_same_student(teach: Run, views: str, precision: str) -> None:
    extra: dict[str, Any] = {"normalised_views": "dsa", "sharpness": {}} if views == "none" else {}
    changed = settings(views=views, precision=precision, **extra)
    first, again = (teach(folder, settings=changed) for folder in ("a", "b"))
    assert same(weights(first.student), weights(again.student))


def test_it_learns_in_bf16(teach: Run) -> None:
    easy = settings(steps=80, learning_rate=0.02, precision="bf16")
    result = teach(student=network(width=8), settings=easy, teacher=None, objective=weighted_sum("cross_entropy"))
    assert result.best is not None
    assert result.best.top1 == 1.0


def fitting_teacher(name: str) -> Classifier:
    if name == "simkd":  # needs a teacher that pools before its head
        return create("resnet8", num_classes=2, channels=1)
    return network(9, width=4 if name in EQUAL_CHANNELS else 6)


@pytest.mark.parametrize("name", ["kd", "crd", "rrd", "fitnet", "ft"])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    name: str, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(folder: str, *, resume: bool = False) -> Any:
        options = {"preparing": 0.4} if "preparing" in OBJECTIVES[name].options else {}
        objective = weighted_sum({"cross_entropy": 1, name: {"weight": 0.01, **SMALL.get(name, {}), **options}})
        brief = settings(steps=6, checkpoint_seconds=1000, validations=0, learning_rate=0.01, precision="fp32")
        return teach(folder, resume=resume, objective=objective, settings=brief, teacher=fitting_teacher(name))

    whole = run("whole")
    with monkeypatch.context() as until:
        stop_at(3, until)
        with pytest.raises(Interrupted):
            run("run")
    resumed = run("run", resume=True)
    assert same(weights(resumed.student), weights(whole.student))
    first, second = (Checkpoint.load(tmp_path / folder / "checkpoint.safetensors") for folder in ("whole", "run"))
    assert first.tensors.keys() == second.tensors.keys()
    differing = [key for key in first.tensors if not torch.equal(first.tensors[key], second.tensors[key])]
    assert differing == []


class Armed:
    """An observer that makes a wait an error in the step after each of `steps`; the run ends after the last of them."""

    def __init__(self, device: torch.device, steps: set[int]) -> None:
        self.device, self.steps = device, steps

    def after_step(self, step: int, batch: object, outputs: object) -> None:
        if step > max(self.steps):
            raise Ended
        (arm if step in self.steps else disarm)(self.device)

    def after_epoch(self, epoch: int, student: object) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


class Ended(Exception):
    """Ends a run that has shown enough."""


def watched(teach: Run, device: torch.device, folder: str, **changes: Any) -> None:
    """Runs 20 steps of a long run; the 10th ends a preparing phase and is logged."""
    try:
        with pytest.raises(Ended):
            teach(folder, observers=[Armed(device, {*range(2, 10), *range(11, 21)})], **changes)
    finally:
        disarm(device)


def long(**changes: Any) -> Any:
    return settings(steps=2400, validations=0, checkpoint_seconds=1000, learning_rate=0.001, **changes)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - set(KNOWN)))
def test_no_step_of_any_objective_waits(name: str, teach: Run, device: torch.device) -> None:
    options = {"preparing": 10 / 2400} if "preparing" in OBJECTIVES[name].options else {}
    spec = {"cross_entropy": 1, name: {"weight": 0.01, **SMALL.get(name, {}), **options}}
    changes = {"settings": long(cache=False), "teacher": fitting_teacher(name)}
    watched(teach, device, "run", objective=weighted_sum(spec), **changes)


@pytest.mark.parametrize("views", ["none", "pad-crop-flip", "resized-crop-flip", "colour-jitter"])
def test_no_view_waits(views: str, teach: Run, device: torch.device) -> None:
    grey = stripes(40)
    images = ImageSet(grey.tensor().expand(-1, 3, -1, -1).contiguous(), grey.labels, classes=grey.classes)
    colour = {"num_classes": 2, "channels": 3, "width": 4, "norm": "batch", "classes": grey.classes}
    watched(
        teach,
        device,
        "run",
        source=images,
        student=create("convnet_d3", **colour),
        teacher=create("convnet_d3", seed=9, **colour),
        settings=long(views=views, cache=False),
    )


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_no_view_cache_waits(warm: bool, teach: Run, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Except to verify its entries against the teacher, which happens each time the number of hits has doubled."""
    if warm:
        teach("before", settings=settings(steps=30, views="none"))
    monkeypatch.setattr(ViewCache, "verify", lambda *_: True)
    watched(teach, device, "run", settings=long(views="none" if warm else "pad-crop"))


def test_clipping_and_adamw_do_not_wait(teach: Run, device: torch.device) -> None:
    watched(teach, device, "run", settings=long(cache=False, clip_norm=1.0, optimizer="adamw"))


def test_images_read_ahead_do_not_wait(teach: Run, device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.training.batches.RESIDENT_BYTES", 0)
    watched(teach, device, "run", settings=long(cache=False))
