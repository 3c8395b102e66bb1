"""`limbeck evaluate SET`: transfer sets by folder, evaluated by training fresh networks on them."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_set_folder import CONFIG_NAME
from limbeck.environment import describe_environment
from limbeck.errors import UserError
from limbeck.files import atomic_write_text, check_path
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress, Silent
from limbeck.recipes.described_sets import teacher_of_use
from limbeck.recipes.evaluation_images import load_sized
from limbeck.recipes.image_sizes import KnownSize
from limbeck.recipes.inputs import load_weights
from limbeck.recipes.networks import load_network
from limbeck.recipes.settings import TeacherSettings
from limbeck.recipes.yaml_files import load_mapping, load_value, name_or_mapping
from limbeck.report.set_accuracy import ACCURACIES, write_set_report
from limbeck.transfer.set_evaluation.accuracies import SEARCH, evaluate_set
from limbeck.transfer.set_evaluation.protocols import RATES
from limbeck.transfer.set_evaluation.ranking import rank_set
from limbeck.transfer.set_evaluation.teaching import NetworkSpec, lacking
from limbeck.yaml_text import yaml_text

_MAY_GROW = ("networks", "seeds")
MOST_VALIDATION = 5000
"""At most so many images choose a learning rate."""
Row = dict[str, Any]


def is_set(folder: str | Path) -> bool:
    """Whether it is the folder of a transfer set."""
    return (Path(folder).expanduser() / CONFIG_NAME).is_file()


def load_sets(folders: Sequence[str]) -> dict[str, TransferSet]:
    """Transfer sets by the shortest endings of their paths that are distinct.

    Raises:
        UserError: a folder is given twice, is missing or holds no transfer set, or the sets have different classes.
    """
    paths = [Path(folder).expanduser().resolve() for folder in folders]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise UserError(f"sets must be distinct, got {folders[index]!r} twice.")
        if not path.exists():
            raise UserError(f"there is no folder {folders[index]!r} to judge; transfer sets are folders.")
        if not is_set(path):
            raise UserError(f"{folders[index]!r} must be the folder of a transfer set, and holds no {CONFIG_NAME}.")
    parts = 1
    while len({path.parts[-parts:] for path in paths}) < len(paths):
        parts += 1
    sets = {"/".join(path.parts[-parts:]): TransferSet.load(path) for path in paths}
    classes = {frozenset(transfer_set.images.classes) for transfer_set in sets.values()}
    if len(classes) > 1:
        raise UserError(f"sets must be of the same classes to be judged together, got {len(classes)} kinds.")
    return sets


def load_unresized(name: str | Path, split: str, shape: tuple[int, int, int], **options: Any) -> ImageSet:
    """Evaluation images in their own size, which networks resize; those of several sizes or another aspect in that of
    the set."""
    return load_sized(name, split, KnownSize(shape[1:], "the set's images"), **options)


def load_validation(text: str, shape: tuple[int, int, int], **options: Any) -> ImageSet:
    """Validation images: a name, which means its training images, or {name: ..., split: ..., count: ...}.

    Raises:
        UserError: other keys, or fewer images than `count`.
    """
    entry = name_or_mapping(text, "--validation", "name", "{name: cifar10, split: train, count: 5000}")
    unknown = sorted(set(entry) - {"name", "split", "count"})
    if unknown or "name" not in entry:
        raise UserError(f"`--validation` must be a name, or a mapping of name, split and count, got {text!r}.")
    images = load_unresized(entry["name"], entry.get("split", "train"), shape, **options)
    return limited(images, entry.get("count"))


def limited(images: ImageSet, count: int | None = None) -> ImageSet:
    """`count` images, stratified by class; by default at most `MOST_VALIDATION`.

    Raises:
        UserError: `count` is not a whole number from 1 to the number of images.
    """
    if count is None:
        count = min(MOST_VALIDATION, len(images))
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(images):
        raise UserError(f"`count` of validation images must be 1 to {len(images):,}, got {count!r}.")
    return images if count == len(images) else images.split(count, seed=0)[1]


def named_teacher(transfer_set: TransferSet, labels: str = "kept", protocol: str = "kept") -> Classifier | None:
    """The teacher that a set names for labels of every view; None if it names none, or training is not as it says.

    Raises:
        UserError: the teacher is not found, or was handed over in Python.
    """
    named = teacher_of_use(transfer_set.use or {}) if labels == protocol == "kept" else {}
    return load_weights(TeacherSettings(**named)) if named else None


def evaluate_saved_sets(
    folders: Sequence[str],
    test: str,
    *,
    split: str = "test",
    networks: Sequence[str] = (),
    seeds: int = 3,
    teacher: str | None = None,
    rate: str | None = None,
    validation: str | None = None,
    training: Mapping[str, Any] | None = None,
    out: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    loading: Mapping[str, Any] | None = None,
    **how: Any,
) -> list[Row]:
    """Evaluates sets, each by itself, and writes `accuracies.json` and `report.html` into `out`.

    Args:
        folders: of sets of the same classes, as those of several seeds.
        test: a data set's name, folder, file or hub id.
        split: of the test images.
        networks: names, or mappings as "{model: convnet_d3, options: {width: 64}}".
        seeds: how many seeds of networks, from 0.
        teacher: whatever `load_model` takes.
        rate: a number, "search", or several numbers to search among, as "0.01,0.1".
        validation: see `load_validation`.
        training: settings that override those of the sets.
        out: folder of results and runs; the same call resumes there. None keeps nothing.
        workers: see `evaluate_set`.
        progress: reports progress.
        loading: options of `limbeck.load` for test and validation images.
        how: see `evaluate_set`.

    Returns:
        One row for each set and network: a `NetworkAccuracy` as a dict, with "set".
    """
    progress, options = progress or Silent(), dict(loading or {})
    sets = load_sets(folders)
    shape = next(iter(sets.values())).images.shape
    progress.say("loading images")
    test_images = load_unresized(test, split, shape, **options)
    held_out = None if validation is None else load_validation(validation, shape, **options)
    specs: list[NetworkSpec] = [_network(text) for text in networks] or [None]
    teacher_network = _teacher(teacher)
    settings = {"sets": list(folders), "test": test, "split": split, "networks": list(networks), "seeds": seeds}
    settings |= {"rate": rate, "validation": validation, "training": dict(training or {}), "teacher": teacher, **how}
    if out is not None:
        _claim(out, settings)
    labelling = {name: how[name] for name in ("labels", "protocol") if name in how}
    rows: list[Row] = []
    for name, transfer_set in sets.items():
        if transfer_set.use is not None and (absent := lacking(transfer_set, settings["training"])) and rate is None:
            progress.say(f"{name} does not say {' and '.join(absent)}; limbeck's defaults hold")
        accuracies = evaluate_set(
            transfer_set,
            test_images,
            networks=specs,
            seeds=seeds,
            teacher=teacher_network or named_teacher(transfer_set, **labelling),
            **_rates(rate),
            validation=held_out,
            training=training,
            folder=None if out is None else out / "runs" / name.replace("/", "-"),
            workers=workers,
            progress=progress,
            **how,
        )
        rows += [{"set": name, **row.to_dict()} for row in accuracies]
    if out is not None:
        _write(out, settings, {"sets": _described(sets), "test": _images(test_images), "rows": rows})
    return rows


def rank_saved_set(
    folder: str,
    test: str,
    train: str,
    *,
    split: str = "test",
    full: str,
    network: str | None = None,
    seeds: int = 3,
    teacher: str | None = None,
    rate: str | None = None,
    validation: str | None = None,
    training: Mapping[str, Any] | None = None,
    out: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    loading: Mapping[str, Any] | None = None,
) -> Row:
    """DD-Ranking of a set by folder, see `rank_set`; writes the ranking and `report.html` into `out`.

    Args:
        folder: of the set.
        test, split: see `evaluate_saved_sets`.
        train: the real images that the set was made from.
        full: a number, or settings of training as "{epochs: 50}".
        rate: numbers to search among, as "0.01,0.1", or a single one to use; None or "search" for the published
            five.
        network, seeds, teacher, validation, training, out, workers, progress, loading: see `evaluate_saved_sets`.
    """
    progress, options = progress or Silent(), dict(loading or {})
    sets = load_sets([folder])
    ((name, transfer_set),) = sets.items()
    shape = transfer_set.images.shape
    progress.say("loading images")
    test_images, real = load_unresized(test, split, shape, **options), load_unresized(train, "train", shape, **options)
    settings = {"sets": [folder], "test": test, "split": split, "networks": [network], "seeds": seeds}
    settings |= {"train": train, "full": full, "teacher": teacher, "rate": rate, "validation": validation}
    settings |= {"training": dict(training or {})}
    if out is not None:
        _claim(out, settings)
    held_out = {} if validation is None else {"validation": load_validation(validation, shape, **options)}
    ranking = rank_set(
        transfer_set,
        test_images,
        real,
        full=load_value(full, f"`--full` {full!r}"),
        network=None if network is None else _network(network),
        seeds=seeds,
        teacher=_teacher(teacher) or named_teacher(transfer_set),
        training=training,
        folder=None if out is None else out / "runs",
        workers=workers,
        progress=progress,
        rates=_searched(rate),
        **held_out,
    ).to_dict()
    if out is not None:
        _write(out, settings, {"sets": _described(sets), "test": _images(test_images), "rows": [], "ranking": ranking})
    return {"set": name, **ranking}


def _claim(out: Path, settings: Mapping[str, Any]) -> None:
    """Records the settings of an evaluation, or compares them with the recorded ones; networks and seeds may be added.

    Raises:
        UserError: the folder holds something else, or results of more networks or seeds, which the report would lose.
    """
    check_path(out)
    path = out / "settings.yaml"
    if out.is_file():
        raise UserError(f"`--out` must be a folder, got the file {str(out)!r}.")
    visible = [entry.name for entry in out.iterdir() if not entry.name.startswith(".")] if out.is_dir() else []
    if visible and not (path.is_file() and (out / "runs").is_dir()):
        raise UserError(
            f"the folder {str(out)!r} holds files that are no evaluation ({', '.join(sorted(visible)[:3])}); nothing "
            "is ever overwritten, choose another --out."
        )
    # Without files, the evaluation was refused, and its settings may change.
    begun = any(entry.is_file() for entry in (out / "runs").rglob("*"))
    before = load_mapping(path) if begun else {}
    fixed = {name: value for name, value in settings.items() if name not in _MAY_GROW}
    changed = [name for name, value in fixed.items() if begun and not _same(name, before.get(name), value)]
    if changed:
        then, now = before.get(changed[0]), settings[changed[0]]
        raise UserError(
            f"the folder {str(out)!r} holds an evaluation with another `{changed[0]}` ({then!r} then, {now!r} now); "
            "choose another --out."
        )
    if begun and (fewer := _fewer(before, settings)):
        raise UserError(
            f"the folder {str(out)!r} holds an evaluation of more `{fewer}` ({before[fewer]!r} then, "
            f"{settings[fewer]!r} now), which would be lost; ask for all of them, or choose another --out."
        )
    (out / "runs").mkdir(parents=True, exist_ok=True)
    atomic_write_text(path, yaml_text(json.loads(json.dumps(settings))))


def _same(name: str, then: Any, now: Any) -> bool:
    """Compares a setting; sets are the same under any path to them."""
    if name != "sets" or then is None:
        return then == now
    then, now = ([Path(folder).expanduser().resolve() for folder in folders] for folders in (then, now))
    return then == now


def _fewer(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The setting, networks or seeds, of which fewer are asked for than are recorded; "" if none is."""
    if not {*_named(then["networks"])} <= {*_named(now["networks"])}:
        return "networks"
    return "seeds" if then["seeds"] > now["seeds"] else ""


def _named(networks: Sequence[str | None]) -> Sequence[str | None]:
    """None stands for the network that a set is made for, the default."""
    return networks or [None]


def _write(out: Path, settings: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    created = datetime.now(UTC).isoformat("T", "seconds")
    atomic_write_text(out / "environment.json", json.dumps(describe_environment(), indent=1) + "\n")
    results = {"created": created, "settings": settings, **content}
    atomic_write_text(out / ACCURACIES, json.dumps(results, indent=1) + "\n")
    write_set_report(out)


def _described(sets: Mapping[str, TransferSet]) -> list[Row]:
    return [
        {
            "name": name,
            "images": len(transfer_set),
            "per_image": transfer_set.per_image,
            "classes": transfer_set.images.num_classes
            or (0 if transfer_set.soft_labels is None else transfer_set.soft_labels.shape[1]),
            "shape": list(transfer_set.images.shape),
            "soft_labels": transfer_set.soft_labels is not None,
            "maker": str(transfer_set.about.get("maker", "")),
            "method": str(transfer_set.about.get("method", "")),
        }
        for name, transfer_set in sets.items()
    ]


def _images(images: ImageSet) -> Row:
    return {"name": images.name, "images": len(images)}


def _network(text: str) -> str | Mapping[str, Any]:
    """The network of an option; a bare name stays one, which means the set's own network if it is of that name."""
    parsed = name_or_mapping(text, "--network", "model", "{model: convnet_d3, options: {width: 64}}")
    return parsed if text.lstrip().startswith("{") else text


def _teacher(name: str | None) -> Classifier | None:
    return None if name is None else load_network(name)


def _rates(text: str | None) -> dict[str, Any]:
    """A learning rate, or several among which validation images choose."""
    if text is None or text == SEARCH:
        return {"rate": text}
    try:
        rates = [float(rate) for rate in text.split(",")]
    except ValueError:
        raise UserError(
            f"`--rate` must be a number, 'search', or numbers to search among, as 0.01,0.1, got {text!r}."
        ) from None
    return {"rate": rates[0]} if len(rates) == 1 else {"rate": SEARCH, "rates": rates}


def _searched(text: str | None) -> Sequence[float]:
    """The learning rates that DD-Ranking searches among: only one if a single number is given."""
    rates = _rates(text)
    return [rates["rate"]] if isinstance(rates["rate"], float) else rates.get("rates", RATES)
