"""`limbeck probe`: probes networks by name and their controls on data sets, and writes a folder of results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from limbeck.data.classes import classes_of, few, match_classes
from limbeck.data.encoded.build import both_sides
from limbeck.data.image_set import ImageSet
from limbeck.environment import describe_environment
from limbeck.errors import UserError
from limbeck.evaluation.probing import Probe, probe
from limbeck.files import atomic_folder
from limbeck.models.classifier import Classifier
from limbeck.models.zoo import untrained
from limbeck.progress import Progress, Silent
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.image_sizes import KnownSize, size_for_network
from limbeck.recipes.networks import load_network
from limbeck.report import write_probe_report
from limbeck.yaml_text import yaml_text

Row = dict[str, Any]
CONTROL = "untrained"


def probe_saved(
    network: str,
    datasets: Sequence[str],
    *,
    out: Path,
    against: Sequence[str] = (),
    test_split: str = "test",
    hold_out: float | None = None,
    schedule: Any = "l2",
    seeds: int = 1,
    size: int | None = None,
    model: str | None = None,
    precision: Any = "fp32",
    control: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> list[Row]:
    """Probes saved networks on data sets and writes `probe.json`, `settings.yaml` and `report.html` into `out`.

    Args:
        network: whatever `load_model` takes.
        datasets: names, folders, files or hub ids.
        out: a new folder.
        against: more networks to probe in the same way.
        test_split: of the data sets, to evaluate on.
        hold_out: instead of `test_split`, a count or share of training images, stratified.
        schedule: "l2" or "published".
        seeds: how many, from 0.
        size: pixels a side that images are resized to, see `limbeck.evaluation.probe`; images of several sizes are also
            loaded at this size.
        model: network of a bare weights file.
        precision: of the forward passes.
        control: also probe each architecture untrained.
        progress: reports progress.
        options: of `limbeck.load`.

    Returns:
        One row for each data set and network: a `Probe` as a dict with "on", "name" and "role" ("network", "against"
        or "untrained").

    Raises:
        UserError: `out` exists, and whatever the parts raise.
    """
    progress = progress or Silent()
    if out.exists():
        raise UserError(f"{str(out)!r} exists already and is never overwritten; choose another --out.")
    if seeds < 1:
        raise UserError(f"`seeds` must be at least 1, got {seeds}.")
    settings = {
        "network": network,
        "against": list(against),
        "on": list(datasets),
        "test": {"hold_out": hold_out} if hold_out else {"split": test_split},
        "schedule": schedule,
        "seeds": list(range(seeds)),
        "size": size,
        "precision": precision,
        "untrained": control,
        **({"loading": options} if options else {}),
    }
    networks = {name: load_network(name, model=model) for name in dict.fromkeys([network, *against])}
    progress.say("loading images")
    known_size = size_for_network(networks[network], network)
    loaded_at = known_size.size if size is None and known_size is not None else size
    splits = {"test_split": test_split, "hold_out": hold_out, "size": loaded_at}
    images = {data: train_and_test(data, **splits, **options) for data in dict.fromkeys(datasets)}
    arguments = {"schedule": schedule, "size": None if size is None else (size, size), "precision": precision}
    rows = probe_all(networks, images, seeds=range(seeds), control=control, progress=progress, **arguments)
    with atomic_folder(out) as folder:
        content = {"created": datetime.now(UTC).isoformat("T", "seconds"), "settings": settings, "rows": rows}
        (folder / "probe.json").write_text(json.dumps(content, indent=1) + "\n")
        (folder / "settings.yaml").write_text(yaml_text(settings))
        (folder / "environment.json").write_text(json.dumps(describe_environment(), indent=1) + "\n")
        write_probe_report(folder)
    return rows


def train_and_test(
    data: str | Path | ImageSet,
    test: str | Path | ImageSet | None = None,
    *,
    test_split: str = "test",
    hold_out: float | None = None,
    size: int | tuple[int, int] | None = None,
    **options: Any,
) -> tuple[ImageSet, ImageSet]:
    """Training and test images: as given, from the splits of a data set, or held out of the training images.

    `size` is for images of several sizes, or of another aspect, and `options` are those of `limbeck.load`. The test
    images' classes are matched by name to those of the training images, and numbered likewise.

    Raises:
        UserError: see `limbeck.load`; images from Python without test images; `hold_out` beside a test set; test images
            of other classes.
    """
    load = partial(_load, size=size, **options)
    train = data if isinstance(data, ImageSet) else load(data, "train")
    if hold_out is not None:
        if test is not None or test_split != "test":
            raise UserError("`hold_out` takes the place of a test set; give one of the two.")
        return train.split(int(hold_out) if hold_out >= 1 else hold_out, seed=0)
    if isinstance(test, ImageSet):
        return train, _matched(test, train)
    if test is not None:
        return train, _matched(load(test, test_split), train)
    if isinstance(data, ImageSet):
        raise UserError(
            "`test` must be images or a data set's name where `train` is given as images, got None; or give `hold_out`."
        )
    try:
        test_images = load(data, test_split)
    except UserError as error:
        raise UserError(f"{error} A `hold_out` of 0.2 judges on a fifth of the training images instead.") from error
    return train, _matched(test_images, train)


def _load(name: str | Path, split: str, *, size: int | tuple[int, int] | None, **options: Any) -> ImageSet:
    """Images in their own size, which a network resizes; those of several sizes or another aspect in the given size."""
    known_size = None if size is None else KnownSize(both_sides(size), "`size`")
    return load_sized(name, split, known_size, **options)


def _matched(test: ImageSet, train: ImageSet) -> ImageSet:
    if train.labels is None or test.labels is None:
        return test  # the probe refuses unlabelled images
    try:
        return match_classes(test, classes_of(train), stacklevel=4)
    except UserError as error:
        raise UserError(
            f"`test` must have the classes of `train`, got {test.num_classes} ({few(test.classes)}) of {test.name!r} "
            f"and {train.num_classes} ({few(train.classes)}) of {train.name!r}; {error}"
        ) from None


def probe_all(
    networks: Mapping[str, Classifier],
    images: Mapping[str, tuple[ImageSet, ImageSet]],
    *,
    seeds: Sequence[int],
    control: bool,
    progress: Progress,
    **options: Any,
) -> list[Row]:
    """Rows as in `probe_saved`; the first network has the role "network", the others "against"."""
    rows = []
    controls = {}
    for name, classifier in networks.items():
        controls.setdefault(json.dumps(classifier.config), (name, classifier))
    for data, (train, test) in images.items():
        for index, (name, classifier) in enumerate(networks.items()):
            title = f"{name} on {data}"
            result = _watched(classifier, train, test, title, progress, seeds=seeds, **options)
            rows.append(_row(result, data, name, "against" if index else "network"))
        for name, classifier in controls.values() if control else ():
            title = f"{CONTROL} {classifier.name} on {data}"
            fresh = [(seed, untrained(classifier, seed=seed)) for seed in seeds]
            parts = [
                _watched(network, train, test, title, progress, seeds=[seed], **options)
                for seed, network in fresh
                if network is not None
            ]
            if parts:
                rows.append(_row(_joined(parts), data, f"{classifier.name} {CONTROL}", CONTROL))
            else:
                progress.say(f"{name} was made outside limbeck, so there is no untrained one beside it")
    return rows


def _watched(
    classifier: Classifier, train: ImageSet, test: ImageSet, title: str, progress: Progress, **options: Any
) -> Probe:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        progress.update(done, "fitting" if done == len(train) + len(test) else "")

    progress.begin(title, len(train) + len(test))
    try:
        return probe(classifier, train, test, progress=count, **options)
    finally:
        progress.end()


def _joined(parts: Sequence[Probe]) -> Probe:
    """Probes of one seed each, joined to one of many seeds."""
    first = parts[0]
    return replace(
        first,
        seeds=[seed for part in parts for seed in part.seeds],
        top1=[accuracy for part in parts for accuracy in part.top1],
        top5=None if first.top5 is None else [accuracy for part in parts for accuracy in part.top5 or ()],
        train_top1=[accuracy for part in parts for accuracy in part.train_top1],
        strengths=[strength for part in parts for strength in part.strengths],
        tried=[trial for part in parts for trial in part.tried],
        converged=all(part.converged for part in parts),
        seconds={key: sum(part.seconds[key] for part in parts) for key in first.seconds},
    )


def _row(found: Probe, data: str, name: str, role: str) -> Row:
    return {"on": data, "name": name, "role": role, **found.to_dict()}
