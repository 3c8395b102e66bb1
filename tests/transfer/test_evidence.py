"""What a maker leaves for the report, written and read back."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.evidence import NUMBERS, PICTURES, TABLE, Evidence, Pictures, read_evidence
from limbeck.transfer.summary import Rows, summarise

COLUMNS: dict[str, Any] = {
    "id": np.arange(9) * 3,
    "source": np.array(["one", "other", "one"] * 3),
    "label": np.arange(9) % 2,
    "score": np.arange(9) / 4,
    "chosen": np.arange(9) > 5,
    "group": np.arange(9) // 3,
}


def rows(columns: dict[str, Any] = COLUMNS, size: int = 4) -> Rows:
    def passes() -> Iterator[dict[str, Any]]:
        for start in range(0, len(columns["id"]), size):
            yield {name: column[start : start + size] for name, column in columns.items()}

    return passes


def pictures(count: int = 3, height: int = 4, width: int = 5, channels: int = 3, **more: Any) -> Pictures:
    images = torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8)
    return Pictures(title=f"{count} of {height} by {width}", images=images, ids=torch.arange(count) * 7, **more)


def saved(folder: Path, **parts: Any) -> Evidence:
    evidence = Evidence(headline="Nine were looked at", **parts)
    evidence.save(folder)
    loaded = read_evidence(folder)
    assert loaded is not None
    return loaded


def test_everything_comes_back(tmp_path: Path) -> None:
    words = {"score": "sureness", "group": "round", "group_order": "first to last", "classes": ["a", "b"]}
    words |= {"facts": {"budget": "3"}, "notes": ["One.", "Two."]}
    shown = [pictures(labels=torch.tensor([0, 1, 1]), scores=torch.tensor([0.5, 1, 2])), pictures(1, 9, 2, 1)]
    evidence = saved(tmp_path / "evidence", rows=rows(), pictures=shown, **words)
    assert evidence.headline == "Nine were looked at"
    assert {name: getattr(evidence, name) for name in words} == words
    assert evidence.summary == summarise(rows())
    assert evidence.rows is not None
    batches = list(evidence.rows())
    for name, column in COLUMNS.items():
        assert (np.concatenate([batch[name] for batch in batches]) == column).all(), name
    for group, other in zip(evidence.pictures, shown, strict=True):
        assert group.title == other.title
        for part in ("images", "ids", "labels", "scores"):
            pair = getattr(group, part), getattr(other, part)
            assert pair == (None, None) or torch.equal(*pair)


def test_the_least_that_a_maker_may_tell(tmp_path: Path) -> None:
    evidence = saved(tmp_path / "evidence")
    assert (evidence.rows, evidence.summary, evidence.pictures, evidence.classes) == (None, None, [], [])
    assert not (tmp_path / "evidence" / TABLE).exists()
    plain = saved(tmp_path / "rows", rows=rows({name: COLUMNS[name] for name in ("id", "chosen")}))
    assert plain.summary is not None
    assert (plain.summary.images, plain.summary.chosen, plain.summary.scores) == (9, 3, None)
    assert pq.read_schema(tmp_path / "rows" / TABLE).names == ["id", "chosen"]


@pytest.mark.parametrize("batches", [[], [{name: column[:0] for name, column in COLUMNS.items()}]])
def test_rows_that_are_not_there_yet_are_no_table(tmp_path: Path, batches: list[dict[str, Any]]) -> None:
    Evidence(headline="Nothing yet", rows=lambda: iter(batches), score="margin").save(tmp_path / "evidence")
    assert not (tmp_path / "evidence" / TABLE).exists()
    evidence = read_evidence(tmp_path / "evidence")
    assert evidence is not None
    assert evidence.headline == "Nothing yet"
    assert (evidence.rows, evidence.summary) == (None, None)


def test_scores_that_tell_nothing_are_kept_but_not_counted(tmp_path: Path) -> None:
    evidence = saved(tmp_path / "evidence", rows=rows())
    assert evidence.summary is not None
    assert evidence.summary.scores is None
    assert pq.read_table(tmp_path / "evidence" / TABLE)["score"].to_pylist() == COLUMNS["score"].tolist()


def test_numbers_may_stand_without_rows(tmp_path: Path) -> None:
    numbers = summarise(rows())
    evidence = saved(tmp_path / "evidence", summary=numbers)
    assert evidence.summary == numbers
    assert evidence.rows is None


def test_rows_are_made_once_and_memory_does_not_grow(tmp_path: Path) -> None:
    passes = 0

    def many(count: int) -> Callable[[], Iterator[dict[str, Any]]]:
        def made() -> Iterator[dict[str, Any]]:
            nonlocal passes
            passes += 1
            random = np.random.default_rng(0)
            for place in range(count):
                ids = np.arange(2**16) + place * 2**16
                yield {"id": ids, "score": random.random(2**16), "chosen": ids % 10 == 0}

        return made

    def peak(count: int) -> int:
        tracemalloc.start()
        saved(tmp_path / "evidence", rows=many(count), score="sureness")
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    few = peak(16)
    assert peak(32) < 1.1 * few
    assert passes == 2
    assert pq.ParquetFile(tmp_path / "evidence" / TABLE).num_row_groups == 8


def test_older_evidence_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    saved(tmp_path / "evidence", rows=rows(), notes=["of before"])

    def broken() -> Iterator[dict[str, Any]]:
        yield COLUMNS
        raise RuntimeError("the maker broke")

    with pytest.raises(RuntimeError, match="the maker broke"):
        Evidence(headline="Half", rows=broken).save(tmp_path / "evidence")
    evidence = read_evidence(tmp_path / "evidence")
    assert evidence is not None
    assert evidence.notes == ["of before"]
    assert saved(tmp_path / "evidence").rows is None, "nothing of before is left"
    assert [path.name for path in tmp_path.iterdir()] == ["evidence"]


def test_pictures_that_share_memory(tmp_path: Path) -> None:
    group = pictures()
    halves = [Pictures(title=str(place), images=group.images[place:], ids=group.ids[place:]) for place in range(2)]
    evidence = saved(tmp_path / "evidence", pictures=halves)
    assert torch.equal(evidence.pictures[1].images, group.images[1:])


def test_absent_and_broken_folders(tmp_path: Path) -> None:
    assert read_evidence(tmp_path) is None
    folder = tmp_path / "evidence"
    saved(folder, rows=rows(), pictures=[pictures()])
    (folder / PICTURES).write_bytes(b"not tensors")
    with pytest.raises(UserError, match=r"pictures\.safetensors cannot be read .* Delete .*evidence to go without"):
        read_evidence(folder)
    for content in ("{", "[]", "{}", '{"format": 1}'):
        (folder / NUMBERS).write_text(content)
        with pytest.raises(UserError, match=r"summary\.json cannot be read .* Delete .*evidence to go without"):
            read_evidence(folder)
    (folder / NUMBERS).write_text(json.dumps({"format": 2}))
    with pytest.raises(UserError, match=r"must be of format 1, got 2; update limbeck"):
        read_evidence(folder)
