"""Masks over the iterations, and the complexity of images."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.comp_dd_layout import numbers_of, write_comp_dd
from torch import Tensor, nn
from torch.nn import functional

import limbeck as lb
from limbeck.data import ImageSet
from limbeck.data.comp_dd import comp_dd
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.models.taps import Taps
from limbeck.models.weights.folder import save
from limbeck.transfer.condense.mask import Masks, discriminative_mask, image_complexity, maps, mask_network
from limbeck.transfer.condense.method_settings import Mask
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start import initial_set

NAMES = ("cat", "dog", "fox", "owl")
IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CLASSES = torch.tensor([0, 0, 1, 1, 2, 3])


def network(classes: tuple[str, ...] = NAMES, size: int | None = None) -> Classifier:
    """A network that takes images of any size."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    taps = Taps("4", ("1",))
    return Classifier(nn.Sequential(*layers), num_classes=4, classes=classes, taps=taps, input_size=size)


def test_factors_are_those_of_the_maps_of_the_network() -> None:
    classifier = network()
    masks = Masks(Mask(map="grad-cam", beta=2, threshold=0.4), classifier, NAMES, seed=0, batch_size=4)
    factors = masks(IMAGES, CLASSES, 0)
    expected = maps(classifier, "1", classifier.prepare(IMAGES), CLASSES, "grad-cam")
    torch.testing.assert_close(factors, discriminative_mask(expected, 0.4, 2.0)[:, None])
    assert masks.maps is not None
    torch.testing.assert_close(masks.maps, expected)
    assert masks.passes == 6


def test_they_are_made_anew_when_every_says_so_and_a_resumed_run_has_the_same() -> None:
    settings = Mask(every=3)
    masks = Masks(settings, network(), NAMES, seed=1)
    drift = torch.rand(7, *IMAGES.shape, generator=torch.Generator().manual_seed(2))
    factors = [masks(drift[iteration], CLASSES, iteration) for iteration in range(7)]
    assert [torch.equal(earlier, later) for earlier, later in pairwise(factors)] == [True, True, False] * 2
    for start in (3, 4, 5):
        before = Masks(settings, network(), NAMES, seed=1)
        for iteration in range(start):
            before(drift[iteration], CLASSES, iteration)
        after = Masks(settings, network(), NAMES, seed=1)
        after.load_state_dict(before.state_dict())
        for iteration in range(start, 7):
            assert torch.equal(after(drift[iteration], CLASSES, iteration), factors[iteration])
        assert after.passes == masks.passes == 3 * 6 * 5
    fresh = Masks(settings, network(), NAMES, seed=1)
    assert fresh.state_dict() == {}
    fresh.load_state_dict({})
    assert torch.equal(fresh(drift[0], CLASSES, 0), factors[0])
    assert not torch.equal(Masks(settings, network(), NAMES, seed=2)(drift[0], CLASSES, 0), factors[0])


def test_maps_go_on_where_the_network_is() -> None:
    before, after = (Masks(Mask(map="grad-cam"), network(), NAMES, seed=1) for _ in range(2))
    before(IMAGES, CLASSES, 0)
    after.network.to("meta")  # stands in for a GPU
    after.load_state_dict(before.state_dict())
    assert after.maps is not None
    assert after.maps.device.type == "meta"
    assert before.maps is not None
    assert before.maps.device.type == "cpu"


def test_noise_is_another_at_every_iteration_and_does_not_hang_on_batches() -> None:
    masks = Masks(Mask(every=1), network(), NAMES, seed=1)
    first, second = (masks(IMAGES, CLASSES, iteration) for iteration in (0, 1))
    assert not torch.equal(first, second)
    assert masks.passes == 2 * 6 * 5
    small = Masks(Mask(every=1), network(), NAMES, seed=1, batch_size=2)
    torch.testing.assert_close(small(IMAGES, CLASSES, 0), first)


def test_the_class_is_that_of_its_name_or_of_its_number() -> None:
    other = network(("owl", "fox", "dog", "cat"))
    by_name = Masks(Mask(map="grad-cam"), other, NAMES, seed=0)
    with pytest.warns(UserWarning, match=r"by number, and 4 of 4 have another name there, as 'cat', its 'owl' \(0\)"):
        by_number = Masks(Mask(map="grad-cam", class_map=False), other, NAMES, seed=0)
    assert by_name.places.tolist() == [3, 2, 1, 0]
    assert torch.equal(by_name(IMAGES, CLASSES, 0), by_number(IMAGES, 3 - CLASSES, 0))
    assert not torch.equal(by_name(IMAGES, CLASSES, 0), by_number(IMAGES, CLASSES, 3000))


def test_images_are_brought_to_the_networks_size_or_to_the_one_that_is_said() -> None:
    seen: list[tuple[int, ...]] = []
    classifier = network(size=16)
    classifier.network.register_forward_pre_hook(lambda module, args: seen.append(tuple(args[0].shape[2:])))
    assert Masks(Mask(map="grad-cam"), classifier, NAMES, seed=0)(IMAGES, CLASSES, 0).shape == (6, 1, 8, 8)
    assert Masks(Mask(map="grad-cam", size=8), classifier, NAMES, seed=0)(IMAGES, CLASSES, 0).shape == (6, 1, 8, 8)
    assert seen == [(16, 16), (8, 8)]
    assert classifier.input_size == (16, 16)


def test_what_does_not_fit_is_said() -> None:
    masks = Masks(Mask(), network(), NAMES, seed=0)
    with pytest.raises(UserError, match=r"`classes` must lie in 0..3, got 0..4"):
        masks(IMAGES, torch.tensor([0, 1, 2, 3, 4, 0]), 0)
    masks(IMAGES, CLASSES, 0)
    with pytest.raises(UserError, match=r"`images` must be the 6 of \[8, 8\] pixels .* got \[2, 3, 8, 8\]"):
        masks(IMAGES[:2], CLASSES[:2], 1)
    with pytest.raises(UserError, match="class 'cow' of the images is none of the 4"):
        Masks(Mask(), network(), ("cat", "cow"), seed=0)
    with pytest.raises(UserError, match="unknown module path 'layer4'"):
        Masks(Mask(layer="layer4"), network(), NAMES, seed=0)


def test_the_network_is_the_teacher_an_expert_or_weights(tmp_path: Path) -> None:
    teacher, expert = network(), network()
    assert mask_network(Mask(), teacher=teacher, expert=expert) is teacher
    assert mask_network(Mask(network="expert"), teacher=teacher, expert=expert) is expert
    stored = create("convnet_d3", num_classes=4, classes=NAMES, input_size=8, width=4, seed=3)
    save(stored, tmp_path / "run" / "student")
    for folder in (tmp_path / "run", tmp_path / "run" / "student"):
        loaded = mask_network(Mask(network=str(folder)), teacher=None, expert=None)
        assert torch.equal(loaded.network.get_parameter("head.weight"), stored.network.get_parameter("head.weight"))
    with pytest.raises(UserError, match=r"`mask.network` 'teacher' is not there; give one, or name 'expert' or w"):
        mask_network(Mask(), teacher=None, expert=expert)
    with pytest.raises(UserError, match=r"`mask.network` 'expert' is not there; give one, or name 'teacher'"):
        mask_network(Mask(network="expert"), teacher=teacher, expert=None)
    with pytest.raises(UserError, match="nowhere"):
        mask_network(Mask(network="nowhere"), teacher=None, expert=None)


def pool(labels: Tensor | None) -> ImageSet:
    pixels = (IMAGES * 255).to(torch.uint8)
    return ImageSet(pixels, labels, classes=None if labels is None else NAMES, name="beasts")


def test_complexity_of_images_is_the_mean_over_each_class() -> None:
    labels = torch.tensor([0, 0, 1, 1, 1, 3])
    index = image_complexity(pool(labels), network(), batch_size=4)
    classifier = network()
    seen = maps(classifier, None, classifier.prepare(pool(labels).tensor()), labels, "grad-cam")
    complexities = (seen < 0.5).double().mean((1, 2))
    torch.testing.assert_close(index.images, complexities)
    expected = {"cat": complexities[:2].mean(), "dog": complexities[2:5].mean(), "owl": complexities[5]}
    assert index.per_class == pytest.approx({name: float(share) for name, share in expected.items()})
    assert index.mean == pytest.approx(sum(map(float, expected.values())) / 3)
    smooth = [image_complexity(pool(labels), network(), kind="smooth-grad-cam++", batch_size=n).mean for n in (2, 6)]
    assert smooth[0] == pytest.approx(smooth[1])


def test_complexity_may_be_of_small_maps_for_the_predicted_classes() -> None:
    """As Comp-DD has it; of own classes the maps would be others here."""
    labels, classifier = torch.tensor([0, 0, 1, 1, 1, 3]), create("resnet8", num_classes=4, classes=NAMES).eval()
    inputs = classifier.prepare(pool(labels).tensor())
    with torch.no_grad():
        predicted = classifier.network(inputs).argmax(1)
    assert not torch.equal(predicted, labels)
    small = maps(classifier, None, inputs, predicted, size="layer")
    assert small.shape == (6, 2, 2)
    enlarged = functional.interpolate(small[:, None], (8, 8), mode="bilinear")[:, 0].clamp(0, 1)
    torch.testing.assert_close(enlarged, maps(classifier, None, inputs, predicted))
    published: Any = {"kind": "smooth-grad-cam++", "classes": "predicted", "enlarge": False}
    index = image_complexity(pool(labels), classifier, batch_size=4, **published)
    torch.testing.assert_close(index.images, (small <= 0.5).double().mean((1, 2)))
    own = image_complexity(pool(labels), classifier, **{**published, "classes": "own"})
    assert not torch.equal(own.images, index.images)


def test_complexity_is_of_images_and_networks_by_name_too(tmp_path: Path) -> None:
    digits = lb.load("digits")
    options: Any = {"num_classes": 10, "channels": 1, "input_size": 8, "classes": digits.classes}
    classifier = create("convnet_d3", width=2, **options).eval()
    save(classifier, tmp_path / "network")
    index = lb.image_complexity("digits", tmp_path / "network")
    assert torch.equal(index.images, lb.image_complexity(digits, classifier).images)
    with pytest.raises(UserError, match="`network` must be a Classifier or weights by name or path, got a bare Conv2d"):
        lb.image_complexity(digits, nn.Conv2d(1, 1, 1))  # pyright: ignore


def test_complexity_says_what_it_lacks() -> None:
    with pytest.raises(UserError, match="complexity is that of each class, and 'beasts' has no labels"):
        image_complexity(pool(None), network())
    with pytest.raises(UserError, match="`threshold` must be a number from 0 to 1, got -1"):
        image_complexity(pool(CLASSES), network(), threshold=-1)
    with pytest.raises(UserError, match="`classes` must be 'own' or 'predicted', got 'theirs'"):
        image_complexity(pool(CLASSES), network(), classes="theirs")  # pyright: ignore


class Colours(nn.Module):
    """Maps of where the colours of the stand-in's classes are, one for each class."""

    def __init__(self, numbers: tuple[int, ...]) -> None:
        super().__init__()
        colours = np.stack([np.random.default_rng(number).integers(0, 256, 3) for number in numbers])
        self.colours = nn.Buffer(torch.from_numpy(colours).float() / 255)
        self.seen = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        distances = (images[:, None] - self.colours[None, :, :, None, None]).abs().sum(2)  # [B, K, H, W]
        return self.seen(1 - 4 * distances).mean((2, 3))


def seeing(numbers: tuple[int, ...], classes: tuple[str, ...]) -> Classifier:
    network, taps = Colours(numbers), Taps(stages=("seen",))
    return Classifier(
        network, num_classes=len(numbers), classes=classes, taps=taps, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )


def test_hard_images_of_a_stand_in_are_more_complex_and_masks_are_where_their_things_are(tmp_path: Path) -> None:
    easy, hard = (numbers_of("bird", level) for level in ("easy", "hard"))
    write_comp_dd(tmp_path, dict.fromkeys(easy, "easy") | dict.fromkeys(hard, "hard"))
    indices = {}
    for level, numbers in (("easy", easy), ("hard", hard)):
        images = comp_dd("bird", level, size=24, root=tmp_path)
        indices[level] = image_complexity(images, seeing(numbers, images.classes))
    assert indices["easy"].mean < 0.6 < 0.8 < indices["hard"].mean < 0.97
    images = comp_dd("bird", "easy", size=16, root=tmp_path)
    everything = seeing(tuple(range(1000)), ())
    settings = CondenseSettings(budget="1/class", method="mtt", initialise="real")
    student = create("convnet_d3", num_classes=10, input_size=16, width=4)
    start = initial_set(settings, images, student, count=10, seed=0)
    masks = Masks(Mask(map="grad-cam", beta=2), everything, images.classes, seed=0)
    assert tuple(masks.places.tolist()) == easy
    factors = masks(images.gather(start.rows[:, 0]).float() / 255, start.classes, 0)
    assert bool(((factors == 1) | (factors >= 2)).all())
    assert 0.3 < float((factors > 2.5).float().mean()) < 0.9
