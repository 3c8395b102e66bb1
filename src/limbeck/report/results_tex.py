"""The results of comparisons as a table for a paper: LaTeX that needs the package booktabs and nothing else."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from limbeck.files import atomic_write_text
from limbeck.report import formats, reading
from limbeck.report.controls import Controls, arm_order
from limbeck.report.latex import escape
from limbeck.report.latex_width import SETTINGS, setting_for
from limbeck.report.results_csv import Comparison
from limbeck.report.sentences import unequal, verdict

Row = dict[str, Any]
TABLE = "results.tex"
_HEAD = (
    "% Made by limbeck, and made anew by `limbeck report`. Needs \\usepackage{booktabs};",
    "% \\input{results.tex} where the table is to stand.",
)


def write_tex(comparisons: Sequence[Comparison], folder: Path) -> None:
    """Write results.tex: arms down, budgets across, mean and half the 95 % interval, bold where beyond seed noise.

    It is set in the largest letters in which it fits into a column of `article`, as far as that can be told.
    Bold is what `above_controls` says of its own comparison.

    Args:
        comparisons: one or more; several make groups of rows.
        folder: to write into.

    Example:
        >>> from limbeck.report.reading import results
        >>> write_tex([Comparison("quick", Path("runs/quick"), results(Path("runs/quick")))], Path("runs/quick"))
    """
    atomic_write_text(folder / TABLE, "\n".join(_lines(comparisons)) + "\n")


def above_controls(results: Row) -> set[tuple[str, str]]:
    """Arms and budgets that are better, beyond seed noise, than every control of that budget that they are set against,
    and whose mean is above those of all its controls: the others stand in the same column.

    An arm that has another number of images than a control that it is set against is not among them.
    """
    at = {(run["arm"], run["budget"]) for run in results["runs"] if run["control"]}
    means = {(row["arm"], row["budget"]): row["mean"] for row in results["table"]}
    highest: dict[str, float] = {}
    for arm, budget in at & means.keys():
        highest[budget] = max(means[arm, budget], highest.get(budget, 0.0))
    verdicts: dict[tuple[str, str], set[str]] = {}
    for row in results["differences"]:
        if (row["against"], row["budget"]) in at:
            verdicts.setdefault((row["arm"], row["budget"]), set()).add("unequal" if unequal(row) else verdict(row))
    better = {place for place, kinds in verdicts.items() if kinds == {"better"}} & means.keys()
    return {(arm, budget) for arm, budget in better if means[arm, budget] > highest.get(budget, 0.0)}


def _lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    budgets = _budgets(comparisons)
    columns = max(len(budgets), 1)
    body = list(_body(comparisons, budgets))
    setting, fits = setting_for([line.removesuffix(r" \\").split(" & ") for line in body if " & " in line])
    label = "-".join(
        "".join(char if char.isascii() and char.isalnum() else "-" for char in comparison.name)
        for comparison in comparisons
    )
    yield from _HEAD
    if not fits:
        yield r"% It is wider than a column of article: let it stand in table*, or on a page that is turned."
    yield r"\begin{table}"
    yield r"  \centering"
    yield r"  \setlength{\belowcaptionskip}{6pt}"  # it is 0 in article, which expects captions below
    yield rf"  \caption{{{_caption(comparisons)}}}"
    yield rf"  \label{{tab:{label}}}"
    if setting != SETTINGS[0]:
        yield f"  {setting.size}"
        yield rf"  \setlength{{\tabcolsep}}{{{setting.gap:g}pt}}"
    yield rf"  \begin{{tabular}}{{l{'r' * columns}}}"
    yield from body
    yield r"  \end{tabular}"
    yield r"\end{table}"


def _body(comparisons: Sequence[Comparison], budgets: dict[str, list[int]]) -> Iterator[str]:
    """What stands between the beginning and the end of the tabular."""
    columns, most = max(len(budgets), 1), _most_seeds(comparisons)
    every = [comparison.results for comparison in comparisons]
    yield r"    \toprule"
    yield from _header(comparisons, budgets)
    for comparison in comparisons:
        yield r"    \midrule"
        if len(comparisons) > 1:
            words = escape(f"{comparison.name}: {networks(comparison.results, every)}")
            yield rf"    \multicolumn{{{columns + 1}}}{{l}}{{\emph{{{words}}}}} \\"
            yield r"    \addlinespace"
        yield from _arms(comparison, budgets, most)
    if not budgets:
        yield r"    no run has finished & -- \\"
    yield r"    \bottomrule"


def _budgets(comparisons: Iterable[Comparison]) -> dict[str, list[int]]:
    """The images that each budget comes to, from few to many; those of one share may differ between comparisons."""
    by_budget: dict[str, set[int]] = {}
    for comparison in comparisons:
        for row in comparison.results["table"]:
            by_budget.setdefault(row["budget"], set()).add(row["images"])
    return {budget: sorted(images) for budget, images in sorted(by_budget.items(), key=lambda item: min(item[1]))}


def _header(comparisons: Sequence[Comparison], budgets: dict[str, list[int]]) -> Iterator[str]:
    if not budgets or all(reading.without_budgets(comparison.results) for comparison in comparisons):
        yield r"    Arm & Top-1 (\%) \\"
        return
    yield _row("Arm", map(escape, budgets))
    yield _row("images", (" / ".join(map(formats.number, images)) for images in budgets.values()))


def _arms(comparison: Comparison, budgets: dict[str, list[int]], most: int) -> Iterator[str]:
    """The user's arms, and below a line the controls; cells of other than `most` seeds say of how many they are."""
    results = comparison.results
    controls, bold = Controls.of(results), above_controls(results)
    rows = {(row["arm"], row["budget"]): row for row in results["table"]}
    repeats = {row["arm"]: row.get("repeats") for row in results["table"]}
    user, previous = {row["arm"]: not row["control"] for row in results["table"]}, None
    for arm in (arm for arm in arm_order(results) if arm in user):
        if previous is not None and previous != user[arm]:
            yield r"    \addlinespace"
        previous = user[arm]
        yield _row(
            escape(controls.label(arm) + (f" (repeats {controls.label(repeats[arm])})" if repeats.get(arm) else "")),
            (_cell(rows.get((arm, budget)), (arm, budget) in bold, most) for budget in budgets),
        )


def _row(first: str, cells: Iterable[str]) -> str:
    return rf"    {' & '.join([first, *cells])} \\"


def _cell(row: Row | None, bold: bool, most: int) -> str:
    if row is None or not formats.is_number(row["mean"]):
        return "--"
    words = f"{100 * row['mean']:.2f}"
    if formats.is_number(row["half_width"]):
        words += rf" $\pm$ {100 * row['half_width']:.2f}"
    words = rf"\textbf{{{words}}}" if bold else words
    return words if row["n"] == most else rf"{words} ($n = {row['n']}$)"


def _caption(comparisons: Sequence[Comparison]) -> str:
    """What the numbers are, and what is bold."""
    first = comparisons[0].results
    tested = first.get("test_images")
    on = f"the {formats.number(tested)} test images" if tested else "the test set"
    most = _most_seeds(comparisons)
    words = [f"Top-1 accuracy in % on {on} after the last step{_spread(most)}."]
    if most > 1:
        words.append(
            "Bold: above every control of that budget that the arm is set against, beyond seed noise (paired t test "
            "over seeds, p < 0.05 after Holm's correction for the arms that are set against the same control), with a "
            "mean above those of all controls of that budget."
        )
    if len(comparisons) > 1:
        words.append("Every arm is set against the controls of its own comparison.")
    else:
        words += [f"{sentence[0].upper()}{sentence[1:]}." for sentence in [networks(first)] if sentence]
    words += [sentence for comparison in comparisons for sentence in _unlike(comparison, len(comparisons) > 1)]
    lacking = [
        run
        for comparison in comparisons
        for run in comparison.results["runs"]
        if run["state"] not in ("finished", "dropped")
    ]
    if lacking:
        words.append(f"{formats.plural(len(lacking), 'run')} did not finish.")
    return re.sub(r"(?<=\d) (?=\\%)", r"\\,", escape(" ".join(words)))


def _unlike(comparison: Comparison, several: bool) -> Iterator[str]:
    """Which arms, controls too, learn for other steps or as another student than the comparison says."""
    results = comparison.results
    controls = Controls.of(results)
    for part, words in (("steps", "Of other steps than the rest"), ("student", "Of another student than the rest")):
        arms = [controls.label(arm) for arm in results.get("unlike", {}).get(part, ())]
        if arms:
            yield f"{words}{f', in {comparison.name}' if several else ''}: {formats.listing(arms)}."


def _spread(most: int) -> str:
    if most < 2:
        return "; one seed, so that nothing is known of seed noise, and nothing is bold"
    return f": mean ± half its 95 % interval over n = {most} seeds, or as many as a cell says"


def networks(results: Row, every: Iterable[Row] = ()) -> str:
    """'teacher resnet56 (93.40 %), student resnet8', as far as they are known.

    Args:
        results: of one comparison.
        every: of those beside it; a student of the same name that is another one is told apart by its size.
    """
    parts = []
    for role in ("teacher", "student"):
        network = results.get(role) or {}
        if network.get("name"):
            top1 = (network.get("evaluation") or {}).get("top1")
            parts.append(f"{role} {network['name']}" + (f" ({formats.percent(top1, 2)})" if top1 else ""))
    same_name = [_size(other) for other in every if _student(other).get("name") == _student(results).get("name")]
    if parts and len({size for size in same_name if size}) > 1 and (size := _size(results)):
        parts[-1] += f" ({size})"
    return ", ".join(parts)


def _student(results: Row) -> Row:
    return results.get("student") or {}


def _size(results: Row) -> str:
    """'0.27 M parameters and 41 M multiply-adds' of the student; '' where they are unknown."""
    footprint = _student(results).get("footprint") or {}
    if footprint.get("parameters") is None:
        return ""
    return f"{formats.number(footprint['parameters'])} parameters, {formats.number(footprint['macs'])} multiply-adds"


def _most_seeds(comparisons: Iterable[Comparison]) -> int:
    return max((row["n"] for comparison in comparisons for row in comparison.results["table"]), default=1)
