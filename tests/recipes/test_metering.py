"""Time and energy of parts of a run, also of those that were killed."""

import time
from pathlib import Path

import pytest

from limbeck.recipes import metering as metering_module
from limbeck.recipes.metering import MAKING, metered, metering
from limbeck.training.run_folder import RunFolder


def test_what_is_killed_leaves_what_it_took_up_to_the_last_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering_module, "SECONDS_BETWEEN_NOTES", 0.005)
    folder, noted = RunFolder(tmp_path), 0.0
    for _ in range(2):
        with metering(folder, MAKING):
            for _ in range(2000):
                if metered(folder, MAKING).seconds > noted:
                    break
                time.sleep(0.001)
            else:
                pytest.fail("nothing is noted on the way")
        noted = metered(folder, MAKING).seconds
    assert metered(folder, MAKING).kwh >= 0


def test_one_process_of_several_notes_nothing(tmp_path: Path) -> None:
    with metering(RunFolder(tmp_path, writes=False), MAKING):
        pass
    assert not list(tmp_path.iterdir())
