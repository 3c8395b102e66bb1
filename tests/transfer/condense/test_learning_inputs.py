"""Resumed runs learn from what they began with, or are refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.condense.matching_problems import engine_for, settings_for
from tests.transfer.condense.small import Heard, context, pool, small

import limbeck as lb
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.models.weights.folder import save as save_model
from limbeck.training.checkpoint import Checkpoint
from limbeck.transfer.condense import Maker, Settings, learning
from limbeck.transfer.condense import engine as engine_module
from limbeck.transfer.condense.engine import Engine, MatchingEngine
from limbeck.transfer.condense.experts import make_experts
from limbeck.transfer.condense.learning_inputs import BEGUN, CHECKPOINT
from limbeck.transfer.condense.network import FreshNetworks

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")
FEW: Mapping[str, Any] = {"method": "datm", "iterations": 4, "matching": {"image_rate": 1.0}}


def experts(folder: Path, *, snapshots: int = 3, seed: int = 0, **said: int) -> Path:
    settings = small(method="mtt", experts=said)
    networks = FreshNetworks.of(settings.network, pool())
    make_experts(settings.experts, networks, pool(), folder, snapshots=snapshots, seed=seed)
    return folder


def stop_at(monkeypatch: pytest.MonkeyPatch, settings: Settings, folder: Path, iteration: int = 2) -> None:
    """Makes a set up to the iteration, and stops there with a checkpoint."""
    step = MatchingEngine.step

    def stopping(engine: Engine, number: int) -> Mapping[str, float]:
        if number == iteration:
            raise Interrupted
        return step(engine, number)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch:
        patch.setattr(learning, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(learning, "SHARE", 1e9)
        patch.setattr(MatchingEngine, "step", stopping)
        with pytest.raises(Interrupted):
            Maker().make(settings, context(folder))


def made(settings: Settings, folder: Path, **said: Any) -> TransferSet:
    return Maker().make(settings, context(folder, **said)).source.images(0)


def forget(folder: Path) -> None:
    """Leaves a checkpoint as an earlier version wrote it."""
    saved = Checkpoint.load(folder / CHECKPOINT)
    assert saved.notes.pop(BEGUN)
    saved.save(folder / CHECKPOINT)


@pytest.mark.parametrize("judges", [0, 1])
def test_experts_that_are_added_meanwhile_are_left_to_others(
    judges: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = experts(tmp_path / "experts", count=1, judges=judges)
    settings = small(**FEW, experts={"folder": str(folder), "count": 100})
    whole = made(settings, tmp_path / "whole")
    for name in ("stopped", "earlier"):
        stop_at(monkeypatch, settings, tmp_path / name)
    experts(folder, snapshots=4 - judges, count=3, epochs=3 - judges, judges=2 * judges)
    assert made(settings, tmp_path / "anew").images.fingerprint != whole.images.fingerprint
    resumed = Maker().make(settings, context(tmp_path / "stopped"))
    assert resumed.source.images(0).images.fingerprint == whole.images.fingerprint
    assert str(resumed.source.images(0).provenance) == str(whole.provenance)
    assert resumed.evidence.facts["experts"].startswith("1 of ")
    forget(tmp_path / "earlier")
    made(settings, tmp_path / "earlier")  # whose checkpoint does not name its experts


def test_other_experts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = experts(tmp_path / "experts")
    settings = small(**FEW, experts={"folder": str(folder)})
    stop_at(monkeypatch, settings, tmp_path / "made")
    folder.rename(tmp_path / "those")
    experts(folder, seed=1)
    refused = r"the experts in '.*experts' are others than those that learning began with, .* or remove '.*made' to"
    with pytest.raises(UserError, match=refused):
        made(settings, tmp_path / "made")
    folder.rename(tmp_path / "these")
    (tmp_path / "those").rename(folder)
    made(settings, tmp_path / "made")


def test_experts_that_were_taught_again_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = experts(tmp_path / "experts")
    settings = small(**FEW, experts={"folder": str(folder)})
    stop_at(monkeypatch, settings, tmp_path / "made")
    folder.rename(tmp_path / "those")
    experts(folder)
    made(settings, tmp_path / "made")


def set_to_begin_with(folder: Path) -> Callable[[int], object]:
    def save(seed: int) -> None:
        lb.select(pool(), criterion="balanced-random", budget="1/class", seed=seed).transfer_set(pool()).save(folder)

    return save


def network_that_looks(folder: Path) -> Callable[[int], object]:
    def save(seed: int) -> None:
        names = [f"class {label}" for label in range(3)]
        network = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4, seed=seed, classes=names)
        save_model(network.eval(), folder)

    return save


@pytest.mark.parametrize("what", ["initial", "mask"])
def test_what_was_replaced_on_disk_is_refused(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "there"
    values: dict[str, Any] = {"initialise": {"set": str(folder)}} if what == "initial" else {}
    values |= {"mask": {"network": str(folder), "map": "grad-cam"}} if what == "mask" else {}
    save = (set_to_begin_with if what == "initial" else network_that_looks)(folder)
    named = {"initial": "the images of", "mask": "the weights of `mask.network`"}[what]
    settings = small(**{**FEW, **values})
    save(0)
    for name in ("made", "earlier"):
        stop_at(monkeypatch, settings, tmp_path / name)
    folder.rename(tmp_path / "those")
    save(1)
    with pytest.raises(UserError, match=f"{named} '.*there' are others than those that learning began with"):
        made(settings, tmp_path / "made")
    forget(tmp_path / "earlier")
    made(settings, tmp_path / "earlier")
    folder.rename(tmp_path / "these")
    (tmp_path / "those").rename(folder)
    made(settings, tmp_path / "made")


def test_memory_that_is_gone_meanwhile_is_told_with_the_chunk_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = small(**FEW)
    stop_at(monkeypatch, settings, tmp_path / "made")
    heard = Heard()
    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "memory_left", lambda device: 10_000)
        with pytest.raises(UserError, match=r"free some, or set `matching.chunk` to 1, with which .* of 3 at a time"):
            made(settings, tmp_path / "made")
    parts = small(**{**FEW, "matching": {**FEW["matching"], "chunk": 1}})
    kept = made(parts, tmp_path / "made", progress=heard)
    assert heard.said[-1].startswith("2 of 4 iterations are done, and the rest takes less than a minute on a machine")
    assert heard.said[-1].endswith("; a step sees 1 images at a time")
    whole = made(settings, tmp_path / "whole")
    assert whole.soft_labels is not None
    assert kept.soft_labels is not None
    assert torch.allclose(kept.soft_labels, whole.soft_labels, rtol=1e-3, atol=1e-3)


def test_a_run_goes_on_in_the_chunks_that_it_began_in(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = engine_for(settings_for(matching={"chunk": 3}))
    begun.step(0)
    again, other = (engine_for(settings_for(matching={"chunk": chunk})) for chunk in (None, 2))
    for engine in (again, other):
        engine.load_state_dict(begun.state_dict())
    assert (again.estimate().chunk, other.estimate().chunk) == (3, 2)
    assert again.step(1) == begun.step(1)
    roomy = engine_for(settings_for())
    roomy.step(0)
    tight = engine_for(settings_for())
    state = roomy.state_dict()
    del state["chunk"]  # as of an earlier version
    tight.load_state_dict(state)
    whole = tight.estimate()
    assert whole.chunk is None
    monkeypatch.setattr(engine_module, "memory_left", lambda device: whole.memory * 3 // 4)
    with pytest.raises(UserError, match=r"set `matching.chunk` to [1-7], with which the run goes on to images"):
        tight.estimate()
    monkeypatch.undo()
    assert tight.estimate().chunk is None
