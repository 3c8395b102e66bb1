"""What condensing reports about itself, and the page that shows it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.report.test_pages import markup

import limbeck as lb
from limbeck.cost import Cost
from limbeck.report import write_selection_report
from limbeck.transfer.condense.curves import ACCURACY, MOST_POINTS, MOST_ROWS, iteration_figures
from limbeck.transfer.condense.evidence import evidence_of
from limbeck.transfer.condense.frames import Frame, frame_of
from limbeck.transfer.condense.history import History
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.evidence import Evidence, read_evidence
from limbeck.transfer.evidence_figures import LineFigure, TableFigure

COST = Cost(seconds=1234.4)


def condensed() -> lb.ImageSet:
    digits = lb.load("digits")
    labels = digits.labels
    assert labels is not None
    firsts = [int((labels == label).nonzero()[0]) for label in range(10)]
    return digits.subset(digits.ids[firsts])


def history_of(count: int, *, skipped: int = 0) -> History:
    rows = [
        {
            "loss": 1.0 - place / (2 * count),
            "skipped": float(place < skipped),
            "start": float(place % 4),
            "rate": 0.01 + place / 1e5,
            "seconds": 0.5,
            "memory": 3e9 + place * 1e6,
        }
        for place in range(count)
    ]
    return History(rows)


def frames_of(images: lb.ImageSet, accuracies: list[float | None]) -> list[Frame]:
    pixels, labels = images.gather(torch.arange(len(images))), images.labels
    assert labels is not None
    maps = torch.rand(len(images), *pixels.shape[2:], generator=torch.Generator().manual_seed(0))
    return [
        frame_of(500 * place, pixels, labels, maps=maps, accuracy=accuracy) for place, accuracy in enumerate(accuracies)
    ]


def told(history: History, frames: list[Frame], **settings: Any) -> Evidence:
    return evidence_of(
        CondenseSettings(budget="1/class", **settings), condensed(), history, frames, pool=50_000, cost=COST
    )


def titled(found: Evidence, title: str) -> Any:
    (figure,) = [figure for figure in found.figures if figure.title == title]
    return figure


def test_head_and_facts() -> None:
    frames = frames_of(condensed(), [0.1, 0.3, 0.25])
    evidence = told(history_of(1000, skipped=100), frames, choose="last-validated")
    assert evidence.headline == (
        "10 images of 10 classes in place of 50,000, by 'datm' in 1,000 iterations: 1,234 s, experts and all"
    )
    assert evidence.facts["loss"] == "1 at first, 0.5 at last"
    assert evidence.facts["skipped iterations"] == "10.0 %"
    assert evidence.facts["best on validation images"] == "30.0 % after 500 iterations"
    assert evidence.facts["memory"] == "3.7 GiB"
    assert evidence.findings == [
        "The images after 500 iterations were better on validation images than the last (30.0 % against 25.0 %); "
        "choose: validation keeps the best"
    ]


def test_curves_are_thin_and_keep_their_means() -> None:
    evidence = told(history_of(1001, skipped=1), frames_of(condensed(), [0.1, None, 0.25]))
    loss = titled(evidence, "Matching loss")
    assert isinstance(loss, LineFigure)
    x, y = loss.lines["Matching loss"]
    assert len(x) == len(y) == MOST_POINTS
    assert x[-1] == 1001
    assert math.isclose(y[0], 1.0, abs_tol=0.005)
    assert titled(evidence, "Memory in GiB").lines["Memory in GiB"][1][-1] == 4e9 / 2**30
    assert titled(evidence, ACCURACY).lines[ACCURACY] == ([0.0, 1000.0], [0.1, 0.25])
    assert max(titled(evidence, "Start epoch").lines["Start epoch"][1]) == 3
    table = titled(evidence, "1,001 iterations")
    assert isinstance(table, TableFigure)
    assert len(table.rows) == MOST_ROWS
    assert table.rows[0][0] == "1\N{EN DASH}40"
    assert "Skipped" in table.percent


def test_no_curve_says_that_nothing_was_skipped_or_that_memory_stayed() -> None:
    titles = [figure.title for figure in iteration_figures(history_of(10))]
    assert "Skipped iterations" not in titles
    assert "Memory in GiB" not in titles
    assert "Skipped iterations" in [figure.title for figure in iteration_figures(history_of(10, skipped=1))]
    assert "Matching loss" in titles
    assert titles[-1] == "Every iteration"


def test_what_another_engine_notes_is_shown_by_its_name() -> None:
    rows = [{"loss": 3.0, "class_distance": float(place), "rate": 1.0, "expert": 2.0} for place in range(3)]
    figures = iteration_figures(History(rows), by="distribution")
    titles = [figure.title for figure in figures]
    assert titles == ["Loss", "Rate of the pixels", "Class distance", "Every iteration"]
    assert "Class distance" in next(figure for figure in figures if isinstance(figure, TableFigure)).columns


@pytest.mark.parametrize(("skipped", "which"), [(10, "All iterations"), (8, "80.0 % of the iterations")])
def test_a_run_that_stood_still_says_so(skipped: int, which: str) -> None:
    (finding,) = told(history_of(10, skipped=skipped), []).findings
    assert finding == (
        f"{which} changed nothing, as their loss was above skip_above (1.1); the least was 0.55: a lower rate or a "
        "higher threshold lets more of them count"
    )


def test_a_run_that_led_nowhere_says_so() -> None:
    rows = [{"loss": 0.996 + 0.001 * (place % 5), "rate": 0.1 / 2**place} for place in range(12)]
    (finding,) = told(History(rows), []).findings
    assert finding.startswith("At the end the loss was 0.997, and 1 is that of no step at all")
    assert "(the rate went from 0.01 to 4.88e-05)" in finding, "from what it was set to, before the first iteration"
    assert told(History([*rows, {"loss": 0.9, "rate": 0.01}]), []).findings == []
    assert told(History([{"loss": 5.0}]), [], method="dm").findings == [], "another distance"


def test_a_set_of_crops_has_no_iterations() -> None:
    evidence = told(History(), frames_of(condensed(), [None]), method="rded")
    assert evidence.headline == "10 images of 10 classes in place of 50,000, by 'rded', put together in 1,234 s"
    assert not evidence.figures
    assert evidence.pictures[0].title == "As they are"


def test_images_that_are_cut_are_counted_as_they_are_used() -> None:
    evidence = told(history_of(3), [], method="ncfm")
    assert evidence.facts["images when used"] == "40, 4 cut from each"
    assert any("count those that are used" in note for note in evidence.notes)


def test_a_set_of_hard_labels_says_nothing_of_soft_ones() -> None:
    assert any("soft labels" in note for note in told(history_of(3), []).notes)
    assert not any("soft labels" in note for note in told(history_of(3), [], method="mtt").notes)


def test_the_page_shows_it(tmp_path: Path) -> None:
    images = condensed()
    lb.TransferSet(images, about={"maker": "condense"}).save(tmp_path / "set")
    frames = frames_of(images, [0.1, 0.3])
    evidence = told(History([{"loss": 2.0, "skipped": 1.0}] * 9 + [{"loss": 1.0, "skipped": 0.0}]), frames)
    evidence.save(tmp_path / "set" / "evidence")
    back = read_evidence(tmp_path / "set" / "evidence")
    assert back is not None
    assert back.summary is not None
    assert back.summary.images == 10
    page = markup(write_selection_report(tmp_path / "set")).replace("\N{NO-BREAK SPACE}", " ")
    assert "90.0 % of the iterations changed nothing" in page
    assert "Matching loss" in page
    assert "3, by iteration" in page
    assert "Activation maps" in page
