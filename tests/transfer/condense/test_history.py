"""The history of iterations, on disk and in memory."""

import math
from pathlib import Path

import pytest

from limbeck.errors import UserError
from limbeck.transfer.condense.history import HISTORY, History, HistoryFile


def test_columns_have_nan_where_nothing_was_noted() -> None:
    history = History([{"loss": 1.0}, {"loss": math.inf, "rate": 0.5}])
    assert history.names == ["loss", "rate"]
    assert history.known("loss") == [1.0]
    assert math.isnan(history.column("rate")[0])
    assert math.isnan(history.column("memory")[1])


def test_rows_are_on_disk_after_a_flush_and_not_before(tmp_path: Path) -> None:
    file = HistoryFile(tmp_path / "new")
    file.append({"loss": 0.1 + 0.2, "skipped": False})
    assert file.count == 1
    assert not file.path.exists()
    assert file.read().rows == [{"loss": 0.1 + 0.2, "skipped": 0.0}], "to the bit, and those that wait count, too"
    file.flush()
    file.append({"loss": math.nan})
    file.flush()
    again = HistoryFile(tmp_path / "new")
    assert again.count == 2
    assert again.read().known("loss") == [0.1 + 0.2]


def test_a_resume_goes_back_to_the_iteration_of_its_checkpoint(tmp_path: Path) -> None:
    whole, killed = (HistoryFile(tmp_path / name) for name in ("whole", "killed"))
    for file in (whole, killed):
        for loss in (0.9, 0.8, 0.7):
            file.append({"loss": loss})
        file.flush()
    with killed.path.open("a") as file:
        file.write('{"loss": 0.6')  # cut short
    resumed = HistoryFile(tmp_path / "killed")
    assert resumed.count == 3
    resumed.append({"loss": 0.5})
    resumed.go_back(1)
    for loss in (0.8, 0.7):
        resumed.append({"loss": loss})
    resumed.flush()
    assert resumed.path.read_bytes() == whole.path.read_bytes()
    assert resumed.count == 3


def test_a_history_that_lacks_iterations_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must hold 2 iterations, got 0; begin in another folder"):
        HistoryFile(tmp_path).go_back(2)


def test_a_damaged_history_says_so(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text("loss\n")
    with pytest.raises(UserError, match=r"iterations.jsonl' is damaged"):
        HistoryFile(tmp_path).read()
