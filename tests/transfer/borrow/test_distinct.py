import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from limbeck.errors import UserError
from limbeck.transfer.borrow import distinct
from limbeck.transfer.borrow.distinct import batches_of, repeated

TABLES = st.lists(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 7)), max_size=30), min_size=1, max_size=4)


def table(path: Path, rows: list[tuple[int, int]]) -> Path:
    """Ids and digests that differ in all bytes, so that they fall into different files."""
    digests = [bytes([36 * picture] * 16) for _, picture in rows]
    columns = {"id": pa.array([id_ for id_, _ in rows], pa.int64()), "digest": pa.array(digests, pa.binary(16))}
    pq.write_table(pa.table(columns), path, row_group_size=7)
    return path


@settings(max_examples=40, deadline=None)
@given(TABLES, st.integers(1, 9))
def test_all_but_the_first_by_table_and_id_are_repeated(tables, compared):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as place:
        patch.setattr(distinct, "ROWS", 5)
        patch.setattr(distinct, "COMPARED", compared)
        folder = Path(place)
        paths = [table(folder / f"{number}.parquet", rows) for number, rows in enumerate(tables)]
        repeats = repeated(paths, folder / "scratch")
        assert not (folder / "scratch").exists()
    named = [(place, id_, row) for place, rows in enumerate(tables) for row, (id_, _) in enumerate(rows)]
    first = {}
    for place, _, row in sorted(named):
        first.setdefault(tables[place][row][1], (place, row))
    expected = [
        [first[picture] != (place, row) for row, (_, picture) in enumerate(rows)] for place, rows in enumerate(tables)
    ]
    assert [array.tolist() for array in repeats] == expected


def test_what_a_killed_comparison_left_is_swept_away(tmp_path):
    path = table(tmp_path / "one.parquet", [(1, 3), (0, 3)])
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "000").write_bytes(b"half")
    assert repeated([path], tmp_path / "scratch")[0].tolist() == [True, False]


def test_a_damaged_table_is_told(tmp_path):
    path = table(tmp_path / "one.parquet", [(1, 3)])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"one.parquet' is damaged \(.*\); remove it, so that it is made again"):
        list(batches_of(path))
