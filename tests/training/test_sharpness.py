"""Sharpness-aware steps: published numbers, and two passes over a batch of which only the first leaves traces."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.training.conftest import Run
from tests.training.stopping import stop_at
from tests.training.tiny import network, same, settings, weights
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models import Classifier, Outputs
from limbeck.models.convnet import ConvNet
from limbeck.objectives import weighted_sum
from limbeck.training import Interrupted, RunFolder
from limbeck.training.batches import Batch
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.settings import Sharpness, TrainingSettings
from limbeck.training.sharpness import SharpGradient, perturbation, surrogate_gradient
from limbeck.training.step import DistillationStep

GOLDEN = Path(__file__).parents[1] / "golden" / "condense"
BRIEF = settings(steps=6, validations=0, precision="fp32", channels_last=False)
SHARP = BRIEF.model_copy(update={"sharpness": Sharpness(rho=0.5)})


def golden(name: str) -> tuple[Mapping[str, Any], Classifier, SharpGradient, Batch]:
    """The recorded step: its numbers, its network as a classifier, its gradient and its batch."""
    numbers = np.load(GOLDEN / f"{name}.npz")
    options_of_run = json.loads(str(numbers["hp"]))
    convnet = ConvNet(2, num_classes=10, size=(16, 16), width=8)
    before = [torch.from_numpy(numbers[key]) for key in numbers if key.startswith("param.")]
    for mine, theirs in zip(convnet.parameters(), before, strict=True):
        mine.data.copy_(theirs)
    student = Classifier(convnet, num_classes=10, mean=[0, 0, 0], std=[1, 1, 1])
    step = DistillationStep(student, weighted_sum("ce"), device=torch.device("cpu"), dtype=torch.float32)
    optimizer = torch.optim.SGD(student.parameters(), options_of_run["lr"], options_of_run["momentum"])
    options = Sharpness(
        rho=options_of_run["rho"], alpha=options_of_run["alpha"], adaptive=options_of_run.get("adaptive", False)
    )
    images, labels = (torch.from_numpy(numbers[f"in.{key}"]) for key in ("images", "label"))
    return numbers, student, SharpGradient(step, optimizer, options), Batch(images, labels, torch.arange(16), None)


@pytest.mark.parametrize("name", ["gsam_step", "gsam_step_adaptive"])
def test_a_step_is_the_published_one(name: str) -> None:
    numbers, student, gradient, batch = golden(name)
    loss, terms = gradient(lambda: gradient.step(batch, None), torch.Tensor.backward, 0)
    gradient.optimizer.step()
    assert [*terms] == ["cross_entropy"]
    torch.testing.assert_close(loss.detach(), torch.tensor(numbers["out.loss"]), rtol=1e-6, atol=0)
    after = [torch.from_numpy(numbers[key]) for key in numbers if key.startswith("out.after.")]
    for mine, theirs in zip(student.parameters(), after, strict=True):
        torch.testing.assert_close(mine.detach(), theirs, rtol=1e-5, atol=1e-7)


def test_its_parts_are_the_formulas() -> None:
    """Checked on parameters seen as one vector, in double precision."""
    w, g, g_there = (
        torch.randn(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) for _ in range(3)
    )
    g, g_there = g.roll(1), g_there.roll(7)
    plain, adaptive = (
        torch.cat(perturbation([w[0], w[1:]], [g[0], g[1:]], rho=0.2, adaptive=is_adaptive)[:1])
        for is_adaptive in (False, True)
    )
    torch.testing.assert_close(plain, (0.2 * g / g.norm())[0])
    torch.testing.assert_close(adaptive, (0.2 * w**2 * g / (w.abs() * g).norm())[0])
    surrogate = surrogate_gradient([g[0], g[1:]], [g_there[0], g_there[1:]], alpha=0.3)
    aside = g - (g * g_there).sum() / g_there.square().sum() * g_there
    assert abs((aside * g_there).sum()) < 1e-9
    torch.testing.assert_close(torch.cat([surrogate[0][None], surrogate[1]]), g_there - 0.3 * aside)


def test_without_a_gradient_nothing_moves() -> None:
    nothing = [torch.zeros(3)]
    for adaptive in (False, True):
        assert torch.equal(perturbation([torch.ones(3)], nothing, rho=1.0, adaptive=adaptive)[0], nothing[0])
    assert torch.equal(surrogate_gradient(nothing, nothing, alpha=0.5)[0], nothing[0])


class Passes:
    """Records a network's inputs, what its dropout lets through, and its weights, in training mode."""

    def __init__(self, network: nn.Sequential) -> None:
        self.shown: list[Tensor] = []
        self.kept: list[Tensor] = []
        self.weights: list[Tensor] = []
        network.register_forward_pre_hook(self._see)
        next(module for module in network if isinstance(module, nn.Dropout)).register_forward_hook(self._keep)

    def _see(self, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        if module.training:
            self.shown.append(given[0].detach().clone())
            self.weights.append(module.get_parameter("3.weight").detach().clone())

    def _keep(self, module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        if module.training:
            self.kept.append(made.detach() != 0)


def dropping() -> Classifier:
    """A network with dropout and batch norm, and a head that is the same every time."""
    layers = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 2))
    nn.init.constant_(layers[3].weight, 0.1)  # pyright: ignore[reportArgumentType]
    nn.init.zeros_(layers[3].bias)  # pyright: ignore[reportArgumentType]
    return Classifier(layers, num_classes=2, channels=1)


def test_both_passes_see_the_same_batch_views_and_dropout_elsewhere(teach: Run) -> None:
    student = dropping()
    passes = Passes(student.network)  # pyright: ignore[reportArgumentType]
    changed = SHARP.model_copy(update={"normalised_views": "dsa"})
    teach(student=student, settings=changed, teacher=None, objective=weighted_sum("ce"), validation=None)
    for tensors in (passes.shown, passes.kept):
        assert len(tensors) == 12
        assert all(torch.equal(first, second) for first, second in zip(tensors[::2], tensors[1::2], strict=True))
        assert not any(torch.equal(first, second) for first, second in zip(tensors[1:-1:2], tensors[2::2], strict=True))
    for before, after in zip(passes.weights[::2], passes.weights[1::2], strict=True):
        assert not torch.equal(before, after), "the second is elsewhere"


def test_statistics_of_batch_norm_are_those_of_the_first_passes(teach: Run) -> None:
    one_step = {"steps": 1}
    plain = teach("plain", settings=BRIEF.model_copy(update=one_step), validation=None)
    sharp = teach("sharp", settings=SHARP.model_copy(update=one_step), validation=None)
    for (name, buffer), other in zip(plain.student.named_buffers(), sharp.student.buffers(), strict=True):
        assert torch.equal(buffer, other), name
    assert not same(weights(plain.student), weights(sharp.student))


REMEMBERING: list[Any] = [
    {"rrd": {"negatives_count": 12}},
    {"rrd": {"negatives_count": 12, "enqueue": "after"}},
    {"crd": {"negatives_count": 12, "memory": "momentum"}},
    {"ft": {"preparing": 0.4}},
]


@pytest.mark.parametrize("spec", REMEMBERING, ids=str)
def test_memories_take_in_a_batch_once_and_both_passes_read_what_was_before(
    teach: Run, tmp_path: Path, spec: dict[str, Any]
) -> None:
    """With a vanishing radius, a sharp step equals a plain one, whatever the objective's memory holds."""
    for name, sharpness in (("plain", None), ("sharp", Sharpness(rho=1e-12, alpha=0.0, adaptive=False))):
        changed = BRIEF.model_copy(update={"sharpness": sharpness, "learning_rate": 0.01, "steps": 3})
        teach(name, objective=weighted_sum({"ce": 1, **spec}), settings=changed, validation=None)
    plain, sharp = (
        Checkpoint.load(tmp_path / folder / "checkpoint.safetensors").tensors for folder in ("plain", "sharp")
    )
    assert plain.keys() == sharp.keys()
    for name, value in plain.items():
        assert torch.allclose(sharp[name], value, rtol=1e-4, atol=1e-5), name


class Counting(nn.Module):
    """A user's network, of whose buffers every pass changes one in place and replaces another."""

    passes: Tensor
    last: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 2)
        nn.init.constant_(self.head.weight, 0.1)
        nn.init.zeros_(self.head.bias)
        self.register_buffer("passes", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.passes.add_(1)
            self.last = inputs.mean().detach() + self.head.weight.detach().sum()
        return self.head(inputs.flatten(1))


def test_buffers_of_any_network_are_those_of_the_first_passes(teach: Run) -> None:
    results = []
    for name, recipe in (("plain", BRIEF), ("sharp", SHARP)):
        counting = Counting()
        passes = counting.passes
        student, changed = Classifier(counting, num_classes=2, channels=1), recipe.model_copy(update={"steps": 1})
        teach(name, student=student, teacher=None, objective=weighted_sum("ce"), settings=changed, validation=None)
        assert counting.passes is passes
        results.append((counting.passes.item(), counting.last.item()))
    assert results[0] == results[1]


class Listening:
    """An observer that records the logits."""

    def __init__(self) -> None:
        self.logits: list[Tensor] = []

    def after_step(self, step: int, batch: Batch, outputs: Outputs) -> None:
        self.logits.append(outputs.logits.clone())

    def after_epoch(self, epoch: int, student: Classifier) -> None: ...

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None: ...


def test_observers_and_log_are_shown_the_student_where_it_is(teach: Run, tmp_path: Path) -> None:
    listening = {name: Listening() for name in ("plain", "sharp")}
    for name, recipe in (("plain", BRIEF), ("sharp", SHARP)):
        teach(name, settings=recipe, observers=[listening[name]], validation=None)
    assert len(listening["sharp"].logits) == 6
    assert torch.equal(listening["plain"].logits[0], listening["sharp"].logits[0])
    losses = [RunFolder(tmp_path / name).metrics()[0]["loss"] for name in listening]
    assert losses[0] == losses[1]
    assert not torch.equal(listening["plain"].logits[1], listening["sharp"].logits[1])


def test_an_interrupted_run_resumes_to_the_same_bits(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {
        "settings": SHARP.model_copy(update={"normalised_views": "dsa"}),
        "objective": weighted_sum({"ce": 1, "kd": 1}),
    }
    whole = teach("whole", student=dropping(), **arguments)
    stop_at(3, monkeypatch)
    with pytest.raises(Interrupted):
        teach(student=dropping(), **arguments)
    monkeypatch.undo()
    resumed = teach(student=dropping(), resume=True, **arguments)
    assert same(weights(resumed.student), weights(whole.student))
    assert resumed.teacher_passes == whole.teacher_passes == 6 * 8


def test_half_precision_clipping_and_adamw_go_with_it(teach: Run) -> None:
    changed = settings(steps=4, precision="bf16", clip_norm=1.0, optimizer="adamw", learning_rate=0.01, sharpness={})
    before = weights(dropping())
    student = teach(student=dropping(), settings=changed).student
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in student.parameters())
    assert not same(weights(student), before)


def test_frozen_and_idle_parameters_stay(teach: Run) -> None:
    """So does the head under an objective that reads no logits, as it has no gradient."""
    student = network()
    student.network.get_submodule("layers.0").requires_grad_(False)
    before = weights(student)
    teach(student=student, settings=SHARP, objective=weighted_sum({"at": 1.0}), validation=None)
    stayed = {name for name, parameter in student.named_parameters() if torch.equal(parameter, before[name])}
    assert stayed == {name for name, _ in student.named_parameters() if "layers.0." in name or "head" in name}


def test_what_learns_nothing_is_refused_as_ever(teach: Run) -> None:
    student = network()
    student.network.get_submodule("layers").requires_grad_(False)
    with pytest.raises(UserError, match=r"no parameter that learns shapes the loss at step 1 \(at\)"):
        teach(student=student, settings=SHARP, objective=weighted_sum({"at": 1.0}), validation=None)


@pytest.mark.parametrize(
    ("sharpness", "message"),
    [
        ({"rho": 0}, "greater than 0"),
        ({"alpha": -0.1}, "greater than or equal to 0"),
        ({"rho": True}, "must be a number, got True"),
        ({"rhoo": 0.1}, "Extra inputs are not permitted"),
        (0.05, "Input should be a valid dictionary"),
    ],
)
def test_settings_out_of_range_are_refused(sharpness: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(sharpness=sharpness)


def test_cuda_graphs_are_refused_beside_it() -> None:
    with pytest.raises(ValidationError, match=r"`sharpness` passes a batch twice .* choose `compile: true` or `false`"):
        settings(sharpness={}, compile="graphs")
    assert TrainingSettings(steps=1, sharpness={}, compile=True).sharpness == Sharpness()  # pyright: ignore
