"""Parts that are named by their import path: the page's afternoon and its sections, through the command line."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tests.page_steps import follow
from tests.plugins.conftest import PAGE, blocks, parts_of_page
from tests.plugins.stopping import stop
from tests.recipes.tiny_recipes import comparison, one_run
from tests.report.test_results_tex import checked
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.import_paths import import_object, look_in
from limbeck.interruption import Paused
from limbeck.recipes import run as run_module
from limbeck.recipes.merging import write_report_of_several
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.results import current_results
from limbeck.recipes.run import run
from limbeck.report import reading
from limbeck.report.comparison import write_tables
from limbeck.transfer.parts import SCORES


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def recipe_of_page() -> dict[str, Any]:
    return yaml.safe_load(next(block for block in blocks("yaml") if "name: afternoon" in block))


QUICK = {"steps: 300": "steps: 9", "steps: 200": "steps: 2", "latency: false": "latency: false\ninside: 0"}


def tables_alone(folder: Path) -> Path:
    """In place of the whole report, whose charts take longer than all the rest."""
    write_tables(folder, reading.results(folder))
    (folder / "report.html").touch()
    return folder / "report.html"


def test_an_afternoon_by_the_page_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files and its commands in its order, to a table for a paper, and a comparison that grew."""
    monkeypatch.chdir(tmp_path)
    for module in ("compare", "verbs"):
        monkeypatch.setattr(f"limbeck.recipes.{module}.write_comparison_report", tables_alone)
    once, grown = PAGE[: PAGE.index("### An objective")].split("**It may grow.**")
    follow(once, QUICK)
    runs = Path("runs/afternoon/runs")
    finished = {path: path.stat().st_mtime_ns for path in runs.glob("*/seed-*/*") if path.is_file()}
    assert_arms(["entropy", "ink", "least-ink", "kd", "brier"], seeds=2)
    inputs = json.loads(Path("runs/afternoon/inputs.json").read_text())
    assert {name for name in inputs if "/" in name} == {"scores/my_parts:ink", "objectives/my_parts:brier"}
    assert inputs["scores/my_parts:ink"]["from"] == "imported by its path"
    ink = {
        arm: pq.read_table(runs / f"{arm}@50-images/seed-0/making/chosen.parquet")["score"].to_numpy()
        for arm in ("ink", "least-ink")
    }
    assert ink["ink"].min() > ink["least-ink"].max() > 0
    follow(grown, QUICK)
    assert_arms(["entropy", "ink", "least-ink", "kd", "brier", "both"], seeds=3)
    again = {path for path, time in finished.items() if path.stat().st_mtime_ns != time}
    assert {path.name for path in again} <= {"README.md"}, "only model cards say how many seeds there are"


def assert_arms(own: list[str], *, seeds: int) -> None:
    """All runs have finished, and the paper's table has every arm, the reader's own first."""
    with Path("runs/afternoon/results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(dict.fromkeys(row["arm"] for row in rows))[: len(own)] == own
    assert {"random", "no-teacher", "full"} <= {row["arm"] for row in rows}
    assert {row["state"] for row in rows} == {"finished"}
    assert {row["seed"] for row in rows} == set(map(str, range(seeds)))
    paper = Path("paper.tex").read_text()
    (table,) = re.findall(r"\\input{(.*)}", paper)
    (label,) = re.findall(r"\\ref{(.*)}", paper)
    tex = Path(table).read_text("ascii")
    assert rf"\label{{{label}}}" in tex
    header, _, *below = checked(tex)
    assert header[:2] == ["Arm", "50 images"]
    assert [row[0] for row in below][: len(own)] == own
    assert {"random", "full data"} <= {row[0] for row in below}
    assert all(r"$\pm$" in row[1] for row in below[: len(own)])


def test_every_section_of_the_page_is_an_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sections = PAGE[PAGE.index("### An objective") : PAGE.index("## In Python")]
    arms = {
        name: arm
        for part in sections.split("```yaml\n")[1:]
        for name, arm in yaml.safe_load(part.split("```")[0]).items()
    }
    assert len(arms) == 9
    content = recipe_of_page()
    content["compare"]["arms"] = arms
    content["training"]["steps"] = content["teacher"]["training"]["steps"] = 3
    content["inside"] = 0
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "my_parts.py").write_text("\n\n".join(parts_of_page()))
    (tmp_path / "below" / "all.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    typed("compare", "below/all.yaml", "--out", "out")
    results = json.loads(Path("out/results.json").read_text())
    assert {row["state"] for row in results["runs"]} == {"finished"}
    names = {name for name in json.loads(Path("out/inputs.json").read_text()) if "/" in name}
    assert {name.partition("/")[0] for name in names} == {
        "objectives", "scores", "views", "optimizers", "schedules", "models",
    }  # fmt: skip
    student = lb.load_model(Path("out/runs/tiny@50-images/seed-0/student"))
    assert student.name == "my_parts:Tiny"
    assert student.taps.stages == ("body.1",)


OWN = """
import torch


def loss(student_logits, teacher_logits):
    return gap(student_logits, teacher_logits).mean(1)


def gap(one, other):
    return (one - other).square()


class Heavy(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for one in group["params"]:
                state = self.state[one]
                state["steps"] = state.get("steps", torch.zeros((), dtype=torch.int64)) + 1
                state["mean"] = state.get("mean", torch.zeros_like(one, dtype=torch.float64)) * 0.9 + one.grad
                one.sub_(group["lr"] * state["mean"] / state["steps"])


def ramp(elapsed):
    return 1 - elapsed


class Net(torch.nn.Module):
    def __init__(self, num_classes, channels=3, *, widths=(4, 2), pretrained=None):
        super().__init__()
        assert type(widths) is tuple, widths
        sizes = (channels * 64, *widths, num_classes)
        layers = [torch.nn.Linear(one, other) for one, other in zip(sizes, sizes[1:])]
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), *layers)

    def forward(self, images):
        return self.layers(images)


class Learned(torch.nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.full((1,), scale))
        self.noise = torch.nn.Parameter(torch.randn(3))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, student_logits, teacher_logits):
        self.seen += 1
        return ((student_logits * self.scale + self.noise - teacher_logits).square().mean(1)) * (1 + self.seen / 10)


learned = Learned(2.0)


def several(student_logits, *, weight_of=None, powers=(1, 2), shares=[0.5]):
    assert (type(powers), type(shares)) == (tuple, list)
    scale = 1 if weight_of is None else sum(weight_of)
    return sum(share * student_logits.abs().pow(power).mean() for power in powers for share in shares) * scale


def falling(optimizer, steps, factor=0.5):
    return torch.optim.lr_scheduler.StepLR(optimizer, steps // 3, factor)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    look_in(tmp_path, only=True)
    (tmp_path / "own_parts_here.py").write_text(OWN)
    return tmp_path


def test_what_it_calls_is_part_of_it_and_other_functions_are_not(own: Path, tmp_path: Path) -> None:
    content = one_run(objective={"own_parts_here:loss": 1.0})
    stop(content, tmp_path / "run")
    (own / "own_parts_here.py").write_text(f"# A remark.\n{OWN}\n\ndef another(values):\n    return values.sum(1)\n")
    look_in(own, only=True)
    assert run(read_recipe(content), tmp_path / "run", resume=True).evaluation is not None
    stop(content, tmp_path / "other")
    (own / "own_parts_here.py").write_text(OWN.replace("square()", "abs()"))
    look_in(own, only=True)
    with pytest.raises(
        UserError, match=r"the objective 'own_parts_here:loss' \(imported by its path, code \w+ then, .* now\)"
    ):
        run(read_recipe(content), tmp_path / "other", resume=True)
    (own / "own_parts_here.py").unlink()
    look_in(own, only=True)
    with pytest.raises(UserError, match="objective: `objective` 'own_parts_here:loss': there is no module 'own_parts"):
        read_recipe(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "own_parts_here:Heavy", "schedule": "own_parts_here:ramp"},
        {"optimizer": {"Adagrad": {"lr_decay": 0.01}}, "schedule": {"OneCycleLR": {"cycle_momentum": False}}},
        {"objective": {"own_parts_here:Learned": {"weight": 0.1, "scale": 2.0}, "kd": 0.5}},
        {"objective": {"own_parts_here:learned": 0.1, "kd": 0.5}, "optimizer": "adamw"},
        {"optimizer": "Adam", "schedule": {"own_parts_here:falling": {"factor": 0.3}}},
        {"optimizer": "RAdam", "schedule": {"CyclicLR": {"base_lr": 0.001, "step_size_up": 3}}, "warmup": 0.2},
    ],
    ids=["own", "adagrad", "class", "module", "factory", "radam"],
)
def test_a_resumed_run_is_the_same_to_the_bit(
    changes: dict[str, Any], own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = one_run(objective=changes.get("objective", {"kd": 1.0}))
    training = {key: value for key, value in changes.items() if key != "objective"}
    content["training"] |= {"learning_rate": 0.01, "checkpoint_seconds": 0, **training}
    whole = run(read_recipe(content), tmp_path / "whole")
    cut_off_at(7, content, tmp_path / "cut", monkeypatch)
    resumed = run(read_recipe(content), tmp_path / "cut", resume=True)
    assert resumed.student.state_dict().keys() == whole.student.state_dict().keys()
    for name, weight in whole.student.state_dict().items():
        assert weight.equal(resumed.student.state_dict()[name]), name


def test_options_may_be_null_and_lists_and_come_back_as_they_were(own: Path, tmp_path: Path) -> None:
    options, loss = {"widths": [3, 2], "pretrained": None}, {"powers": [1, 2], "weight_of": [1, 2]}
    content = one_run(
        student={"model": "own_parts_here:Net", "options": options},
        objective={"own_parts_here:several": {"weight": 1e-3, **loss}, "kd": 0.5},
    )
    stop(content, tmp_path / "run")
    written = yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())
    assert written["student"]["options"] == options
    assert written["objective"]["own_parts_here:several"] == {"weight": 1e-3, **loss}
    student = run(read_recipe(tmp_path / "run/recipe.yaml"), tmp_path / "run", resume=True).student
    assert [parameter.shape[0] for parameter in student.parameters()] == [3, 3, 2, 2, 3, 3]
    again = lb.load_model(tmp_path / "run")
    assert all(
        parameter.equal(other) for parameter, other in zip(again.parameters(), student.parameters(), strict=True)
    )
    module = import_object("own_parts_here:Net", "model")
    again = lb.load_model(tmp_path / "run", model=module)
    assert [parameter.shape[0] for parameter in again.parameters()] == [3, 3, 2, 2, 3, 3]


def test_options_of_a_score_may_be_null_and_lists() -> None:
    def own(values: Any, *, powers: Any = (1, 2), scale: Any = None) -> Any:
        assert type(powers) is tuple
        return values.sum(1).pow(powers[0]) * (1 if scale is None else scale)

    images, score = lb.load("digits", classes=[0, 1]), SCORES.name_of(own)
    plain, same = (
        lb.Criterion(score=score, options=options) for options in ({"scale": 2}, {"powers": [1, 2], "scale": 2})
    )
    assert plain.column == same.column
    assert lb.select(images, criterion=plain, budget=4).ids.equal(lb.select(images, criterion=same, budget=4).ids)
    with pytest.raises(UserError, match="`powers` of a criterion must be a list of numbers, texts, true or false, got"):
        lb.Criterion(score=score, options={"powers": 3})


def cut_off_at(step: int, content: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = run_module.fit

    def fit(*given: Any, **options: Any) -> Any:
        if options["run_folder"].path == folder / "teacher":
            return real(*given, **options)
        return real(*given, **{**options, "until": step / 12})

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "fit", fit)
        with pytest.raises(Paused):
            run(read_recipe(content), folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"objective": "own_parts_here:lost"},
            "`objective` 'own_parts_here:lost': the module 'own_parts_here' has no 'lo",
        ),
        (
            {"objective": "own_parts_here:ramp"},
            r"parameter `elapsed` of objective .* is none of its inputs \(ids, labels",
        ),
        (
            {"objective": {"own_parts_here:Heavy": 1}},
            "must be a function of signals, a module of them or a subclass of `limbeck.objectives.Objective`",
        ),
        (
            {"objective": {"own_parts_here:loss": {"power": 1}}},
            "unknown option of objective 'own_parts_here:loss': 'power",
        ),
        (
            {"student": "own_parts_here:loss"},
            "parameter `student_logits` of model 'own_parts_here:loss' is none of its",
        ),
        (
            {"student": {"model": "own_parts_here:Net", "options": {"widths": 3}}},
            "option `widths` of own_parts_here:Net must be a list of numbers, texts, true or false, got 3",
        ),
        (
            {"student": {"model": "own_parts_here:Net", "options": {"pretrained": {"a": 1}}}},
            "option `pretrained` of own_parts_here:Net must be a number, true or false, text, null, or a list of these",
        ),
        (
            {"objective": {"own_parts_here:several": {"shares": [[1]]}}},
            r"`shares` of objective 'own_parts_here:several' must be a list of numbers, .* got \[\[1\]\]",
        ),
        (
            {"objective": {"own_parts_here:several": {"powers": 3}}},
            "`powers` of objective 'own_parts_here:several' must be a list of numbers, texts, true or false, got 3",
        ),
        ({"student": "own_parts_here:Nett"}, "the module 'own_parts_here' has no 'Nett'"),
        (
            {"select": {"budget": 9, "criterion": "own_parts_here:loss"}},
            r"none of its inputs \(context, entropies, feat",
        ),
        (
            {"select": {"budget": 9, "criterion": "nowhere_here:x"}},
            "there is no module 'nowhere_here' on Python's path",
        ),
        ({"training": {"steps": 2, "views": "own_parts_here:loss"}}, "`student_logits` of view .* none of its inputs"),
        (
            {"training": {"steps": 2, "optimizer": "own_parts_here:loss"}},
            r"`student_logits` of optimizer .* \(lr, params,",
        ),
        (
            {"training": {"steps": 2, "optimizer": "RAdamm"}},
            "training.optimizer: unknown optimizer 'RAdamm'; did you mean",
        ),
        (
            {"training": {"steps": 2, "schedule": "own_parts_here:loss"}},
            r"`student_logits` of schedule .* \(elapsed, optim",
        ),
        (
            {"training": {"steps": 2, "schedule": "own_parts_here:Heavy"}},
            "must be a function of elapsed, step, steps to a",
        ),
    ],
)
def test_what_is_wrong_is_said_when_the_recipe_is_read(changes: dict[str, Any], message: str, own: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(one_run(**changes))


BESIDE = """
from torch import nn


def ink(pixels):
    return pixels.float().mean((1, 2, 3))


class Tiny(nn.Module):
    def __init__(self, num_classes, channels=3, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.body(images))
"""


def test_reports_and_networks_find_the_parts_where_the_recipe_had_them_and_reports_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    monkeypatch.setattr("limbeck.recipes.verbs.write_comparison_report", tables_alone)
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "parts_beside.py").write_text(BESIDE)
    arms = {"small": {"select": "parts_beside:ink", "student": {"model": "parts_beside:Tiny"}}}
    content = comparison(seeds=[0], arms=arms)
    (beside / "all.yaml").write_text(yaml.safe_dump(content))
    typed("compare", "beside/all.yaml", "--out", "out")
    assert json.loads(Path("out/environment.json").read_text())["modules_from"] == [str(beside)]
    run = next(Path("out/runs").glob("small*/seed-0"))

    look_in(tmp_path, only=True)
    assert lb.load_model(run).name == "parts_beside:Tiny"
    look_in(tmp_path, only=True)
    before = json.loads(Path("out/results.json").read_text())
    typed("report", "out", "--tables")
    assert json.loads(Path("out/results.json").read_text())["table"] == before["table"]

    shutil.rmtree(beside)
    look_in(tmp_path, only=True)
    assert "small" in typed("report", "out", "--tables")
    assert json.loads(Path("out/results.json").read_text())["table"] == before["table"]
    shutil.copytree("out", "copied")
    write_report_of_several([Path("out"), Path("copied")], Path("both"))
    with pytest.raises(UserError, match="there is no module 'parts_beside'"):
        lb.load_model(run)
    status = Path("out/status.json")
    status.write_text(status.read_text().replace("finished", "interrupted"))
    with pytest.warns(
        UserWarning, match="which has not finished, cannot be read here, so this report is of its results"
    ):
        typed("report", "out")
    Path("out/results.json").unlink()
    with pytest.raises(UserError, match="Nor are there results of a finished run"):
        current_results(Path("out"))
