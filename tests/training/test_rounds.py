"""Sources of several rounds: refreshed before each, the same bit for bit however often the run was interrupted."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.sources import Growing
from tests.training.stopping import stop_at, wait_for_step
from tests.training.tiny import CLASSES, network, same, settings, stripes, weights
from tests.warm_python import start

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource
from limbeck.errors import UserError
from limbeck.objectives import Objective, weighted_sum
from limbeck.objectives.sums import WeightedSum
from limbeck.training import Interrupted, RunFolder
from limbeck.training.batches import BatchStream
from limbeck.training.checkpoint import Checkpoint

SEEN = settings(steps=11, views="pad-crop", validations=2)


def test_each_round_is_made_once_before_its_first_step(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source, shown = Growing(), []
    real = BatchStream.__getitem__

    def look(self: BatchStream, step: int) -> Any:
        shown.append((len(source.refreshed) - 1, step, len(self.images)))
        return real(self, step)

    monkeypatch.setattr(BatchStream, "__getitem__", look)
    result = teach(source=source, settings=SEEN)
    assert source.refreshed == [0, 1, 2]
    assert shown == [(step // 4, step % 4, 6 + 3 * (step // 4)) for step in range(11)]
    assert result.rounds_cost == Cost(steps=6, seconds=3.0, teacher_passes=12)
    assert (result.cost.steps, result.cost.images_read, result.cost.teacher_passes) == (11, 88, 88)
    assert (result.steps, result.teacher_passes, result.teacher_passes_saved) == (11, 88, result.cost.passes_saved)
    assert result.seconds == result.cost.seconds > 0


def test_what_a_source_does_with_the_student_and_randomness_leaves_no_trace(teach: Run) -> None:
    class Quiet(Growing):
        """Returns the images it was given and touches nothing else."""

        def __init__(self, made: list[torch.Tensor]) -> None:
            super().__init__()
            self.made = made

        def refresh(self, round: int, student: Any) -> Cost:
            self.pixels = self.made[round]
            return Cost()

    class Keeping(Growing):
        def refresh(self, round: int, student: Any) -> Cost:
            cost = super().refresh(round, student)
            student.train()
            for parameter in student.parameters():
                parameter.data.zero_()
            rounds.append(self.pixels)
            return cost

    rounds: list[torch.Tensor] = []
    loud = teach("loud", source=Keeping(), settings=SEEN)
    quiet = teach("quiet", source=Quiet(rounds), settings=SEEN)
    assert same(weights(loud.student), weights(quiet.student))
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in loud.student.parameters())


def test_round_0_is_shown_as_a_fixed_set_is_and_later_ones_otherwise(teach: Run) -> None:
    class Same(FixedSource):
        steps_per_round = 6

    brief = settings(steps=6, validations=0)
    assert same(
        weights(teach("fixed", settings=brief).student),
        weights(teach("one", source=Same(stripes(40)), settings=brief).student),
    )
    two = [
        weights(teach(name, source=source).student) for name, source in (("a", stripes(40)), ("b", Same(stripes(40))))
    ]
    assert not same(*two), "order and views of round 1 are its own"


def test_a_set_and_a_source_that_holds_it_are_the_same(teach: Run, images: ImageSet) -> None:
    states = [
        weights(teach(str(number), source=source).student)
        for number, source in enumerate([images, TransferSet(images), FixedSource(images)])
    ]
    assert same(states[0], states[1])
    assert same(states[0], states[2])


@pytest.mark.parametrize("step", [1, 3, 4, 5, 8, 9])
def test_interrupted_in_any_step_of_a_round_it_goes_on_to_the_same_bits(
    step: int, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stop requested in step 3 or 7 falls on the boundary to the next round."""
    rare = SEEN.model_copy(update={"checkpoint_seconds": 1000, "validations": 0})
    whole = teach("whole", source=Growing(), settings=rare)
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        teach(source=Growing(), settings=rare)
    monkeypatch.undo()
    stopped = Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors")
    source = Growing()
    resumed = teach(resume=True, source=source, settings=rare)
    assert source.refreshed == [number for number in range(3) if number > stopped.notes["rounds"]["number"]]
    assert source.loaded == 1
    assert same(weights(resumed.student), weights(whole.student))
    assert resumed.rounds_cost == whole.rounds_cost
    assert resumed.cost.teacher_passes == whole.cost.teacher_passes
    tensors = [Checkpoint.load(tmp_path / folder / "checkpoint.safetensors").tensors for folder in ("whole", "run")]
    assert same(*tensors)
    epochs = [[entry["epoch"] for entry in RunFolder(tmp_path / folder).metrics()] for folder in ("whole", "run")]
    assert epochs[0] == epochs[1] == sorted(epochs[0])


def test_a_round_whose_images_the_checkpoint_holds_is_not_made_again(teach: Run, tmp_path: Path) -> None:
    """The run ends after the images of round 1 were made and saved, and before its first step."""

    class Ending(Growing):
        def images(self, round: int) -> TransferSet:
            if round == 2:
                raise KeyboardInterrupt
            return super().images(round)

    whole = teach("whole", source=Growing(), settings=SEEN)
    with pytest.raises(KeyboardInterrupt):
        teach(source=Ending(), settings=SEEN)
    saved = Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors")
    assert (saved.step, saved.notes["rounds"]["number"]) == (8, 1)
    source = Growing()
    resumed = teach(resume=True, source=source, settings=SEEN)
    assert source.refreshed == [2]
    assert same(weights(resumed.student), weights(whole.student))


@pytest.mark.parametrize("round", [0, 1])
@pytest.mark.parametrize("seconds", [0, 1000])
def test_images_that_were_just_made_are_saved_at_once(
    seconds: float, round: int, teach: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images of the first round always; later ones as often as checkpoints may be written."""

    class Killed(Exception):
        pass

    def kill(self: BatchStream, step: int) -> Any:
        if len(self.images) == 6 + 3 * round:
            raise Killed
        return real(self, step)

    plain = SEEN.model_copy(update={"checkpoint_seconds": seconds, "validations": 0})
    real = BatchStream.__getitem__
    monkeypatch.setattr(BatchStream, "__getitem__", kill)
    with pytest.raises(Killed):
        teach(source=Growing(), settings=plain)
    monkeypatch.undo()
    saved = Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors")
    last_saved = round if seconds == 0 else 0
    assert (saved.step, saved.notes["rounds"]["number"]) == (4 * last_saved, last_saved)
    source = Growing()
    resumed = teach(resume=True, source=source, settings=plain)
    assert source.refreshed == list(range(last_saved + 1, 3))
    assert same(weights(resumed.student), weights(teach("whole", source=Growing(), settings=plain).student))


SCRIPT = """
import sys, time, torch
torch.set_num_threads(1)
from limbeck.objectives import weighted_sum
from limbeck.training import RunFolder, fit
from tests.training.sources import Growing, Noting
from tests.training.tiny import network, settings, stripes
class Slow(Noting):
    def after_step(self, *shown):
        time.sleep(float(sys.argv[2]))
        super().after_step(*shown)
source = Growing()
with RunFolder.open(sys.argv[1], {"name": "tiny"}, resume=True) as run_folder:
    fit(network(), source, weighted_sum({"ce": 0.1, "kd": 0.9}), settings=settings(steps=20), run_folder=run_folder,
        seed=0, teacher=network(9), validation=stripes(20, seed=1), observers=[Slow()])
print(source.refreshed)
"""


def test_a_killed_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    whole, killed = start(SCRIPT, str(tmp_path / "whole"), "0"), start(SCRIPT, str(tmp_path / "killed"), "0.1")
    wait_for_step(tmp_path / "killed", 9)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert 0 < Checkpoint.load(tmp_path / "killed" / "checkpoint.safetensors").step < 20
    resumed = start(SCRIPT, str(tmp_path / "killed"), "0")
    outputs = [process.communicate(timeout=120) for process in (whole, resumed)]
    assert (whole.returncode, resumed.returncode) == (0, 0), outputs
    assert outputs[0][0].strip() == "[0, 1, 2, 3, 4]"
    assert outputs[1][0].strip() in ("[3, 4]", "[4]", "[]")
    tensors = [Checkpoint.load(tmp_path / folder / "checkpoint.safetensors").tensors for folder in ("whole", "killed")]
    assert same(*tensors)


class Labelled(Growing):
    """A source whose round 1 is of another kind."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes

    def images(self, round: int) -> TransferSet:
        content = {"images": self.pixels, "labels": torch.arange(len(self.pixels)) % 2, "classes": CLASSES}
        if round:
            content |= self.changes
        soft_labels = content.pop("soft_labels", None)
        return TransferSet(ImageSet(**content), soft_labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": stripes(9).tensor().repeat(1, 3, 1, 1)},
            r"their shape \[C, H, W\] must be \[1, 8, 8\], got \[3",
        ),
        ({"images": stripes(9).tensor()[..., :7]}, r"must be \[1, 8, 8\], got \[1, 8, 7\]"),
        ({"classes": ("rows", "columns", "dots")}, "their number of classes must be 2, got 3"),
        ({"classes": ("columns", "rows")}, r"their classes must be \('rows', 'columns'\), got \('columns', 'rows'\)"),
        ({"labels": None}, "their labels must be there, got none"),
        ({"soft_labels": torch.full((9, 2), 0.5)}, "their soft labels must be none, got there"),
    ],
)
def test_rounds_of_another_kind_are_refused(teach: Run, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=f"of one kind, but those of round 1 are not: .*{message}"):
        teach(source=Labelled(**changes), settings=SEEN)


class Ended(Exception):
    """Stops a run in its second round."""


class Ending(Growing):
    def refresh(self, round: int, student: Any) -> Cost:
        if round == 1:
            raise Ended
        return super().refresh(round, student)


@pytest.mark.parametrize(("source", "got"), [(Growing(2), "2"), (Growing(None), "None"), (stripes(9), "None")])
def test_a_run_goes_on_with_rounds_as_long_as_those_it_began_with(teach: Run, source: Any, got: str) -> None:
    with pytest.raises(Ended):
        teach(source=Ending(), settings=SEEN)
    with pytest.raises(UserError, match=f"`steps_per_round` of the transfer source must be 4, .* got {got}; give the"):
        teach(resume=True, source=source, settings=SEEN)
    assert teach(resume=True, source=Growing(), settings=SEEN).steps == 11


class Telling(Growing):
    """Returns the given values in place of its cost and state."""

    def __init__(self, *, cost: Any = None, state: Any = None) -> None:
        super().__init__()
        self.told = cost, state

    def refresh(self, round: int, student: Any) -> Cost:
        cost = super().refresh(round, student)
        torch.set_grad_enabled(False)
        return self.told[0] or cost

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.told[1] or super().state_dict()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"cost": 3}, "`refresh` of a transfer source must return its `Cost`, got int"),
        ({"state": {"count": 3}}, r"`state_dict` .* tensors by name, got count \(int\); `torch.as_tensor` makes one"),
        ({"state": [3]}, r"`state_dict` .* tensors by name, got all of it \(list\)"),
    ],
)
def test_sources_that_give_something_else_are_refused(teach: Run, told: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        teach(source=Telling(**told), settings=SEEN)


def test_gradients_are_as_they_were_whatever_a_source_does_with_them(teach: Run) -> None:
    assert teach(source=Telling(), settings=SEEN).steps == 11


class Remembering(Objective):
    @property
    def remembers_ids(self) -> bool:
        return True

    def forward(self, student_logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        return student_logits.mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"settings": settings(steps=None, epochs=2)},
            r"`training\.epochs` says nothing, got 2\.0; set `training\.steps`",
        ),
        (
            {"objective": weighted_sum({"ce": 1, "crd": 1, "rrd": {"memory": "momentum"}})},
            "objective crd, rrd remembers every image by its id, .* choose `memory: queue` where it has one",
        ),
        ({"objective": WeightedSum({"own": Remembering()}, {"own": 1.0})}, "objective own remembers every image by"),
        ({"source": Growing(rounds=0)}, "`steps_per_round` of a transfer source must be None or at least 1, got 0"),
        ({"passes": torch.arange}, "`passes` are over images that do not change; leave them out"),
    ],
)
def test_what_contradicts_images_that_change_is_refused_before_any_is_made(
    teach: Run, changes: dict[str, Any], message: str
) -> None:
    source = changes.get("source", Growing())
    with pytest.raises(UserError, match=message):
        teach(**{"source": source, **changes})
    assert source.refreshed == []


def test_a_queue_in_place_of_a_memory_goes_with_images_that_change(teach: Run) -> None:
    objective = weighted_sum({"ce": 1, "rrd": {"memory": "queue", "negatives_count": 5}})
    assert teach(source=Growing(), objective=objective, settings=SEEN).steps == 11


def test_networks_that_cannot_be_taught_are_refused_before_any_image_is_made(teach: Run) -> None:
    source, frozen = Growing(), network()
    frozen.requires_grad_(False)
    with pytest.raises(UserError, match="must have a parameter that learns"):
        teach(student=frozen, source=source, settings=SEEN)
    assert source.refreshed == []
