from functools import partial

import pytest
import torch
from pydantic import ValidationError
from tests.transfer.condense.distribution_problems import (
    CLASSES,
    MEAN,
    SIZE,
    STD,
    Experts,
    engine,
    fresh,
    pool,
    recipe,
    start,
)
from torch import Tensor
from torch.nn.functional import cosine_similarity, interpolate

import limbeck as lb
from limbeck.data.image_set import ImageSet
from limbeck.data.multi_formation import split_images
from limbeck.data.normalised_views import normalised_views
from limbeck.errors import UserError
from limbeck.models.whitening import Whitening
from limbeck.randomness import derive_seed, generator
from limbeck.transfer.condense.distribution import DistributionEngine
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet


@pytest.fixture(scope="module", name="pool")
def fixed_pool() -> ImageSet:
    return pool()


class ByHand:
    """The engine by hand: networks as modules, one class at a time, and optimizers as in their papers."""

    def __init__(self, settings: CondenseSettings, pool: ImageSet, seed: int) -> None:
        self.settings, self.of, self.pool, self.seed = settings, settings.distribution, pool, seed
        self.mean, self.std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        self.pixels = start().inputs
        if self.of.space == "images":
            self.pixels = self.pixels * self.std + self.mean
        self.labels = start().labels
        self.first, self.second, self.steps = torch.zeros_like(self.pixels), torch.zeros_like(self.pixels), 0

    @property
    def inputs(self) -> Tensor:
        return (self.pixels - self.mean) / self.std if self.of.space == "images" else self.pixels

    def networks(self, iteration: int) -> tuple[lb.Classifier, lb.Classifier]:
        """The network of the features, and that of the calibration."""
        source = generator(self.seed, "distribution", "network", iteration)
        expert = int(torch.randint(3, (), generator=source))
        if self.of.networks == "random":
            return fresh(derive_seed(self.seed, "distribution", "weights", iteration)), fresh(100 * expert + 3)
        if self.of.networks == "trajectory":
            at = int(torch.randint(4, (), generator=source))
            assert self.of.calibration_within == 2
            later = int(torch.randint(at, min(at + 1, 3) + 1, (), generator=source))
            return fresh(100 * expert + at), fresh(100 * expert + later)
        u = float(torch.rand((), generator=source))
        mixed, last = fresh(100 * expert), fresh(100 * expert + 3)
        with torch.no_grad():
            for weight, last_weight in zip(mixed.parameters(), last.parameters(), strict=True):
                weight.copy_(u * weight + (1 - u) * last_weight)
        return mixed, last

    def features(self, network: lb.Classifier, inputs: Tensor) -> Tensor:
        return network.network.layers(inputs).flatten(1)  # type: ignore[operator]

    def shown(self, inputs: Tensor, label: int, iteration: int, purpose: str = "views") -> Tensor:
        views = normalised_views(self.settings.views)
        draw = views.draw(1, seed=derive_seed(self.seed, "distribution", purpose, label), step=iteration, shared=True)
        return torch.cat([views.apply(image[None], draw) for image in inputs])

    def of_class(self, label: int) -> Tensor:
        images = self.pixels[self.labels == label]
        if self.settings.per_image == 4:
            half = SIZE // 2
            halves = [(slice(y, y + half), slice(x, x + half)) for y in (0, half) for x in (0, half)]
            parts = [image[None, :, y, x] for image in images for y, x in halves]
            images = torch.cat([interpolate(part, scale_factor=2, mode="bilinear") for part in parts])
        return (images - self.mean) / self.std if self.of.space == "images" else images

    def distance(self, network: lb.Classifier, label: int, iteration: int) -> Tensor:
        assert self.pool.labels is not None
        rows = [row for row in range(len(self.pool)) if self.pool.labels[row] == label]
        order = torch.randperm(len(rows), generator=generator(self.seed, "distribution", "real", iteration, label))
        real = self.pool.gather(torch.tensor(rows)[order[: self.of.real_batch]])
        a = self.features(network, self.shown((real / 255 - self.mean) / self.std, label, iteration)).detach()
        b = self.features(network, self.shown(self.of_class(label), label, iteration))
        if self.of.distance == "mean":
            return (a.mean(0) - b.mean(0)).pow(2).sum()
        a, b = (features.double() / features.double().norm(dim=1, keepdim=True) for features in (a, b))
        seed = derive_seed(self.seed, "distribution", "frequencies", iteration, label)
        t = torch.randn(self.of.frequencies, a.shape[1], generator=torch.Generator().manual_seed(seed))
        total = torch.zeros(())
        for frequency in t.double():
            re_a, im_a, re_b, im_b = (
                (a @ frequency).cos().mean(),
                (a @ frequency).sin().mean(),
                (b @ frequency).cos().mean(),
                (b @ frequency).sin().mean(),
            )
            size_a, size_b = (re_a**2 + im_a**2).sqrt(), (re_b**2 + im_b**2).sqrt()
            total = (
                total + (0.5 * (size_a - size_b) ** 2 + 0.5 * 2 * (size_a * size_b - re_a * re_b - im_a * im_b)).sqrt()
            )
        return 300 * total / len(t)

    def entropy(self, network: lb.Classifier, label: int, iteration: int, purpose: str) -> Tensor:
        logits = network.network(self.shown(self.of_class(label), label, iteration, purpose))
        return -self.of.calibration * logits.log_softmax(1)[:, label].mean()

    def follow(self, loss: Tensor) -> None:
        (gradient,) = torch.autograd.grad(loss, self.pixels)
        pixels, rate = self.pixels.detach(), self.of.image_rate
        self.steps += 1
        if self.of.optimizer == "sgd":
            self.first = self.of.image_momentum * self.first + gradient
            pixels = pixels - rate * self.first
        else:
            pixels = pixels * (1 - rate * self.of.weight_decay)
            self.first = 0.9 * self.first + 0.1 * gradient
            self.second = 0.999 * self.second + 0.001 * gradient**2
            first, second = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
            pixels = pixels - rate * first / (second.sqrt() + 1e-8)
        self.pixels = pixels.requires_grad_()

    def step(self, iteration: int) -> None:
        self.pixels.requires_grad_()
        network, calibrating = self.networks(iteration)
        losses = [partial(self.distance, network, label, iteration) for label in range(CLASSES)]
        entropies = [
            partial(
                self.entropy,
                calibrating,
                label,
                iteration,
                "views" if self.of.calibrate == "together" else "calibration",
            )
            for label in range(CLASSES)
        ]
        if self.of.calibrate == "together":
            for loss, entropy in zip(losses, entropies, strict=True):
                self.follow(loss() + entropy())
        elif self.of.step == "class":
            for loss in losses + (entropies if self.of.calibration else []):
                self.follow(loss())
        else:
            self.follow(torch.stack([loss() for loss in losses]).sum())
        if self.of.clamp:
            self.pixels = self.pixels.detach().clamp(0, 1)


NCFM_BY_SGD = {"image_rate": 0.0005, "optimizer": "sgd", "weight_decay": 0.0}
CASES = {
    "dm": recipe("dm", {"image_rate": 20.0}),
    "dm-without-views": recipe("dm", {"image_rate": 20.0}, views=None),
    "ncfm": recipe("ncfm"),
    "ncfm-by-sgd": recipe("ncfm", NCFM_BY_SGD),
    "ncfm-by-means": recipe("ncfm", {"distance": "mean"}, per_image=1, views="dsa"),
    "ncfm-without-calibration": recipe("ncfm", {**NCFM_BY_SGD, "calibration": 0.0}),
    "tgdd": recipe("tgdd", {"image_rate": 0.05, "calibration_within": 2}),
}


@pytest.mark.parametrize("name", CASES)
def test_iterations_equal_those_by_hand(name: str, pool: ImageSet) -> None:
    settings = CASES[name]
    fast, slow, metrics = engine(settings, pool), ByHand(settings, pool, 5), {}
    for iteration in range(2):
        metrics = fast.step(iteration)
        slow.step(iteration)
        assert torch.allclose(fast.synthetic.inputs, slow.inputs.detach(), rtol=0, atol=2e-4)
    assert set(metrics) == {"loss", "rate"} | ({"calibration"} if settings.distribution.calibration else set())
    assert (fast.synthetic.inputs - start().inputs).abs().max() > 0.02


@pytest.mark.parametrize("name", ["dm", "ncfm", "tgdd"])
def test_what_goes_on_from_a_state_is_equal_to_the_bit(name: str, pool: ImageSet) -> None:
    settings = CASES[name]
    whole, first = engine(settings, pool), engine(settings, pool)
    for iteration in range(4):
        whole.step(iteration)
    first.step(0)
    first.step(1)
    state = {key: tensor.clone() for key, tensor in first.state_dict().items()}
    again = engine(settings, pool, SyntheticSet(torch.zeros_like(start().inputs), start().labels, 0.3))
    again.load_state_dict(state)
    assert torch.equal(again.synthetic.inputs, first.synthetic.inputs)
    for iteration in (2, 3):
        again.step(iteration)
    assert torch.equal(again.synthetic.inputs, whole.synthetic.inputs)
    assert all(torch.equal(tensor, whole.state_dict()[key]) for key, tensor in again.state_dict().items())


def test_a_seed_is_a_set_whatever_is_drawn_elsewhere(pool: ImageSet) -> None:
    sets = []
    for seed in (5, 5, 6):
        torch.rand(3)
        before = torch.get_rng_state()
        made = engine(CASES["ncfm"], pool, seed=seed)
        made.step(0)
        assert torch.equal(torch.get_rng_state(), before)
        sets.append(made.synthetic.inputs)
    assert torch.equal(sets[0], sets[1])
    assert not torch.equal(sets[0], sets[2])


@pytest.mark.parametrize("space", ["inputs", "images"])
def test_images_that_are_not_learned_stay_and_count(space: str, pool: ImageSet) -> None:
    learned = torch.tensor([True, False, False, False, True, True])
    settings = recipe("dm", {"image_rate": 20.0, "space": space}, views=None)
    part, whole = engine(settings, pool, start(learned=learned)), engine(settings, pool)
    metrics = [part.step(0), whole.step(0)]
    assert torch.equal(part.synthetic.inputs[~learned], start().inputs[~learned])
    assert torch.allclose(part.synthetic.inputs[learned], whole.synthetic.inputs[learned], atol=1e-5)
    assert metrics[0]["loss"] != metrics[1]["loss"], "no image of class 1 is learned, so it is not compared"


def test_pixels_stay_in_range_where_they_are_held(pool: ImageSet) -> None:
    for settings in (recipe("dm", {"image_rate": 500.0, "clamp": True}), recipe("tgdd", {"image_rate": 5.0})):
        made = engine(settings, pool)
        made.step(0)
        images = made.synthetic.inputs * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)
        assert images.min() > -1e-6
        assert images.max() < 1 + 1e-6
        assert ((images < 1e-6) | (images > 1 - 1e-6)).any()
    free = engine(recipe("dm", {"image_rate": 500.0}), pool)
    free.step(0)
    assert (free.synthetic.inputs < -torch.tensor(MEAN).view(3, 1, 1) / torch.tensor(STD).view(3, 1, 1)).any()


def test_the_rate_is_halved_when_losses_do_not_fall(pool: ImageSet) -> None:
    made = engine(recipe("tgdd", {"image_rate": 1e-6, "patience": 1}), pool)
    rates = [made.step(0)["rate"] for _ in range(6)]  # the same iteration, so that all losses are equal
    assert rates == [1e-6, 1e-6, 5e-7, 5e-7, 2.5e-7, 2.5e-7]
    again = engine(recipe("tgdd", {"image_rate": 1e-6, "patience": 1}), pool)
    again.load_state_dict(made.state_dict())
    assert [run.step(0)["rate"] for run in (made, again)] == [1.25e-7] * 2


def test_of_many_synthetic_images_some_are_compared(pool: ImageSet) -> None:
    settings = recipe("dm", {"image_rate": 20.0, "synthetic_batch": 2, "image_momentum": 0.0})
    made = engine(settings, pool, start(5))
    made.step(0)
    moved = (made.synthetic.inputs != start(5).inputs).flatten(1).any(1)
    assert moved.view(CLASSES, 5).sum(1).tolist() == [2, 2, 2]
    made.step(1)
    moved_since = (made.synthetic.inputs != start(5).inputs).flatten(1).any(1)
    assert moved_since.sum() > 6, "others the next time"


def test_classes_may_be_other_than_soft_labels_say(pool: ImageSet) -> None:
    labels = torch.zeros(6, CLASSES)
    synthetic = SyntheticSet(start().inputs, labels, 0.01)
    made = engine(CASES["dm"], pool, synthetic, classes=start().labels)
    plain = engine(CASES["dm"], pool)
    made.step(0)
    plain.step(0)
    assert torch.equal(made.synthetic.inputs, plain.synthetic.inputs)
    assert torch.equal(made.synthetic.labels, labels)


def test_experts_may_calibrate_images_that_random_networks_compare(pool: ImageSet) -> None:
    metrics = engine(recipe("dm", {"calibration": 0.1}), pool).step(0)
    assert 0 < metrics["calibration"] < 1


def test_noise_takes_on_the_patterns_of_its_class() -> None:
    ramp = torch.linspace(0, 255, 16).expand(16, 16)
    patterns = torch.stack([ramp, ramp.T, 255 * ((ramp > 127) ^ (ramp.T > 127))])[:, None].expand(-1, 3, -1, -1)
    images = ImageSet(patterns.to(torch.uint8).repeat(4, 1, 1, 1), torch.arange(12) % CLASSES)
    wide = partial(lb.create, "convnet_d3", num_classes=CLASSES, input_size=16, width=16)
    noise = torch.randn(CLASSES, 3, 16, 16, generator=generator(1, "noise")) / 2
    begun = SyntheticSet(noise, torch.arange(CLASSES), 0.01)
    network, make = FlatNetwork(wide()), lambda seed: wide(seed=seed)
    made = DistributionEngine(recipe("dm", views=None), network, None, begun, images, fresh=make, seed=0)
    for iteration in range(25):
        made.step(iteration)
    wanted = (patterns / 255 - 0.5).flatten(1)
    before, after = (cosine_similarity(inputs.flatten(1), wanted) for inputs in (noise, made.synthetic.inputs))
    assert (after > before + 0.3).all()


@pytest.mark.parametrize("name", ["dm", "ncfm", "tgdd"])
def test_an_estimate_learns_nothing(name: str, pool: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    made, plain = engine(CASES[name], pool), engine(CASES[name], pool)
    estimate = made.estimate()
    assert estimate.seconds > 0
    assert estimate.memory > 0
    made.step(0)
    plain.step(0)
    assert torch.equal(made.synthetic.inputs, plain.synthetic.inputs)
    assert 0 <= sum(tensor.nbytes for tensor in made.state_dict().values()) - estimate.disk < 64
    monkeypatch.setattr("limbeck.transfer.condense.distribution.memory_left", lambda device: 10)
    with pytest.raises(
        UserError, match=r"an iteration takes .* GiB are free; lower `distribution.synthetic_batch` \(of 2"
    ):
        made.estimate()


@pytest.mark.parametrize("space", ["inputs", "images"])
def test_whitened_images_are_cut_before_they_are_whitened(space: str, pool: ImageSet) -> None:
    network = lb.create("convnet_d3", num_classes=CLASSES, width=4, whitening=Whitening.fit(pool))
    settings = recipe("dm", {"image_rate": 1.0, "space": space, "clamp": True}, per_image=4, views=None)
    shown: list[Tensor] = []
    flat = FlatNetwork(network)
    begun = SyntheticSet(network.prepare(torch.rand(3, 3, SIZE, SIZE)), torch.arange(3), 0.01)
    made = DistributionEngine(settings, flat, None, begun, pool, fresh=lambda seed: network, seed=0)
    flat._network.register_forward_pre_hook(lambda _, args: shown.append(args[0]))  # pyright: ignore[reportPrivateUsage]
    wanted = network.prepare(split_images(network.images_of(made.synthetic.inputs[:1]), 4))
    made.step(0)
    assert torch.allclose(shown[0], wanted, atol=1e-4)
    images = network.images_of(made.synthetic.inputs)
    assert images.min() > -1e-4
    assert images.max() < 1 + 1e-4


def test_which_snapshots_are_read() -> None:
    snapshots = {method: recipe(method).distribution.snapshots(4) for method in ("dm", "ncfm", "tgdd")}
    assert snapshots == {"dm": (), "ncfm": (0, 4), "tgdd": (0, 1, 2, 3, 4)}
    assert recipe("dm", {"calibration": 1.0}).distribution.snapshots(4) == (4,)


class OneSnapshot(Experts):
    kept = (3,)  # type: ignore[assignment]


def test_what_cannot_be(pool: ImageSet) -> None:
    with pytest.raises(UserError, match=r"`distribution.networks: random` needs `fresh`, which makes networks"):
        engine(CASES["dm"], pool, fresh=None)
    with pytest.raises(UserError, match=r"between` with `calibration` 1 reads experts, got none; make some"):
        engine(CASES["ncfm"], pool, store=None)
    with pytest.raises(UserError, match=r"trajectory` needs a first and a last snapshot of each expert, got \[3\]"):
        engine(CASES["tgdd"], pool, store=OneSnapshot())
    with pytest.raises(UserError, match="`pool` must have labels of the network's 3 classes, got ImageSet"):
        engine(CASES["dm"], pool.with_labels(None, ()))
    with pytest.raises(UserError, match="`pool` 'images' has no images of class 2, which synthetic ones of it"):
        engine(CASES["dm"], pool.with_labels(torch.arange(30) % 2, ("a", "b", "c")))
    with pytest.raises(ValidationError, match="`calibration_within` counts snapshots of `networks: trajectory`, got 2"):
        recipe("ncfm", {"calibration_within": 2})


def test_a_state_of_other_images_is_refused(pool: ImageSet) -> None:
    made, other = engine(CASES["dm"], pool), engine(CASES["dm"], pool, start(3))
    with pytest.raises(UserError, match=r"`inputs` of the synthetic set must be torch.float32 \[6, 3, 8, 8\]"):
        made.load_state_dict(other.state_dict())
    part = engine(CASES["dm"], pool, start(learned=torch.arange(6) < 4))
    mixed = {**part.state_dict(), **{f"synthetic.{k}": tensor for k, tensor in made.synthetic.state_dict().items()}}
    with pytest.raises(UserError, match=r"the state must hold \[6, 3, 8, 8\] learned pixels, got \[4, 3, 8, 8\]"):
        made.load_state_dict(mixed)


def test_pixels_that_went_too_far_are_an_error(pool: ImageSet) -> None:
    made = engine(recipe("dm", {"image_rate": 1e38}, views=None), pool)
    with pytest.raises(UserError, match=r"the loss is nan after 2 iterations: pixels went too far; lower `dist"):
        [made.step(iteration) for iteration in range(2)]
