"""Outputs on disk: what was written is read back, and anything else in the file counts as missing."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.training.view_cache.codecs import Codec, Dense, TopLogits
from limbeck.training.view_cache.file import EntryFile, checksums
from limbeck.training.view_cache.top_error import TopError, total_variation

ENTRIES = np.array([7, 0, 99, 42])


def owners(entries: np.ndarray) -> np.ndarray:
    """A number for each entry."""
    return (entries * 2654435761).astype(np.uint32)


def opened(path: Path, entries: int = 100) -> EntryFile:
    file = EntryFile(path, Dense((10,), "float16"))
    file.reserve(entries)
    return file


def known(file: EntryFile, entries: np.ndarray) -> list[int]:
    return entries[file.read(entries, owners(entries))[1]].tolist()


ALL = np.arange(100)


@pytest.fixture
def values() -> torch.Tensor:
    return torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 5


@pytest.fixture
def file(tmp_path: Path, values: torch.Tensor) -> EntryFile:
    file = opened(tmp_path / "logits.bin")
    file.write(ENTRIES, owners(ENTRIES), file.codec.encode(values))
    return file


def test_what_was_written_is_read_and_nothing_else_is_known(file: EntryFile, values: torch.Tensor) -> None:
    read, whole = file.read(ALL, owners(ALL))
    assert sorted(np.flatnonzero(whole)) == sorted(ENTRIES)
    assert torch.equal(read[ENTRIES], values.half().float())
    assert np.flatnonzero(file.written(ALL)).tolist() == sorted(ENTRIES)


def test_files_in_memory_are_read_as_those_on_disk(
    file: EntryFile, values: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.training.view_cache.file.in_memory", lambda _: True)
    other = opened(tmp_path / "logits.bin")
    for entries in (ALL, ENTRIES, np.array([7, -1]), ALL[:0]):  # in one piece, apart, and without a row
        ours, whole = other.read(entries, owners(entries))
        theirs, expected = file.read(entries, owners(entries))
        assert whole.tolist() == expected.tolist()
        assert torch.equal(ours[whole], theirs[whole])
    assert np.flatnonzero(other.written(ALL)).tolist() == sorted(ENTRIES)
    other.clear()
    assert known(other, ALL) == []
    assert not other.written(ALL).any()


@pytest.mark.parametrize("folder", [path for path in [Path("/dev/shm")] if path.is_dir()])
def test_reading_what_was_never_written_takes_no_memory(folder: Path) -> None:
    """Reading through a memory map would, and on a full file system in memory that kills the reader."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        file = opened(Path(name) / "logits.bin", entries=10_000)
        assert not file.written(np.arange(10_000)).any()
        assert known(file, np.array([0, 9_999])) == []
        assert (Path(name) / "logits.bin").stat().st_blocks == 0
        file.close()


def test_another_process_reads_the_same_file(file: EntryFile, values: torch.Tensor, tmp_path: Path) -> None:
    other, entry = opened(tmp_path / "logits.bin"), np.array([1])
    assert known(other, ENTRIES) == ENTRIES.tolist()
    other.write(entry, owners(entry), other.codec.encode(values[:1]))
    assert known(file, entry) == [1]


def test_a_file_grows_and_never_shrinks(file: EntryFile, values: torch.Tensor, tmp_path: Path) -> None:
    other, far = opened(tmp_path / "logits.bin", 1000), np.array([999])
    other.write(far, owners(far), other.codec.encode(values[:1]))
    file.reserve(50)
    assert (tmp_path / "logits.bin").stat().st_size == 1000 * 24
    assert known(file, ENTRIES) == ENTRIES.tolist()
    file.reserve(1000)
    assert known(file, far) == [999]


def test_entries_below_zero_are_nowhere(file: EntryFile, values: torch.Tensor, tmp_path: Path) -> None:
    content = (tmp_path / "logits.bin").read_bytes()
    entries = np.array([-1, 5, -81])
    file.write(entries, owners(entries), file.codec.encode(values[:3]))
    assert known(file, entries) == [5]
    changed = np.frombuffer(content, np.uint8) != np.frombuffer((tmp_path / "logits.bin").read_bytes(), np.uint8)
    assert set((np.flatnonzero(changed) // 24).tolist()) == {5}


@given(place=st.integers(0, 100 * 24 - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("flip") / "logits.bin"
    file = opened(path)
    file.write(ALL, owners(ALL), file.codec.encode(torch.arange(1000.0).view(100, 10)))
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)
    assert np.flatnonzero(~opened(path).read(ALL, owners(ALL))[1]).tolist() == [place // 24]


def test_outputs_do_not_stand_for_another_entry(file: EntryFile, tmp_path: Path) -> None:
    content = (tmp_path / "logits.bin").read_bytes()
    (tmp_path / "logits.bin").write_bytes(content[24:] + content[:24])
    assert known(opened(tmp_path / "logits.bin"), ALL) == []


@given(st.integers(0, 2**32 - 1), st.integers(1, 2**32 - 1), st.binary(min_size=20, max_size=20))
def test_checksums_of_equal_values_differ_between_owners(owner: int, step: int, content: bytes) -> None:
    packed = np.frombuffer(content * 2, np.uint8).reshape(2, 20)
    first, second = checksums(packed, np.array([owner, (owner + step) % 2**32], np.uint32)).tolist()
    assert first != second
    assert first > 0 < second


@pytest.mark.parametrize(("length", "left"), [(0, []), (24 * 7 + 12, [0]), (24 * 8, [0, 7]), (24 * 100 + 1, ENTRIES)])
def test_a_file_of_another_length_keeps_what_is_whole(
    file: EntryFile, tmp_path: Path, length: int, left: list[int]
) -> None:
    path = tmp_path / "logits.bin"
    path.write_bytes((path.read_bytes() + b"?")[:length])
    assert known(opened(path), ALL) == sorted(left)


def test_clearing_leaves_other_readers_their_outputs(file: EntryFile, tmp_path: Path) -> None:
    other = opened(tmp_path / "logits.bin")
    file.clear()
    assert known(file, ENTRIES) == []
    assert known(other, ENTRIES) == ENTRIES.tolist()


@pytest.mark.parametrize(
    "codec", [Dense((3, 2, 2), "float32"), Dense((3, 2, 2), "float16")], ids=lambda codec: codec.name
)
def test_dense_keeps_shape_and_order(codec: Codec) -> None:
    values = torch.arange(24.0).view(2, 3, 2, 2)
    assert torch.equal(codec.decode(codec.encode(values)), values)


def test_what_half_precision_cannot_hold_becomes_infinite() -> None:
    codec = Dense((2,), "float16")
    assert torch.equal(codec.decode(codec.encode(torch.tensor([[1e5, 1.0]]))), torch.tensor([[torch.inf, 1.0]]))


def test_top_logits_keep_their_probabilities_and_the_rest_its_sum(values: torch.Tensor) -> None:
    codec = TopLogits(10, 3, "float32")
    decoded = codec.decode(codec.encode(values))
    top, places = values.topk(3)
    assert torch.equal(decoded.gather(1, places), top)
    assert torch.allclose(decoded.softmax(1).gather(1, places), values.softmax(1).gather(1, places), atol=1e-6)
    rest = decoded.scatter(1, places, torch.nan)
    assert all(len(row[~row.isnan()].unique()) == 1 for row in rest)
    assert codec.size == 4 * 4 + 3 * 2


def test_error_of_top_logits_is_what_total_variation_says(tmp_path: Path, values: torch.Tensor) -> None:
    codec = TopLogits(10, 3, "float32")
    decoded = codec.decode(codec.encode(values))
    for part in (slice(0, 1), slice(1, 4)):
        error = TopError(tmp_path / "error.json")
        error.add(values[part], decoded[part])
        error.save()
    read = TopError(tmp_path / "error.json").read()
    assert read is not None
    assert read["answers"] == 4
    for position, temperature in enumerate(read["temperatures"]):
        expected = total_variation(values, decoded, temperature=temperature).double()
        assert read["mean"][position] == pytest.approx(float(expected.mean()))
        assert read["largest"][position] == pytest.approx(float(expected.max()))


def test_total_variation_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0]])
    stored = torch.tensor([[0.0, 1.0986123]])  # probabilities 1/4 and 3/4
    assert float(total_variation(logits, stored, temperature=1.0)) == pytest.approx(0.25)
