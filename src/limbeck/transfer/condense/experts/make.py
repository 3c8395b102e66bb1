"""Makes experts: finds finished ones, resumes those that were begun, and has workers teach the rest."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.cost import Cost
from limbeck.data.image_set import ImageSet
from limbeck.device import default_device
from limbeck.errors import UserError
from limbeck.files import atomic_write_text, disk_errors
from limbeck.locks import only_one
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.models.weights.folder import save as save_model
from limbeck.progress import Progress, Silent
from limbeck.randomness import check_seed
from limbeck.training.threads import ONE_THREAD, work_of_step
from limbeck.transfer.condense.estimate import rough_time
from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts.check import check_experts, check_room
from limbeck.transfer.condense.experts.curriculum import CurriculumPasses, curriculum_for
from limbeck.transfer.condense.experts.intervals import Intervals
from limbeck.transfer.condense.experts.pace import measured_step
from limbeck.transfer.condense.experts.store import cost_of
from limbeck.transfer.condense.experts.teach import MakeTeaching, Networks, Teaching, TrainingTask
from limbeck.transfer.condense.experts.together import Together
from limbeck.transfer.condense.network_of_experts import EXPERTS_FILE, NETWORK, PLAN_FILE, WHITENING_EPSILON
from limbeck.workers import open_crew
from limbeck.workers.crew import Task
from limbeck.workers.shares import check_workers, computing_on, threads_each

_VERSION = 1
_GROWING = ("count", "epochs", "judges", "folder", "seed")
"""Settings left out of the plan: those with which existing experts stay of use, and the seed, which it has itself."""


def make_experts(
    settings: Experts,
    networks: Networks,
    images: ImageSet | Callable[[], ImageSet],
    folder: str | Path,
    *,
    snapshots: int | Sequence[int],
    seed: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    before: Callable[[], None] | None = None,
    whitening_epsilon: float | None = None,
) -> Cost:
    """Teaches experts on images, and keeps snapshots of their parameters; `ExpertStore.open` reads them.

    What `folder` holds is found and resumed, after a kill as well as with more experts, judges, snapshots or epochs
    than before: experts are the same to the bit, in whatever order and by however many workers they are taught.
    Several calls for one folder, as by the runs of a comparison, share the work.

    Args:
        settings: how many, and how they are taught; by plain or sharpness-aware SGD.
        networks: seed -> fresh network without state beside its parameters; picklable for several workers.
        images: labelled, or a function that loads them, which every worker calls for itself.
        folder: of the experts.
        snapshots: which of them are kept: the first so many, from number 0 before the first step on, or these numbers.
            No expert is taught beyond the last one, unless `settings.judges` is 0: then the end is kept, too.
        seed: of weights, order and views; by default that of `settings`. Every expert derives its own from it.
        workers: how many teach in parallel: processes of this machine, or of the Ray cluster that RAY_ADDRESS names or
            this process is connected to, whose nodes must share `folder` and the files of the images.
        progress: reports progress.
        before: called first where anything is missing.
        whitening_epsilon: that of networks which see whitened images, recorded for those who build such networks.

    Returns:
        The cost of all of them, whenever they were taught.

    Raises:
        UserError: settings, network and images do not fit together; the folder holds other experts; the disk has no
            room; a loss or snapshot is not finite; two snapshots are equal.
        Interrupted: stopped by Ctrl-C or SIGTERM.

    Example:
        >>> from limbeck.transfer.condense.network import FreshNetworks
        >>> settings = Experts(count=1, epochs=2, views=None, learning_rate=0.1, batch_size=100)
        >>> networks = FreshNetworks("convnet_d3", images, {"width": 4})
        >>> make_experts(settings, networks, images, "one", snapshots=2).steps  # two of the expert, four of the judge
        6
    """
    seed = settings.seed if seed is None else seed
    check_seed(seed)
    check_workers(workers)
    folder, watch = Path(folder), progress or Silent()
    image_set = images if isinstance(images, ImageSet) else images()
    if image_set.labels is None:
        raise UserError(f"experts are taught on labelled images, and {image_set.name!r} has no labels.")
    network = networks(0)
    kept = check_experts(settings, network, image_set, snapshots)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    waiting = f"waiting for another run that begins or ends with the experts in {str(folder)!r}"
    alone = partial(only_one, folder, lambda: watch.say(waiting))
    with alone():
        epsilon_note = {} if whitening_epsilon is None else {WHITENING_EPSILON: whitening_epsilon}
        plan = {**_claim(folder, settings, network, image_set, seed, workers, epsilon_note), **epsilon_note}
        if before is not None and not _is_complete(folder, settings, kept):
            before()
        passes, scoring = _passes(settings, image_set, folder, seed, watch)
        rest: dict[str, Any] = {
            "settings": settings,
            "networks": networks,
            "intervals": intervals_of(settings, image_set, passes),
            "passes": passes,
            "folder": folder.absolute(),
            "kept": kept,
            "seed": seed,
            "about": {name: plan[name] for name in ("images", "seed", "settings")},
        }
    teaching = Teaching(images=image_set, **rest)
    tasks = [
        *(TrainingTask("expert", number) for number in range(settings.count)),
        *(TrainingTask("judge", number) for number in range(settings.judges)),
    ]
    todo = [task for task in tasks if not teaching.is_done(task)]
    if todo:
        _announce(todo, teaching, network, min(workers, len(todo)), int(plan["threads"]), watch)
        make = MakeTeaching(images, image_set.fingerprint, rest)
        _teach(todo, teaching, make, min(workers, len(todo)), int(plan["threads"]), watch)
    with alone():
        _complete(folder, plan, settings, kept)
    return sum((cost_of(teaching.place(task)) for task in tasks), scoring)


def intervals_of(settings: Experts, images: ImageSet, passes: CurriculumPasses | None) -> Intervals:
    """The steps after which snapshots are taken. No batch is larger than an epoch, so that no step ends two epochs."""
    sizes = [len(images)] if passes is None else passes.sizes()
    return Intervals(sizes, min(settings.batch_size, *sizes), settings.steps_per_snapshot)


def _passes(
    settings: Experts, images: ImageSet, folder: Path, seed: int, progress: Progress
) -> tuple[CurriculumPasses | None, Cost]:
    if settings.curriculum is None:
        return None, Cost()
    steps = settings.steps_per_snapshot
    interval = None if steps is None else steps * min(settings.batch_size, len(images))
    return curriculum_for(settings.curriculum, images, folder, seed=seed, interval=interval, progress=progress)


def _announce(
    tasks: Sequence[TrainingTask],
    teaching: Teaching,
    network: Classifier,
    workers: int,
    threads: int,
    progress: Progress,
) -> None:
    """Says what will be done and what it takes; raises a UserError where the disk has not enough room."""
    experts, snapshots = sum(task.kind == "expert" for task in tasks), len(teaching.kept)
    needed = check_room(teaching.folder, teaching.settings, network, snapshots, experts)
    steps = sum(map(teaching.steps, tasks))
    with computing_on(threads):
        step_seconds, memory = measured_step(teaching.settings, network, teaching.images, teaching.intervals.batch_size)
    progress.say(
        f"{_counted(experts, 'expert')} of {_counted(snapshots, 'snapshot')} to teach, and "
        f"{_counted(len(tasks) - experts, 'judge')}: {steps:,} steps, "
        f"{rough_time(step_seconds * steps / workers)} on a machine as idle as now, {memory / 2**20:,.0f} MiB of memory"
        f"{'' if workers == 1 else f' for each of {workers} workers'}, and {needed / 2**20:,.0f} MiB on disk"
    )


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _teach(
    tasks: Sequence[TrainingTask],
    teaching: Teaching,
    make: MakeTeaching,
    workers: int,
    threads: int,
    progress: Progress,
) -> None:
    total = sum(teaching.steps(task) for task in tasks)
    together = Together(progress, "teaching experts", total)
    with together:
        if workers == 1:
            with computing_on(threads):
                _share_out(tasks, teaching, together)
            return
        with open_crew(workers) as crew:
            shared, queue = [teaching.folder], [Task(task, str(task)) for task in tasks]
            for _ in crew.work(make, queue, lambda task: together.part(task.title), shared, threads=threads):
                pass


def _share_out(tasks: Sequence[TrainingTask], teaching: Teaching, together: Together) -> None:
    """Teaches those that no other run is teaching, then waits for the others and finishes any that a run has left."""
    parts = {task: together.part(str(task)) for task in tasks}
    taught_elsewhere = [task for task in tasks if not teaching(task, parts[task], wait=False)]
    for task in taught_elsewhere:
        teaching(task, parts[task])
        parts[task].update(teaching.steps(task))


def _claim(
    folder: Path,
    settings: Experts,
    network: Classifier,
    images: ImageSet,
    seed: int,
    workers: int,
    noted: Mapping[str, Any],
) -> dict[str, Any]:
    """Prepares the folder, or checks that it holds the same plan; returns the plan."""
    plan: dict[str, Any] = {
        "version": _VERSION,
        "settings": _recorded(settings),
        "images": images.fingerprint,
        "network": fingerprint(network),
        "seed": seed,
    }
    for name in (PLAN_FILE, EXPERTS_FILE):  # once there are experts, the second holds the plan, too
        if (folder / name).exists():
            return _same(folder / name, plan)
    path = folder / PLAN_FILE
    strangers = sorted(
        entry.name for entry in folder.iterdir() if not entry.name.startswith(".") and entry.name != NETWORK
    )
    if strangers:
        raise UserError(
            f"the folder {str(folder)!r} holds files that are no experts ({', '.join(strangers[:3])}); choose another."
        )
    save_model(network, folder / NETWORK)
    # The number of threads affects rounding, so a resumed run takes the same, with however many workers.
    small = (
        default_device().type != "cpu"
        or work_of_step(network, None, images.shape, min(settings.batch_size, len(images))) < ONE_THREAD
    )
    plan["threads"] = 1 if small else threads_each(workers)
    atomic_write_text(path, json.dumps({**plan, **noted}, indent=1) + "\n")
    return plan


def default_settings() -> dict[str, Any]:
    """The settings that a plan records, as they are by default: what an earlier version did not record was so."""
    return _recorded(Experts())


def _recorded(settings: Experts) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=set(_GROWING))


def _same(path: Path, plan: dict[str, Any]) -> dict[str, Any]:
    try:
        before = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{str(path)!r} is damaged ({error}); choose another folder.") from error
    differing = [name for name in plan if name != "settings" and before.get(name) != plan[name]]
    now, then = plan["settings"], {**default_settings(), **before.get("settings", {})}
    changed = [name for name in now if then[name] != now[name]]
    differing += [f"`experts.{name}` ({then[name]!r} then, {now[name]!r} now)" for name in changed]
    if differing:
        raise UserError(
            f"the experts in {str(path.parent)!r} are others: they differ in {', '.join(differing)}. Make these in "
            "another folder, or go on with what those were begun with."
        )
    return before


def _complete(folder: Path, plan: dict[str, Any], settings: Experts, kept: Sequence[int]) -> None:
    """Records what is complete, and what earlier calls completed beyond it."""
    now, before = _extent(settings, kept), _extents(folder)
    if any(_holds(extent, now) for extent in before[:1]):
        return
    earlier = [{name: extent[name] for name in now} for extent in before if not _holds(now, extent)]
    more = {"earlier": earlier} if earlier else {}
    atomic_write_text(folder / EXPERTS_FILE, json.dumps({**plan, **now, **more}, indent=1) + "\n")


def _is_complete(folder: Path, settings: Experts, kept: Sequence[int]) -> bool:
    """Whether all that is asked for has been recorded as complete."""
    return any(_holds(extent, _extent(settings, kept)) for extent in _extents(folder))


def _extents(folder: Path) -> list[dict[str, Any]]:
    """What has been recorded as complete, latest first."""
    path = folder / EXPERTS_FILE
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    return [record, *record.get("earlier", [])]


def _extent(settings: Experts, kept: Sequence[int]) -> dict[str, Any]:
    return {"count": settings.count, "judges": settings.judges, "epochs": settings.epochs, "kept": list(kept)}


def _holds(more: Mapping[str, Any], less: Mapping[str, Any]) -> bool:
    """Whether the extent `more` includes all of `less`."""
    enough = all(more[name] >= less[name] for name in ("count", "judges"))
    alike = more["epochs"] == less["epochs"] and bool(more["judges"]) == bool(less["judges"])
    return enough and alike and {*more["kept"]} >= {*less["kept"]}
