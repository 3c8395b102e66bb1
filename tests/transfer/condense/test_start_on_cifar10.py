"""Real images and published networks: images that both are right about, and maps that show their classes."""

import os

import pytest
import torch

from limbeck.data import load
from limbeck.models import create
from limbeck.models.weights.folder import load as load_model
from limbeck.transfer.condense.mask import Masks
from limbeck.transfer.condense.method_settings import Mask
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start import initial_set


@pytest.mark.slow
def test_correct_images_of_cifar10_and_where_a_network_sees_them() -> None:
    for name in ("LIMBECK_DATA", "LIMBECK_WEIGHTS"):
        if not os.environ.get(name):
            pytest.skip(f"{name} names no folder")
    images, judges = load("cifar10"), [load_model(f"cifar10-resnet{depth}") for depth in (20, 32)]
    network = create("convnet_d3", num_classes=10, input_size=32, width=16)
    settings = CondenseSettings(method="datm", budget="10/class")
    start = initial_set(settings, images, network, judges, count=100, seed=0)
    assert start.right is not None
    assert int(start.right.min()) >= 1
    assert torch.equal(start.synthetic.classes(), start.classes)
    shown = images.gather(start.rows[:, 0]).float() / 255
    masks = Masks(Mask(), judges[0], images.classes, seed=0)
    factors = masks(shown, start.classes, 0)
    assert masks.maps is not None
    assert float(masks.maps.amax((1, 2)).min()) > 0.5
    assert 0.2 < float((factors > 1).float().mean()) < 0.6
    # What the map leaves out matters less: without it the answer stays more often than without what the map shows.
    inside = (factors > 1).float()
    with torch.no_grad():
        kept, lost = (
            judges[0](shown * part + 0.5 * (1 - part)).logits.argmax(1).eq(start.classes).float().mean()
            for part in (inside, 1 - inside)
        )
    assert kept > lost + 0.1
