"""A run that was paused ends with the same student, bit for bit."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.sources import Growing
from tests.training.tiny import same, settings

from limbeck.errors import UserError
from limbeck.interruption import Paused
from limbeck.recipes.computed_on import computed_on
from limbeck.training import RunFolder, log
from limbeck.training.checkpoint import Checkpoint

RARE = settings(checkpoint_seconds=1000)
TIMES = {"seconds", "images_per_second"}


def logged(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in RunFolder(folder).metrics()]


def end(folder: Path) -> Checkpoint:
    return Checkpoint.load(folder / "checkpoint.safetensors")


@pytest.mark.parametrize("rounds", [None, 4])  # with rounds, one pause falls between two, another inside one
def test_paused_run_goes_on_to_the_same_student(rounds: int | None, teach: Run, tmp_path: Path) -> None:
    source: dict[str, Any] = {"settings": RARE} if rounds is None else {"settings": RARE, "seed": 3}

    def go(folder: str, **changes: Any) -> Any:
        growing = {} if rounds is None else {"source": Growing(rounds)}
        return teach(folder, **source, **growing, **changes)

    whole = go("whole")
    for share, step in ((Fraction(1, 3), 4), (Fraction(1, 2), 6), (Fraction(2, 3), 8)):
        with pytest.raises(Paused, match=f"paused at step {step} of 12"):
            go("paused", resume=True, until=share)
        status = RunFolder(tmp_path / "paused").read("status.json")
        assert (status["state"], status["error"]) == ("paused", None)
        assert (status["step"], status["steps"], status["cost"]["teacher_passes"] > 0) == (step, 12, True)
        assert end(tmp_path / "paused").step == step
    with pytest.raises(Paused, match="paused at step 8 of 12"):
        go("paused", resume=True, until=Fraction(1, 3))  # already past that point
    result = go("paused", resume=True)
    assert same(end(tmp_path / "paused").tensors, end(tmp_path / "whole").tensors)
    assert (result.best.step, result.best.top1) == (whole.best.step, whole.best.top1)
    assert (result.steps, result.teacher_passes) == (whole.steps, whole.teacher_passes)
    assert result.rounds_cost == whole.rounds_cost
    assert logged(tmp_path / "paused") == logged(tmp_path / "whole")


def test_pause_where_nothing_else_is_due_and_one_that_is_the_end(
    teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(log, "_LINES", 3)  # losses are logged every fourth step
    unjudged = settings(checkpoint_seconds=1000, validations=0)
    teach("whole", settings=unjudged)
    with pytest.raises(Paused, match="paused at step 5 of 12"):
        teach("paused", settings=unjudged, until=5 / 12)
    assert RunFolder(tmp_path / "paused").state == "paused"
    teach("paused", resume=True, settings=unjudged)
    assert same(end(tmp_path / "paused").tensors, end(tmp_path / "whole").tensors)
    assert teach("short", settings=settings(steps=1), until=0.6).steps == 1


@pytest.mark.parametrize("share", [0, 1, -0.5, 2])
def test_pause_is_a_share_of_the_steps(share: float, teach: Run) -> None:
    with pytest.raises(UserError, match=rf"`until` must be a share of the steps, > 0 and < 1, got {share}\."):
        teach(until=share)


def test_a_run_that_goes_on_in_another_type_says_so(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {"seed": 1}, resume=True) as run_folder:
        run_folder.note_computing(torch.bfloat16, True, 1)
        run_folder.note_computing(torch.float32, True, 1)  # nothing has been computed yet
        run_folder.note_computing(torch.float32, True, 2, resumed=True)
        with pytest.warns(UserWarning, match="was computed in fp32 so far, and continues in bf16, so its student"):
            run_folder.note_computing(torch.bfloat16, True, 2, resumed=True)
    environment = RunFolder(tmp_path / "run").read("environment.json")
    assert environment["computing"]["precision"] == "bf16"
    assert [record["precision"] for record in environment["computed_before"]] == ["fp32"]
    assert computed_on(environment).startswith("fp32 then bf16 on ")


def test_a_run_that_goes_on_elsewhere_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = {"processor": "CPU A", "instructions": "AVX2", "devices": [], "packages": {"torch": "2.9.0"}}
    monkeypatch.setattr("limbeck.training.run_folder.describe_environment", lambda: dict(machine))
    with RunFolder.open(tmp_path / "run", {"seed": 1}) as run_folder:
        run_folder.note_computing(torch.float32, True, 1)
        run_folder.note_computing(torch.float32, True, 2, resumed=True)
        machine |= {"processor": "CPU B", "instructions": "AVX512"}
        message = "computed on CPU A, with AVX2 so far, and continues on CPU B, with AVX512, so its student"
        with pytest.warns(UserWarning, match=message):
            run_folder.note_computing(torch.float32, True, 2, resumed=True)
        before = run_folder.read("environment.json")
        assert computed_on(before) == "fp32 on CPU A (AVX2) then fp32 on CPU B (AVX512)"
        run_folder.note_computing(torch.float32, True, 2, resumed=True)
        assert run_folder.read("environment.json") == before
        machine |= {"devices": ["GPU"] * 2, "packages": {"torch": "2.10.0"}}
        with pytest.warns(UserWarning, match=r"by 1 process\(es\), on the GPUs \[\], by torch 2.9.0 so far, .*by 2 p"):
            run_folder.note_computing(torch.float32, True, 2, processes=2, resumed=True)
    environment = RunFolder(tmp_path / "run").read("environment.json")
    assert [entry["processor"] for entry in environment["computed_before"]] == ["CPU A", "CPU B"]
    assert environment["computed_before"][1]["torch"] == "2.9.0"
    assert environment["packages"] == {"torch": "2.10.0"}


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    """Races open each run at every rung."""
    folder, recipe = tmp_path / "run", {"seed": 1, "data": {"train": "digits", "classes": [0, 1]}}
    named = [folder / name for name in ("recipe.yaml", "environment.json", "metrics.jsonl")]

    def go(step: int) -> list[int]:
        with RunFolder.open(folder, recipe, resume=True) as run_folder:
            run_folder.note_computing(torch.float32, False, 1)
            run_folder.rewind_metrics(step)
            if step == 0:
                for number in (1, 2):
                    run_folder.append_metrics(step=number)
        return [path.stat().st_ino for path in named]

    before = go(0)
    assert go(2) == before
    assert go(1)[:2] == before[:2]
    assert [row["step"] for row in RunFolder(folder).metrics()] == [1]
    (folder / "recipe.yaml").write_text("seed: 1\ndata: {classes: [0, 1], train: digits, more: null}\n")
    with RunFolder.open(folder, recipe, resume=True):
        assert "more" not in (folder / "recipe.yaml").read_text()
