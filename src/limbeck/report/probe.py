"""The page of a linear probe: what a network's features tell, beside the same network untrained."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.evaluation.statistics import mean_interval
from limbeck.report import formats, page, reading, shared_sections
from limbeck.report.blocks import Block, Chart, Fact, Grid, Note, Page, Section, Table
from limbeck.report.figures import heads
from limbeck.report.vega import figure

Row = dict[str, Any]
_SCHEDULES = {
    "l2": "Each head is an L2-regularised multinomial logistic regression on standardised features. Its strength has "
    "the least negative log-likelihood on a fifth of the training images; the head is then fitted on all of them. Test "
    "images chose nothing.",
    "published": "Each head was taught by the published schedule: 120 epochs of SGD, batches of 64, rate 0.05 (0.01 "
    "for MobileNetV2 and ShuffleNets) times 0.1 after epochs 30, 60 and 90, momentum 0.9, weight decay 5e-4, last "
    "epoch. The published protocol also shifts and flips the training images, normalises by the new data set's "
    "statistics and lets batch-norm statistics adapt to it; here the network stays as it is, so published numbers "
    "compare only roughly.",
}


def write_probe_report(folder: Path) -> Path:
    """Write report.html of a folder that `limbeck probe` made; returns its path.

    Raises:
        UserError: probe.json is missing or broken.
    """
    folder = Path(folder)
    path = folder / "probe.json"
    mend = "`limbeck probe` makes it again, in another folder."
    content = reading.json_file(path, mend)
    if not isinstance(content, dict) or not content.get("rows"):
        raise UserError(f"{path} holds no probe. {mend}")
    return page.write(probe_page(folder, content), folder / "report.html")


def probe_page(folder: Path, content: Row) -> Page:
    """The content of the page, before it is rendered as HTML."""
    rows = [{**row, "mean": mean_interval(row["top1"])[0]} for row in content["rows"]]
    settings = content.get("settings") or {}
    sections = [
        *(_section(place, data, list(group)) for place, (data, group) in enumerate(_by_data(rows))),
        _how(rows),
        shared_sections.settings_file_section(folder),
        shared_sections.environment_section(folder),
    ]
    return Page(
        kind="linear probe",
        title=str(settings.get("network") or rows[0]["name"]),
        lead=[_sentence(list(group)) for _, group in _by_data(rows)],
        facts=[Fact(row["on"], formats.percent(row["mean"], 2), _of(row)) for row in rows if row["role"] == "network"],
        sections=[section for section in sections if section],
        warning=""
        if all(row["converged"] for row in rows)
        else "Some fits stopped before they reached their tolerance.",
        footer=str(content.get("created") or "")[:16].replace("T", " "),
    )


def _by_data(rows: list[Row]) -> Iterable[tuple[str, Iterable[Row]]]:
    return groupby(rows, key=lambda row: row["on"])


def _of(row: Row) -> str:
    return f"top-1 on {formats.plural(row['n'], 'test image')}"


def _sentence(rows: list[Row]) -> str:
    own = rows[0]
    sentence = (
        f"Frozen, {own['name']} tells the {own['classes']} classes of {own['on']} apart in "
        f"{formats.percent(own['mean'], 2)} of {formats.plural(own['n'], 'test image')}"
    )
    others = [
        f"{_whose(row)} in {formats.percent(row['mean'], 2)}"
        for row in rows[1:]
        if row["role"] == "against" or row["network"] == own["network"]
    ]
    return f"{sentence}, {formats.listing(others)}" if others else sentence


def _whose(row: Row) -> str:
    return "the same network untrained" if row["role"] == "untrained" else row["name"]


def _section(place: int, data: str, rows: list[Row]) -> Section:
    columns = ("Network", "Top-1", "Top-5", "On training images", "Strength", "Features", "Fit")
    cells = [
        (
            row["name"],
            formats.spread(*mean_interval(row["top1"])),
            formats.spread(*mean_interval(row["top5"])) if row["top5"] else formats.ABSENT,
            formats.spread(*mean_interval(row["train_top1"])),
            ", ".join(dict.fromkeys(f"{strength:.1e}" for strength in row["strengths"])) or formats.ABSENT,
            formats.number(row["features"]),
            formats.duration(row["seconds"]["fit"]),
        )
        for row in rows
    ]
    seeds = len(rows[0]["seeds"])
    spread = f", mean ± half the 95 % interval over {seeds} seeds" if seeds > 1 else ", one seed"
    height, width = rows[0]["size"]
    counts = f"{formats.number(rows[0]['images'])} training and {formats.number(rows[0]['n'])} test images"
    caption = f"{counts} of {height}x{width} pixels{spread}"
    chance = f"Guessing would be right in {formats.percent(1 / rows[0]['classes'])} of evenly spread classes."
    dots = figure(heads.accuracy_dots(rows), f"accuracy-{place}", f"Top-1 on {data} of each network")
    blocks: list[Block] = [Chart(dots, "Top-1 on the test images", chance), Table(caption, columns, cells)]
    tried = [{"name": row["name"], "tried": row["tried"][0]} for row in rows if row["tried"]]
    if tried:
        drawn = figure(heads.strength_curves(tried), f"strength-{place}", f"Held-out loss on {data}", width=450)
        seed = f", seed {rows[0]['seeds'][0]}" if seeds > 1 else ""
        blocks.append(Grid([Chart(drawn, f"How the strength was chosen: held-out negative log-likelihood{seed}")]))
    return Section(f"data-{place}", data, blocks)


def _how(rows: list[Row]) -> Section:
    notes = [
        "A linear probe leaves the network as it is, in eval mode, and fits one linear layer on the input of its "
        "classifier head. It says how much of the classes can be read off these features along straight lines, not how "
        "good the network could become by further training.",
        _SCHEDULES[rows[0]["schedule"]],
    ]
    if any(row["role"] == "untrained" for row in rows):
        notes.append(
            "The untrained network has the same architecture and fresh weights: what it reaches is due to the pixels "
            "and the architecture, not to what was learnt."
        )
    if len(rows[0]["seeds"]) > 1:
        published = rows[0]["schedule"] == "published"
        varied = "first weights and order of images" if published else "the held-out images"
        notes.append(
            f"Seeds change {varied}, and the weights of untrained networks; the spread over them says nothing about "
            "other test images."
        )
    return Section("how", "How to read the numbers", [Note(note) for note in notes])
