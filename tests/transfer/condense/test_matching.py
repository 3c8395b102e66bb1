from pathlib import Path

import numpy as np
import pytest
import torch
from tests.transfer.condense.matching_problems import problem
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.models.convnet import ConvNet
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.matching import (
    GradientKind,
    Gradients,
    Step,
    matching_gradients,
    matching_loss,
)
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.step_gradients import soft_cross_entropy

GOLDEN = Path(__file__).parents[2] / "golden" / "condense"
PRESETS = [name for name, method in METHODS.items() if method.values["by"] == "trajectories"]


def largest_difference(one: Gradients, other: Gradients) -> float:
    """The largest difference of any part, as a share of its largest value."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    assert len(pairs) >= 4
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


@pytest.mark.parametrize("gradient", ["exact", "unrolled"])
@pytest.mark.parametrize("drop", [0.0, 0.375])
def test_the_reference_has_the_same_loss_and_gradients(drop: float, gradient: GradientKind) -> None:
    golden = {key: torch.from_numpy(np.asarray(value)) for key, value in golden_file("trajectory_matching").items()}
    network = FlatNetwork(Classifier(ConvNet(2, num_classes=10, size=(16, 16), width=8), num_classes=10))
    gradients = matching_gradients(
        network,
        golden["in.start"],
        golden["in.target"],
        golden["in.images"],
        golden["in.labels"],
        golden["in.lr"],
        steps=[Step(rows) for rows in golden["in.order"]],
        drop=drop,
        gradient=gradient,
    )
    pairs = {
        "out.final": gradients.final,
        f"out.loss@{drop}": gradients.loss,
        f"out.grad_images@{drop}": gradients.inputs,
        f"out.grad_labels@{drop}": gradients.labels,
        f"out.grad_lr@{drop}": gradients.rate,
    }
    for key, value in pairs.items():
        assert value is not None
        scale = float(golden[key].abs().max())
        torch.testing.assert_close(value, golden[key], rtol=1e-5, atol=1e-6 * scale, msg=key)


def test_the_reference_has_the_same_soft_cross_entropy() -> None:
    golden = golden_file("soft_cross_entropy")
    loss = soft_cross_entropy(*(torch.from_numpy(golden[f"in.{key}"]) for key in ("logits", "target_logits")))
    torch.testing.assert_close(loss, torch.tensor(golden["out.loss"]), rtol=1e-6, atol=0)


def golden_file(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file if key != "hp"}


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("batch", [6, 4, 1])
@pytest.mark.parametrize("drop", [0.0, 0.375])
def test_exact_is_unrolled(drop: float, batch: int, soft: bool) -> None:
    posed = problem(batch=batch, soft=soft)
    gradients = posed.solve(drop=drop)
    assert largest_difference(gradients, posed.solve("unrolled", drop=drop)) < 1e-12
    assert (gradients.labels is not None) == soft


@pytest.mark.parametrize("name", PRESETS)
def test_exact_is_unrolled_on_every_preset(name: str) -> None:
    settings = CondenseSettings(budget="1/class", method=name)
    posed = problem(soft=settings.labels == "soft", steps=8)._replace(
        rate=torch.tensor(settings.matching.rate, dtype=torch.float64)
    )
    gradients = posed.solve(settings.matching.gradient, drop=settings.matching.drop)
    assert largest_difference(gradients, posed.solve("unrolled", drop=settings.matching.drop)) < 1e-12


@pytest.mark.parametrize("norm", ["none", "group"])
def test_exact_is_unrolled_for_other_networks(norm: str) -> None:
    posed = problem(norm=norm)
    assert largest_difference(posed.solve(), posed.solve("unrolled")) < 1e-12


def test_in_float32_they_differ_by_rounding() -> None:
    posed = problem(dtype=torch.float32)
    gradients = posed.solve()
    assert {tensor.dtype for tensor in gradients if tensor is not None} == {torch.float32}
    assert largest_difference(gradients, posed.solve("unrolled")) < 1e-4


def test_gradients_are_differences_of_the_loss() -> None:
    posed = problem(soft=True)
    gradients = posed.solve(drop=0.25)
    assert gradients.labels is not None
    step = 1e-6
    for name, gradient in (("inputs", gradients.inputs), ("labels", gradients.labels), ("rate", gradients.rate)):
        value = getattr(posed, name)
        direction = torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=value.dtype)
        ahead, behind = (
            posed._replace(**{name: value + sign * step * direction}).solve(drop=0.25).loss for sign in (1.0, -1.0)
        )
        torch.testing.assert_close((ahead - behind) / (2 * step), (gradient * direction).sum(), rtol=1e-5, atol=1e-8)


def test_tesla_takes_the_parameters_of_every_step_for_constants() -> None:
    posed = problem()
    inputs, labels, rate = (tensor.clone().requires_grad_() for tensor in (posed.inputs, posed.labels, posed.rate))
    theta, moved = posed.start, torch.zeros_like(posed.start)
    for step in posed.steps:
        leaf = theta.clone().requires_grad_()
        assert posed.views is not None
        seen = posed.views.apply(inputs[step.rows], step.draw)
        loss = soft_cross_entropy(posed.network.logits(leaf, seen), labels[step.rows])
        (descent,) = torch.autograd.grad(loss, leaf, create_graph=True)
        theta, moved = (theta - rate * descent).detach(), moved + descent
    loss = matching_loss(posed.start - rate * moved, posed.start, posed.target)
    of_inputs, of_labels, of_rate = torch.autograd.grad(loss, (inputs, labels, rate))
    slow = Gradients(loss.detach(), of_inputs, of_labels, of_rate, theta)
    tesla = posed.solve("tesla")
    assert largest_difference(tesla, slow) < 1e-12
    exact = posed.solve()
    assert torch.equal(tesla.loss, exact.loss)
    assert 0.5 < torch.cosine_similarity(tesla.inputs.flatten(), exact.inputs.flatten(), dim=0) < 0.999
    single = problem(steps=1)
    assert largest_difference(single.solve("tesla"), single.solve("unrolled")) < 1e-12, "one step has nothing behind it"


def test_images_that_no_step_saw_have_no_gradient() -> None:
    posed = problem(steps=2)
    rows = torch.tensor([0, 1, 2, 3])
    for gradient in ("exact", "unrolled", "tesla"):
        gradients = posed._replace(steps=[step._replace(rows=rows) for step in posed.steps]).solve(gradient)
        assert gradients.labels is not None
        assert gradients.inputs[4:].abs().sum() == gradients.labels[4:].abs().sum() == 0
        assert gradients.inputs[:4].abs().sum() > 0


def test_nothing_that_comes_in_is_changed() -> None:
    posed = problem()
    before = [tensor.clone() for tensor in posed[1:6]]
    for gradient in ("exact", "unrolled", "tesla"):
        gradients = posed.solve(gradient)
        assert not any(tensor.requires_grad for tensor in gradients if tensor is not None)
    assert all(torch.equal(old, new) for old, new in zip(before, posed[1:6], strict=True))


class Saved:
    """A tensor that a graph holds; the bytes that are held now, and their maximum."""

    held = most = 0

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        Saved.held += tensor.nbytes
        Saved.most = max(Saved.most, Saved.held)

    def __del__(self) -> None:
        Saved.held -= self.tensor.nbytes


def most_saved(steps: int, gradient: GradientKind) -> int:
    """The most bytes that graphs hold at a time."""
    Saved.held = Saved.most = 0
    with saved_tensors_hooks(Saved, lambda saved: saved.tensor):
        problem(steps=steps, views=False).solve(gradient)
    return Saved.most


@pytest.mark.parametrize("gradient", ["exact", "tesla"])
def test_memory_does_not_grow_with_steps(gradient: GradientKind) -> None:
    one_step = most_saved(1, gradient)
    assert most_saved(12, gradient) == one_step
    assert most_saved(12, "unrolled") > 8 * one_step


@pytest.mark.parametrize(("drop", "kept"), [(0.0, [0, 1, 2, 3]), (0.25, [0, 1, 3]), (0.74, [1, 3]), (0.999, [3])])
def test_drop_leaves_out_the_least_of_the_loss_in_both_sums(drop: float, kept: list[int]) -> None:
    final, start = torch.tensor([1.0, 2.0, 0.0, 4.0]), torch.tensor([0.0, 1.0, 1.0, 0.0])
    target = torch.tensor([0.0, 3.0, 0.5, 1.0])
    wanted = sum((final - target)[kept] ** 2) / sum((start - target)[kept] ** 2)
    torch.testing.assert_close(matching_loss(final, start, target, drop), wanted)


@pytest.mark.parametrize("drop", [-0.1, 1.1, float("nan")])
def test_a_drop_that_is_no_share_is_refused(drop: float) -> None:
    with pytest.raises(UserError, match=r"`drop` must be a share from 0 to 1, got "):
        matching_loss(torch.ones(3), torch.zeros(3), torch.zeros(3), drop)


def test_of_equal_losses_the_last_are_kept() -> None:
    final, start = torch.ones(6).requires_grad_(), torch.arange(6.0)
    matching_loss(final, start, torch.zeros(6), drop=0.5).backward()
    assert final.grad is not None
    assert final.grad.ne(0).tolist() == [False] * 3 + [True] * 3


def test_equal_snapshots_are_refused() -> None:
    posed = problem()
    with pytest.raises(UserError, match=r"`target` must differ from `start`.*kept as copies"):
        posed._replace(target=posed.start.clone()).solve()


def test_unknown_gradients_are_refused() -> None:
    with pytest.raises(UserError, match="unknown gradient 'exat'; did you mean 'exact'"):
        problem().solve("exat")  # pyright: ignore[reportArgumentType]
