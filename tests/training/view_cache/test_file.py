"""Answers on disk: what was written is read, and whatever else happened to the file reads as unknown."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.training.view_cache.file import AnswerFile, Codec, Dense, TopLogits
from limbeck.training.view_cache.top_error import TopError, total_variation

ENTRIES = np.array([7, 0, 99, 42])


@pytest.fixture
def values() -> torch.Tensor:
    return torch.randn(4, 10, generator=torch.Generator().manual_seed(0)) * 5


@pytest.fixture
def file(tmp_path: Path, values: torch.Tensor) -> AnswerFile:
    file = AnswerFile(tmp_path / "logits.bin", 100, Dense((10,), "float16"))
    file.write(ENTRIES, file.codec.encode(values))
    return file


def test_what_was_written_is_read_and_nothing_else_is_known(file: AnswerFile, values: torch.Tensor) -> None:
    read, known = file.read(np.arange(100))
    assert sorted(np.flatnonzero(known)) == sorted(ENTRIES)
    assert torch.equal(read[ENTRIES], values.half().float())
    assert file.filled() == 4


def test_another_process_reads_the_same_file(file: AnswerFile, values: torch.Tensor, tmp_path: Path) -> None:
    other = AnswerFile(tmp_path / "logits.bin", 100, Dense((10,), "float16"))
    assert other.read(ENTRIES)[1].all()
    other.write(np.array([1]), other.codec.encode(values[:1]))
    assert file.read(np.array([1]))[1].all()


@given(place=st.integers(0, 100 * 24 - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("flip") / "logits.bin"
    file = AnswerFile(path, 100, Dense((10,), "float16"))
    file.write(np.arange(100), file.codec.encode(torch.arange(1000.0).view(100, 10)))
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)
    damaged = AnswerFile(path, 100, Dense((10,), "float16"))
    assert np.flatnonzero(~damaged.read(np.arange(100))[1]).tolist() == [place // 24]


def test_answers_do_not_stand_for_another_entry(file: AnswerFile, tmp_path: Path) -> None:
    content = (tmp_path / "logits.bin").read_bytes()
    (tmp_path / "logits.bin").write_bytes(content[24:] + content[:24])
    assert not AnswerFile(tmp_path / "logits.bin", 100, Dense((10,), "float16")).read(np.arange(100))[1].any()


@pytest.mark.parametrize(("length", "left"), [(0, []), (24 * 7 + 12, [0]), (24 * 8, [0, 7]), (24 * 100 + 1, [])])
def test_a_file_of_another_length_keeps_what_is_whole(
    file: AnswerFile, tmp_path: Path, length: int, left: list[int]
) -> None:
    path = tmp_path / "logits.bin"
    path.write_bytes((path.read_bytes() + b"?")[:length])
    assert np.flatnonzero(AnswerFile(path, 100, Dense((10,), "float16")).read(np.arange(100))[1]).tolist() == left


def test_clearing_leaves_other_readers_their_answers(file: AnswerFile, tmp_path: Path) -> None:
    other = AnswerFile(tmp_path / "logits.bin", 100, Dense((10,), "float16"))
    file.clear()
    assert not file.read(ENTRIES)[1].any()
    assert other.read(ENTRIES)[1].all()


@pytest.mark.parametrize("codec", [Dense((3, 2, 2), "float32"), Dense((3, 2, 2), "float16")], ids=lambda one: one.name)
def test_dense_keeps_shape_and_order(codec: Codec) -> None:
    values = torch.arange(24.0).view(2, 3, 2, 2)
    assert torch.equal(codec.decode(codec.encode(values)), values)


def test_what_half_precision_cannot_hold_becomes_infinite() -> None:
    codec = Dense((2,), "float16")
    assert torch.equal(codec.decode(codec.encode(torch.tensor([[1e5, 1.0]]))), torch.tensor([[torch.inf, 1.0]]))


def test_top_logits_keep_their_probabilities_and_the_rest_its_sum(values: torch.Tensor) -> None:
    codec = TopLogits(10, 3, "float32")
    kept = codec.decode(codec.encode(values))
    top, places = values.topk(3)
    assert torch.equal(kept.gather(1, places), top)
    assert torch.allclose(kept.softmax(1).gather(1, places), values.softmax(1).gather(1, places), atol=1e-6)
    rest = kept.scatter(1, places, torch.nan)
    assert all(len(row[~row.isnan()].unique()) == 1 for row in rest)
    assert codec.size == 4 * 4 + 3 * 2


def test_error_of_top_logits_is_what_total_variation_says(tmp_path: Path, values: torch.Tensor) -> None:
    codec = TopLogits(10, 3, "float32")
    kept = codec.decode(codec.encode(values))
    for part in (slice(0, 1), slice(1, 4)):
        error = TopError(tmp_path / "error.json")
        error.add(values[part], kept[part])
        error.save()
    read = TopError(tmp_path / "error.json").read()
    assert read is not None
    assert read["answers"] == 4
    for position, temperature in enumerate(read["temperatures"]):
        expected = total_variation(values, kept, temperature=temperature).double()
        assert read["mean"][position] == pytest.approx(float(expected.mean()))
        assert read["largest"][position] == pytest.approx(float(expected.max()))


def test_total_variation_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0]])
    kept = torch.tensor([[0.0, 1.0986123]])  # probabilities 1/4 and 3/4
    assert float(total_variation(logits, kept, temperature=1.0)) == pytest.approx(0.25)
