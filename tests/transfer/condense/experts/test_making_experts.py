"""Experts are those of the ordinary loop, the same to the bit however they come about."""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from filelock import FileLock
from tests.training.stopping import stop_at
from tests.training.tiny import same, stripes, weights
from tests.transfer.condense.experts.tiny_experts import IMAGES, NETWORKS, all_of, make, settings, whole

from limbeck.errors import UserError
from limbeck.models import create, wrap
from limbeck.objectives import weighted_sum
from limbeck.progress import Progress, Silent
from limbeck.randomness import derive_seed
from limbeck.training import Interrupted, RunFolder, WeightTrajectory, fit
from limbeck.training.schedule import schedule_of
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.intervals import Intervals
from limbeck.transfer.condense.experts.observer import Snapshots
from limbeck.transfer.condense.experts.teach import Teaching, TrainingTask, training_settings

FIVE_STEPS = Intervals([40], batch_size=8)
"""Of an epoch."""
OUTSIDE = wrap(torch.nn.Linear(8, 2), num_classes=2, input_size=8, mean=[0, 0, 0], std=[1, 1, 1])


def test_snapshots_are_those_of_the_ordinary_loop(tmp_path: Path) -> None:
    seed = derive_seed(0, "expert", 1)
    student = NETWORKS(seed)
    trajectory = WeightTrajectory(student)
    with RunFolder.open(tmp_path / "run", {}) as run_folder:
        fit(
            student,
            IMAGES,
            weighted_sum("cross_entropy"),
            settings=training_settings(settings(), 25, FIVE_STEPS),
            run_folder=run_folder,
            seed=seed,
            observers=[trajectory],
        )
    expected = [torch.cat([tensor.flatten() for tensor in epoch.values()]) for epoch in trajectory.weights]
    assert torch.equal(all_of(whole("float32"))[1], torch.stack(expected))
    assert whole("float32").network.classes == ("rows", "columns")


@pytest.mark.parametrize("form", ["float16", "float32", "differences"])
def test_snapshots_are_apart_and_experts_too(form: str) -> None:
    """Snapshots are copies of the live parameters; otherwise all of them would be equal."""
    rows = all_of(whole(form))
    assert (rows.diff(dim=1).norm(dim=2) > 0.01).all()
    assert (rows[0] - rows[1]).norm(dim=1).min() > 1


def test_one_seed_one_set_of_experts(tmp_path: Path) -> None:
    same_seed = all_of(make(tmp_path / "same", snapshots=2, judges=0, epochs=1))
    assert torch.equal(same_seed, all_of(whole("float16"))[:1, :2])
    assert not torch.equal(all_of(make(tmp_path / "other", snapshots=2, judges=0, epochs=1, seed=4)), same_seed)


@pytest.mark.parametrize(("step", "form"), [(2, "differences"), (5, "float16"), (7, "differences")])
def test_what_was_interrupted_goes_on(step: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        make(tmp_path / "experts", format=form, epochs=5)
    with pytest.raises(UserError, match="are not finished; make them again with the same folder, which goes on"):
        ExpertStore.open(tmp_path / "experts")
    monkeypatch.undo()
    store = make(tmp_path / "experts", format=form, epochs=5)
    assert torch.equal(all_of(store)[0], all_of(whole(form))[0, :3])
    assert same(weights(store.judges[0]), weights(whole(form).judges[0]))


def test_more_of_everything_is_what_it_would_have_been_at_once(tmp_path: Path) -> None:
    form = "differences"
    make(tmp_path / "experts", snapshots=2, format=form)
    store = make(tmp_path / "experts", snapshots=6, count=2, judges=2, epochs=5, format=form)
    assert torch.equal(all_of(store), all_of(whole(form)))
    assert len(store.judges) == 2
    assert all(same(weights(a), weights(b)) for a, b in zip(store.judges, whole(form).judges, strict=True))
    assert same(weights(store.judge(1)), weights(store.judges[1]))


def test_what_is_there_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = settings(count=2)
    cost = make_experts(two, NETWORKS, IMAGES, tmp_path, snapshots=3)
    assert (cost.steps, cost.images_read) == (2 * 10 + 15, 8 * 35)
    monkeypatch.setattr("limbeck.transfer.condense.experts.teach.fit", None)
    assert make_experts(two, NETWORKS, IMAGES, tmp_path, snapshots=3) == cost
    assert ExpertStore.open(tmp_path).cost() == cost
    fewer = make_experts(settings(), NETWORKS, lambda: IMAGES, tmp_path, snapshots=2)
    assert fewer.steps == 10 + 15
    assert ExpertStore.open(tmp_path).count == 2, "what is complete stays so"
    assert ExpertStore.open(tmp_path, count=1, snapshots=2).kept == (0, 1)


def test_more_experts_of_fewer_snapshots_hide_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, snapshots=4, count=1)
    store = make(tmp_path, snapshots=2, count=2)
    assert (store.count, store.kept) == (2, (0, 1))
    assert ExpertStore.open(tmp_path, containing=[0, 1]).count == 2
    before = ExpertStore.open(tmp_path, containing=[1, 3])
    assert (before.count, before.kept) == (1, (0, 1, 2, 3))
    assert ExpertStore.open(tmp_path, containing=[5]).kept == (0, 1), "the last, where none has it"
    monkeypatch.setattr("limbeck.transfer.condense.experts.teach.fit", None)
    again = make(tmp_path, snapshots=4, count=1)
    assert (again.count, again.kept) == (1, (0, 1, 2, 3))
    assert ExpertStore.open(tmp_path, count=2, snapshots=2).count == 2
    whole = make(tmp_path, snapshots=2, count=1)
    assert whole.kept == (0, 1, 2, 3), "which has all of it"


@pytest.mark.parametrize("ended", [True, False], ids=["taught", "left"])
def test_runs_share_out_what_there_is_to_teach(ended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another run teaches is left to it and awaited at the end; what it leaves untaught is taught here."""
    lock, taught = FileLock(tmp_path / ".expert-0.lock"), []
    teach_one = Teaching._teach

    class Waiting(Silent):
        def say(self, message: str) -> None:
            if message.startswith("expert 0: another run"):
                if ended:
                    teach_one(teachers[0], TrainingTask("expert", 0), Silent())
                lock.release()

    teachers: list[Teaching] = []

    def recorded(self: Teaching, task: TrainingTask, progress: Progress) -> None:
        teachers.append(self)
        taught.append(str(task))
        teach_one(self, task, progress)

    monkeypatch.setattr(Teaching, "_teach", recorded)
    lock.acquire()
    store = make(tmp_path, snapshots=6, count=2, judges=1, epochs=5, progress=Waiting())
    assert taught == ["expert 1", "judge 0"] + ["expert 0"] * (not ended)
    assert torch.equal(all_of(store), all_of(whole("float16")))


def test_only_the_snapshots_that_are_read_are_made(tmp_path: Path) -> None:
    store = make(tmp_path, snapshots=range(1, 3))
    assert (store.kept, store.snapshots) == ((1, 2), 3)
    files = sorted(path.name for path in (tmp_path / "expert-0000" / "snapshots").iterdir())
    assert files == ["0001.safetensors", "0002.safetensors"]
    assert max(line.step for line in store.losses(0)) == 10, "of 15 steps of a whole training"


@pytest.mark.parametrize("form", ["float16", "differences"])
def test_earlier_snapshots_are_made_by_teaching_anew(form: str, tmp_path: Path) -> None:
    make(tmp_path / "experts", snapshots=[0, 3], format=form)
    store = make(tmp_path / "experts", snapshots=[1, 2], format=form)
    assert store.kept == (1, 2)
    rows, expected = all_of(ExpertStore.open(tmp_path / "experts", snapshots=4))[0], all_of(whole(form))[0, :4]
    exact = 4 if form == "float16" else 3  # the last is still kept as a difference from the first
    assert torch.equal(rows[:exact], expected[:exact])
    assert torch.allclose(rows, expected, atol=1e-3)


def test_without_judges_experts_are_taught_to_the_end(tmp_path: Path) -> None:
    store = make(tmp_path, snapshots=2, judges=0, format="float32", count=2)
    assert store.kept == (0, 1, 3)
    assert len(store.judges) == 2
    assert same(weights(store.judge(1)), weights(store.judges[1]))
    theta = torch.cat([parameter.flatten() for parameter in store.judges[1].network.parameters()])
    assert torch.equal(theta, whole("float32").theta(1, 3))
    assert not store.judges[1].training


def test_snapshots_after_steps(tmp_path: Path) -> None:
    steps = make(tmp_path / "steps", snapshots=6, steps_per_snapshot=1, epochs=5, format="float32")
    assert torch.equal(steps.theta(0, 5), whole("float32").theta(0, 1)), "an epoch has five steps"


def test_views_and_sharpness_are_those_of_the_ordinary_loop(tmp_path: Path) -> None:
    changes = {"views": "dsa", "sharpness": {"rho": 0.05}, "format": "float32", "judges": 0, "epochs": 1}
    training = training_settings(settings(**changes), 5, FIVE_STEPS)
    assert (training.normalised_views, training.sharpness and training.sharpness.rho) == ("dsa", 0.05)
    store = make(tmp_path / "experts", snapshots=2, **changes)
    student = NETWORKS(derive_seed(0, "expert", 0))
    with RunFolder.open(tmp_path / "run", {}) as run_folder:
        seed = derive_seed(0, "expert", 0)
        fit(student, IMAGES, weighted_sum("cross_entropy"), settings=training, run_folder=run_folder, seed=seed)
    assert torch.equal(
        store.theta(0, 1), torch.cat([parameter.detach().flatten() for parameter in student.network.parameters()])
    )
    assert not torch.equal(store.theta(0, 1), whole("float32").theta(0, 1))


def test_the_rate_falls_after_epochs_however_long_training_is(tmp_path: Path) -> None:
    falling = settings(milestones=[2, 4], decay=0.5)
    for epochs, expected in ((2, [0.1]), (3, [0.1, 0.05]), (7, [0.1, 0.05, 0.025])):
        rate = schedule_of(5 * epochs, training_settings(falling, 5 * epochs, FIVE_STEPS))
        rates = [rate(step).rate for step in range(5 * epochs)]
        assert rates == pytest.approx([expected[min(step // 10, len(expected) - 1)] for step in range(5 * epochs)])
    changes: dict[str, Any] = {"milestones": [2], "decay": 0.5, "judges": 0, "format": "float32"}
    store = make(tmp_path, snapshots=2, epochs=1, **changes)
    store = make(tmp_path, snapshots=4, epochs=3, **changes)
    assert torch.equal(all_of(store)[0, :3], all_of(whole("float32"))[0, :3])
    assert not torch.equal(store.theta(0, 3), whole("float32").theta(0, 3))


def test_experts_that_recorded_no_milestones_had_none(tmp_path: Path) -> None:
    make(tmp_path, snapshots=2)
    for name in ("plan.json", "experts.json"):
        if (tmp_path / name).exists():
            about = json.loads((tmp_path / name).read_text())
            about["settings"] = {key: about["settings"][key] for key in about["settings"] if key != "milestones"}
            (tmp_path / name).write_text(json.dumps(about))
    make(tmp_path, snapshots=2)
    with pytest.raises(UserError, match=r"they differ in `experts.milestones` \(\[\] then, \[1\] now\)"):
        make(tmp_path, snapshots=2, milestones=[1])


def test_a_batch_larger_than_the_set_is_the_set(tmp_path: Path) -> None:
    """Otherwise one step would end several epochs, whose snapshots would be equal."""
    store = make(tmp_path, batch_size=256)
    assert (all_of(store).diff(dim=1).norm(dim=2) > 0).all()
    assert store.losses(0)[-1].step == 2


def test_progress_is_one_stage_of_all_steps(tmp_path: Path) -> None:
    class Heard(Silent):
        stages: ClassVar[list[tuple[str, int]]] = []
        done: ClassVar[list[int]] = []

        said: ClassVar[list[str]] = []

        def say(self, message: str) -> None:
            self.said.append(message)

        def begin(self, title: str, total: int, done: int = 0) -> None:
            self.stages.append((title, total))

        def update(self, done: int, note: str = "") -> None:
            self.done.append(done)

    make(tmp_path, progress=Heard())
    assert Heard.stages == [("teaching experts", 25)]
    text = "1 expert of 3 snapshots to teach, and 1 judge: 25 steps, less than a minute on a machine as idle as now, "
    assert Heard.said == [text + "0 MiB of memory, and 0 MiB on disk"]
    assert Heard.done == sorted(Heard.done)
    assert Heard.done[-1] == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"networks": lambda seed: create("convnet_d3", num_classes=2, channels=1, input_size=8, norm="batch")},
         "remembers more than its parameters, layers.0.1.num_batches_tracked, .*take one without batch norm"),
        ({"networks": lambda seed: create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4)},
         r"tells 3 classes apart, but the images \(images\) have 2; build it for these"),
        ({"networks": lambda seed: OUTSIDE},
         "made outside limbeck, so that no name rebuilds it; register it"),
        ({"images": IMAGES.with_labels(None, ("rows", "columns"))}, "are taught on labelled images, and 'images' has"),
        ({"snapshots": 5}, "snapshots up to number 4 are read, .* and `experts.epochs` is 3; raise that, or lower"),
        ({"snapshots": 1}, r"`snapshots` must be at least 2, or numbers from 0 on with one above, got \[0\]"),
        ({"snapshots": [-1, 2]}, r"`snapshots` must be at least 2, .*, got \[-1, 2\]"),
        ({"seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"learning_rate": 1e30, "format": "float32"},
         r"expert 0, whose `training` is `experts`: the (loss is not finite at step|student's weights are not finite)"),
        ({"learning_rate": 1e-9}, "equals the one before, .* higher `experts.learning_rate`, .* `experts.format: diff"),
        ({"learning_rate": 1e-30, "format": "float32"}, "equals the one before, .*, more `experts.steps_per_sna"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(changes: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        make(tmp_path / "experts", **changes)


def test_what_a_form_cannot_hold_is_said(tmp_path: Path) -> None:
    network = NETWORKS(0)
    with torch.no_grad():
        network.network.head.bias += 1e5
    with pytest.raises(
        UserError, match=r"snapshot 0 of 'expert' is not finite in float16; .* weights are above 65,504"
    ):
        Snapshots(network, {0: 0}, tmp_path / "expert", "float16").write()
    Snapshots(network, {0: 0}, tmp_path / "expert", "float32").write()


def test_steps_that_rounding_swallows_are_warned_of(tmp_path: Path) -> None:
    with pytest.warns(
        UserWarning, match=r"`experts.format: float16` loses .*% of the squared distance between"
    ) as caught:
        make(tmp_path, learning_rate=1e-3, snapshots=3, judges=0, epochs=2)
    assert len(caught) > 1
    assert len({str(warning.message) for warning in caught}) == 1, "so that it is shown once"
    differences = make(tmp_path / "more", learning_rate=1e-3, format="differences", snapshots=2, judges=0, epochs=1)
    assert differences.precision(0, 1).lost < 1e-4


def test_others_are_not_made_in_the_same_folder(tmp_path: Path) -> None:
    make(tmp_path / "experts")
    for changes, message in [
        ({"seed": 1}, "differ in seed"),
        ({"images": stripes(40, seed=1)}, "differ in images"),
        (
            {"learning_rate": 0.2},
            r"differ in `experts.learning_rate` \(0.1 then, 0.2 now\). Make these in another",
        ),
        (
            {"epochs": 2},
            "`experts.epochs` must not be lower than when the judges in .* were taught, got 2, which is",
        ),
    ]:
        with pytest.raises(UserError, match=message):
            make(tmp_path / "experts", **changes)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UserError, match=r"holds files that are no experts \(experts, notes.txt\); choose another"):
        make(tmp_path)
    (tmp_path / "experts" / "plan.json").write_text("{")
    with pytest.raises(UserError, match=r"plan.json' is damaged \(.*\); choose another folder"):
        make(tmp_path / "experts")


def test_a_full_disk_is_seen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.transfer.condense.experts.check.free_bytes", lambda path: 2**16)
    with pytest.raises(UserError, match=r"2 experts with 3 snapshots take 0 MiB, and the disk of .* has 0 MiB free"):
        make(tmp_path, count=2)


def test_threads_are_settled_once() -> None:
    plan = json.loads((whole("float16").folder / "plan.json").read_text())
    assert plan["threads"] == 1, "as steps are small"
