"""`distill`, `compare`, `borrow` and `probe` from Python, on objects or on names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from torch import nn

from limbeck.api.named_images import (
    all_in_one,
    evaluation_images,
    size_for_objects,
    sized_images,
    training_images_of,
    with_images_named,
)
from limbeck.api.objects import (
    Pool,
    Student,
    as_settings,
    handed_over,
    name_of_network,
    name_of_student,
    network_of,
    student_factory,
)
from limbeck.data.image_set import ImageSet
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike, has_splits
from limbeck.data.place import path_text
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.probing import Probe
from limbeck.evaluation.probing import probe as probe_classifier
from limbeck.models.classifier import Classifier
from limbeck.precision import Precision
from limbeck.progress import Progress
from limbeck.recipes.all_of import TEST_SHARE
from limbeck.recipes.borrowing import borrow_images, settings_to_borrow
from limbeck.recipes.compare import compare as compare_recipe
from limbeck.recipes.handed_images import source_of
from limbeck.recipes.image_sizes import KnownSize, shape_for, trained_size
from limbeck.recipes.inputs import PythonObjects
from limbeck.recipes.plugged import telling_lost_plugins
from limbeck.recipes.probes import train_and_test
from limbeck.recipes.reading import parse_recipe, read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult
from limbeck.recipes.settings import VALIDATION_SHARE, DatasetSettings
from limbeck.recipes.sources import is_transfer_set
from limbeck.recipes.use import recipe_of_set
from limbeck.training.arguments import TrainingArguments, showing_settings


@showing_settings
def distill(
    teacher: Classifier | str | Path | None,
    student: Student | type[nn.Module] | Mapping[str, Any] | None,
    images: ImagesLike | TransferSet,
    *,
    out: str | Path,
    test: ImagesLike | None = None,
    validation: int | float | ImagesLike | None = None,
    objective: str | Callable[..., Any] | Mapping[Any, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    tracker: str | Mapping[str, Any] | None = None,
    license: str | None = None,
    progress: Progress | None = None,
    **training: Unpack[TrainingArguments],
) -> RunResult:
    """Teaches a student on images, evaluates it, and keeps everything about it in a run folder.

    Args:
        teacher: a classifier, or whatever `load_model` takes; None learns from labels or soft labels alone.
        student: a model's name, an import path, a class of modules or a function of `num_classes` of one's own
            ("my_parts:Net"), the mapping that recipes have under `student`, a classifier to go on from, or a function
            from a seed to a fresh classifier; what is handed over stays as it is, and a copy is taught. None takes the
            one that a transfer set says it is for.
        images: an image set, a transfer set or its folder (whose soft labels stand in for a teacher), a data set's
            name, or what else `limbeck.load` takes, as below. With a teacher or soft labels they need no labels. A
            transfer set that carries a `use` says student, objective and training, as far as they are not given;
            another model keeps the normalisation.
        out: the run folder, new unless `resume` is given.
        test: labelled images to evaluate on at the end; by name, those for testing, else for validation; a fifth is
            held out where it names the same folder without splits as `images`.
        validation: images that choose among the states of the run: images of their own, or a count or share to hold out
            of `images`, or 0. By default a tenth of labelled images; a transfer set is taught whole. Without labels, a
            student is judged there by its agreement with the teacher.
        objective: a name, a function of signals as `lambda student_logits, teacher_logits: ...`, its import path
            ("my_parts:loss"), or a mapping from these to weights; by default Hinton's with a teacher or soft labels
            (without its cross-entropy if `images` have no labels), else cross-entropy.
        seed: of weights, order and views.
        resume: go on with the run in `out`; beyond its end, where more `steps` or `epochs` fit its schedule.
        tracker: "tensorboard", "wandb", "mlflow" or "trackio", which shows the run while it goes on, or a mapping of
            `name`, `project` and its `options`; by default none. A tracker that fails is left out with a warning.
        license: of the student, for its model card, as "apache-2.0"; by default none is stated.
        progress: reports progress.
        training: the settings of `TrainingSettings` by name, and its defaults; one of `steps` and `epochs` is a must
            where no transfer set says them. `optimizer`, `schedule` and `views` may be one's own (docs/plugins.md).

    Classes are found by name: images, teacher and student may number them differently. The student comes out with
    their names.

    Raises:
        UserError: whatever does not fit together, all at once where it can be known; what a transfer set lacks to be
            used rightly.

    Example:
        >>> images, test = lb.load("digits"), lb.load("digits", "test")
        >>> result = lb.distill("runs/teacher", student, images, test=test, out="runs/one", steps=20, views="none")
        >>> result.evaluation.n, result.cost["teacher_passes"]
        (360, 1280)
    """
    learner = as_settings(student)
    known_size = size_for_objects(learner, teacher)
    taught, is_whole = _taught(images, known_size)
    in_one = all_in_one(images, test)
    pool, soft_labels = taught.images, taught.soft_targets
    held_out = _held_out(validation, 0 if is_whole or pool.labels is None else VALIDATION_SHARE, known_size)
    validation_images = held_out if isinstance(held_out, ImageSet) else None
    test_images = None if test is None or in_one else evaluation_images(test, known_size)
    teacher_network = _teacher(teacher)
    described = taught.use is not None or learner is None
    default = None if described else _default_objective(teacher_network, soft_labels, pool)
    is_named = isinstance(learner, str | Mapping | None)
    recipe = recipe_of_set(
        taught,
        {
            "train": source_of(pool),
            "test": TEST_SHARE if in_one else None if test_images is None else source_of(test_images),
            "validation": held_out if validation_images is None else source_of(validation_images),
        },
        owner=f"the transfer set {pool.name!r}" if is_whole else repr(pool.name),
        name="distill" if teacher_network is not None else "train",
        student=learner if is_named else name_of_student(learner),
        own_student=not is_named,
        teacher=None if teacher_network is None else name_of_network(teacher_network),
        objective=default if objective is None else objective,
        training={**({} if described else {"views": "pad-crop-flip"}), **training},
        seed=seed,
        tracker=tracker,
        license=license,
    )
    make_student = None if is_named else student_factory(learner)
    objects = PythonObjects(
        pool, test_images, teacher_network, soft_labels, make_student, validation_images, use=taught.use
    )
    return run(recipe, out, resume=resume, objects=objects, progress=progress)


def compare(
    recipe: str | Path | Mapping[str, Any],
    *,
    out: str | Path,
    overrides: Sequence[str] = (),
    teacher: Classifier | str | Path | None = None,
    student: Student | type[nn.Module] | None = None,
    train: ImagesLike | None = None,
    test: ImagesLike | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    workers: int = 1,
) -> dict[str, Any]:
    """Runs a comparison: arms x budgets x seeds beside the honest controls; returns its results.

    Args:
        recipe: a packaged recipe's name, a YAML file, or a mapping, whose `data` may hold images as `train` does.
        out: folder of the comparison, new unless `resume` is given.
        overrides: changes to the recipe, "training.steps=100" each.
        teacher, student, train, test: take the place of what the recipe names, each alone or together. Training images
            without labels do; the controls that need labels are then left out. In a mapping, functions and classes of
            one's own stand where a recipe has their import paths.
        resume: go on with the comparison in `out`; finished runs are not repeated.
        progress: reports progress.
        workers: runs that go on side by side, each in a process of its own, with the same results as one by one; what
            is handed over must survive pickling then.

    Raises:
        UserError: whatever is known to be wrong before the first run.

    Example:
        >>> quick = ["compare.budgets=[50]", "compare.seeds=[0]", "training.steps=2", "latency=false"]
        >>> results = lb.compare("digits-demo", teacher=teacher, out="runs/quick", overrides=quick)
        >>> [row["arm"] for row in results["table"]][:6]
        ['entropy', 'generated', 'random', 'balanced-random', 'noise', 'procedural']
    """
    teacher_network = _teacher(teacher)
    recipe, train, test, validation = with_images_named(recipe, train, test)
    with telling_lost_plugins(out):
        content = read_recipe(recipe, overrides).model_dump(mode="json", exclude_none=True)
    known_size = size_for_objects(
        student or content["student"], teacher or (content.get("teacher") or {}).get("weights")
    )
    train = None if train is None else sized_images(train, "train", "train", known_size)
    test = None if test is None else evaluation_images(test, known_size)
    if train is not None:
        content["data"]["train"] = source_of(train)
    if test is not None:
        content["data"]["test"] = source_of(test)
    if teacher_network is not None:
        content["teacher"] = {"weights": name_of_network(teacher_network)}
    learner = as_settings(student)
    is_named = isinstance(learner, str | Mapping | None)
    if learner is not None:
        content["student"] = learner if is_named else {"model": name_of_student(learner)}
    factory = None if is_named else student_factory(learner)
    objects = PythonObjects(train, test, teacher_network, None, factory, validation)
    options = {"resume": resume, "objects": objects, "progress": progress, "workers": workers}
    return compare_recipe(parse_recipe(content), out, **options)


def borrow(
    teacher: Classifier | str | Path,
    pools: Pool | Sequence[Pool],
    *,
    budget: int | float | str,
    by: str | Mapping[str, float] | None = "minimal-margin",
    threshold: str | Mapping[str, Any] | None = None,
    fill: Literal["best", "first-come"] = "best",
    short: Literal["spread", "repeat", "leave"] = "spread",
    exclude: Sequence[str] | str | None = (),
    test: ImagesLike | None = None,
    overlap: Literal["refuse", "leave-out"] = "refuse",
    compile: bool = False,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    workers: int = 1,
    precision: Precision = "auto",
    scores: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> TransferSet:
    """Images of other data sets that a teacher is sure of, as many of every class that it gives, without labels.

    Args:
        teacher: a classifier, or whatever `load_model` takes.
        pools: what to borrow from: data sets by name, image sets, what else `limbeck.load` takes, streams, too, or
            mappings of the settings of a pool, as `{"name": "cifar100", "exclude": ["dog"]}`. Pictures that are equal
            count once.
        budget: a count, a share of the distinct images of the pools (0.1, "10%"), or "50/class", 50 times the teacher's
            classes.
        by: what is preferred: "minimal-margin", "margin", "entropy", "confidence" or "energy", by which the teacher is
            the surest; "boundary", by which it is torn; "k-centre"; "balanced-random"; "random"; "none", the first that
            come; or name -> share. None is "minimal-margin".
        threshold: how sure the teacher must be of each class: "quantile" or `{"of": "quantile", "share": 0.1}`, of the
            pools, or "mean" or "best-share" of `calibration` images of the task.
        fill: the "best" first over all pools, or "first-come", pool after pool, each shuffled by the seed.
        short: where a class has fewer images than its share: "spread" its rest over the others, "repeat" its images in
            views of their own, or "leave" the set smaller.
        exclude: names of classes of the pools that are left out, or "known": all whose name the teacher knows.
        test: images that students will be judged on, of which none may be borrowed.
        overlap: where pools hold some: "refuse", or "leave-out".
        compile: whether torch compiles the teacher before it is asked on a CPU, which takes some ten seconds and a C++
            compiler, and pays from tens of thousands of images on.
        size: pixels a side, or (height, width), that images are brought to; by default that of `test`, or else what the
            teacher takes or is known to have been trained with.
        seed: of all that is drawn.
        workers: processes that score, see `limbeck.score_table`.
        precision: in which the teacher is asked.
        scores: folder that keeps what the teacher says of the pools, for other budgets and criteria.
        out: a new folder to save the transfer set in, with evidence, cost and a report. What was stopped on the way
            goes on when it is called again.
        progress: reports progress.

    Raises:
        UserError: a pool that cannot be read or holds test images; a budget above what the pools hold, or below the
            teacher's classes; a teacher that cannot be asked so.

    Example:
        >>> borrowed = lb.borrow(teacher, "digits", budget=20, by="random", size=8)
        >>> len(borrowed), borrowed.images.labels, borrowed.provenance["source"][0]
        (20, None, 'digits')
    """
    network = network_of(teacher, "teacher")
    test_images = None if test is None else evaluation_images(test, size_for_objects(None, teacher))
    size = trained_size(teacher) if size is None and test_images is None else size
    handed: dict[str, ImageSet] = {}
    pool_list = pools if isinstance(pools, Sequence) and not isinstance(pools, str) else [pools]

    def shape() -> tuple[int, int, int]:
        return test_images.shape if test_images is not None and size is None else shape_for(network, size)

    settings: dict[str, Any] = {
        "pools": [handed_over(pool, "pools", handed, shape) for pool in pool_list],
        "budget": budget,
        "by": by,
        "threshold": threshold,
        "fill": fill,
        "short": short,
        "exclude": exclude if isinstance(exclude, str | None) else list(exclude),
        "overlap": overlap,
        "compile": compile,
    }
    if isinstance(threshold, Mapping) and threshold.get("calibration") is not None:
        calibration = handed_over(threshold["calibration"], "calibration", handed, shape)
        settings["threshold"] = {**threshold, "calibration": calibration}
    return borrow_images(
        settings_to_borrow(settings),
        network,
        handed=handed,
        test=test_images,
        size=size,
        seed=seed,
        workers=workers,
        precision=precision,
        scores=None if scores is None else _path(scores, "scores"),
        target=None if out is None else _path(out, "out"),
        progress=progress,
    )[0]


def probe(
    network: Classifier | str | Path,
    train: ImagesLike,
    test: ImagesLike | None = None,
    *,
    hold_out: int | float | None = None,
    schedule: Literal["l2", "published"] = "l2",
    seeds: Sequence[int] = (0,),
    size: int | tuple[int, int] | None = None,
    precision: Precision = "fp32",
) -> Probe:
    """Fits a linear head on a frozen network and evaluates it: what do its features tell about other data?

    Args:
        network: a classifier, or whatever `load_model` takes.
        train: labelled images, or a data set's name.
        test: images to evaluate on; by default the test images of the data set that `train` names.
        hold_out: instead of `test`, a count or share of the training images, stratified.
        schedule: "l2" for a regularised logistic regression, its strength chosen on a fifth of the training images;
            "published" for the published schedule of stochastic gradient descent.
        seeds: of the held-out images, or of first weights and order.
        size: pixels a side, or (height, width), that images are resized to; by default what the network takes, and at
            most 32x32 for one that takes any.
        precision: of the forward passes.

    Raises:
        UserError: see `limbeck.evaluation.probe`.

    Example:
        >>> found = lb.probe("runs/teacher", "digits", hold_out=0.2)
        >>> alone = lb.probe(lb.models.untrained(student), "digits", hold_out=0.2)  # what the architecture gives
        >>> 0 < alone.mean_top1 <= 1
        True
    """
    if test is None and hold_out is None and has_splits(train):
        test = train
    test_images = None if test is None else _unless_named(test, "test")
    image_sets = train_and_test(_unless_named(train, "train"), test_images, hold_out=hold_out, size=size)
    shape = (size, size) if isinstance(size, int) else size
    options = {"schedule": schedule, "seeds": seeds, "size": shape, "precision": precision}
    return probe_classifier(network_of(network, "network"), *image_sets, **options)


def _taught(images: ImagesLike | TransferSet, known: KnownSize | None) -> tuple[TransferSet, bool]:
    """The images that a student is taught on, and whether they are a transfer set, which is taught whole by default."""
    if isinstance(images, TransferSet):
        return images.decoded(), True
    if isinstance(images, str | Path):
        source = DatasetSettings.model_construct(name=path_text(images))
        return training_images_of(source, known), is_transfer_set(source)
    return TransferSet(as_image_set(images, "train", "images")), False


def _held_out(
    validation: int | float | ImagesLike | None, default: float, known: KnownSize | None
) -> int | float | ImageSet:
    """Validation images, or how many training images to hold out for validation."""
    if validation is None:
        return default
    if isinstance(validation, int | float):
        return validation
    return sized_images(validation, "validation", "validation", known)


def _unless_named(images: ImagesLike, argument: str) -> ImageSet | str | Path:
    """Images as a set; a name stays a name, and is loaded later in its own size."""
    return images if isinstance(images, str | Path) else as_image_set(images, argument, argument)


def _path(folder: str | Path, argument: str) -> Path:
    if not isinstance(folder, str | Path):
        raise UserError(f"`{argument}` must be the path of a folder, got {folder!r}.")
    return Path(folder)


def _teacher(teacher: Classifier | str | Path | None) -> Classifier | None:
    return None if teacher is None else network_of(teacher, "teacher")


def _default_objective(
    teacher: Classifier | None, soft_labels: SoftTargets | None, images: ImageSet
) -> dict[str, float]:
    if teacher is None and soft_labels is None:
        return {"cross_entropy": 1.0}
    return {"kd": 1.0} if images.labels is None else {"cross_entropy": 0.1, "kd": 0.9}
