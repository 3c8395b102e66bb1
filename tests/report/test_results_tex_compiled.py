"""results.tex through pdflatex, in a paper of the class article."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.report import report_factory as factory
from tests.report.test_results_tex import ODD, written

PDFLATEX = shutil.which("pdflatex")
PAPER = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
Table~\ref{tab:LABEL} shows it.
\input{results.tex}
\end{document}
"""
LETTERS = "a-b--c é ÿ Ł ß α Λ µ ± × → ≤ … 中"
pytestmark = pytest.mark.skipif(
    PDFLATEX is None, reason="needs pdflatex and booktabs (Debian: texlive-latex-recommended)"
)


def compiled(folder: Path, *results: dict[str, Any]) -> str:
    """Output of LaTeX for a paper with the table, on its second pass, when references are known."""
    written(folder, *results)
    label = "-".join(f"part-{place}" for place in range(len(results)))
    (folder / "paper.tex").write_text(PAPER.replace("LABEL", label), "ascii")
    command = [str(PDFLATEX), "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    output = ""
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
        output = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, output
    assert "undefined references" not in output
    return output


@pytest.mark.parametrize("name", [ODD, LETTERS, "[1]", "*"])
def test_a_table_with_any_name_compiles(tmp_path: Path, name: str) -> None:
    results = factory.results({name: 0.7, f"{name}2": 0.6, **factory.LEVELS}, budgets={"10 %": 4500})
    results["teacher"]["name"] = results["student"]["name"] = name
    compiled(tmp_path, results)


def test_a_table_that_says_it_fits_is_no_wider_than_a_column(tmp_path: Path) -> None:
    for count in (1, 3, 4):
        budgets = {f"{share} %": 100 * share for share in range(1, count + 1)}
        output = compiled(tmp_path, factory.results(budgets=budgets))
        fits = "wider than a column" not in (tmp_path / "results.tex").read_text("ascii")
        assert fits == (count < 4) == ("Overfull" not in output)


def test_tables_of_several_comparisons_and_of_none_that_has_finished_compile(tmp_path: Path) -> None:
    results = factory.results()
    compiled(tmp_path, results, factory.results(budgets={"10 %": 5000, "500 images": 500}))
    compiled(tmp_path, results | {"table": [], "differences": []})
