"""results.tex: what is bold, and that LaTeX takes it."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.report import report_factory as factory

from limbeck.report.latex import escape
from limbeck.report.latex_width import width_of
from limbeck.report.results_csv import Comparison
from limbeck.report.results_tex import above_controls, write_tex

ODD = 'a_b & 50 % of {x}^2 ~ $1 #2 \\ <i> -- "q" |'


def written(folder: Path, *results: dict[str, Any]) -> str:
    write_tex([Comparison(f"part_{place}", folder, content) for place, content in enumerate(results)], folder)
    return (folder / "results.tex").read_text("ascii")


def checked(tex: str) -> list[list[str]]:
    """The cells of the table, after what would stop LaTeX: braces, environments, columns, characters with a meaning."""
    lines = [line for line in tex.splitlines() if not line.startswith("%")]
    bare = re.sub(r"\\.", "", "\n".join(lines))
    depth = 0
    for character in bare:
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert not re.search(r"[#%~^_|\"<>]", re.sub(r"\$[^$]*\$", "", bare))
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", tex) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table", "tabular"]
    (columns,) = re.findall(r"\\begin{tabular}{(\w+)}", tex)
    table = tex.split("\\toprule")[1].split("\\bottomrule")[0]
    rows = [line.strip().removesuffix(r" \\") for line in table.splitlines() if line.endswith(r"\\")]
    cells = [re.split(r"(?<!\\) & ", row) for row in rows]
    assert all(len(row) == len(columns) or row[0].startswith(rf"\multicolumn{{{len(columns)}}}") for row in cells)
    return cells


def better(results: dict[str, Any], *, arm: str = "entropy", budget: str = "10 %", but: str = "") -> dict[str, Any]:
    """The same results with an arm above all its controls but one."""
    for row in results["differences"]:
        above = row["arm"] == arm and row["budget"] == budget and row["against"] != but
        row.update(mean=0.01, low=0.005, high=0.015, beyond_noise=above)
    for row in results["table"]:
        if (row["arm"], row["budget"]) == (arm, budget):
            row["mean"] = 0.99
    return results


def test_arms_in_order_below_budgets_with_mean_and_interval(tmp_path: Path) -> None:
    results = factory.results()
    header, images, *rows = checked(written(tmp_path, results))
    assert header == ["Arm", r"5 \%", r"10 \%", r"25 \%", r"100 \%"]
    assert images == ["images", "2,250", "4,500", "11,250", "45,000"]
    labels = ["entropy", "balanced random", "random", "no teacher", "full data", "full data without teacher"]
    assert [row[0] for row in rows] == labels
    first = results["table"][0]
    assert rows[0][1] == f"{100 * first['mean']:.2f} $\\pm$ {100 * first['half_width']:.2f}"
    assert rows[0][4] == rows[4][1] == "--"
    assert rows[3][3].endswith("($n = 2$)")


def test_bold_is_what_is_above_every_control_of_its_budget(tmp_path: Path) -> None:
    results = better(factory.results())
    assert above_controls(results) == {("entropy", "10 %")}
    assert re.findall(r"\\textbf{([^}]*)}", written(tmp_path, results)) == [
        checked(written(tmp_path, results))[2][2][8:-1]
    ]
    caption = written(tmp_path, results)
    assert "Bold: above every control of that budget that the arm is set against, beyond seed noise" in caption
    assert "with a mean above those of all controls of that budget." in caption
    assert above_controls(better(factory.results(), but="random")) == set()


def test_nothing_is_bold_below_a_control_that_it_was_not_tested_against() -> None:
    """As arms that have the images of one control are, and all of students without a teacher but one."""
    results = better(factory.results())
    results["differences"] = [row for row in results["differences"] if row["against"] != "random"]
    assert above_controls(results) == {("entropy", "10 %")}
    for level, expected in ((0.98, {("entropy", "10 %")}), (0.99, set()), (0.995, set())):
        for row in results["table"]:
            if (row["arm"], row["budget"]) == ("random", "10 %"):
                row["mean"] = level
        assert above_controls(results) == expected


def test_the_caption_names_arms_of_other_steps_and_students(tmp_path: Path) -> None:
    results = factory.results() | {"unlike": {"steps": ["entropy", "no-teacher"], "student": []}}
    caption = written(tmp_path, results)
    assert "Of other steps than the rest: entropy and no teacher." in caption
    assert "another student" not in caption
    other = factory.results() | {"unlike": {"steps": [], "student": ["entropy"]}}
    assert "Of another student than the rest, in part\\_1: entropy." in written(tmp_path, results, other)


def test_without_budgets_bold_is_above_the_students_without_a_teacher() -> None:
    results = factory.objectives({"kd": 0.9, "dkd": 0.8, "full-no-teacher": 0.85})
    row = {"arm": "kd", "against": "full-no-teacher", "budget": "all", "n": 3, "mean": 0.05, "low": 0.04, "high": 0.06}
    results["differences"] = [row | {"beyond_noise": True}, row | {"arm": "dkd", "mean": -0.05, "beyond_noise": True}]
    assert above_controls(results) == {("kd", "all")}


def test_one_seed_has_no_interval_and_nothing_bold(tmp_path: Path) -> None:
    tex = written(tmp_path, factory.results(seeds=1))
    assert "one seed, so that nothing is known of seed noise, and nothing is bold" in tex
    assert "textbf" not in tex
    assert "$\\pm$" not in tex


@pytest.mark.parametrize("name", [ODD, "αβ-é-中文-Łódź", "a" * 200])
def test_any_name_is_escaped(tmp_path: Path, name: str) -> None:
    results = factory.results({name: 0.7, **factory.LEVELS})
    results["teacher"]["name"] = results["student"]["name"] = name
    assert checked(written(tmp_path, results, results))[3][0] == escape(name)


def test_letters_that_pdflatex_lacks_compile_in_every_engine() -> None:
    assert escape("é ÿ Ł α Λ µ ×") == (
        r"\'{e} \"{y} \L{} \ensuremath{\alpha} \ensuremath{\Lambda} \ensuremath{\mu} \ensuremath{\times}"
    )
    assert escape("中") == r"\ifdefined\Umathchar\symbol{20013}\else ?\fi{}"
    assert escape("a---b\tc\x07") == "a-{}-{}-b c "


def test_several_comparisons_are_groups_of_rows_with_their_own_controls(tmp_path: Path) -> None:
    other = factory.results(budgets={"10 %": 5000, "500 images": 500})
    tex = written(tmp_path, factory.results(), other)
    cells = checked(tex)
    assert cells[0] == ["Arm", "500 images", r"5 \%", r"10 \%", r"25 \%", r"100 \%"]
    assert cells[1][3] == "4,500 / 5,000"
    groups = [row[0] for row in cells if "multicolumn" in row[0]]
    assert [re.findall(r"part\\_\d: teacher resnet56 \([\d.]+ \\%\), student resnet20", group) for group in groups] != [
        [],
        [],
    ]
    assert "Every arm is set against the controls of its own comparison." in tex


def test_seeds_that_the_caption_of_several_does_not_tell_stand_in_their_cells(tmp_path: Path) -> None:
    tex = written(tmp_path, factory.results(), factory.results(seeds=1))
    assert "over n = 3 seeds, or as many as a cell says" in tex
    cells = checked(tex)
    second = next(place for place, row in enumerate(cells) if r"part\_1" in row[0])
    assert [row for row in cells[2:second] if "no teacher" not in row[0] and "($n" in "".join(row)] == []
    alone = [cell for row in cells[second + 1 :] for cell in row[1:] if cell != "--"]
    assert alone
    assert all(cell.endswith("($n = 1$)") for cell in alone)


def test_letters_are_as_small_as_a_column_of_a_paper_needs(tmp_path: Path) -> None:
    few = written(tmp_path, factory.results(budgets={"10 %": 4500}))
    assert "tabcolsep" not in few
    four = written(tmp_path, factory.results())
    assert re.search(r"  \\(small|\w+size)\n  \\setlength{\\tabcolsep}{\dpt}\n  \\begin{tabular}", four)
    assert "wider than a column" not in four
    many = written(tmp_path, factory.results(budgets={f"{share} %": 100 * share for share in range(1, 13)}))
    assert "% It is wider than a column of article" in many


def test_the_width_of_four_budgets_is_told_as_latex_has_it() -> None:
    """As LaTeX set it, 345 points of `article` and 44 more; a twentieth is what an estimate may be wrong by."""
    row = ["full data without teacher", *["85.12 $\\pm$ 1.20"] * 4]
    assert sum(map(width_of, row)) + 2 * 6 * len(row) == pytest.approx(389, rel=0.05)
    assert width_of(r"\textbf{85.12}") > width_of("85.12") == width_of(r"85.12{}")


def test_before_a_run_has_finished_the_table_says_so(tmp_path: Path) -> None:
    results = factory.results()
    for run in results["runs"]:
        run["state"] = "missing"
    tex = written(tmp_path, results | {"table": [], "differences": []})
    assert checked(tex)[-1] == ["no run has finished", "--"]
    assert "42 runs did not finish." in tex


def test_an_arm_that_repeats_a_control_says_so(tmp_path: Path) -> None:
    results = factory.results()
    for row in results["table"]:
        row["repeats"] = "random" if row["arm"] == "entropy" else None
    assert checked(written(tmp_path, results))[2][0] == "entropy (repeats random)"
