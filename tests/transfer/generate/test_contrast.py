"""CMI's contrast: features, ring, loss, and what a checkpoint holds of them."""

from collections import deque
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import limbeck as lb
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.transfer.generate.contrast import Contrast, Ring
from limbeck.transfer.generate.image_features import ImageFeatures


def network(**options: Any) -> lb.Classifier:
    options = {"width": 4, "norm": "batch", **options}
    return lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, seed=0, **options).eval()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def made(**given: Any) -> Contrast:
    return Contrast(network(), (1, 8, 8), **{"rate": 1e-2, "seed": 0, "size": 10, "drawn": 4, **given})


def test_features_are_means_of_what_batch_norms_see() -> None:
    teacher = network()
    seen: list[Tensor] = []
    for module in teacher.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0].mean((2, 3))))
    images = torch.rand(5, 1, 8, 8)
    with ImageFeatures(teacher, (1, 8, 8)) as features:
        seen.clear()
        teacher(images)
        torch.testing.assert_close(features.found, torch.cat(seen, 1))
        assert features.found.shape == (5, features.size)


def test_those_of_large_networks_and_of_ones_without_batch_norm_are_of_stages() -> None:
    """For ResNet-34 the inputs of its four blocks, as published."""
    assert ImageFeatures(lb.create("resnet34", num_classes=10).eval(), (3, 32, 32)).size == 64 + 64 + 128 + 256
    assert ImageFeatures(network(norm="none"), (1, 8, 8)).size == 2 * 4
    plain = lb.Classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), num_classes=10, channels=1)
    with pytest.raises(
        UserError, match=r"has neither batch norm nor stages, whose features `losses.contrast` compares"
    ):
        ImageFeatures(plain, (1, 8, 8))


def test_features_of_tokens_are_means_over_places() -> None:
    transformer = lb.create(
        "timm:deit_tiny_patch16_224", num_classes=10, input_size=32, arguments={"img_size": 32, "patch_size": 8}
    )
    transformer = transformer.eval()
    stages = len(transformer.taps.stages[:-1])
    with ImageFeatures(transformer, (3, 32, 32)) as features, torch.no_grad():
        maps = transformer(images := torch.rand(2, 3, 32, 32), want=("stages",)).stages
        transformer(images)
        assert features.size == 192 * stages
        torch.testing.assert_close(features.found[:, :192], maps[0].mean((2, 3)))


def test_features_need_a_pass() -> None:
    with ImageFeatures(network(), (1, 8, 8)) as features, pytest.raises(UserError, match="no forward pass was seen"):
        assert features.found is None


@pytest.mark.parametrize("size", [7, 10, 64])
def test_the_ring_holds_the_latest_whatever_the_sizes(size: int) -> None:
    ring, expected, number = Ring(size, 2), deque[float](maxlen=size), 0
    for count in (3, 5, 1, 70, 4, 6, 10, 2):
        rows = torch.arange(number, number + count).float()
        ring.append(rows[:, None].expand(-1, 2))
        expected.extend(rows.tolist())
        number += count
        drawn = ring.draw(1000, torch.Generator().manual_seed(0))
        assert sorted(drawn[:, 0].tolist()) == sorted(expected)
    assert len(ring.draw(3, torch.Generator().manual_seed(0)).unique(dim=0)) == 3


def test_the_loss_is_its_formula() -> None:
    """Mean over the new rows plus mean over those of the ring, which is empty at first."""
    contrast = made(temperature=0.2)
    size = contrast.head.hidden.in_features
    local, whole = random(3, size).requires_grad_(), random(3, size, seed=1).requires_grad_()

    def expected(*rings: Tensor) -> Tensor:
        heads = [F.normalize(contrast.head.last(contrast.head.hidden(features).relu())) for features in rings]
        logits = heads[0] @ heads[1].detach().T / 0.2
        return -logits.log_softmax(1).diagonal()

    first = contrast.loss(local, whole, call=0, step=0)
    torch.testing.assert_close(first, expected(local, whole))
    contrast.append(random(4, size, seed=2), random(4, size, seed=3))
    second = contrast.loss(local, whole, call=1, step=0)
    before = contrast.ring.draw(4, torch.Generator().manual_seed(0)).chunk(2, 1)
    terms = expected(torch.cat([local, before[0]]), torch.cat([whole, before[1]]))
    torch.testing.assert_close(second.mean(), terms[:3].mean() + terms[3:].mean())
    gradients = torch.autograd.grad(second.mean(), [local, whole], allow_unused=True, materialize_grads=True)
    assert gradients[0].any()
    assert not gradients[1].any(), "views as a whole are not moved towards local ones"


def test_it_goes_on_from_its_state_to_the_bit() -> None:
    def go(contrast: Contrast, calls: range) -> None:
        for call in calls:
            local, whole = random(3, size, seed=call), random(3, size, seed=call + 50)
            loss = contrast.loss(local, whole, call=call, step=0).mean()
            contrast.apply(torch.autograd.grad(loss, contrast.parameters))
            contrast.append(local, whole)

    first, resumed = made(), made(seed=5)
    size = first.head.hidden.in_features
    go(first, range(5))
    resumed.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    resumed.seed = first.seed
    go(first, range(5, 9))
    go(resumed, range(5, 9))
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in first.state_dict().items())


def test_local_views_are_of_seed_call_and_step_and_mirrored_where_the_others_are() -> None:
    contrast = made()
    draws = [made(seed=seed).draw(9, call=call, step=step) for seed, call, step in _WHEN]
    assert torch.equal(contrast.draw(9, call=0, step=0), draws[0])
    assert all(not torch.equal(draws[0], draw) for draw in draws[1:])
    for spec, flip in (("pad-crop", False), ("pad-crop-flip", True), (["colour-jitter", "resized-crop-flip"], True)):
        assert made(whole=augmentation(spec)).views.flip is flip


_WHEN = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
