"""The verb `make`: a transfer set by any maker, saved by itself, whole or gone on with."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.transfer.condense.small import Heard

from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.recipes import making_alone, selecting
from limbeck.recipes.making_alone import save_made, write_whole
from limbeck.recipes.metering import MAKING, metered
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.condense.maker import CondenseMaker
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.select.maker import SelectMaker
from limbeck.transfer.settings import MakerSettings

SETTINGS = {"maker": "select", "budget": 20}


def make(target: Path, *overrides: str, **changes: Any) -> str:
    return save_made(SETTINGS, target, **{"data": "digits", "overrides": overrides, **changes})


def test_set_cost_evidence_and_report_are_saved_and_nothing_else_is_left(tmp_path: Path) -> None:
    summary = make(tmp_path / "set", "criterion=variance")
    assert "20 of 1,437 images of digits/train (1.39 %), chosen by variance" in summary
    assert len(TransferSet.load(tmp_path / "set")) == 20
    assert json.loads((tmp_path / "set" / "cost.json").read_text())["images_read"] == 1437
    assert (tmp_path / "set" / "evidence" / "summary.json").exists()
    assert (tmp_path / "set" / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    with pytest.raises(UserError, match="exists already and is never overwritten; choose another --out"):
        make(tmp_path / "set")


@pytest.mark.parametrize("verb", ["make", "select"])
def test_what_appears_meanwhile_stays_and_the_set_is_kept_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    target = tmp_path / "set"

    def appeared(*arguments: Any) -> Path:
        target.mkdir()
        (target / "theirs").touch()
        return write_whole(*arguments)

    monkeypatch.setattr(making_alone if verb == "make" else selecting, "write_whole", appeared)
    chosen_by = {"criterion": "random", "budget": "20", "seed": 0}
    with pytest.raises(UserError, match=r"never overwritten; what was to be there is whole in '.*/set-2'"):
        make(target, "criterion=random") if verb == "make" else selecting.save_selection(
            "digits", target, split="train", **chosen_by
        )
    assert len(TransferSet.load(tmp_path / "set-2")) == 20
    assert [path.name for path in target.iterdir()] == ["theirs"]


def test_what_was_begun_is_gone_on_with_as_it_was_begun_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(SelectMaker, "make", interrupted)
        with pytest.raises(Interrupted):
            make(tmp_path / "set", "criterion=random")
    for overrides, changes, difference in (
        (["criterion=variance"], {}, r"other settings \(`criterion` 'random' then, 'variance' now\)"),
        (["criterion=random", "budget=21"], {"seed": 1}, r"other settings \(`budget` 20 then, 21 now\) and other seed"),
        (["criterion=random"], {"split": "test"}, "other images"),
    ):
        with pytest.raises(
            UserError, match=f"holds what was begun with {difference}; go on .*, remove that folder, or"
        ):
            make(tmp_path / "set", *overrides, **changes)
    make(tmp_path / "set", "criterion=random")
    assert len(TransferSet.load(tmp_path / "set")) == 20


def test_files_that_settings_name_are_those_it_was_begun_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(SelectMaker, "make", interrupted)
        patch.setattr(MakerSettings, "named_files", lambda _: {"owner.safetensors": "1"})
        with pytest.raises(Interrupted):
            make(tmp_path / "set", "criterion=random")
    with pytest.raises(UserError, match="holds what was begun with other files that settings name; go on"):
        make(tmp_path / "set", "criterion=random")


def test_what_ended_in_an_error_of_its_settings_is_begun_anew_with_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Any, settings: Any, context: MakerContext) -> None:
        for name in ("scores", "rest"):
            (context.folder / name).mkdir(parents=True)
        raise UserError("`budget` must be another")

    with monkeypatch.context() as patch:
        patch.setattr(SelectMaker, "make", refused)
        with pytest.raises(UserError, match="must be another"):
            make(tmp_path / "set", "criterion=random")

    def interrupted(_: Any, settings: Any, context: MakerContext) -> None:
        assert [path.name for path in context.folder.iterdir()] == [
            "scores"
        ]  # scores are found again by what they depend on
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(SelectMaker, "make", interrupted)
        with pytest.raises(Interrupted):
            make(tmp_path / "set", "criterion=random", "budget=21")
    with pytest.raises(UserError, match=r"other settings \(`budget` 21 then, 22 now\)"):
        make(tmp_path / "set", "criterion=random", "budget=22")
    make(tmp_path / "set", "criterion=random", "budget=21")
    assert len(TransferSet.load(tmp_path / "set")) == 21


def test_an_error_after_a_checkpoint_leaves_it_to_the_settings_that_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any, settings: Any, context: MakerContext) -> None:
        context.folder.mkdir(exist_ok=True)
        (context.folder / "learning.safetensors").write_text("hours of work")
        raise UserError("no space left")

    condensing = {"maker": "condense", "method": "dm", "budget": "1/class", "iterations": 1}
    monkeypatch.setattr(CondenseMaker, "make", full)
    for rate, message in ((0.1, "no space left"), (0.2, r"other settings .* remove that folder"), (0.1, "no space")):
        with pytest.raises(UserError, match=message):
            save_made({**condensing, "distribution": {"image_rate": rate}}, tmp_path / "set", data="digits")
    assert (tmp_path / "set.making/maker/learning.safetensors").read_text() == "hours of work"


def test_what_was_refused_and_then_went_on_is_no_longer_anybodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, expected in ((UserError("no space left"), UserError), (Interrupted("stopped"), Interrupted)):

        def fail(*_: Any, error: BaseException = error) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(SelectMaker, "make", fail)
            with pytest.raises(expected):
                make(tmp_path / "set", "criterion=random")
    with pytest.raises(UserError, match=r"other settings \(`budget` 20 then, 21 now\)"):
        make(tmp_path / "set", "criterion=random", "budget=21")


def test_killed_while_it_is_saved_nothing_is_there_by_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = SelectMaker.make

    def slow(*said: Any) -> Any:
        time.sleep(0.1)  # many of the hundredths of a second that costs are rounded to
        return usual(*said)

    def killed(_: Path) -> Path:
        raise Interrupted("killed")

    with monkeypatch.context() as patch:
        patch.setattr(SelectMaker, "make", slow)
        patch.setattr(making_alone, "write_selection_report", killed)
        with pytest.raises(Interrupted):
            save_made({"maker": "select", "budget": 20}, tmp_path / "set", data="digits")
    assert not (tmp_path / "set").exists()
    seconds = metered(RunFolder(tmp_path / "set.making"), MAKING).seconds
    assert seconds > 0.1
    save_made({"maker": "select", "budget": 20}, tmp_path / "set", data="digits")
    assert (tmp_path / "set" / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert json.loads((tmp_path / "set" / "cost.json").read_text())["seconds"] > seconds


def test_of_two_that_make_one_set_the_second_waits_and_finds_it_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, begun, heard, makings = SelectMaker.make, threading.Event(), Heard(), []

    def slow(*said: Any) -> Any:
        makings.append(said)
        begun.set()
        while not heard.said:
            time.sleep(0.01)
        return usual(*said)

    monkeypatch.setattr(SelectMaker, "make", slow)
    with ThreadPoolExecutor() as side_by_side:
        first = side_by_side.submit(make, tmp_path / "set", "criterion=random")
        assert begun.wait(60)
        second = side_by_side.submit(make, tmp_path / "set", "criterion=random", progress=heard)
        assert "20 of 1,437 images" in first.result()
        with pytest.raises(UserError, match="exists already and is never overwritten"):
            second.result()
    assert heard.said == [f"another process makes {str(tmp_path / 'set')!r}; waiting for it"]
    assert len(makings) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("overrides", "changes", "message"),
    [
        (["maker=3"], {}, "`maker` must be one of select, borrow, generate, condense, got 3"),
        (["maker=sold"], {}, "unknown maker 'sold'; known are borrow, condense, generate, select"),
        (["criterion=margin"], {}, "criterion 'margin' asks a teacher, and none is given; give --teacher"),
        ([], {"data": None}, "criterion 'entropy' takes its images from DATA, and none is given; name a data set"),
        (["budget=9999"], {}, "`budget` must be at most the 1437 images of 'digits/train', got 9999"),
        (["criterion=nonsense"], {}, "criterion: unknown criterion 'nonsense'"),
        (["first=2"], {}, "first: unknown key; known here are maker, budget, criterion, dedupe"),
    ],
)
def test_what_cannot_be_made_is_said_before_any_work(
    tmp_path: Path, overrides: list[str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        make(tmp_path / "set", *overrides, **changes)
    assert not list(tmp_path.iterdir())
