import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from limbeck import UserError
from limbeck.models import Classifier, create, load
from limbeck.transfer.generate.losses import Moments, adversarial, batch_norm_distance, one_hot
from limbeck.transfer.generate.statistics import BatchNormMoments, MomentumMemory, moments_of


def tiny(size: int = 8, channels: int = 1, seed: int = 0) -> Classifier:
    """A frozen teacher whose batch norms remember something."""
    teacher = create("resnet8", num_classes=4, channels=channels, seed=seed, input_size=size)
    source = torch.Generator().manual_seed(seed)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(generator=source)
            module.running_var.uniform_(0.5, 2, generator=source)
    return teacher.requires_grad_(False).eval()


def batch(size: int = 8, channels: int = 1, images: int = 5, seed: int = 1) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.rand(images, channels, size, size, generator=source).requires_grad_()


def by_formula(teacher: Classifier, images: Tensor) -> Tensor:
    """The distance at every batch norm, by hooks of its own and from squares."""
    parts: dict[nn.Module, Tensor] = {}

    def add(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        assert isinstance(module, nn.BatchNorm2d)
        assert module.running_mean is not None
        assert module.running_var is not None
        x = args[0].transpose(0, 1).flatten(1)
        mean = x.sum(1) / x.shape[1]
        var = ((x - mean[:, None]) ** 2).sum(1) / x.shape[1]
        parts[module] = ((module.running_mean - mean) ** 2).sum().sqrt() + (
            (module.running_var - var) ** 2
        ).sum().sqrt()

    layers = [module for module in teacher.modules() if isinstance(module, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(add) for layer in layers]
    teacher(images)
    for handle in handles:
        handle.remove()
    return torch.stack([parts[layer] for layer in layers])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 28, 32, 64])
def test_distance_by_formula(size: int, channels: int) -> None:
    teacher, images = tiny(size, channels), batch(size, channels)
    expected = by_formula(teacher, images)
    with BatchNormMoments(teacher) as moments:
        teacher(images)
        distance = batch_norm_distance(moments.found, moments.reference)
    torch.testing.assert_close(distance, expected, rtol=1e-5, atol=1e-6)
    ours, theirs = (torch.autograd.grad(value.sum(), images)[0] for value in (distance, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert len(moments.names) == len(distance) == 9
    assert moments.names[0] == "bn1"


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5), (6, 3, 4, 5), (1, 3, 1, 1)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_moments_and_their_gradients(shape: tuple[int, ...], channels_last: bool) -> None:
    features = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if channels_last and features.ndim == 4:
        features = features.contiguous(memory_format=torch.channels_last)
    features.requires_grad_()
    var, mean = torch.var_mean(features, [0, *range(2, features.ndim)], correction=0)
    torch.testing.assert_close(moments_of(features), Moments(mean, var))
    assert torch.autograd.gradcheck(moments_of, features)


def test_float32_under_bf16() -> None:
    """Statistics of bf16 features, not statistics in bf16."""
    teacher, images = tiny(), batch()
    features: list[Tensor] = []
    handle = teacher.network.get_submodule("bn1").register_forward_pre_hook(lambda _, args: features.append(args[0]))
    with torch.autocast("cpu", torch.bfloat16), BatchNormMoments(teacher) as moments:
        teacher(images)
        recorded, reference = moments.found, moments.reference
        distance = batch_norm_distance(recorded, reference).sum()
    handle.remove()
    distance.backward()
    assert features[0].dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for pair in (*recorded, *reference) for part in pair)
    torch.testing.assert_close(recorded[0], moments_of(features[0].float()), rtol=1e-6, atol=1e-7)
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert teacher.bfloat16().network.get_submodule("bn1").running_mean.dtype == torch.bfloat16
    with BatchNormMoments(teacher) as moments:
        teacher(batch())
        assert {part.dtype for pair in (*moments.found, *moments.reference) for part in pair} == {torch.float32}


def test_hooks_leave_nothing_behind() -> None:
    teacher = tiny()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    with BatchNormMoments(teacher) as moments:
        teacher(batch())
        first = moments.found
        teacher(batch(seed=2))
        assert not torch.equal(first[0].mean, moments.found[0].mean)
    with pytest.raises(UserError, match="no forward pass was seen; run the classifier inside"):
        _ = moments.found
    assert all(not module._forward_pre_hooks for module in teacher.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())


class Odd(nn.Module):
    """Uses one batch norm twice, another by keyword and a third never."""

    def __init__(self) -> None:
        super().__init__()
        self.unused, self.twice, self.keyword = (nn.BatchNorm2d(1) for _ in range(3))
        self.instance = nn.InstanceNorm2d(1, track_running_stats=True)
        self.forgetful = nn.BatchNorm2d(1, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.keyword(input=self.twice(self.twice(x) + 1))
        return self.forgetful(self.instance(x)).mean((2, 3)).repeat(1, 2)


def test_layers_that_run_twice_by_keyword_and_not_at_all() -> None:
    odd = Odd().eval()
    teacher = Classifier(odd, num_classes=2, channels=1)
    images = batch()
    with BatchNormMoments(teacher) as moments:
        assert moments.names == ("unused", "twice", "keyword")
        teacher(images)
        recorded = moments.found
        assert moments.names == ("twice", "keyword")
        assert len(moments.reference) == 2
    x = teacher.prepare(images)
    second = odd.twice(x) + 1
    torch.testing.assert_close(recorded[0].mean, (x.mean() + second.mean()).view(1) / 2)
    torch.testing.assert_close(
        recorded[0].var, (x.var(correction=0) + second.var(correction=0)).view(1) / 2, rtol=1e-5, atol=1e-6
    )


def test_a_copy_does_not_record_for_its_original() -> None:
    teacher = tiny()
    with BatchNormMoments(teacher) as moments:
        teacher(batch())
        before = moments.found[0].mean.clone()
        copy.deepcopy(teacher)(batch(seed=2))
        assert torch.equal(moments.found[0].mean, before)


def test_a_teacher_without_batch_norm() -> None:
    teacher = create("convnet_d3", num_classes=4, channels=1, input_size=8, width=8, norm="instance")
    with pytest.raises(
        UserError, match=r"convnet_d3 has no batch norm, and .*`lb.export_statistics`.*dafl, zskt and dfad"
    ):
        BatchNormMoments(teacher)


def moments(value: float) -> list[Moments]:
    return [Moments(torch.full((2,), value), torch.full((2,), 2 * value)), Moments(torch.zeros(3), torch.ones(3))]


def test_memory_mixes_as_published() -> None:
    memory = MomentumMemory(0.9)
    assert memory.state_dict() == {}
    assert memory.mixed(moments(1.0))[0].mean.tolist() == [1, 1]  # in the first round as they are
    memory.update(moments(1.0))
    assert memory.kept[0].mean.tolist() == [1, 1]
    new = [Moments(torch.full((2,), 2.0, requires_grad=True), torch.ones(2)), moments(0.0)[1]]
    mixed = memory.mixed(new)
    torch.testing.assert_close(mixed[0].mean, torch.full((2,), 0.9 * 1 + 0.1 * 2))
    mixed[0].mean.sum().backward()
    torch.testing.assert_close(new[0].mean.grad, torch.full((2,), 0.1))
    memory.update(new)
    torch.testing.assert_close(memory.kept[0].mean, torch.full((2,), 1.1))
    torch.testing.assert_close(memory.kept[0].var, torch.full((2,), 0.9 * 2 + 0.1 * 1))
    assert not memory.kept[0].mean.requires_grad


def test_memory_is_the_same_after_a_round_trip() -> None:
    memory, restored = MomentumMemory(0.5), MomentumMemory(0.5)
    restored.update(moments(9.0))
    restored.load_state_dict(memory.state_dict())
    assert restored.kept == []
    memory.update(moments(1.0))
    memory.update(moments(3.0))
    restored.load_state_dict(memory.state_dict())
    for target in (memory, restored):
        target.update(moments(5.0))
    assert all(torch.equal(tensor, restored.state_dict()[name]) for name, tensor in memory.state_dict().items())


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_memory_out_of_range(decay: float) -> None:
    with pytest.raises(UserError, match=r"`momentum` must be >= 0 and < 1, got"):
        MomentumMemory(decay)


@pytest.mark.slow
def test_inversion_as_the_reference() -> None:
    """Losses of a published teacher, and their gradient, in a first call and in one after the memory."""
    folder = Path(os.environ.get("LIMBECK_WEIGHTS", "nowhere"))
    numbers = folder.parent / "golden" / "with_weights" / "inversion.npz"
    if not numbers.is_file():
        pytest.skip(
            "LIMBECK_WEIGHTS names no folder of weights that has ../golden/with_weights/inversion.npz beside it"
        )
    golden = np.load(numbers)
    weight = json.loads(str(golden["hp"]))
    teacher, student = (load(f"cifar10-resnet{depth}").requires_grad_(False).eval() for depth in (20, 32))
    memory, labels = MomentumMemory(weight["momentum"]), torch.from_numpy(golden["in.label"])
    with BatchNormMoments(teacher) as moments:
        for call in ("", "2"):
            images = torch.from_numpy(golden[f"in.images{call}"]).requires_grad_()
            logits = teacher(images).logits
            distance = batch_norm_distance(memory.mixed(moments.found), moments.reference).sum()
            sure, against = one_hot(logits, labels).mean(), adversarial(logits, student(images).logits).mean()
            (weight["bn"] * distance + weight["oh"] * sure + weight["adv"] * against).backward()
            memory.update(moments.found)
            for name, loss in (("bn", distance), ("onehot", sure), ("adversarial", against)):
                torch.testing.assert_close(loss.detach(), torch.tensor(golden[f"out.{name}{call}"]), rtol=1e-5, atol=0)
            gradient = torch.from_numpy(golden[f"out.grad{call}"])
            assert images.grad is not None
            torch.testing.assert_close(images.grad, gradient, rtol=0, atol=1e-5 * float(gradient.abs().max()))
    assert all(parameter.grad is None for network in (teacher, student) for parameter in network.parameters())
