"""Tables and charts of evidence, written and read back."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import UserError
from limbeck.transfer.evidence import NUMBERS, Evidence, read_evidence
from limbeck.transfer.evidence_figures import (
    EvidenceFigure,
    LineFigure,
    MatrixFigure,
    PointsFigure,
    StackedBars,
    TableFigure,
    figure_of,
)

FIGURES: list[EvidenceFigure] = [
    TableFigure(title="Pools", columns=["Pool", "Share"], rows=[["a", 0.25], ["b", None]], percent=["Share"], note="x"),
    StackedBars(title="Images", one="class", part="pool", names=["cat", "dog"], parts={"a": [1, 2], "b": [0, 3]}),
    LineFigure(
        title="Scores",
        x="rank",
        y="score",
        lines={"cat": ([1, 10], [0.9, 0.1])},
        marks={"cat": (10, 0.1)},
        mark="the cut",
        logarithmic=True,
        share=True,
        small=True,
        beside="together",
    ),
    MatrixFigure(title="Classes", row="wanted", column="obtained", names=["cat", "dog"], counts=[[3, 1], [0, 2]]),
    PointsFigure(title="Map", points=([0.5, 1], [2.0, 3]), labels=[0, -1], names=["cat"], parts={"made": 1, "real": 1}),
]


def saved(folder: Path, **parts: Any) -> Evidence:
    Evidence(headline="Three were made", **parts).save(folder / "evidence")
    evidence = read_evidence(folder / "evidence")
    assert evidence is not None
    return evidence


def test_they_come_back_with_findings(tmp_path: Path) -> None:
    evidence = saved(tmp_path, figures=FIGURES, findings=["One", "Two"])
    assert [figure.to_dict() for figure in evidence.figures] == json.loads(
        json.dumps([figure.to_dict() for figure in FIGURES])
    )
    assert [type(figure) for figure in evidence.figures] == [type(figure) for figure in FIGURES]
    assert evidence.findings == ["One", "Two"]


def test_folders_of_before_have_none(tmp_path: Path) -> None:
    saved(tmp_path, findings=["One"], figures=FIGURES)
    path = tmp_path / "evidence" / NUMBERS
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in content if key not in ("findings", "figures")}))
    evidence = read_evidence(tmp_path / "evidence")
    assert evidence is not None
    assert (evidence.findings, evidence.figures) == ([], [])


def test_numbers_that_are_not_finite_are_left_out() -> None:
    table = TableFigure(title="t", columns=["a"], rows=[[math.nan], [math.inf], [1.5], ["nan"]]).to_dict()
    assert table["rows"] == [[None], [None], [1.5], ["nan"]]
    bars = StackedBars(title="b", one="class", part="pool", names=["x", "y"], parts={"a": [math.nan, 2]}).to_dict()
    assert bars["parts"] == {"a": [0, 2]}
    lines = {"a": ([1, 2, 3], [math.inf, 2.0, math.nan])}
    drawn = LineFigure(title="l", x="x", y="y", lines=lines, marks={"a": (1, math.nan)}).to_dict()
    assert (drawn["lines"], drawn["marks"]) == ({"a": [[2], [2.0]]}, {})


def test_parts_of_unequal_length() -> None:
    with pytest.raises(UserError, match=r"`rows` of 'Pools' must have 2 values, got 1"):
        TableFigure(title="Pools", columns=["a", "b"], rows=[["x"]])
    with pytest.raises(UserError, match=r"`parts\['a'\]` must have 2 counts, got 1"):
        StackedBars(title="b", one="class", part="pool", names=["x", "y"], parts={"a": [1]})


def test_matrices_and_maps_whose_sizes_differ() -> None:
    with pytest.raises(UserError, match=r"`counts` of 'm' must be as many rows .* 30 at most, got 1 rows for 2 names"):
        MatrixFigure(title="m", row="wanted", column="obtained", names=["a", "b"], counts=[[1, 2]])
    names = [str(place) for place in range(31)]
    with pytest.raises(UserError, match="got 31 rows for 31 names"):
        MatrixFigure(title="m", row="wanted", column="obtained", names=names, counts=[[0] * 31] * 31)
    with pytest.raises(UserError, match=r"`points`, `labels` and `parts` of 'p' must be equally many, got \[1, 2\]"):
        PointsFigure(title="p", points=([0], [0]), labels=[0], names=["a"], parts={"made": 2})


def test_kinds_of_later_versions(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a figure of kind 'pie'; update limbeck"):
        figure_of({"kind": "pie"})
    saved(tmp_path)
    path = tmp_path / "evidence" / NUMBERS
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "figures": [{"kind": "pie"}]}))
    with pytest.raises(UserError, match=r"summary\.json cannot be read .*'pie'; update limbeck.*Delete"):
        read_evidence(tmp_path / "evidence")
