"""Whether runs of the same student in a comparison used the same precision on the same hardware."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.import_paths import ENVIRONMENT_FILE
from limbeck.recipes.plan import PlannedRun
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.words import few, listing


def unlike_computing(folder: Path, planned: Iterable[PlannedRun]) -> list[str]:
    """A sentence for every student whose finished runs were computed in several ways.

    Runs of one comparison may come from several machines, and `precision: auto` picks a type for each. Students of
    different networks may get different types even on one machine, so only runs of the same student are compared.

    Args:
        folder: of the comparison.
        planned: its runs.
    """
    computed: list[tuple[PlannedRun, Mapping[str, Any]]] = []
    for run in planned:
        run_folder = RunFolder(folder / run.folder)
        environment = run_folder.read(ENVIRONMENT_FILE, {}) if run_folder.finished else {}
        if "computing" in environment:
            computed.append((run, environment))
    all_noted = all("instructions" in environment for _, environment in computed)  # earlier versions did not note them
    by_student: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run, environment in computed:
        way = computed_on(environment if all_noted else {**environment, "instructions": None})
        by_student[repr(run.recipe.student)][way].append(_name(run))
    return [_sentence(ways) for ways in by_student.values() if len(ways) > 1]


def computed_on(environment: Mapping[str, Any]) -> str:
    """Precision and processor or GPU of a run, from its environment.json.

    Example:
        >>> computed_on({"processor": "AMD EPYC", "instructions": "AVX2", "computing": {"precision": "fp32"}})
        'fp32 on AMD EPYC (AVX2)'
    """
    parts = [environment | entry for entry in (*environment.get("computed_before", ()), environment["computing"])]
    if not environment.get("instructions"):
        parts = [part | {"instructions": None} for part in parts]
    types, places = ([name(part) for part in parts] for name in (lambda part: part["precision"], _place))
    if len(set(places)) == 1:
        return f"{' then '.join(_changing(types))} on {places[0]}"
    return " then ".join(_changing([f"{kind} on {place}" for kind, place in zip(types, places, strict=True)]))


def _place(environment: Mapping[str, Any]) -> str:
    processor = environment.get("processor") or "an unknown processor"
    if instructions := environment.get("instructions"):
        processor += f" ({instructions})"
    return listing(environment.get("devices") or [processor])


def _changing(words: Sequence[str]) -> list[str]:
    """Without those that equal the one before."""
    return [word for word, _ in itertools.groupby(words)]


def _sentence(ways: Mapping[str, Sequence[str]]) -> str:
    """Runs of the most common way are only counted, the others named."""
    common, *others = sorted(ways.items(), key=lambda group: -len(group[1]))
    named = "; ".join(f"{way}: {few(runs)}" for way, runs in others)
    return (
        f"Runs of the same student were not computed alike: {len(common[1])} in {common[0]}; {named}. Differences "
        "between arms hold what differs between these, and seconds and energy compare within one of them alone."
    )


def _name(planned: PlannedRun) -> str:
    return f"{planned.group} seed {planned.recipe.seed}"
