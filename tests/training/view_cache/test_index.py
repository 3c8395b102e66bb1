"""The index: an image keeps its row, and a damaged file loses rows but never confuses them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.training.view_cache.index import RowIndex


def hashes(*numbers: int) -> np.ndarray:
    """A hash for each number, uint8 [n, 16]."""
    return np.stack([np.random.default_rng(number).integers(0, 256, 16, dtype=np.uint8) for number in numbers])


def rows(index: RowIndex, *numbers: int) -> list[int]:
    with index.locked():
        positions, error = index.rows(hashes(*numbers))
    assert error is None
    return positions.tolist()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.bin"


def test_rows_are_given_in_order_and_stay(path: Path) -> None:
    index = RowIndex(path)
    assert rows(index, 5, 3, 5, 9) == [0, 1, 0, 2]
    assert rows(index, 9, 7, 3) == [2, 3, 1]
    assert path.read_bytes() == hashes(5, 3, 9, 7).tobytes()
    assert rows(RowIndex(path), 7, 8, 5) == [3, 4, 0]
    assert rows(index, 8, 1) == [4, 5]


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=20), min_size=1, max_size=8))
def test_two_readers_agree_with_a_dictionary(tmp_path_factory: pytest.TempPathFactory, rounds: list[list[int]]) -> None:
    path = tmp_path_factory.mktemp("index") / "index.bin"
    readers, expected = [RowIndex(path), RowIndex(path)], dict[int, int]()
    for number, images in enumerate(rounds):
        for image in images:
            expected.setdefault(image, len(expected))
        assert rows(readers[number % 2], *images) == [expected[image] for image in images]


def test_equal_first_halves_are_told_apart(path: Path) -> None:
    pair = hashes(1, 2)
    pair[1, :8] = pair[0, :8]
    index = RowIndex(path)
    with index.locked():
        assert index.rows(pair[:1])[0].tolist() == [0]
        assert index.rows(pair[1:])[0].tolist() == [1]


@pytest.mark.parametrize("torn", [1, 8, 15])
def test_a_torn_tail_is_no_row_and_is_written_over(path: Path, torn: int) -> None:
    rows(RowIndex(path), 0, 1)
    path.write_bytes(hashes(0, 1, 2).tobytes()[: 32 + torn])
    assert rows(RowIndex(path), 3, 0) == [2, 0]
    assert path.read_bytes() == hashes(0, 1, 3).tobytes()


def test_a_lost_tail_is_given_away_anew_to_whoever_read_it_too(path: Path) -> None:
    index = RowIndex(path)
    rows(index, 0, 1, 2)
    os.truncate(path, 16)
    assert rows(index, 2, 0) == [1, 0]
    assert path.read_bytes() == hashes(0, 2).tobytes()


def test_damaged_rows_are_nobodys(path: Path) -> None:
    index = RowIndex(path)
    rows(index, 0, 1, 2)
    content = bytearray(path.read_bytes())
    content[16:32] = bytes(16)
    path.write_bytes(content)
    assert rows(RowIndex(path), 2, 1, 0) == [2, 3, 0]
    assert rows(index, 2, 1, 0) == [2, 3, 0]


def test_a_replaced_file_is_read_anew(path: Path) -> None:
    index = RowIndex(path)
    rows(index, 0, 1, 2)
    path.rename(path.with_name("old"))
    assert rows(index, 2) == [0]
    assert path.read_bytes() == hashes(2).tobytes()


def test_a_full_disk_gives_no_rows_and_takes_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = RowIndex(path)
    rows(index, 0, 1)
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, place: whole(file, content[:20], place))
    with index.locked():
        positions, error = index.rows(hashes(1, 2, 3))
    assert positions.tolist() == [1, -1, -1]
    assert isinstance(error, OSError)
    monkeypatch.undo()
    assert rows(index, 4, 3, 2) in ([3, 4, 2], [2, 3, 4])
    assert rows(RowIndex(path), 0, 1) == [0, 1]


def test_looking_up_reads_what_is_new_alone(path: Path) -> None:
    """A round of few images is cheap, however large the index."""
    path.write_bytes(np.random.default_rng(0).bytes(16 * 1_000_000))
    index = RowIndex(path)
    rows(index, 1)
    start = time.process_time()
    for number in range(100):
        assert rows(index, number + 2) == [1_000_001 + number]
    assert time.process_time() - start < 0.5  # reading the whole file each time takes 10 s


APPEND = """
import sys
from pathlib import Path
import numpy as np
from limbeck.training.view_cache.index import RowIndex
index, found = RowIndex(Path(sys.argv[1])), {}
for number in range(200):
    hashes = np.random.default_rng(number % 150).integers(0, 256, (3, 16), dtype=np.uint8)
    with index.locked():
        rows, _ = index.rows(hashes)
    for one, row in zip(hashes, rows.tolist()):
        assert found.setdefault(one.tobytes(), row) == row
print(sorted((row, one.hex()) for one, row in found.items()))
"""


def test_processes_that_append_at_once_find_the_same_rows(path: Path) -> None:
    command = [sys.executable, "-c", APPEND, str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate()[0] for process in running]
    assert printed[0] == printed[1] == printed[2] != ""
    assert path.stat().st_size == 450 * 16
