"""What lies in the folders of runs and comparisons is what docs/reports.md says; several of them make one report."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.recipes.tiny_recipes import comparison
from typer.testing import CliRunner

from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.recipes import compare as compare_module
from limbeck.recipes.compare import compare
from limbeck.recipes.merging import kind_of
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.verbs import write_report, write_reports
from limbeck.report import merged_page

PAGE = (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")


def part(heading: str) -> str:
    return PAGE.split(f"# {heading}\n")[1].split("\n#")[0]


def table(text: str) -> dict[str, str]:
    """First and second cell of each row."""
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))


def keys(kind: str, *, labelled: bool = True) -> set[str]:
    """The keys that docs/reports.md lists for lines of a kind."""
    text = part("`metrics.jsonl`")
    shared, train, validation = (
        table(section) for section in re.split(r"^`train`|^`validation`", text, flags=re.MULTILINE)
    )
    if kind == "train":
        return {*shared, *train}
    other = "without labels" if labelled else "with labels"
    return {*shared, *(key for key, words in validation.items() if not words.endswith(other))}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_lines_of_metrics_are_as_described(finished: Path) -> None:
    runs = [folder for folder in finished.glob("runs/*/*") if folder.is_dir()]
    rows = [row for folder in [*runs, finished / "teacher"] for row in lines(folder)]
    assert {row["kind"] for row in rows} == {"train", "validation"}
    for row in rows:
        assert row.keys() == keys(row["kind"])
        if row["kind"] == "validation":
            assert 0 <= row["top1"] <= 1
        else:
            assert row["learning_rate"] >= 0
            assert row["images_per_second"] > 0
            assert list(row["terms"]) in (["cross_entropy"], ["cross_entropy", "kd"], ["kd"])
    run_folder = next(folder for folder in runs if folder.parent.name.startswith("entropy"))
    last = lines(run_folder)[-1]
    assert (last["step"], last["epoch"]) == (12, 16.0)  # 12 steps of 16 images, of which there are 12


def test_of_validation_images_without_labels_other_numbers_are_described() -> None:
    """`test_agreement.py` holds real runs to these keys."""
    assert keys("validation", labelled=False) == {"kind", "step", "epoch", "agreement", "divergence", "agrees"}


@pytest.mark.parametrize(
    ("heading", "where"), [("Files of a comparison folder", "."), ("Files of a run folder", "runs")]
)
def test_every_file_is_described(finished: Path, heading: str, where: str) -> None:
    folder = finished if where == "." else next(finished.glob("runs/entropy*/seed-0"))
    described = set(re.findall(r"`([\w.-]+)(?:/[^`]*)?`", part(heading)))
    names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    inner = {"making", "making.json", "making-energy.json", "energy.json", "threads.json", "galleries"}
    assert names - inner <= described


def states(folder: Path) -> list[str]:
    return list(pd.read_csv(folder / "results.csv")["state"])


def test_tables_are_written_while_runs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    real = compare_module.write_tables

    def write(folder: Path, results: dict[str, Any]) -> None:
        real(folder, results)
        counts.append(states(folder).count("finished"))
        assert (folder / "results.tex").is_file()

    monkeypatch.setattr(compare_module, "write_tables", write)
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    compare(read_recipe(comparison(seeds=[0])), tmp_path / "new")
    assert counts == [1, 2, 3, 4, 5, 6]


def test_a_finished_comparison_has_its_tables(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    runs: Any = pd.read_csv(finished / "results.csv")
    arms: Any = pd.read_csv(finished / "summary.csv")
    assert list(dict.fromkeys(runs["arm"])) == [
        "entropy", "balanced-random", "random", "no-teacher", "full", "full-no-teacher"
    ]  # fmt: skip
    by_folder = {run["folder"]: run for run in results["runs"]}
    for row in runs.to_dict("records"):
        run = by_folder[row["folder"]]
        assert (row["top1"], row["images"], row["steps"]) == (run["last"], run["images"], 12)
        assert row["seconds"] == pytest.approx(run["cost"]["seconds"], abs=0.011)
    assert len(arms) == len(results["table"])


@pytest.fixture
def two(finished: Path, tmp_path: Path) -> list[Path]:
    """The same comparison twice."""
    return [Path(shutil.copytree(finished, tmp_path / name)) for name in ("mine", "yours")]


@pytest.fixture
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two comparisons take as long as all other tests of this file."""
    monkeypatch.setattr(merged_page, "merged_page", lambda *_: None)
    monkeypatch.setattr(merged_page.page, "write", lambda page, path: path)
    monkeypatch.setattr(merged_page.frontier, "frontier_svg", lambda results: "<svg/>")


@pytest.mark.usefixtures("_quickly")
def test_comparisons_are_merged_beside_the_first_and_again(two: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "mine+yours"
    assert write_reports(two) == out / "report.html"
    assert len(pd.read_csv(out / "results.csv")) == 12
    assert kind_of(out) == "the report of several comparisons"
    shutil.rmtree(two[1] / "runs" / "full")
    assert write_report(out) == out / "report.html"
    (two[0] / "results.json").write_text("{")  # which is made again from the runs
    assert states(out).count("finished") == 11
    assert write_reports(two, tmp_path / "other") == tmp_path / "other" / "report.html"
    result = CliRunner().invoke(app, ["report", *map(str, two), "--tables"])
    assert result.exit_code == 0, result.output
    assert "entropy (mine) − no-teacher" in " ".join(result.output.split())


@pytest.mark.usefixtures("_quickly")
def test_what_cannot_be_one_report_is_refused(two: list[Path], tmp_path: Path) -> None:
    run = next(two[0].glob("runs/entropy*/seed-0"))
    with pytest.raises(
        UserError, match=r"all hold comparisons, or all selections; got a comparison in '.*mine' and a run"
    ):
        write_reports([two[0], run], tmp_path / "out")
    with pytest.raises(UserError, match=r"there is no folder '.*nothing' to report of; `limbeck ls runs` lists"):
        write_reports([two[0], tmp_path / "nothing"])
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"got a comparison in '.*mine' and neither in '.*nothing'"):
        write_reports([two[0], tmp_path / "nothing"])
    with pytest.raises(
        UserError, match=r"`--out` must be a folder for the report of several comparisons .* 'both.html'"
    ):
        write_reports(two, Path("both.html"))
    with pytest.raises(UserError, match="`--out` is where the report of several folders goes"):
        write_reports(two[:1], tmp_path / "out")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").touch()
    with pytest.raises(UserError, match=r"taken' exists already and is never overwritten; choose another --out"):
        write_reports(two, tmp_path / "taken")
    inputs = json.loads((two[1] / "inputs.json").read_text())
    inputs["test"]["fingerprint"] = "0" * 32
    (two[1] / "inputs.json").write_text(json.dumps(inputs))
    with pytest.raises(
        UserError, match=r"judged on the same test images, got digits/test .*mine' and .*000000.*yours'"
    ):
        write_reports(two)
    (two[1] / "networks.json").unlink()
    with pytest.raises(UserError, match=r"the comparison in '.*yours' has not begun its first run yet; go on with"):
        write_reports(two)
    assert not (tmp_path / "mine+yours").exists()


def test_the_python_of_the_page_runs(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits-demo").symlink_to(finished)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(code, "reports.md", "exec"), namespace)
    assert list(namespace["means"].index[0]) == ["entropy", "12 images"]
    assert set(namespace["verdicts"]["verdict"].dropna()) == {"one seed only"}
