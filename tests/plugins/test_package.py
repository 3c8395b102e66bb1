"""A package of ten lines, outside the repository: installed, listed, compared with built-in parts, checked, lost."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.plugins.conftest import blocks
from tests.plugins.packages import importable, install, unpack, wheel
from tests.plugins.stopping import stop
from tests.recipes.tiny_recipes import comparison, one_run
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.display import console
from limbeck.cli.main import app
from limbeck.entry_points import offers
from limbeck.errors import UserError
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.sums import weighted_sum
from limbeck.plugins import FAMILIES
from limbeck.recipes.compare import compare
from limbeck.recipes.plugged import telling_lost_plugins
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.testing import checks_for

FRUGAL = (("objectives", "brier"), ("models", "tiny"), ("criteria", "plainest"))


def cli(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs in a process of its own."""
    path = os.pathsep.join([str(site), str(Path(lb.__file__).parents[1])])
    command = [sys.executable, "-m", "limbeck", *arguments]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}, capture_output=True, text=True
    )


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def comparison_of_page() -> str:
    return next(block for block in blocks("yaml") if "name: mine" in block)


def test_installed_by_pip_it_is_listed_and_named(frugal_wheel: Path, tmp_path: Path) -> None:
    install(frugal_wheel, tmp_path / "site")
    listed = cli(tmp_path / "site", "ls", "plugins")
    assert listed.returncode == 0, listed.stderr
    for word in ("objective", "brier", "model", "tiny", "criterion", "plainest", "frugal-parts 0.1", "fine"):
        assert word in listed.stdout
    assert not listed.stderr
    (tmp_path / "mine.yaml").write_text(comparison_of_page())
    with importable(tmp_path / "site"):
        assert "9 runs" in shown("validate", str(tmp_path / "mine.yaml"))


def test_it_is_listed_beside_the_others(frugal: Path) -> None:
    assert "brier: frugal-parts 0.1" in shown("ls", "objectives")
    text = shown("ls", "objectives", "brier")
    assert "Squared differences of the probabilities" in text
    assert ["temperature", "1"] in [line.split() for line in text.splitlines()]
    assert "frugal-parts 0.1" in " ".join(text.split())
    assert "tiny: frugal-parts 0.1" in shown("ls", "models")
    assert "plainest: frugal-parts 0.1" in shown("ls", "criteria")


def test_nothing_is_imported_before_it_is_named(frugal: Path) -> None:
    assert "brier" in OBJECTIVES
    assert "brier" in [*OBJECTIVES]
    assert "frugal_parts" not in sys.modules
    weighted_sum({"kd": 1})
    assert "frugal_parts" not in sys.modules
    weighted_sum({"brier": 1})
    assert "frugal_parts" in sys.modules


def mine() -> dict[str, Any]:
    """The page's comparison, smaller."""
    content = yaml.safe_load(comparison_of_page())
    small = comparison()
    arms = content["compare"]["arms"]
    return {
        **small,
        "student": {"model": "tiny", "options": {"width": 8}},
        "compare": {"budgets": [12], "seeds": [0], "arms": arms},
    }


def test_its_parts_are_arms_beside_built_in_ones(frugal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    results = compare(read_recipe(mine()), tmp_path / "out")
    assert {row["state"] for row in results["runs"]} == {"finished"}
    assert {"entropy", "plainest", "brier", "lenet", "random"} <= {row["arm"] for row in results["runs"]}
    inputs = json.loads((tmp_path / "out" / "inputs.json").read_text())
    parts = {f"{family}/{name}" for family, name in FRUGAL}
    assert {name: part["from"] for name, part in inputs.items() if "/" in name} == dict.fromkeys(
        parts, "frugal-parts 0.1"
    )
    chosen = json.loads((tmp_path / "out/runs/brier@12-images/seed-0/inputs.json").read_text())
    assert parts <= {*chosen}
    student = tmp_path / "out/runs/plainest@12-images/seed-0"
    assert lb.load_model(student / "student").name == "tiny"


@pytest.mark.parametrize(("family", "name"), FRUGAL)
def test_it_passes_the_checks(frugal: Path, family: str, name: str) -> None:
    checks = checks_for(family, name)
    assert len(checks) > 1
    for check in checks:
        check()


def test_misspelt_names_find_it(frugal: Path) -> None:
    for content, message in (
        ({"objective": "brie"}, "unknown objective 'brie'; did you mean 'brier'"),
        ({"objective": {"brier": {"temprature": 2}}}, "unknown option of objective 'brier': 'temprature'"),
        ({"objective": {"brier": {"temperature": "hot"}}}, "`objective.brier.temperature` must be a number, got 'hot'"),
        ({"objective": {"brier": {"temperature": float("nan")}}}, "`objective.brier.temperature` must be finite"),
        ({"student": "tinny"}, "unknown model 'tinny'; did you mean 'tiny'"),
        ({"student": {"model": "tiny", "options": {"width": 0.5}}}, "`width` of tiny must be a whole number, got 0.5"),
        ({"select": {"budget": 12, "criterion": "plainst"}}, "unknown criterion 'plainst'; did you mean 'plainest'"),
    ):
        with pytest.raises(UserError, match=message):
            read_recipe(one_run(**content))


def test_another_version_does_not_go_on_with_a_run(frugal: Path, tmp_path: Path) -> None:
    content = one_run(objective={"brier": 1.0})
    stop(content, tmp_path / "run")
    info = next((frugal).glob("*.dist-info"))
    (info / "METADATA").write_text((info / "METADATA").read_text().replace("Version: 0.1", "Version: 0.2"))
    offers.cache_clear()
    with pytest.raises(UserError, match=r"the objective 'brier' \(frugal-parts 0.1 then, frugal-parts 0.2 now\)"):
        run(read_recipe(content), tmp_path / "run", resume=True)


def test_other_code_of_the_same_version_does_not_go_on_with_a_run(frugal: Path, tmp_path: Path) -> None:
    content = one_run(objective={"brier": 1.0})
    stop(content, tmp_path / "run")
    assert json.loads((tmp_path / "run/environment.json").read_text())["plugins"] == {"frugal-parts": "0.1"}
    module = frugal / "frugal_parts.py"
    module.write_text(module.read_text().replace("square()", "abs()"))
    del sys.modules["frugal_parts"]
    offers.cache_clear()
    with pytest.raises(UserError, match=r"the objective 'brier' \(frugal-parts 0.1, code .* then, frugal"):
        run(read_recipe(content), tmp_path / "run", resume=True)


def test_where_it_is_missing_the_folder_says_who_had_it(frugal: Path, tmp_path: Path) -> None:
    content = one_run(objective={"brier": 1.0}, student={"model": "tiny"})
    stop(content, tmp_path / "run")
    lb.save_model(lb.create("tiny", num_classes=3), tmp_path / "student")
    shutil.rmtree(frugal)
    offers.cache_clear()
    with pytest.raises(UserError, match=r"holds a tiny, which limbeck does not know: it was that of frugal-parts 0.1"):
        lb.load_model(tmp_path / "student")
    with (
        pytest.raises(UserError, match=r"unknown objective 'brier'(.|\n)*begun with .*'brier' \(frugal-parts 0.1\)"),
        telling_lost_plugins(tmp_path / "run"),
    ):
        read_recipe(content)
    (tmp_path / "lost.yaml").write_text(yaml.safe_dump(content))
    command = ["run", str(tmp_path / "lost.yaml"), "--out", str(tmp_path / "run"), "--resume"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "frugal-parts 0.1" in result.output


BROKEN = {
    "nowhere": ("nowhere_to_be_found:part", "No module named 'nowhere_to_be_found'"),
    "raising": ("broken_parts:absent", "RuntimeError: it cannot be"),
    "panicking": ("panicking_parts:absent", "Panic: no way"),
    "nothing": ("sound parts", "names nothing in a module, as 'module:object' does"),
    "number": ("sound_parts:number", "must be a function of signals, a module of them or a subclass of"),
    "bare": ("sound_parts:bare", r"parameter `power` of objective 'bare' is none of its inputs \(.*\) and must have"),
    "two words": ("sound_parts:loss", "must be letters, digits"),
    "ce": ("sound_parts:loss", "which is another name of 'cross_entropy'"),
    "KD": ("sound_parts:loss", "which is limbeck's own 'kd'"),
    "train": ("sound_parts:loss", "which is a method of torch's modules"),
}


@pytest.fixture
def broken(tmp_path: Path) -> Any:
    files = {
        "broken_parts.py": "raise RuntimeError('it cannot be')\n",
        "panicking_parts.py": "class Panic(BaseException):\n    pass\nraise Panic('no way')\n",
        "sound_parts.py": (
            "number = 3\n"
            "def bare(student_logits, power):\n    return student_logits.sum()\n"
            "def loss(student_logits):\n    return student_logits.square().mean(1)\n"
        ),
    }
    names = {name: value for name, (value, _) in BROKEN.items()} | {
        "sound": "sound_parts:loss",
        "dist": "sound_parts:loss",
    }
    groups = {"limbeck.objectives": names, "limbeck.objective": {"lost": "sound_parts:loss"}}
    unpack(wheel(tmp_path, "broken-parts", files, groups), tmp_path / "site")
    unpack(wheel(tmp_path, "other-parts", {}, {"limbeck.objectives": {"sound": "math:pi"}}), tmp_path / "other")
    return tmp_path


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_says_why_and_breaks_nothing_else(broken: Path, name: str) -> None:
    with importable(broken / "site"):
        with pytest.raises(UserError, match=rf"'{name}' of broken-parts 0.1 cannot be used: .*{BROKEN[name][1]}"):
            OBJECTIVES[name]
        assert weighted_sum({"sound": 1, "kd": 1}).needs == {"student_logits", "teacher_logits"}
        with pytest.raises(UserError, match="unknown objective 'kdd'"):
            weighted_sum("kdd")


def test_what_is_broken_is_listed_as_such(broken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 200)  # in which no cell wraps
    with importable(broken / "site"):
        with pytest.warns(UserWarning, match="broken-parts 0.1") as warned:
            listed = shown("ls", "objectives")
        text = "\n".join(str(warning.message) for warning in warned)
        assert "cannot be used (broken-parts 0.1)" in listed
        assert "objective 'raising' of broken-parts 0.1 cannot be used" in text
        assert "broken-parts 0.1 offers an objective 'dist', which limbeck has itself; limbeck's is used" in text
        with pytest.warns(
            UserWarning, match=r"in the group 'limbeck.objective', which nobody reads; is it limbeck.obj"
        ):
            text = shown("ls", "plugins")
        assert "cannot be used: 'broken_parts:absent' cannot be imported (RuntimeError: it cannot be)" in text


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_list_as_errors_promise(family: str) -> None:
    assert shown("ls", family)


def test_a_name_of_limbecks_own_stays_limbecks_and_the_run_says_so(broken: Path, tmp_path: Path) -> None:
    with importable(broken / "site"):
        assert OBJECTIVES["dist"].class_name == "DIST"
        with pytest.warns(UserWarning, match="offers an objective 'dist', which limbeck has itself"):
            stop(one_run(objective={"dist": 1.0}), tmp_path / "run")


def test_two_packages_with_one_name_are_both_refused(broken: Path) -> None:
    with (
        importable(broken / "site", broken / "other"),
        pytest.raises(UserError, match=r"'sound' of (broken|other)-parts 0.1 and (broken|other)-parts 0.1 cannot be"),
    ):
        weighted_sum("sound")
