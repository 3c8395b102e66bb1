"""What generating reports about itself, for any number of classes, rounds and layers, and the page that shows it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.report import report_factory as factory
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_old_layouts import section
from tests.transfer.generate.fake_runs import FakeHeld, made

import limbeck as lb
from limbeck.report import write_selection_report
from limbeck.transfer.evidence import Evidence, read_evidence
from limbeck.transfer.evidence_figures import LineFigure, MatrixFigure, PointsFigure, StackedBars, TableFigure
from limbeck.transfer.generate.classes import class_figures, obtained_share
from limbeck.transfer.generate.evidence import evidence_of
from limbeck.transfer.generate.history import History, Round
from limbeck.transfer.generate.likeness import likeness
from limbeck.transfer.generate.pictures import grids
from limbeck.transfer.generate.settings import GenerateSettings

SETTINGS = GenerateSettings(budget=1000)


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    """A teacher, and real images."""
    real = lb.load("digits", "test")
    return teacher_of(10), real


def teacher_of(classes: int, *, channels: int = 1, size: int = 8) -> lb.Classifier:
    return lb.create(
        "convnet_d3", num_classes=classes, channels=channels, input_size=size, width=8, norm="batch"
    ).eval()


def titled(found: Evidence, title: str) -> Any:
    (figure,) = [figure for figure in found.figures if figure.title == title]
    return figure


@pytest.fixture(scope="module")
def told(digits: tuple[Any, Any]) -> Evidence:
    teacher, real = digits
    return evidence_of(*made(), SETTINGS, teacher, real=real, floors=[2.0, 1.5, 1.0])


def test_head_and_facts(told: Evidence) -> None:
    assert told.headline == (
        "120 images of 10 classes, made from the teacher alone by 'bsr' in 6 rounds: 1,200 teacher passes and 9 s"
    )
    assert told.facts["rounds"] == "6"
    assert told.facts["one-hot weight"] == "0.5 to 0.8"
    assert told.facts["batch-norm loss"] == "6.67"
    assert {"distance from real images", "that of noise", "that of procedural, dead-leaves"} <= told.facts.keys()
    assert any("No image went into it" in note for note in told.notes)
    assert any("the teacher was asked 720 times more" in note for note in told.notes), "120 of each kind, 360 real"


def test_curves_of_the_rounds(told: Evidence) -> None:
    obtained = titled(told, "Wanted class obtained")
    assert isinstance(obtained, LineFigure)
    assert (obtained.share, obtained.small, obtained.beside) == (True, True, "together")
    assert list(obtained.lines["Wanted class obtained"][0]) == [1, 2, 3, 4, 5, 6]
    agreement = titled(told, "Student's agreement on fresh images")
    assert next(iter(*agreement.lines.values())) == [2, 3, 4, 5, 6], "there was no student before"
    assert list(titled(told, "Adversarial loss").lines["Adversarial loss"][0]) == [2, 3, 4, 5, 6]
    assert titled(told, "Batch-norm loss").lines["real"] == ([1, 6], [4.5, 4.5])
    assert titled(told, "Images").lines["removed"][1] == [0, 2, 4, 6, 8, 10]
    layers = titled(told, "Batch-norm loss by layer, over that of real images")
    assert list(layers.lines) == ["layer 1", "layer 2", "layer 3"]
    assert layers.lines["layer 3"][1][-1] == pytest.approx(1.0)
    table = titled(told, "Every round")
    assert len(table.rows) == 6
    assert table.rows[0][table.columns.index("Agreement")] is None


def test_classes_wanted_and_obtained(told: Evidence) -> None:
    matrix = titled(told, "Wanted and obtained")
    assert isinstance(matrix, MatrixFigure)
    held, _ = made()
    wanted, labels = held.column("wanted"), held.column("label")
    assert sum(map(sum, matrix.counts)) == len(held)
    right = sum(row[place] for place, row in enumerate(matrix.counts))
    assert right / len(held) == obtained_share(wanted, labels)
    bars = titled(told, "Images of each class")
    assert isinstance(bars, StackedBars)
    assert [sum(both) for both in zip(*bars.parts.values(), strict=True)] == labels.bincount(minlength=10).tolist()
    assert sum(bars.parts["as wanted"]) == right


def test_many_classes_are_summarised() -> None:
    wanted = torch.arange(1000).repeat_interleave(3)
    labels = torch.where((wanted == 7) | ((wanted == 3) & (torch.arange(3000) % 3 == 0)), 9, wanted)
    _, least = class_figures(wanted, labels, [f"kind {place}" for place in range(1000)])
    assert isinstance(least, TableFigure)
    assert least.title == "The 20 of 1,000 classes that were obtained least"
    assert least.rows[0] == ["kind 7", 3, 0, 0.0, "kind 9 3"]
    assert least.rows[1] == ["kind 3", 3, 2, pytest.approx(2 / 3), "kind 9 1"]
    assert least.rows[2][3:] == [1.0, None]


def test_where_none_was_wanted() -> None:
    labels = torch.arange(20) % 3
    (bars,) = class_figures(torch.full((20,), -1), labels, ["a", "b", "c"])
    assert isinstance(bars, StackedBars)
    assert bars.parts == {"images": [7, 7, 6]}
    assert obtained_share(torch.full((20,), -1), labels) is None


def test_labels_that_the_teacher_gave_are_no_obedience(digits: tuple[Any, Any]) -> None:
    settings = GenerateSettings(budget=1000, method="dafl")
    evidence = evidence_of(*made(), settings, digits[0])
    assert "of the class that was wanted" not in evidence.facts
    assert not any(isinstance(figure, MatrixFigure) for figure in evidence.figures)


def test_grids_by_round(told: Evidence) -> None:
    held, _ = made(rounds=12, batch=40)
    shown = grids(held, [f"kind {place}" for place in range(10)])
    assert [grid.title.split(":")[0] for grid in shown] == ["Round 1", "Round 4", "Round 7", "Round 9", "Round 12"]
    assert shown[0].title == "Round 1: 24 of 40 images that are left"
    for grid in shown:
        assert grid.labels is not None
        assert grid.scores is not None
        assert grid.labels.tolist() == grid.labels.sort().values.tolist()
        for place, (identity, caption) in enumerate(zip(grid.ids.tolist(), grid.captions, strict=True)):
            row = int((held.column("id") == identity).nonzero())
            assert torch.equal(grid.images[place], held.column("images")[row])
            label, wanted = int(held.column("label")[row]), int(held.column("wanted")[row])
            assert caption == (f"kind {label}" if label == wanted else f"kind {label} (kind {wanted} wanted)")
            assert float(grid.scores[place]) == float(held.column("confidence")[row])


def test_large_images_are_kept_small() -> None:
    held, _ = made(rounds=1, batch=4, shape=(3, 224, 160))
    (grid,) = grids(held, ["a"] * 10)
    assert grid.images.shape == (4, 3, 112, 80)


def test_map_and_distances(digits: tuple[Any, Any]) -> None:
    held, _ = made()
    classes = [str(place) for place in range(10)]
    compared = likeness(held, digits[0], classes, digits[1])
    assert compared is not None
    points, table = compared.figures
    assert isinstance(points, PointsFigure)
    assert points.parts == {"made": 120, "real": 200}
    assert isinstance(table, TableFigure)
    assert [row[0] for row in table.rows] == [
        "Made",
        "Noise",
        "Procedural, dead-leaves",
        "Halves of the real ones, highest",
    ]
    alone = likeness(held, digits[0], classes)
    assert alone is not None
    assert (len(alone.figures), alone.distances, alone.passes) == (1, {}, 120)
    again = likeness(held, digits[0], classes, digits[1])
    assert again is not None
    assert again.distances == compared.distances


def test_no_map_of_few_images_or_without_an_embedding(digits: tuple[Any, Any]) -> None:
    held, _ = made(rounds=1, batch=9)
    assert likeness(held, digits[0], ["a"] * 10) is None
    evidence = evidence_of(*made(rounds=1, batch=9), SETTINGS, digits[0])
    assert not any(isinstance(figure, PointsFigure) for figure in evidence.figures)


def test_signs_of_collapse_are_findings(digits: tuple[Any, Any]) -> None:
    held, history = made()
    worse = Round(**{**vars(history[-1]), "distinct": 1, "number": 6})
    evidence = evidence_of(held, History([*history, worse, worse, worse]), SETTINGS, digits[0])
    (finding,) = evidence.findings
    assert finding.startswith("A sign of collapse: Only 3 of the 60 images of round 7 differ")
    assert "`" not in finding


def test_before_the_first_round_there_is_nothing_to_show(digits: tuple[Any, Any]) -> None:
    nothing = FakeHeld({name: torch.empty(0, dtype=torch.int64) for name in ("id", "round")})
    evidence = evidence_of(nothing, History(), SETTINGS, digits[0])
    assert evidence.headline == "Images to be made from the teacher alone by 'bsr', 1000 at the end"
    assert (evidence.rows, list(evidence.figures), list(evidence.pictures)) == (None, [], [])


SIZES = [(10, 6, (1, 8, 8), 3), (2, 1, (3, 96, 96), 20), (30, 2, (3, 28, 28), 1), (1000, 200, (3, 32, 32), 55)]


@pytest.mark.parametrize(("classes", "rounds", "shape", "layers"), SIZES)
def test_of_any_size_it_stays_small(
    tmp_path: Path, classes: int, rounds: int, shape: tuple[int, int, int], layers: int
) -> None:
    held, history = made(classes=classes, rounds=rounds, shape=shape, layers=layers, batch=12)
    evidence_of(held, history, SETTINGS, teacher_of(classes, channels=shape[0], size=shape[1])).save(tmp_path / "all")
    evidence = read_evidence(tmp_path / "all")
    assert evidence is not None
    assert evidence.summary is not None
    assert evidence.summary.images == 12 * rounds
    titles = [figure.title for figure in evidence.figures]
    assert ("Wanted class obtained" in titles) == (rounds > 1), "one round is no curve"
    assert ("Wanted and obtained" in titles) == (classes <= 30)
    assert "Batch-norm loss of every layer" in titles
    assert (tmp_path / "all" / "summary.json").stat().st_size < 400_000


def test_the_page_shows_it(tmp_path: Path, told: Evidence) -> None:
    factory.write_json(tmp_path / "transfer_set.json", {"name": "set", "classes": list(told.classes)})
    told.save(tmp_path / "evidence")
    page = write_selection_report(tmp_path)
    words = section(page)
    for part in (
        "Images of each class",
        "Wanted class obtained",
        "Images as the teacher sees them",
        "Round 1: all 20 images",
    ):
        assert part in words, part
    assert "made from the teacher alone by" in markup(page).split("<section")[0]
    assert outline(page).scripts == 1
    assert page.stat().st_size < 2_000_000
