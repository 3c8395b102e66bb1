"""Time and energy of parts of a run, also of those that were killed."""

import time
from pathlib import Path

import pytest
from tests.training.test_processes import run

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


TOGETHER = """
import sys
from pathlib import Path
from torch import distributed
from limbeck.evaluation import energy
from limbeck.recipes.metering import TEACHING, metering
from limbeck.training.run_folder import RunFolder

distributed.init_process_group("gloo")
rank = distributed.get_rank()
readings = [0.0, 10.0 + 20.0 * rank]
energy._processor_seconds = lambda: readings.pop(0) if len(readings) > 1 else readings[0]
energy.processor_counters = list
for fails in (False, True):
    readings[:] = [0.0, 10.0 + 20.0 * rank]
    try:
        with metering(RunFolder(Path(sys.argv[1]), writes=rank == 0), f"{fails}.json", together=True):
            if fails:
                raise ValueError
    except ValueError:
        pass
distributed.destroy_process_group()
"""


def test_energy_of_a_shared_run_is_that_of_all_processes(tmp_path: Path) -> None:
    run(TOGETHER, str(tmp_path), processes=2)
    summed, guessed = (RunFolder(tmp_path).read(f"{fails}.json") for fails in (False, True))
    assert summed["how"].startswith("40.0 processor seconds x 12 W per core (2 processes)")
    assert summed["kwh"] == pytest.approx(40 * 12 / 3.6e6)
    assert guessed["how"].startswith("20.0 processor seconds x 12 W per core (2 processes, each as this one)")
