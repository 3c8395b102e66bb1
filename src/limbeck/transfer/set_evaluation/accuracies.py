"""Accuracies of networks that are taught on a transfer set from fresh weights, over architectures and seeds."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.data.classes import Classes, classes_of, match_classes
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.statistics import mean_interval
from limbeck.models.classifier import Classifier
from limbeck.models.weights.reordered import numbered_as
from limbeck.progress import Progress, Silent
from limbeck.transfer.set_evaluation.protocols import RATES, Labels
from limbeck.transfer.set_evaluation.runs import Run, Runs, read_result
from limbeck.transfer.set_evaluation.teaching import Network, NetworkSpec, Teaching, lacking, network_on, teaching_on
from limbeck.workers import run_shards
from limbeck.workers.shares import check_workers

SEARCH = "search"
_SHARED = 0.1
"""Largest share of validation images that may be test images: some data sets hold duplicates across their splits."""


@dataclass(frozen=True, kw_only=True)
class NetworkAccuracy:
    """Accuracy of one network on the test images, over seeds.

    Attributes:
        network: its name, with its options.
        model, options: of the network; model "" for one from Python.
        seeds: of weights, order and views.
        top1: accuracy of each seed after the last step, 0 to 1.
        labels, protocol: how it was taught, see `evaluate_set`.
        learning_rate: at which it was taught.
        tried: rate -> accuracy on validation images, where rates were searched.
        steps: training steps per seed.
        seconds: of all seeds, without the search.
    """

    network: str
    model: str
    options: Mapping[str, Any]
    seeds: list[int]
    top1: list[float]
    labels: str
    protocol: str
    learning_rate: float
    tried: Mapping[float, float]
    steps: int
    seconds: float

    @property
    def mean(self) -> float:
        return mean_interval(self.top1)[0]

    @property
    def half_width(self) -> float | None:
        """Half the width of the mean's 95 % interval over seeds; None for one seed."""
        return mean_interval(self.top1)[1]

    @property
    def at_an_end(self) -> bool:
        """Whether the chosen rate is the lowest or highest one tried, so that a better one may lie beyond."""
        return len(self.tried) > 2 and self.learning_rate in (min(self.tried), max(self.tried))

    def to_dict(self) -> dict[str, Any]:
        """Json-able."""
        return {**asdict(self), "tried": [{"learning_rate": rate, "top1": top1} for rate, top1 in self.tried.items()]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "NetworkAccuracy":
        """Restores what `to_dict` returned."""
        return cls(**{**content, "tried": {trial["learning_rate"]: trial["top1"] for trial in content["tried"]}})


def evaluate_set(
    transfer_set: TransferSet,
    test: ImageSet,
    *,
    networks: Sequence[NetworkSpec] = (None,),
    seeds: int | Sequence[int] = 3,
    labels: Labels = "kept",
    protocol: str = "kept",
    teacher: Classifier | None = None,
    temperature: float | None = None,
    rate: float | str | None = None,
    rates: Sequence[float] = RATES,
    validation: ImageSet | None = None,
    training: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[NetworkAccuracy]:
    """Teaches fresh networks on a transfer set and judges each once, after its last step, on test images.

    Each network is taught as the set says (`TransferSet.use`), except where arguments say otherwise. A seed gives the
    same student as in `limbeck distill`. Test images choose nothing: a rate is searched on validation images.

    Args:
        transfer_set: condensed, or any other.
        test: labelled images; classes are found by name.
        networks: see `NetworkSpec`; by default the one that the set is made for.
        seeds: how many, counted from 0, or a list of them.
        labels: "kept", "hard", "soft" or "teacher", see `teaching_on`.
        protocol: "kept" for the set's own, or "sre2l", "sre2l-small" or "rded", in which a teacher labels every view.
        teacher: asked with `labels` "teacher", with a protocol, or where the set asks one.
        temperature: of its answers; by default the set's own where it asks a teacher, the published one, or 20.
        rate: learning rate; None for the set's own (the learned one), "search" for the best of `rates` on `validation`
            images, found for each network with the first seed.
        rates: see `rate`; for "search" alone.
        validation: labelled images that are no test images; for "search" alone.
        training: settings on top of the set's own, see `TrainingSettings`.
        folder: where runs are kept, so that the same call resumes after an interruption; None keeps nothing.
        workers: number of parallel runs, in processes of this machine or of a Ray cluster (with `folder`).
        progress: reports progress.

    Raises:
        UserError: arguments do not fit together; raised before any training.
        Interrupted: by Ctrl-C or SIGTERM; with a `folder` the same call resumes.

    Example:
        >>> chosen = TransferSet(images, use={"training": {"steps": 5, "views": "none"}})
        >>> (found,) = evaluate_set(chosen, test, networks=[{"model": "convnet_d3", "options": {"width": 8}}], seeds=2)
        >>> found.network, found.steps, len(found.top1)
        ('convnet_d3 (width 8)', 5, 2)
    """
    check_workers(workers)
    numbers = _numbers(seeds)
    taught, teaching = teaching_on(
        transfer_set, labels=labels, protocol=protocol, training=training, temperature=temperature
    )
    resolved = [network_on(transfer_set, spec) for spec in networks]
    _check_names(resolved)
    _check_use(transfer_set, resolved, {**teaching.training, **({} if rate is None else {"learning_rate": rate})})
    _check_teacher(teaching, teacher)
    if teacher is not None and len(teacher.classes) == taught.images.num_classes:
        teacher = numbered_as(teacher, taught.images, f"the teacher {teacher.name}")
    test = _labelled(test, taught, "test")
    judging = _judging(rate, rates, validation, test, taught)
    if isinstance(rate, int | float):
        teaching = teaching.at_rate(float(rate))
    with _kept(folder) as kept:
        make = partial(Runs, taught, teacher if teaching.asks_teacher else None, classes=test.classes)
        options = {"workers": workers, "progress": progress or Silent(), "kept": kept}
        chosen: dict[str, tuple[Teaching, dict[float, float]]] = {network.name: (teaching, {}) for network in resolved}
        if judging is not None:
            tries = [
                Run(network=network, seed=numbers[0], teaching=teaching.at_rate(candidate), evaluated_on="validation")
                for network in resolved
                for candidate in rates
            ]
            results = _run(partial(make, judging), tries, title="searching rates", **options)
            for network in resolved:
                scores = [result["top1"] for run, result in zip(tries, results, strict=True) if run.network is network]
                tried = dict(zip(map(float, rates), scores, strict=True))
                chosen[network.name] = teaching.at_rate(max(tried, key=lambda candidate: tried[candidate])), tried
        runs = [
            Run(network=network, seed=seed, teaching=chosen[network.name][0], evaluated_on="test")
            for network in resolved
            for seed in numbers
        ]
        results = _run(partial(make, test), runs, title="teaching fresh networks", **options)
    rows = [results[index * len(numbers) : (index + 1) * len(numbers)] for index in range(len(resolved))]
    return [
        _accuracy(network, numbers, *chosen[network.name], row) for network, row in zip(resolved, rows, strict=True)
    ]


def _accuracy(
    network: Network,
    seeds: list[int],
    teaching: Teaching,
    tried: Mapping[float, float],
    results: Sequence[Mapping[str, Any]],
) -> NetworkAccuracy:
    return NetworkAccuracy(
        network=network.name,
        model=network.model,
        options=network.options,
        seeds=seeds,
        top1=[result["top1"] for result in results],
        labels=teaching.labels,
        protocol=teaching.protocol,
        learning_rate=results[0]["learning_rate"],
        tried=tried,
        steps=results[0]["steps"],
        seconds=sum(result["seconds"] for result in results),
    )


def _run(
    make: Any, runs: Sequence[Run], *, title: str, kept: Path, workers: int, progress: Progress
) -> list[dict[str, Any]]:
    """The results of all runs; finished ones are only read."""
    placed = [replace(run, folder=kept / run.slug) for run in runs]
    run_shards(partial(make, placed), "run", range(len(placed)), workers, progress, title, shared=[kept])
    return [read_result(run) for run in placed]


@contextmanager
def _kept(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="limbeck-evaluate-") as temporary:
        yield Path(temporary)


def _numbers(seeds: int | Sequence[int]) -> list[int]:
    if isinstance(seeds, bool) or (isinstance(seeds, int) and seeds < 1):
        raise UserError(f"`seeds` must be at least 1, or a list of seeds, got {seeds!r}.")
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers or len(set(numbers)) < len(numbers):
        raise UserError(f"`seeds` must be distinct, at least one, got {numbers}.")
    return numbers


def _check_names(networks: Sequence[Network]) -> None:
    names = [network.name for network in networks]
    if not names:
        raise UserError("`networks` must name at least one, got none.")
    duplicates = [name for index, name in enumerate(names) if name in names[:index]]
    if duplicates:
        raise UserError(f"`networks` must be distinct, got {duplicates[0]} twice; seeds are what repeats a network.")


def _check_use(transfer_set: TransferSet, networks: Sequence[Network], training: Mapping[str, Any]) -> None:
    """Raises a UserError for a set of floats whose `use` lacks what training needs, unless networks are from Python.

    Floats are in a space of their own, for which no default is right; networks from Python bring their normalisation.
    """
    absent = lacking(transfer_set, training)
    if transfer_set.floats is None or not absent or all(network.make is not None for network in networks):
        return
    raise UserError(
        f"the images of the transfer set {transfer_set.images.name!r} are floats, as they were learned, and its `use` "
        f"does not say all that is needed to teach on them; it lacks {', '.join(absent)}. Save it again with that, or "
        "give networks as functions, which bring their normalisation, and the rate (--rate)."
    )


def _check_teacher(teaching: Teaching, teacher: Classifier | None) -> None:
    if teaching.asks_teacher and teacher is None:
        subject = "`labels` 'teacher'" if teaching.labels == "teacher" else "the set, as it says itself,"
        subject = subject if teaching.protocol == "kept" else f"`protocol` {teaching.protocol!r}"
        raise UserError(f"{subject} asks a teacher about every view; give a `teacher` (--teacher).")
    if teacher is not None and not teaching.asks_teacher:
        raise UserError(
            "`teacher` is asked with `labels` 'teacher' or with a `protocol`, or where the set names one; give one "
            "of these, or none."
        )


def _judging(
    rate: float | str | None, rates: Sequence[float], validation: ImageSet | None, test: ImageSet, taught: TransferSet
) -> ImageSet | None:
    """The images that choose a learning rate; None where none is searched."""
    if rate == SEARCH:
        if validation is None:
            raise UserError("`rate` 'search' needs `validation` images (--validation); test images choose nothing.")
        if not rates or len(set(rates)) < len(rates) or not all(value > 0 for value in rates):
            raise UserError(f"`rates` must be distinct and > 0, at least one, got {list(rates)}.")
        shared = _shared(validation, test)
        if shared > _SHARED:
            raise UserError(
                f"`validation` images must be others than `test`, whose images choose nothing, got "
                f"{100 * shared:.0f} % that are among these; give others."
            )
        return _labelled(validation, taught, "validation")
    if tuple(rates) != RATES:
        raise UserError(
            f"`rates` are searched among, and none is searched, got {list(rates)}; add `rate='search'` and "
            "`validation` images, or give the one to teach at as `rate`."
        )
    if validation is not None:
        raise UserError("`validation` images choose a rate, and none is chosen; add `rate='search'` (--rate search).")
    if rate is not None and (isinstance(rate, bool | str) or not rate > 0):
        raise UserError(f"`rate` must be > 0, 'search', or left out for the set's own, got {rate!r}.")
    return None


def _shared(validation: ImageSet, test: ImageSet) -> float:
    """The share of validation images whose pixels are those of a test image."""
    digests, test_digests = ({bytes(row) for row in images.digests().numpy()} for images in (validation, test))
    return len(digests & test_digests) / max(1, len(digests))


def _labelled(images: ImageSet, taught: TransferSet, argument: str) -> ImageSet:
    """Images to judge on, with their labels numbered as the set's classes."""
    if images.labels is None:
        raise UserError(f"`{argument}` must be labelled to judge on, got {images.name!r} without labels.")
    set_images = taught.images
    if not set_images.classes:
        columns = images.num_classes if taught.soft_labels is None else taught.soft_labels.shape[1]
        if columns != images.num_classes:
            raise UserError(
                f"`{argument}` must have the {columns} classes of the soft labels, got {images.num_classes}."
            )
        return images
    classes: Classes = classes_of(set_images, f"the transfer set ({set_images.name})")
    return match_classes(images, classes, stacklevel=4)
