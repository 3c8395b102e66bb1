"""A source that makes its images: its rounds, its budget, and resuming to the bit wherever it was stopped."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.generate.fakes import CLASSES, SHAPE, FakeSynthesis, settings_for, source_for, student_for
from torch import Tensor

from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.models.classifier import Classifier
from limbeck.transfer.generate import pace as pace_module
from limbeck.transfer.generate import source as source_module
from limbeck.transfer.generate.source import GeneratingSource
from limbeck.transfer.generate.synthesis import Batch

ROUNDS = 3  # of the loop, after two to warm up


class PowerCut(BaseException):
    pass


def students() -> list[Any]:
    return [student_for(seed) for seed in range(ROUNDS)]


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    names = [name for name in one if name != "tally"]
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in names)


def shown(source: GeneratingSource) -> Tensor:
    return source.images(0).images.tensor()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Tensor, list[Any]]:
    source = source_for(tmp_path_factory.mktemp("whole"), settings_for(calls_per_round=2, budget=200), count=200)
    for number, student in enumerate(students()):
        source.refresh(number, student)
    return source.state_dict(), shown(source), noted(source)


def column(source: GeneratingSource, name: str) -> Tensor:
    return torch.as_tensor(source.images(0).provenance[name])


def noted(source: GeneratingSource) -> list[Any]:
    """All that is known of the rounds, except for their time."""
    return [(row.number, row.made, row.held, row.agreement, list(row.counts), row.losses) for row in source.history]


def test_a_refresh_makes_its_round_and_the_first_those_to_warm_up_too(tmp_path: Path) -> None:
    source = source_for(tmp_path)
    held = []
    for number in range(6):
        source.refresh(number, student_for())
        held.append(len(source.images(number)))
    assert held == [24, 32, 40, 48, 48, 48]
    synthesis = source.engine.synthesis
    assert isinstance(synthesis, FakeSynthesis)
    assert synthesis.calls == [(0, False), (1, False), (2, True), (3, True), (4, True), (5, True)]
    assert [row.agreement is None for row in source.history] == [True, True, False, False, False, False]


def test_images_are_distinct_with_what_is_known_of_them(tmp_path: Path) -> None:
    source = source_for(tmp_path)
    source.refresh(0, student_for())
    transfer_set = source.images(0)
    assert source.images(0) is transfer_set
    assert len(transfer_set.images.ids.unique()) == len(transfer_set)
    assert column(source, "round").tolist() == [0] * 8 + [1] * 8 + [2] * 8
    assert set(transfer_set.provenance) >= {"wanted_label", "confidence", "call"}
    assert transfer_set.about["maker"] == "fake"
    assert transfer_set.images.labels is not None
    assert transfer_set.images.class_counts().tolist() == source.history[2].counts


def test_the_budget_is_exact_where_it_is_no_multiple_of_a_batch(tmp_path: Path) -> None:
    source = source_for(tmp_path, count=30)
    for number in range(3):
        source.refresh(number, student_for())
    assert len(source.images(0)) == 30
    assert [row.held for row in source.history] == [8, 16, 24, 30]
    assert source.history[3].removed == 2


def test_the_adversary_may_come_in_the_last_round_to_warm_up(tmp_path: Path) -> None:
    source = source_for(tmp_path, settings_for(adversary_early=True))
    source.refresh(0, student_for())
    synthesis = source.engine.synthesis
    assert isinstance(synthesis, FakeSynthesis)
    assert synthesis.calls == [(0, False), (1, True), (2, True)]


def test_methods_that_show_fresh_images_keep_the_latest(tmp_path: Path) -> None:
    settings = settings_for(fresh=2, warmup_rounds=0)
    source, ages = source_for(tmp_path, settings, count=40), []
    for number in range(5):
        source.refresh(number, student_for())
        ages.append((len(source.images(0)), int(column(source, "round").min())))
        assert taught_rounds(source) == {number}
        assert len(source.images(0).taught_part()) == 16
    assert ages == [(16, 0), (32, 0), (40, 0), (40, 1), (40, 2)]
    assert [row.removed for row in source.history] == [0, 0, 8, 16, 16]


def taught_rounds(source: GeneratingSource) -> set[int]:
    return set(torch.as_tensor(source.images(0).taught_part().provenance["round"]).tolist())


def test_a_student_is_shown_all_that_is_held_where_images_are_kept_or_made_before_it(tmp_path: Path) -> None:
    source = source_for(tmp_path / "kept")
    for number in range(2):
        source.refresh(number, student_for())
    assert taught_rounds(source) == {0, 1, 2, 3}
    alone = settings_for(steps_per_round=None, losses={"adversarial": 0}, fresh=2, rounds=4, warmup_rounds=0)
    source = source_for(tmp_path / "alone", alone, count=40)
    source.fill()
    assert taught_rounds(source) == {1, 2, 3}


def test_of_a_generator_that_makes_one_image_again_and_again_the_last_new_one_is_shown(tmp_path: Path) -> None:
    source = source_for(tmp_path, settings_for(fresh=2, warmup_rounds=0), count=40, collapsed=True)
    for number in range(3):
        source.refresh(number, student_for())
    assert (len(source.images(0).taught_part()), taught_rounds(source)) == (1, {0})


def on_disk(folder: Path) -> int:
    """Images whose pixels are there."""
    sizes = [path.stat().st_size for path in (folder / "repository").rglob("images.bin")]
    return sum(sizes) // (SHAPE[1] * SHAPE[2])


def test_images_that_left_leave_the_disk_and_not_those_of_the_last_two_checkpoints(tmp_path: Path) -> None:
    settings = settings_for(fresh=2, warmup_rounds=0)
    source, states, most = source_for(tmp_path, settings, count=40, limit=0), [], 0
    assert not source.engine.repository.in_memory
    for number in range(60):
        source.refresh(number, student_for(number % 2))
        most = max(most, on_disk(tmp_path))
        if number % 7 == 6:
            pixels = shown(source)
            states.append((number, source.state_dict(), pixels))
    assert len(states) == 8
    assert 40 * 3 <= most <= 40 * 3 + 2 * 10 * 3, "what is held, two checkpoints, and the ends of their files"
    for number, state, pixels in states[-2:]:
        again = source_for(tmp_path, settings, count=40, limit=0)
        again.load_state_dict(state)
        assert torch.equal(shown(again), pixels)
        assert taught_rounds(again) == {number}
    with pytest.raises(UserError, match=r"images\.bin' must hold .* bytes, of the .* images that the checkpoint knows"):
        source_for(tmp_path, settings, count=40, limit=0).load_state_dict(states[0][1])


def test_made_at_once_a_stream_leaves_the_disk_too(tmp_path: Path, always_saving: None) -> None:
    settings = settings_for(steps_per_round=None, losses={"adversarial": 0}, fresh=2, rounds=40, warmup_rounds=0)
    source = source_for(tmp_path, settings, count=20, limit=0)
    source.fill()
    assert source.engine.repository.appended == 40 * 16
    assert on_disk(tmp_path) <= 20 * 3 + 2 * 5 * 3


FRESH: dict[str, Any] = {"settings": settings_for(fresh=2, warmup_rounds=0), "count": 40, "limit": 0}


@pytest.mark.parametrize("step", range(1, 26, 2))
@pytest.mark.usefixtures("always_saving")
def test_a_stream_in_files_that_was_killed_goes_on_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """With a checkpoint after every third round, whose images have left by the next."""
    taught = [student_for(seed) for seed in range(9)]
    whole = source_for(tmp_path / "whole", **FRESH)
    for number, student in enumerate(taught):
        whole.refresh(number, student)
    checkpoint, at = None, 0
    with monkeypatch.context() as patch:
        cut_at(step, patch)
        source = source_for(tmp_path / "cut", **FRESH)
        with suppress(PowerCut):
            for number, student in enumerate(taught):
                source.refresh(number, student)
                if number % 3 == 2:
                    checkpoint, at = {name: tensor.clone() for name, tensor in source.state_dict().items()}, number + 1
    source = source_for(tmp_path / "cut", **FRESH)
    if checkpoint is not None:
        source.load_state_dict(checkpoint)
    for number in range(at, len(taught)):
        source.refresh(number, taught[number])
    assert same(whole.state_dict(), source.state_dict())
    assert torch.equal(shown(whole), shown(source))
    assert noted(whole) == noted(source)


def test_a_state_that_goes_to_other_processes_takes_no_checkpoints_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_has_others", lambda: True)
    source, states = source_for(tmp_path, **FRESH), list[dict[str, Tensor]]()
    for number in range(12):
        source.refresh(number, student_for())
        source.state_dict()  # for the others
        states += [source.state_dict()] if number == 3 else []
    source_for(tmp_path, **FRESH).load_state_dict(states[0])


def test_labels_of_a_round_go_by_what_was_held_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, list[int]]] = []

    def note(rule: str, count: int, num_classes: int, *, seed: int, call: int, held: Tensor) -> Tensor:
        seen.append((call, held.tolist()))
        return torch.zeros(count, dtype=torch.int64)

    monkeypatch.setattr("limbeck.transfer.generate.engine.wanted_labels", note)
    source = source_for(tmp_path, settings_for(labels="balanced", calls_per_round=2))
    for number in range(2):
        source.refresh(number, student_for())
    counts = [list(row.counts) for row in source.history]
    nothing = [0] * CLASSES  # held, as it seems, in two rounds to warm up and the one after them
    assert seen == [
        (call, held)
        for place, held in enumerate([nothing, nothing, nothing, *counts[2:]])
        for call in (2 * place, 2 * place + 1)
    ]
    assert column(source, "wanted_label").unique().tolist() == [0]


def test_how_much_a_student_still_learns_is_known_once_it_was_taught(tmp_path: Path) -> None:
    source = source_for(tmp_path)
    for number in range(3):
        source.refresh(number, student_for())
    warmup = source.engine.settings.warmup_rounds
    has_loss = [row.distillation is not None for row in source.history]
    assert has_loss == [number > warmup for number in range(len(has_loss))]
    assert all(row.distillation > 0 for row in source.history if row.distillation is not None)


def test_nothing_is_wanted_where_the_teacher_says(tmp_path: Path) -> None:
    source = source_for(tmp_path, settings_for(labels="argmax"))
    source.refresh(0, student_for())
    assert source.history.column("obtained")[0] != source.history.column("obtained")[0]  # NaN


class Oldest:
    """A pruning that removes the three oldest images."""

    def __init__(self, _: Any) -> None:
        self.there: list[int] = []

    def added(self, appended: Any, batch: Any) -> None:
        self.there += appended.rows.tolist()

    def leaving(self, repository: Any, student: Any, *, outliers: bool) -> Tensor:
        assert repository.rows.tolist() == self.there
        return repository.rows[: 3 * outliers]

    def removed(self, rows: Tensor) -> None:
        self.there = [row for row in self.there if row not in rows.tolist()]

    def state_dict(self) -> dict[str, Tensor]:
        return {"there": torch.tensor(self.there)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.there = state["there"].tolist()


def test_what_is_pruned_is_made_up_for_and_a_full_set_stays_full(tmp_path: Path) -> None:
    settings = settings_for(homogenise={}, warmup_rounds=1)
    source = source_for(tmp_path, settings, count=26, pruning=Oldest)
    for number in range(8):
        source.refresh(number, student_for())
    assert [row.held for row in source.history] == [8, 13, 18, 26]
    assert [row.removed for row in source.history] == [0, 3, 3, 0]


def test_of_more_than_enough_some_are_pruned_and_the_last_go(tmp_path: Path) -> None:
    source = source_for(tmp_path, settings_for(homogenise={}, warmup_rounds=0), count=22, pruning=Oldest)
    for number in range(5):
        source.refresh(number, student_for())
    assert [(row.held, row.removed) for row in source.history] == [(5, 3), (10, 3), (15, 3), (22, 1)]
    source = source_for(tmp_path, settings_for(homogenise={}, warmup_rounds=0), count=18, pruning=Oldest)
    for number in range(5):
        source.refresh(number, student_for())
    assert [(row.held, row.removed) for row in source.history] == [(5, 3), (10, 3), (18, 0)]


@pytest.mark.parametrize(("until", "removed"), [(1.0, [0, 3, 3, 3]), (0.5, [0, 3, 0, 0]), (0.6, [0, 3, 3, 0])])
def test_the_last_rounds_may_be_spared(tmp_path: Path, until: float, removed: list[int]) -> None:
    settings = settings_for(homogenise={"until": until}, warmup_rounds=1)
    source = source_for(tmp_path, settings, count=100, pruning=Oldest, rounds=4)
    source.refresh(2, student_for())
    assert [row.removed for row in source.history] == removed


@pytest.fixture
def always_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(pace_module, "_SHARE", float("inf"))
    for flush in ("limbeck.files._flush", "limbeck.transfer.generate.rows._sync"):
        monkeypatch.setattr(flush, lambda _: None)  # of thousands of states; no power is cut here


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cuts the power once the pace has been asked `step` times."""
    real, calls = pace_module.Pace.__call__, [0]

    def looking(self: Any) -> bool:
        calls[0] += 1
        if calls[0] > step:
            raise PowerCut
        return real(self)

    monkeypatch.setattr(pace_module.Pace, "__call__", looking)


@pytest.mark.parametrize(("step", "every"), [(step, 1 if step % 2 else 4) for step in range(30)])
@pytest.mark.usefixtures("always_saving")
def test_killed_at_any_step_of_a_refresh_it_goes_on_to_the_bit(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, step: int, every: int
) -> None:
    settings = settings_for(calls_per_round=2, budget=200)
    real_save, saves = source_module.PartialState.save, [0]

    def save(self: Any, *state: Any) -> None:
        saves[0] += 1
        if saves[0] % every == 0:
            real_save(self, *state)

    monkeypatch.setattr(source_module.PartialState, "save", save)
    taught, checkpoint, at = students(), None, 0
    with monkeypatch.context() as patch:
        cut_at(step, patch)
        source = source_for(tmp_path, settings, count=200)
        with suppress(PowerCut):
            for at, student in enumerate(taught):
                source.refresh(at, student)
                checkpoint = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    source = source_for(tmp_path, settings, count=200)
    if checkpoint is not None:
        source.load_state_dict(checkpoint)
    synthesis = source.engine.synthesis
    assert isinstance(synthesis, FakeSynthesis)
    for number in range(at, ROUNDS):
        source.refresh(number, taught[number])
    state, images, rows = whole
    assert same(state, source.state_dict())
    assert torch.equal(images, shown(source))
    assert rows == noted(source)
    if every == 1 and step >= 1:
        assert len(synthesis.calls) <= 10 - step // 3  # and nothing was made again


def test_a_state_of_an_earlier_round_is_right_after_the_files_grew(tmp_path: Path, whole: Any) -> None:
    settings, taught = settings_for(calls_per_round=2, budget=200), students()
    source = source_for(tmp_path, settings, count=200)
    source.refresh(0, taught[0])
    checkpoint = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    source.refresh(1, student_for(7))  # another student, so that the files hold other images
    source = source_for(tmp_path, settings, count=200)
    source.load_state_dict(checkpoint)
    assert len(source.history) == 3
    for number in (1, 2):
        source.refresh(number, taught[number])
    assert same(whole[0], source.state_dict())
    assert noted(source) == whole[2]


@pytest.mark.usefixtures("always_saving")
def test_what_was_begun_with_another_student_is_not_gone_on_with(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(calls_per_round=2, budget=200)
    with monkeypatch.context() as patch:
        cut_at(15, patch)
        with pytest.raises(PowerCut):
            source_for(tmp_path, settings, count=200).refresh(0, student_for(7))
    source = source_for(tmp_path, settings, count=200)
    for number, student in enumerate(students()):
        source.refresh(number, student)
    assert same(whole[0], source.state_dict())


@pytest.mark.usefixtures("always_saving")
@pytest.mark.parametrize("content", [b"", b"torn"])
def test_a_damaged_partial_state_costs_time_alone(
    tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    settings = settings_for(calls_per_round=2, budget=200)
    with monkeypatch.context() as patch:
        cut_at(5, patch)
        with pytest.raises(PowerCut):
            source_for(tmp_path, settings, count=200).refresh(0, students()[0])
    (tmp_path / source_module.PARTIAL).write_bytes(content)
    source = source_for(tmp_path, settings, count=200)
    for number, student in enumerate(students()):
        source.refresh(number, student)
    assert same(whole[0], source.state_dict())


def test_an_interruption_keeps_what_is_there(tmp_path: Path, whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(calls_per_round=2, budget=200)
    real, calls = pace_module.Pace.__call__, [0]

    def asked(self: Any) -> bool:
        calls[0] += 1
        self.stop.requested = self.stop.requested or calls[0] == 8
        return real(self)

    monkeypatch.setattr(pace_module.Pace, "__call__", asked)
    with pytest.raises(Interrupted, match="stopped while images were made: 16 of 200 images"):
        source_for(tmp_path, settings, count=200).refresh(0, students()[0])
    source = source_for(tmp_path, settings, count=200)
    costs = [source.refresh(number, student) for number, student in enumerate(students())]
    assert same(whole[0], source.state_dict())
    assert sum(cost.steps for cost in costs) == 5 * 2 * 3  # what was done before the interruption is counted, once
    assert sum(cost.teacher_passes for cost in costs) == 5 * 2 * 3 * 8
    assert not (tmp_path / source_module.PARTIAL).exists()


def test_a_set_that_no_student_waits_for_is_filled(tmp_path: Path) -> None:
    settings = settings_for(steps_per_round=None, losses={"adversarial": 0})
    source = source_for(tmp_path, settings, count=20)
    cost = source.fill()
    assert len(source.images(0)) == 20
    assert (cost.images_read, cost.steps) == (24, 9)


def test_a_stream_ends_after_the_rounds_that_were_told(tmp_path: Path) -> None:
    settings = settings_for(steps_per_round=None, losses={"adversarial": 0}, fresh=2, rounds=4)
    source = source_for(tmp_path, settings, count=20)
    source.fill()
    assert [row.held for row in source.history] == [16, 20, 20, 20]


def test_a_generator_that_makes_one_image_again_and_again_is_no_endless_loop(tmp_path: Path) -> None:
    settings = settings_for(steps_per_round=None, losses={"adversarial": 0})
    source = source_for(tmp_path, settings, count=20, collapsed=True)
    expected = "20 rounds brought no image more, as the generator makes the same ones again: there are 1 of the budget"
    with pytest.raises(UserError, match=expected):
        source.fill()
    assert source.history[-1].distinct == 1


def test_no_weight_grows_while_there_is_no_adversary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call = FakeSynthesis.call

    def opposed(self: FakeSynthesis, number: int, *args: Any, student: Classifier | None, **kwargs: Any) -> Batch:
        batch = call(self, number, *args, student=student, **kwargs)
        adversarial = {} if student is None else {"adversarial": -1.0 - number}
        return replace(batch, losses=batch.losses | adversarial)

    monkeypatch.setattr(FakeSynthesis, "call", opposed)
    engine = source_for(tmp_path, settings_for(growth={"step": 0.1, "memory": 2}, warmup_rounds=2)).engine
    rounds = [engine.make_round(student_for(), lambda: False) for _ in range(5)]
    grown = [row.one_hot_weight - rounds[0].one_hot_weight for row in rounds]
    assert grown == pytest.approx([0, 0, 0, 0.1, 0.2]), "batch norm falls all the while"
