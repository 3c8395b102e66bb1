"""The page of transfer sets that were judged by what fresh networks learn from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.evaluation.statistics import mean_interval
from limbeck.report import formats, page, reading, shared_sections
from limbeck.report.blocks import Block, Cell, Fact, Note, Page, Section, Table

ACCURACIES = "accuracies.json"
Row = dict[str, Any]
_WAYS = {
    "kept": "labels as the set has them",
    "hard": "hard labels",
    "soft": "the set's soft labels",
    "teacher": "a teacher's answers to every view",
}


def write_set_report(folder: Path) -> Path:
    """Write report.html of a folder that `limbeck evaluate SET` made; returns its path.

    Raises:
        UserError: accuracies.json is missing or broken.
    """
    folder = Path(folder)
    path, mend = folder / ACCURACIES, "`limbeck evaluate` makes it again, in another folder."
    content = reading.json_file(path, mend)
    if not isinstance(content, dict) or not (content.get("rows") or content.get("ranking")):
        raise UserError(f"{path} holds no judged sets. {mend}")
    return page.write(set_page(folder, content), folder / "report.html")


def set_page(folder: Path, content: Row) -> Page:
    """The content of the page, before it is rendered as HTML."""
    rows, ranking, sets = content["rows"], content.get("ranking"), content["sets"]
    sections = [
        *([_accuracies(rows, content["test"])] if rows else []),
        *([_ranking(ranking)] if ranking else []),
        Section("sets", "The sets", [_sets(sets)]),
        _how(rows),
        shared_sections.settings_file_section(folder),
        shared_sections.environment_section(folder),
    ]
    title = sets[0]["name"] if len(sets) == 1 else f"{len(sets)} transfer sets"
    return Page(
        kind="evaluation of a transfer set",
        title=title,
        lead=[_lead(rows, content["test"])] if rows else [_ranking_lead(ranking or {})],
        facts=[Fact(name, formats.percent(mean, 2), note) for name, mean, note in _means(rows)][:6],
        sections=[section for section in sections if section],
        warning=_warning(rows),
        footer=str(content.get("created") or "")[:16].replace("T", " "),
    )


def set_means(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float | None, int]]:
    """Each network's (name, mean, half width, n) over all sets: of one set over seeds, of several over their means."""
    means = []
    for network in dict.fromkeys(row["network"] for row in rows):
        own = [row for row in rows if row["network"] == network]
        values = own[0]["top1"] if len(own) == 1 else [mean_interval(row["top1"])[0] for row in own]
        means.append((network, *mean_interval(values), len(values)))
    return means


def _means(rows: Sequence[Row]) -> list[tuple[str, float, str]]:
    several = len({row["set"] for row in rows}) > 1
    return [
        (network, mean, f"top-1, mean over {n} {'sets' if several else formats.plural_of('seed') if n > 1 else 'seed'}")
        for network, mean, _, n in set_means(rows)
    ]


def _lead(rows: Sequence[Row], test: Mapping[str, Any]) -> str:
    best = max(set_means(rows), key=lambda network: network[1])
    several = len({row["set"] for row in rows}) > 1
    count = len({row["network"] for row in rows})
    subject = f"the best of {count} networks" if count > 1 else best[0]
    what = "the sets" if several else "the set"
    spread = formats.spread(best[1], best[2])
    named = f" ({best[0]})" if count > 1 else ""
    return f"Taught on {what} from fresh weights, {subject}{named} comes to {spread} on {test['name']}"


def _ranking_lead(ranking: Mapping[str, Any]) -> str:
    label, augmentation = ranking["label_robust"]["score"], ranking["augmentation_robust"]["score"]
    return f"Label-robust score {label:.3f}, augmentation-robust score {augmentation:.3f}; 0.269 is neutral"


def _accuracies(rows: Sequence[Row], test: Mapping[str, Any]) -> Section:
    several = len({row["set"] for row in rows}) > 1
    columns = [*(["Set"] if several else []), "Network", "Top-1", "n", "Labels", "Rate", "Steps", "Time"]
    cells: list[list[str | Cell]] = [
        [
            *([row["set"]] if several else []),
            row["network"],
            formats.spread(*mean_interval(row["top1"])),
            str(len(row["top1"])),
            row["protocol"] if row["protocol"] != "kept" else row["labels"],
            f"{row['learning_rate']:.4g}",
            formats.number(row["steps"]),
            formats.duration(row["seconds"]),
        ]
        for row in rows
    ]
    labels = columns.index("Labels")
    numeric = {*range(2 if several else 1, len(columns))} - {labels}
    caption = f"{formats.number(test['images'])} images of {test['name']}, after the last step; mean ± half the 95 %"
    blocks: list[Block] = [Table(f"{caption} interval over n seeds", columns, cells, numeric=numeric)]
    if several:
        over = [[name, formats.spread(mean, half), str(n)] for name, mean, half, n in set_means(rows)]
        blocks.append(Table("The same over sets, each of them its mean", ["Network", "Top-1", "Sets"], over))
    tried = [row for row in rows if row["tried"]]
    if tried:
        rates = list(dict.fromkeys(attempt["learning_rate"] for row in tried for attempt in row["tried"]))
        blocks.append(
            Table(
                "Accuracy on validation images at each rate, which chose it",
                ["Network", *(f"{rate:g}" for rate in rates)],
                [[f"{row['network']}{_of(row, several)}", *_tried(row, rates)] for row in tried],
            )
        )
    return Section("accuracies", "Accuracy", blocks)


def _tried(row: Row, rates: Sequence[float]) -> list[str | Cell]:
    accuracies = {attempt["learning_rate"]: attempt["top1"] for attempt in row["tried"]}
    return [
        Cell(formats.percent(accuracies[rate], 2), tone="strong" if rate == row["learning_rate"] else "")
        if rate in accuracies
        else formats.ABSENT
        for rate in rates
    ]


def _of(row: Row, several: bool) -> str:
    return f" on {row['set']}" if several else ""


def _ranking(ranking: Mapping[str, Any]) -> Section:
    label, augmented = ranking["label_robust"], ranking["augmentation_robust"]
    scores = [
        ["Label-robust score", f"{label['score']:.3f}", ""],
        ["Improvement over random", formats.points(label["improvement_over_random"]), "higher is better"],
        ["Hard label recovery", formats.points(label["hard_label_recovery"]), "lower is better"],
        ["Augmentation-robust score", f"{augmented['score']:.3f}", ""],
        ["Over random, augmented", formats.points(augmented["with_augmentation"]), "higher is better"],
        ["Over random, as they are", formats.points(augmented["without_augmentation"]), "higher is better"],
    ]
    cells = [
        [
            name,
            formats.spread(*mean_interval(result["top1"])),
            str(len(result["top1"])),
            f"{result['learning_rate']:.4g}",
        ]
        for name, result in ranking["accuracies"].items()
    ]
    cells.append(["all real images, hard labels", formats.percent(ranking["full"], 2), "", ""])
    notes = [
        "Scores run from 0 to 1, are 0.269 where all differences are 0, and are computed of fractions; the published "
        "package puts percents into the same formula, whose numbers cannot be compared with these.",
        "Rates of random images, and of hard labels, were chosen by images held out of the training images.",
    ]
    return Section(
        "ranking",
        "DD-Ranking",
        [
            Table(f"Scores and their parts, {ranking['network']}", ["", "", ""], scores, numeric=range(1, 2)),
            Table("Accuracies", ["", "Top-1", "n", "Rate"], cells),
            *map(Note, notes),
        ],
    )


def _sets(sets: Sequence[Row]) -> Table:
    columns = ["Set", "Images", "Classes", "Shape", "Labels", "Made by"]
    cells = [
        [
            row["name"],
            formats.number(row["images"]) + (f" (x {row['per_image']})" if row["per_image"] > 1 else ""),
            formats.number(row["classes"]),
            "x".join(map(str, row["shape"])),
            "soft" if row["soft_labels"] else "hard",
            " ".join(filter(None, (row["maker"], row["method"]))) or formats.ABSENT,
        ]
        for row in sets
    ]
    return Table("What was taught on", columns, cells, numeric=range(1, 3))


def _how(rows: Sequence[Row]) -> Section:
    ways = [_WAYS[labels] for labels in dict.fromkeys(row["labels"] for row in rows if row["protocol"] == "kept")]
    notes = [
        "Each network begins with fresh weights of its seed, is taught as the set says (but for what the settings "
        "below change), and is judged once, after its last step. Test images choose nothing.",
        *(f"Taught with {labels}." for labels in ways),
        "What a set is worth shows beside random real images of the same count that are used in the same way.",
    ]
    return Section("how", "How to read the numbers", [Note(note) for note in notes])


def _warning(rows: Sequence[Row]) -> str:
    edges = [row["network"] for row in rows if len(row["tried"]) > 2 and row["learning_rate"] in _ends(row)]
    if not edges:
        return ""
    return f"The rate chosen for {formats.listing(list(dict.fromkeys(edges)))} is at an end of those tried."


def _ends(row: Row) -> tuple[float, float]:
    rates = [attempt["learning_rate"] for attempt in row["tried"]]
    return min(rates), max(rates)
