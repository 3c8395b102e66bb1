import pytest
import torch
from torch import Tensor, nn
from torch.autograd import grad, gradcheck, gradgradcheck

from limbeck.models.halving import Halving


def images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 2e-2)], ids=str
)
def test_values_and_gradients_are_those_of_torch(
    dtype: torch.dtype, within: float, memory_format: torch.memory_format
) -> None:
    direction, results = images(3, 5, 2, 4, dtype=dtype), []
    for layer in (nn.AvgPool2d(2), Halving()):
        x = images(3, 5, 4, 8, dtype=dtype).to(memory_format=memory_format).requires_grad_()
        value = layer(x)
        assert value.dtype == dtype
        results.append((value, *grad(value, x, direction)))
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=within, rtol=0)


def test_it_is_differentiable_again_and_again() -> None:
    x = images(2, 3, 4, 2, dtype=torch.float64).requires_grad_()
    assert gradcheck(Halving(), x)
    assert gradgradcheck(lambda x: Halving()(x.sin()), x)


@pytest.mark.parametrize("shape", [(1, 2, 5, 4), (1, 2, 4, 7), (2, 4, 4), (0, 2, 4, 4)], ids=str)
def test_odd_sizes_single_images_and_none(shape: tuple[int, ...]) -> None:
    assert torch.equal(Halving()(images(*shape)), nn.AvgPool2d(2)(images(*shape)))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.* is deprecated")
def test_who_traces_it_finds_torchs_operation() -> None:
    example = images(1, 2, 4, 4)
    traced = torch.jit.trace(Halving(), example)  # pyright: ignore[reportPrivateImportUsage]
    assert "avg_pool2d" in str(traced.graph)
    exported = torch.export.export(Halving(), (example,))
    assert "avg_pool2d" in str(exported.graph)
