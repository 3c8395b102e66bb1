from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad, gradcheck, gradgradcheck

from limbeck.models.halving import Halving
from limbeck.transfer.condense.double_backward import GroupNorm, for_two_gradients, plain_sums, sums_by_kernel
from limbeck.transfer.condense.estimate import PeakMemory


def pair(make: Callable[[], nn.Module]) -> tuple[nn.Module, nn.Module]:
    """The same layer, torch's and ours."""
    theirs, ours = make(), make()
    for layer in (theirs, ours):
        torch.manual_seed(0)
        for parameter in layer.parameters():
            nn.init.normal_(parameter)
    network = nn.Sequential(ours)
    for_two_gradients(network)
    assert type(ours) is not type(theirs)
    return theirs, ours


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "instance": lambda: nn.GroupNorm(6, 6),
    "group": lambda: nn.GroupNorm(3, 6),
    "layer": lambda: nn.GroupNorm(1, 6),
    "pool": lambda: nn.AvgPool2d(2),
}


def images(memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    values = torch.randn(2, 6, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return (3 * values + 1).contiguous(memory_format=memory_format).requires_grad_()


@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives_are_differences(name: str) -> None:
    _, ours = pair(LAYERS[name])
    ours.double()
    inputs = (images(), *ours.parameters())

    def compute(x: Tensor, *parameters: Tensor) -> Tensor:
        names = [key for key, _ in ours.named_parameters()]
        return torch.func.functional_call(ours, dict(zip(names, parameters, strict=True)), (x,))

    assert gradcheck(compute, inputs, fast_mode=True)
    assert gradgradcheck(compute, inputs, fast_mode=True)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_both_derivatives_are_those_of_torch(name: str, memory_format: torch.memory_format) -> None:
    results = []
    for layer in pair(LAYERS[name]):
        layer.double()
        x, source = images(memory_format), torch.Generator().manual_seed(2)
        value = layer(x.sin())
        direction = torch.randn(value.shape, generator=source, dtype=value.dtype).requires_grad_()
        first = grad((value * direction).sum(), [x, *layer.parameters()], create_graph=True)
        total = sum(
            (gradient * torch.randn(gradient.shape, generator=source, dtype=gradient.dtype)).sum() for gradient in first
        )
        assert isinstance(total, Tensor)
        second = grad(total, [x, direction, *layer.parameters()], materialize_grads=True)
        results.append([value, *first, *second])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-10, atol=1e-10)
    if memory_format == torch.contiguous_format and name != "pool":  # otherwise torch has another kernel
        assert torch.equal(results[0][0], results[1][0])


def test_numbers_far_from_zero_lose_no_more_than_with_torch() -> None:
    theirs, ours = pair(lambda: nn.GroupNorm(6, 6))
    gradients = []
    for layer, kind in ((theirs, torch.float64), (theirs, torch.float32), (ours, torch.float32)):
        x = (images() * 0.1 + 5).detach().to(kind).requires_grad_()
        first = grad(layer.to(kind)(x).sin().sum(), x, create_graph=True)[0]
        gradients.append(grad(first.square().sum(), x)[0].double())
    exact, torchs, own = gradients
    assert (own - exact).abs().max() < 4 * (torchs - exact).abs().max() + 1e-5 * exact.abs().max()


def test_it_keeps_less() -> None:
    peaks = []
    for layer in pair(lambda: nn.GroupNorm(6, 6)):
        layer.double()
        x = images()
        with PeakMemory() as memory:
            first = grad(layer(x).sin().sum(), [x, *layer.parameters()], create_graph=True)
            grad(sum(gradient.square().sum() for gradient in first), x)  # pyright: ignore
        peaks.append(memory.peak)
    assert peaks[1] < peaks[0]


def test_other_layers_stay_as_they_are() -> None:
    class Other(nn.GroupNorm):
        pass

    network = nn.Sequential(
        Other(2, 4),
        nn.GroupNorm(2, 4, affine=False),
        nn.AvgPool2d(3),
        nn.AvgPool2d(2, stride=1),
        nn.AvgPool2d(2, padding=1),
        nn.AvgPool2d(2, divisor_override=3),
        nn.GroupNorm(2, 4),
        nn.AvgPool2d((2, 2), (2, 2), (0, 0)),
    )
    before = [type(layer) for layer in network]
    for_two_gradients(network)
    assert [type(layer) for layer in network] == [*before[:6], GroupNorm, Halving]


def test_sums_on_a_gpu_are_those_of_the_kernel() -> None:
    v, x = images().detach().cos(), images().detach()
    mean, inverse = x.mean((2, 3)), 1 / x.std((2, 3))
    for plain, by_kernel in zip(plain_sums(v, x, mean, inverse), sums_by_kernel(v, x, mean, inverse), strict=True):
        torch.testing.assert_close(plain, by_kernel)
