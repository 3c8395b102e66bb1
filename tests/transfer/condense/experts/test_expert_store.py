"""What is read from the folder of experts, and the errors where something is missing."""

from pathlib import Path

import pytest
import torch
from tests.training.tiny import same, weights
from tests.transfer.condense.experts.tiny_experts import IMAGES, make, whole

from limbeck.errors import UserError
from limbeck.models.whitening import Whitening
from limbeck.transfer.condense.expert_settings import Network
from limbeck.transfer.condense.experts import ExpertStore
from limbeck.transfer.condense.experts.formats import decode, encode
from limbeck.transfer.condense.experts.intervals import Intervals
from limbeck.transfer.condense.experts.store import listed
from limbeck.transfer.condense.experts.straight import StraightStore
from limbeck.transfer.condense.network import FreshNetworks


@pytest.fixture
def store() -> ExpertStore:
    """A store of two experts with three snapshots each, and one judge."""
    return ExpertStore.open(whole("float32").folder, snapshots=3, judges=1)


@pytest.mark.parametrize(("form", "bound"), [("float16", 2e-4), ("differences", 1e-5), ("float32", 0)])
def test_formats_lose_little(form: str, bound: float, store: ExpertStore) -> None:
    """The bound is a share of the squared distance between snapshots."""
    kept = whole(form)
    for number in (1, 2):
        exact, moved = store.theta(0, number), (store.theta(0, number) - store.theta(0, number - 1)).square().sum()
        error = (kept.theta(0, number) - exact).square().sum()
        assert error <= bound * moved
        precision = kept.precision(0, number)
        assert precision.error == pytest.approx(float(error), rel=1e-3, abs=1e-12)
        assert precision.moved == pytest.approx(float(moved), rel=0.02)
        assert precision.lost <= bound * 1.02


def test_differences_do_not_add_up_errors() -> None:
    """Weights like a network's, on a random walk of 100 snapshots that move by a few per cent each."""
    source = torch.Generator().manual_seed(0)
    theta = torch.randn(10_000, generator=source) * 0.05
    form, read = "differences", None
    for _ in range(100):
        encoded = encode(theta, read, form)
        read = decode(encoded.kept, read)
        assert torch.equal(read, encoded.theta)
        theta = theta + torch.randn(10_000, generator=source) * 0.003
    assert read is not None
    error, step = (read - (theta - (theta - read))).square().mean(), 0.003**2
    assert error < 1e-4 * step
    last = encode(theta, read, form)
    assert (last.theta - theta).square().mean() < 1e-5 * step


def test_sizes_of_files() -> None:
    sizes = {form: _bytes(whole(form)) for form in ("float32", "float16", "differences")}
    assert sizes["float32"] - sizes["float16"] == pytest.approx(2 * 362, abs=20)
    assert sizes["differences"] == pytest.approx(sizes["float16"], abs=20)


def _bytes(store: ExpertStore) -> int:
    return (store.folder / "expert-0000" / "snapshots" / "0002.safetensors").stat().st_size


def test_straight_lines(store: ExpertStore) -> None:
    straight = StraightStore(ExpertStore.open(store.folder, snapshots=[0, 2], judges=1))
    first, last = store.theta(0, 0), store.theta(0, 2)
    assert (straight.count, straight.snapshots) == (2, 3)
    assert torch.equal(straight.theta(0, 0), first)
    assert torch.allclose(straight.theta(0, 2), last)
    assert torch.allclose(straight.theta(0, 1), (first + last) / 2)
    assert torch.allclose(straight.theta(0, 0.5), first + (last - first) / 4)
    with pytest.raises(UserError, match=r"`snapshot` must be from 0 to 2, got 2.5"):
        straight.theta(0, 2.5)


def test_what_is_not_there_is_said(store: ExpertStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there are no experts in .*; `limbeck experts` makes some"):
        ExpertStore.open(tmp_path)
    for wanted, message in [
        ({"count": 3}, "lacks snapshots 0 to 5 of expert 2; `limbeck experts` with the same folder makes more"),
        ({"snapshots": 8}, "lacks snapshots 6 to 7 of expert 0"),
        ({"judges": 3}, "lacks judge 2; `limbeck experts` with the same folder and more `judges` makes it"),
        ({"count": 0}, r"`count` and `snapshots` must be at least 1, got 0 and \[0, 1, 2"),
    ]:
        with pytest.raises(UserError, match=message):
            ExpertStore.open(store.folder, **wanted)
    with pytest.raises(UserError, match="`expert` must be from 0 to 1, got 2; a higher `count` makes more"):
        store.theta(2, 0)
    with pytest.raises(UserError, match="`snapshot` must be one of those that are kept, 0 to 2, got 3; making the"):
        store.theta(0, 3)


def test_damage_is_said(tmp_path: Path) -> None:
    store = make(tmp_path / "experts", snapshots=2, judges=0, epochs=1)
    (store.folder / "expert-0000" / "snapshots" / "0001.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"0001.safetensors' cannot be read \(.*\); remove the folder of its expert"):
        store.theta(0, 1)
    (store.folder / "experts.json").write_text("[")
    with pytest.raises(UserError, match=r"experts.json' is damaged \(.*\); make the experts again with the same"):
        ExpertStore.open(store.folder)


def test_whitening_is_kept_once_and_shared(tmp_path: Path) -> None:
    networks = FreshNetworks.of(Network(options={"width": 4}, whitening=True), IMAGES)
    store = make(tmp_path / "experts", networks=networks, judges=2, epochs=1, snapshots=2)
    assert store.network.whitening is not None
    assert all(judge.whitening is store.network.whitening for judge in store.judges)
    assert torch.equal(store.network.whitening.matrix, Whitening.fit(IMAGES).matrix)
    assert len([*(tmp_path / "experts").rglob("whitening.safetensors")]) == 1


def test_networks_are_normalised_by_their_images() -> None:
    pixels = IMAGES.tensor().double() / 255
    std = pytest.approx([float(pixels.std(correction=0))])
    networks = FreshNetworks("convnet_d3", IMAGES, {"width": 4})
    assert networks(0).normalisation == (pytest.approx([float(pixels.mean())]), std)
    other = FreshNetworks.of(Network(options={"width": 4}, mean=(0.5,)), IMAGES)(0)
    assert other.normalisation == ((0.5,), std)
    assert same(weights(networks(5)), weights(networks(5)))
    assert not same(weights(networks(5)), weights(networks(6)))


def test_what_is_read_is_a_copy(store: ExpertStore) -> None:
    store.theta(0, 0).zero_()
    assert store.theta(0, 0).norm() > 0


def test_losses_fall(store: ExpertStore) -> None:
    losses = store.losses(0)
    assert [line.step for line in losses] == list(range(1, 26))
    assert sum(line.loss for line in losses[20:]) < sum(line.loss for line in losses[:5])
    all_losses = torch.tensor([[line.loss for line in store.losses(expert)[:10]] for expert in range(2)])
    assert store.mean_losses() == pytest.approx(all_losses.view(2, 2, 5).mean((0, 2)).tolist())


def test_numbers_in_words() -> None:
    assert listed([4]) == "4"
    assert listed([0, 1, 5]) == "0 to 1, 5"


def test_intervals() -> None:
    intervals = Intervals([75, 100, 50], batch_size=30)
    assert [intervals.step(number) for number in range(6)] == [0, 3, 6, 8, 10, 11]  # 75, 175, 225, 275, 325 images
    assert [Intervals([75, 100], batch_size=25, steps=2).step(number) for number in range(3)] == [0, 2, 4]
