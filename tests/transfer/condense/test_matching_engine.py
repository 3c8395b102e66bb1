import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from tests.transfer.condense.matching_problems import (
    CLASSES,
    SIZE,
    Mask,
    Store,
    engine_for,
    flat_network,
    settings_for,
    synthetic_set,
)
from torch import Tensor
from torch.optim import SGD

import limbeck as lb
from limbeck.data.normalised_views import normalised_views
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.whitening import Whitening
from limbeck.randomness import derive_seed
from limbeck.transfer.condense import engine as engine_module
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.matching import matching_loss
from limbeck.transfer.condense.matching_fit import warn_of_average
from limbeck.transfer.condense.matching_order import batches_of, expert_of, start_of
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.step_gradients import soft_cross_entropy
from limbeck.transfer.condense.synthetic import SyntheticSet

PRESETS = [name for name, method in METHODS.items() if method.values["by"] == "trajectories"]


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state as it comes back from a file."""
    return load(save({name: tensor.contiguous() for name, tensor in state.items()}))


def slowly(settings: CondenseSettings, synthetic: SyntheticSet, mask: Mask | None = None) -> SyntheticSet:
    """The loop as in the papers: one graph of all steps, and an optimizer for each part."""
    network, matching = flat_network(), settings.matching
    store, views = Store(network), normalised_views(settings.views)
    inputs, rate = synthetic.inputs.clone().requires_grad_(), synthetic.rate.clone().requires_grad_()
    labels = synthetic.labels.clone().requires_grad_(synthetic.soft)
    optimizers = [
        SGD([inputs], lr=matching.image_rate, momentum=matching.image_momentum),
        SGD([rate], lr=matching.rate_rate, momentum=matching.rate_momentum),
    ]
    if synthetic.soft:
        optimizers.append(SGD([labels], lr=matching.label_rate, momentum=matching.label_momentum))
    average = inputs.detach().clone()
    for iteration in range(settings.iterations):
        expert, epoch = expert_of(iteration, store.count, 0), start_of(iteration, matching, 0)
        start, target = (store.theta(expert, epoch + more) for more in (0, matching.expert_epochs))
        theta = start.clone().requires_grad_()
        for number, rows in enumerate(batches_of(len(inputs), matching, iteration, 0)):
            step = iteration * matching.synthetic_steps + number
            draw = views.draw(len(rows), seed=derive_seed(0, "views"), step=step)
            logits = network.logits(theta, views.apply(inputs[rows], draw))
            if synthetic.soft:
                loss = soft_cross_entropy(logits, labels[rows])
            else:
                loss = torch.nn.functional.cross_entropy(logits, labels[rows])
            (descent,) = torch.autograd.grad(loss, theta, create_graph=True)
            theta = theta - rate * descent
        loss = matching_loss(theta, start, target, matching.drop)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        assert inputs.grad is not None
        if mask is not None:
            inputs.grad *= mask(inputs.detach() * 0.25 + 0.5, labels.detach(), iteration)
        if matching.skip_above is None or loss <= matching.skip_above:
            for optimizer in optimizers:
                optimizer.step()
            if settings.average is not None:
                average = settings.average * average + (1 - settings.average) * inputs.detach()
    kept = inputs if settings.average is None else average
    return SyntheticSet(kept, labels, rate)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_as_the_plain_loop_does(name: str) -> None:
    options: dict[str, Any] = {"average": 0.9} if name == "ftd" else {}
    settings = settings_for(name, iterations=3, matching={"batch": 3, "drop": 0.25, "rate_rate": 1e-3}, **options)
    engine = engine_for(settings, mask=Mask())
    for iteration in range(3):
        engine.step(iteration)
    slow = slowly(settings, synthetic_set(soft=settings.labels == "soft"), Mask())
    begun = synthetic_set(soft=settings.labels == "soft")
    for part in ("inputs", "labels", "rate"):
        fast, wanted, before = (getattr(synthetic, part).float() for synthetic in (engine.synthetic, slow, begun))
        if part == "labels" and not begun.soft:
            continue
        moved = (wanted - before).abs().max()
        assert moved > 0
        assert (fast - wanted).abs().max() < 1e-3 * moved


@pytest.mark.parametrize("name", ["ftd", "edf"])
def test_it_goes_on_to_the_same_bits_from_any_iteration(name: str) -> None:
    options: dict[str, Any] = {"average": 0.9} if name == "ftd" else {}
    settings = settings_for(name, iterations=4, matching={"batch": 3, "skip_above": 1.3, "start_to": 4}, **options)
    whole, states, metrics = engine_for(settings, mask=Mask()), [], []
    for iteration in range(4):
        states.append(copied(whole.state_dict()))
        metrics.append(whole.step(iteration))
    for begun in range(1, 4):
        other = engine_for(settings, synthetic_set(soft=whole.synthetic.soft, rate=1.0), mask=Mask())
        other.load_state_dict(states[begun])
        assert [other.step(iteration) for iteration in range(begun, 4)] == metrics[begun:]
        assert same(other.state_dict(), whole.state_dict())
        assert same(other.synthetic.state_dict(), whole.synthetic.state_dict())


def test_one_seed_one_set() -> None:
    states = []
    for seed in (0, 0, 1):
        engine = engine_for(settings_for("datm", views="dsa", matching={"batch": 3}), seed=seed)
        torch.manual_seed(len(states))
        for iteration in range(3):
            engine.step(iteration)
        states.append(copied(engine.state_dict()))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_what_it_tells() -> None:
    engine = engine_for(settings_for())
    metrics = engine.step(4)
    assert metrics["loss"] > 0
    assert metrics["skipped"] == 0
    assert metrics["start"] == start_of(4, settings_for().matching, 0)
    assert metrics["expert"] == expert_of(4, 3, 0)
    assert metrics["rate"] == float(engine.synthetic.rate)
    assert engine.iterations == 6


def test_a_skipped_iteration_changes_nothing() -> None:
    begun = engine_for(settings_for("datm", average=0.5))
    begun.step(0)
    engine = engine_for(settings_for("datm", average=0.5, matching={"skip_above": 0.01}))
    engine.load_state_dict(begun.state_dict())
    metrics = engine.step(1)
    assert metrics["skipped"] == 1
    assert metrics["loss"] > 0.01
    before, after = (dict(run.state_dict()) for run in (begun, engine))
    assert before.pop("skipped") == 0
    assert after.pop("skipped") == 1
    assert same(before, after)
    assert before["velocity.inputs"].abs().sum() > 0


def test_a_first_loss_above_the_threshold_is_an_error() -> None:
    engine = engine_for(settings_for(matching={"skip_above": 0.01}))
    with pytest.raises(
        UserError, match=r"`matching.skip_above` must be above the first loss, .*, got 0\.01: .*raise it"
    ):
        engine.step(0)


def test_a_standstill_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_STANDSTILL", 3)
    engine = engine_for(settings_for(matching={"skip_above": 0.01}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.step(1)
        engine.step(2)
    state = copied(engine.state_dict())
    with pytest.warns(UserWarning, match=r"the last 3 iterations changed nothing, as their losses .* above"):
        engine.step(3)
    resumed = engine_for(settings_for(matching={"skip_above": 0.01}))
    resumed.load_state_dict(state)
    with pytest.warns(UserWarning, match="the last 3 iterations changed nothing"):
        resumed.step(3)


def test_what_is_not_finite_is_an_error_or_skipped() -> None:
    engine = engine_for(settings_for(), synthetic_set(rate=1e30))
    with pytest.raises(UserError, match=r"loss and gradients of iteration 2 must be finite, .*lower `matching.rate`"):
        engine.step(2)
    engine = engine_for(settings_for(matching={"skip_above": 2.0}), synthetic_set(rate=1e30))
    with pytest.raises(UserError, match="loss and gradients of iteration 0 must be finite"):
        engine.step(0)
    before = copied(engine.synthetic.state_dict())
    assert engine.step(1)["skipped"] == 1
    assert same(before, engine.synthetic.state_dict())


@pytest.mark.parametrize("sign", [1, -1])
def test_the_rate_stays_above_zero(sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(matching={"rate_rate": 1e6, "rate_momentum": 0.0})
    for iteration in range(3):
        engine = engine_for(settings, synthetic_set(rate=0.05))
        solve = engine_module.matching_gradients

        def signed(*args: Any, solve: Any = solve, **options: Any) -> Any:
            gradients = solve(*args, **options)
            return gradients._replace(rate=sign * gradients.rate.abs())

        monkeypatch.setattr(engine_module, "matching_gradients", signed)
        rate = engine.step(iteration)["rate"]
        monkeypatch.undo()
        assert rate == pytest.approx(0.025) if sign > 0 else rate > 0.05


def test_images_that_are_not_learned_stay_to_the_bit() -> None:
    synthetic = synthetic_set(soft=True)
    synthetic.learned[::2] = False
    begun = copied(synthetic.state_dict())
    engine = engine_for(settings_for("datm", matching={"clamp": True}, average=0.5), synthetic)
    for iteration in range(2):
        engine.step(iteration)
    for part in ("inputs", "labels"):
        changed = (getattr(engine._live, part) != begun[part]).flatten(1).any(1)
        assert changed.tolist() == begun["learned"].tolist()
    fixed = ~begun["learned"]
    assert torch.equal(engine.synthetic.inputs[fixed], begun["inputs"][fixed])


def test_pixels_are_held_in_their_range() -> None:
    engine = engine_for(settings_for(matching={"clamp": True, "image_rate": 100.0}))
    engine.step(0)
    images = engine.synthetic.inputs * 0.25 + 0.5
    assert images.min() >= -1e-6
    assert images.max() <= 1 + 1e-6
    assert images.std() > 0.1
    free = engine_for(settings_for(matching={"image_rate": 100.0}))
    free.step(0)
    assert free.synthetic.inputs.abs().max() > 2.1


def test_pixels_of_whitened_images_are_held_in_the_range_of_the_images() -> None:
    images = torch.rand(300, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    classifier = lb.create("convnet_d3", num_classes=CLASSES, input_size=SIZE, width=4, whitening=Whitening.fit(images))
    network, mask = FlatNetwork(classifier), Mask()
    settings = settings_for(matching={"clamp": True, "image_rate": 100.0})
    start = synthetic_set()
    begun = classifier.images_of(start.inputs)
    engine = MatchingEngine(settings, network, Store(network), start, mask=mask, seed=0, device=torch.device("cpu"))
    engine.step(0)
    assert mask.maps is not None
    torch.testing.assert_close(mask.maps, begun.mean(1, keepdim=True).clamp(0, 1))
    held = classifier.images_of(engine.synthetic.inputs)
    assert held.min() > -1e-4
    assert held.max() < 1 + 1e-4


def test_an_average_that_is_mostly_its_beginning_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"`average` 0\.9999 over 1000 iterations leaves 90 % of what images began as"):
        warn_of_average(settings_for("ftd", iterations=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for iterations in (2, 5000):
            warn_of_average(settings_for("ftd", iterations=iterations))


def test_labels_stay_with_a_rate_of_zero() -> None:
    engine = engine_for(settings_for("datm", matching={"label_rate": 0.0}))
    engine.step(0)
    assert torch.equal(engine.synthetic.labels, synthetic_set(soft=True).labels)


def test_the_mask_sees_images_and_the_learned_classes_of_every_iteration() -> None:
    mask = Mask()
    synthetic = synthetic_set(soft=True)
    engine = engine_for(settings_for("datm", matching={"skip_above": 0.01}), synthetic, mask=mask)
    engine.step(1)
    engine.step(2)
    assert [iteration for iteration, _ in mask.asked] == [1, 2], "of skipped ones, too"
    assert torch.equal(mask.asked[0][1], synthetic.classes())
    assert mask.maps is not None
    wanted = (synthetic_set(soft=True).inputs * 0.25 + 0.5).mean(1, keepdim=True).clamp(0, 1)
    torch.testing.assert_close(mask.maps, wanted)


def test_inputs_become_images_for_new_maps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(settings_for("datm"), synthetic_set(soft=True), mask=Mask())
    counts, images_of = [], Classifier.images_of

    def counted(classifier: Classifier, inputs: Tensor) -> Tensor:
        counts.append(len(inputs))
        return images_of(classifier, inputs)

    monkeypatch.setattr(Classifier, "images_of", counted)
    for iteration in range(5):
        engine.step(iteration)
    assert len(counts) == 3, "of iterations 0, 2 and 4"


@pytest.mark.parametrize("gradient", ["exact", "unrolled", "tesla"])
def test_an_estimate_changes_nothing(gradient: str) -> None:
    settings = settings_for(matching={"gradient": gradient, "synthetic_steps": 10}, iterations=50)
    engine, other = engine_for(settings), engine_for(settings)
    estimate = engine.estimate()
    assert same(engine.state_dict(), other.state_dict())
    assert engine.step(0) == other.step(0)
    assert 0.01 < estimate.seconds < 600
    assert estimate.disk == sum(tensor.nbytes for tensor in engine.state_dict().values())


def test_estimated_memory_grows_with_steps_where_it_does() -> None:
    def memory(gradient: str, steps: int) -> int:
        matching = {"gradient": gradient, "synthetic_steps": steps}
        return engine_for(settings_for(matching=matching)).estimate().memory

    vector = 4 * flat_network().size
    assert memory("exact", 21) - memory("exact", 1) == 20 * vector
    assert memory("unrolled", 21) > 15 * memory("unrolled", 1)


@pytest.mark.parametrize(
    ("gradient", "match"),
    [
        ("unrolled", r"an iteration takes 0\.0 GiB, and 0\.0 GiB are free; choose `matching.gradient: exact`"),
        ("exact", r"an iteration takes .* are free; lower `matching.batch` \(8\), or choose a smaller network"),
    ],
)
def test_memory_that_is_not_there_is_refused_before_the_start(
    gradient: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "memory_left", lambda device: 1000)
    with pytest.raises(UserError, match=match):
        engine_for(settings_for(matching={"gradient": gradient})).estimate()


def test_what_does_not_belong_together_is_refused() -> None:
    network, other, device = flat_network(), flat_network(width=6), torch.device("cpu")
    images = synthetic_set()

    def build(store: Store, synthetic: SyntheticSet = images, **matching: Any) -> None:
        MatchingEngine(settings_for(matching=matching), network, store, synthetic, seed=0, device=device)

    with pytest.raises(UserError, match=r"`store` must hold 5 snapshots of each expert, as starts below 3 .*, got 4"):
        build(Store(network, snapshots=4), start_to=3)
    with pytest.raises(
        UserError, match=r"`store` must hold 7 snapshots .* below 5 .*got 6.*`limbeck experts` makes more"
    ):
        build(Store(network), grow_to=5, grow_until=10)
    with pytest.raises(UserError, match=r"`store` must hold experts of 'convnet_d3'.*network that they were made with"):
        build(Store(other))
    with pytest.raises(UserError, match=r"must have inputs \[N, 3, 8, 8\], got \[3, 9, 8\] of each"):
        build(Store(network), SyntheticSet(torch.zeros(2, 3, 9, 8), torch.tensor([0, 1]), 0.1))
    with pytest.raises(UserError, match=rf"must have labels of {CLASSES} classes, got 6"):
        build(Store(network), SyntheticSet(images.inputs[:2], torch.tensor([0, 5]), 0.1))
    with pytest.raises(UserError, match=rf"must have labels of {CLASSES} classes, got 3"):
        build(Store(network), SyntheticSet(images.inputs[:2], torch.zeros(2, 3), 0.1))


def test_states_of_other_runs_are_refused() -> None:
    engine = engine_for(settings_for(average=0.5))
    state = copied(engine_for(settings_for()).state_dict())
    with pytest.raises(UserError, match=r"`average` of the state must be \[8, 3, 8, 8\], got none: .*another run"):
        engine.load_state_dict(state)
    with pytest.raises(UserError, match="`inputs` of the synthetic set must be"):
        engine.load_state_dict({**state, "synthetic.inputs": torch.zeros(1)})


def test_experts_on_disk_are_straight_lines_where_settings_say_so(tmp_path: Path) -> None:
    digits = lb.load("digits")
    images = digits.subset(digits.ids[:60])
    experts = Experts(count=1, epochs=4, views=None, learning_rate=0.1, batch_size=60, judges=0)
    networks = FreshNetworks("convnet_d3", images, {"width": 4})
    make_experts(experts, networks, images, tmp_path / "experts", snapshots=(0, 4))
    store = ExpertStore.open(tmp_path / "experts", snapshots=(0, 4))
    start = SyntheticSet(torch.zeros(10, 1, 8, 8), torch.arange(10), 0.01)
    device = torch.device("cpu")
    engines = {
        straight: MatchingEngine(
            settings_for(views=None, matching={"straight": straight, "start_from": 1, "expert_epochs": 1}),
            FlatNetwork(networks(0)),
            store,
            start,
            seed=0,
            device=device,
        )
        for straight in (True, False)
    }
    assert engines[True].step(0)["loss"] > 0
    with pytest.raises(UserError, match="snapshot"):
        engines[False].step(0)
