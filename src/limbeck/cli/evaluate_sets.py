"""`evaluate` of transfer sets."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from limbeck.cli.display import console, percent, show_paragraph, show_table
from limbeck.errors import UserError

_CONFIG = "transfer_set.json"
_NAMES = {"networks": "--network", "labels": "--targets", "training": "-s", "ranking": "--dd-ranking"}


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """The options of `limbeck evaluate` that are of transfer sets."""

    test: str | None = None
    networks: Sequence[str] = ()
    seeds: int = 3
    labels: str = "kept"
    protocol: str = "kept"
    rate: str | None = None
    validation: str | None = None
    training: Sequence[str] = ()
    workers: int = 1
    train: str | None = None
    full: str | None = None
    out: Path | None = None
    ranking: bool = False

    def set(self, *names: str) -> list[str]:
        """Those of the named options, as they are typed, that are not at their defaults; of all where none is named."""
        changed = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        return [_NAMES.get(name, f"--{name}") for name in changed if not names or name in names]


def are_sets(what: Sequence[str], test: str | None) -> bool:
    """Whether transfer sets are meant: `test` is given, or a folder holds a transfer set's file."""
    return test is not None or any((Path(path).expanduser() / _CONFIG).is_file() for path in what)


def refuse_set_options(options: SetOptions) -> None:
    """Raises a UserError for options of sets beside a network."""
    if used := options.set():
        raise UserError(
            f"{', '.join(used)} {'is' if len(used) == 1 else 'are'} for transfer sets, on which networks are taught "
            "first; a trained network is judged on --data."
        )


def refuse_network_options(options: Mapping[str, Any]) -> None:
    """Raises a UserError for options of networks, as they are typed, beside a set."""
    if used := [name for name, value in options.items() if value is not None]:
        raise UserError(f"{', '.join(used)} is for networks; what is taught on a transfer set is judged on --test.")


def evaluate_sets(
    folders: Sequence[str],
    split: str | None,
    teacher: str | None,
    json_file: Path | None,
    options: SetOptions,
    *,
    loading: Mapping[str, Any],
) -> None:
    """Judges sets and shows the results."""
    if options.test is None:
        raise UserError("a transfer set is judged on `--test`; name a data set, folder, file or hub id.")
    if json_file is not None and json_file.is_dir():
        raise UserError(f"`--json` must be a file, got the folder {str(json_file)!r}.")
    from limbeck.cli.app import telling_how_to_resume
    from limbeck.cli.progress import showing_progress
    from limbeck.data.own_splits import evaluation_split
    from limbeck.recipes.yaml_files import named_value

    if split is None:
        split, why = evaluation_split(options.test)
        if why:
            console.print(why, markup=False, soft_wrap=True)
    training = dict(named_value(change.removeprefix("training."), "-s") for change in options.training)
    with telling_how_to_resume(options.out, "the same command"), showing_progress() as progress:
        common: dict[str, Any] = {
            "split": split,
            "seeds": options.seeds,
            "teacher": teacher,
            "rate": options.rate,
            "validation": options.validation,
            "training": training,
            "out": options.out,
            "workers": options.workers,
            "loading": loading,
            "progress": progress,
        }
        results = (_ranked if options.ranking else _evaluated)(folders, options.test, options, common)
    if json_file is not None:
        from limbeck.files import atomic_write_text

        atomic_write_text(json_file, json.dumps(results, indent=1) + "\n")
    if isinstance(results, dict):
        _show_ranking(results)
    else:
        _show_rows(results)
    if options.out is not None:
        console.print(f"report: {options.out / 'report.html'}", markup=False, soft_wrap=True)


def _evaluated(
    folders: Sequence[str], test: str, options: SetOptions, common: Mapping[str, Any]
) -> list[dict[str, Any]]:
    from limbeck.recipes.evaluating_sets import evaluate_saved_sets

    if wrong := options.set("train", "full"):
        raise UserError(f"{', '.join(wrong)} belongs to --dd-ranking; add it.")
    choices = {"networks": options.networks, "labels": options.labels, "protocol": options.protocol}
    return evaluate_saved_sets(folders, test, **choices, **common)


def _ranked(folders: Sequence[str], test: str, options: SetOptions, common: Mapping[str, Any]) -> dict[str, Any]:
    from limbeck.recipes.evaluating_sets import rank_saved_set

    if len(folders) > 1 or len(options.networks) > 1:
        raise UserError("`--dd-ranking` is of one set and one network; call it again for another.")
    if options.train is None or options.full is None:
        missing = [f"--{name}" for name in ("train", "full") if getattr(options, name) is None]
        raise UserError(
            f"`--dd-ranking` needs {' and '.join(missing)}: the real images that random ones are drawn from (--train), "
            "and the accuracy after all of them (--full 0.848), or '{epochs: 50}' to find it."
        )
    if fixed := options.set("labels", "protocol"):
        raise UserError(f"`--dd-ranking` compares ways of teaching itself; leave {', '.join(fixed)} out.")
    network = next(iter(options.networks), None)
    return rank_saved_set(folders[0], test, options.train, full=options.full, network=network, **common)


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    from limbeck.evaluation.statistics import mean_interval
    from limbeck.report.set_accuracy import set_means

    several_sets = len({row["set"] for row in rows}) > 1
    cells = [
        [
            *([row["set"]] if several_sets else []),
            row["network"],
            percent(*mean_interval(row["top1"])),
            str(len(row["top1"])),
            f"{row['learning_rate']:.4g}",
            f"{row['steps']:,}",
            f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]
    header = [*(["set"] if several_sets else []), "network", "top-1 %", "n", "rate", "steps", "s"]
    title = f"{rows[0]['set']}: " if not several_sets else ""
    first = 2 if several_sets else 1
    show_table(f"{title}fresh networks, after the last step", header, cells, numbers=range(first, len(header)))
    if several_sets:
        over = [[name, percent(mean, half), str(n)] for name, mean, half, n in set_means(rows)]
        console.print()
        show_table("over sets, each of them its mean", ["network", "top-1 %", "sets"], over, numbers=(1, 2))
    edges = [row["network"] for row in rows if _at_an_end(row)]
    if edges:
        show_paragraph(f"the rate of {', '.join(dict.fromkeys(edges))} is at an end of those tried", "yellow")


def _show_ranking(found: Mapping[str, Any]) -> None:
    from limbeck.evaluation.statistics import mean_interval

    cells = [
        [name, percent(*mean_interval(row["top1"])), str(len(row["top1"])), f"{row['learning_rate']:.4g}"]
        for name, row in found["accuracies"].items()
    ]
    cells.append(["all real images, hard labels", percent(found["full"]), "", ""])
    show_table(f"{found['set']}: {found['network']}", ["", "top-1 %", "n", "rate"], cells, numbers=range(1, 4))
    label, augmented = found["label_robust"], found["augmentation_robust"]
    show_paragraph(
        f"label-robust score {label['score']:.3f} (improvement over random "
        f"{100 * label['improvement_over_random']:+.2f} points, hard label recovery "
        f"{100 * label['hard_label_recovery']:+.2f})"
    )
    show_paragraph(
        f"augmentation-robust score {augmented['score']:.3f} (over random {100 * augmented['with_augmentation']:+.2f} "
        f"points augmented, {100 * augmented['without_augmentation']:+.2f} as they are); 0.269 is neutral"
    )


def _at_an_end(row: Mapping[str, Any]) -> bool:
    rates = [trial["learning_rate"] for trial in row["tried"]]
    return len(rates) > 2 and row["learning_rate"] in (min(rates), max(rates))
