"""Labels of every kind in tables and arrays: one numbering for all splits, or a refusal that says what to do."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.conftest import png

from limbeck.data import ImageSet, load
from limbeck.data.labels import LabelColumn, encode_labels
from limbeck.errors import UserError

TRAIN, TEST = ["cat", "dog", "emu"], ["dog", "emu", "fox"]


def labels_of(images: ImageSet) -> list[int]:
    assert images.labels is not None
    return images.labels.tolist()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a Parquet file for each split; takes split -> labels of any Arrow type."""

    def write(folder: str = "own", **splits: pa.Array | Sequence[Any]) -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for split, labels in splits.items():
            images = [png(np.full((2, 2), number, dtype=np.uint8)) for number in range(len(labels))]
            pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / folder / f"{split}.parquet")
        return tmp_path / folder

    return write


def category(values: Sequence[str | None], categories: Sequence[str] | None = None, ordered: bool = False) -> pa.Array:
    dictionary = list(categories or sorted({value for value in values if value is not None}))
    codes = pa.array([None if value is None else dictionary.index(value) for value in values], pa.int8())
    return pa.DictionaryArray.from_arrays(codes, pa.array(dictionary), ordered=ordered)


TEXTS: dict[str, Callable[[list[str]], pa.Array]] = {
    "string": pa.array,
    "category": category,
    "ordered category": lambda texts: category(texts, ["fox", "emu", "dog", "cat"], ordered=True),
    "category with unused entries": lambda texts: category(texts, ["ant", *TRAIN, "fox", "gnu"]),
    "binary": lambda texts: pa.array([text.encode() for text in texts]),
    "large binary": lambda texts: pa.array([text.encode() for text in texts], pa.large_binary()),
    "fixed size binary": lambda texts: pa.array([text.encode() for text in texts], pa.binary(3)),
    "large string": lambda texts: pa.array(texts, pa.large_string()),
    "string view": lambda texts: pa.array(texts, pa.string_view()),
    "list of one": lambda texts: pa.array([[text] for text in texts]),
    "list of one category": lambda texts: pa.FixedSizeListArray.from_arrays(category(texts), 1),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_of_every_kind_is_numbered_over_all_splits(write, kind: str):
    folder = write(train=TEXTS[kind](TRAIN), test=TEXTS[kind](TEST))
    train, test = load(folder), load(folder, "test")
    assert train.classes == test.classes == ("cat", "dog", "emu", "fox")
    assert (labels_of(train), labels_of(test)) == ([0, 1, 2], [1, 2, 3])


INTEGERS: dict[str, Callable[[list[int]], pa.Array]] = {
    "int64": pa.array,
    "uint8": lambda numbers: pa.array(numbers, pa.uint8()),
    "whole floats": lambda numbers: pa.array(map(float, numbers), pa.float64()),
    "half floats": lambda numbers: pa.array(np.array(numbers, dtype=np.float16)),
    "decimals": lambda numbers: pa.array([Decimal(number) for number in numbers], pa.decimal128(6, 2)),
    "category": lambda numbers: pa.array(numbers).dictionary_encode(),
    "list of one": lambda numbers: pa.array([[number] for number in numbers]),
    "view of one": lambda numbers: pa.array([[number] for number in numbers], pa.large_list(pa.int32())),
    "nested list of one": lambda numbers: pa.array(
        [[[number]] for number in numbers], pa.list_(pa.list_(pa.int8(), 1))
    ),
}


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("test_labels", [[0, 1, 3], [0, 1, 2], [3, 3, 3]])
def test_integers_of_every_kind_count_the_classes_of_all_splits(write, kind: str, test_labels: list[int]):
    folder = write(train=INTEGERS[kind]([3, 1, 0, 2]), test=INTEGERS[kind](test_labels))
    assert load(folder).classes == load(folder, "test").classes == ("0", "1", "2", "3")
    assert labels_of(load(folder, "test")) == test_labels


def test_booleans_have_two_classes(write):
    folder = write(train=[True, False], test=[True, True])
    assert (load(folder, "test").classes, labels_of(load(folder, "test"))) == (("0", "1"), [1, 1])
    assert load(write("alone", train=[False, False])).classes == ("0", "1")


def test_a_split_without_labels_has_no_say(write):
    folder = write(train=TRAIN, test=[-1, -1, -1], validation=pa.nulls(2))
    assert load(folder).classes == ("cat", "dog", "emu")
    assert load(folder, "test").labels is None
    assert load(folder, "validation").labels is None
    floats = write("floats", train=[0.0, 1.0], test=[float("nan"), float("nan")])
    assert labels_of(load(floats)) == [0, 1]
    assert load(floats, "test").labels is None
    texts = write("texts", train=TRAIN, test=["", ""])
    assert (load(texts).classes, load(texts, "test").labels) == (tuple(TRAIN), None)
    partly = write("partly", train=[0, 1, 2], test=[-1, 0, 3])
    assert load(partly).classes == ("0", "1", "2", "3")
    with pytest.raises(UserError, match=r"labels in column 'label' of '.*test.parquet' .* got -1"):
        load(partly, "test")


def test_a_split_without_the_column_has_no_say(write, tmp_path: Path):
    folder = write(train=TRAIN)
    pq.write_table(pa.table({"image": [png(np.zeros((2, 2), dtype=np.uint8))]}), folder / "test.parquet")
    assert load(folder).classes == tuple(TRAIN)
    assert load(folder, "test").labels is None


def test_gaps_in_all_splits_together_are_named(write):
    folder = write(train=[0, 1, 4], test=[2, 0])
    with pytest.raises(
        UserError, match=r"of '.*test.parquet' must be 0..K-1 .* got 0..4 without 3 in any split. Store"
    ):
        load(folder, "test")
    assert load(write("filled", train=[0, 1, 3], test=[2, 0])).num_classes == 4


@pytest.mark.parametrize("split", ["train", "test"])
def test_integers_here_and_text_there_are_refused(write, split: str):
    folder = write(train=[0, 1], test=["cat", "dog"])
    with pytest.raises(
        UserError,
        match=r"column 'label' of '.*train.parquet' are integers, labels in column 'label' of '.*test.parquet' are "
        r"text \('cat'\): two kinds in one data set have no common numbers. Write all as text",
    ):
        load(folder, split)


def test_names_stated_in_one_split_serve_text_and_integers_of_all(write_parquet, tmp_path: Path, pixels: np.ndarray):
    write_parquet("own/train.parquet", list(pixels[:2]), [1, 0], names=["dog", "cat"])
    write_parquet("own/test.parquet", list(pixels[:2]), ["cat", "cat"])
    write_parquet("own/validation.parquet", list(pixels[:2]), [0, 0])
    assert [load(tmp_path / "own", split).classes for split in ("train", "test", "val")] == [("dog", "cat")] * 3
    assert labels_of(load(tmp_path / "own", "test")) == [1, 1]
    write_parquet("own/test.parquet", list(pixels[:2]), ["cat", "gnu"])
    with pytest.raises(UserError, match=r"must be among the 2 class names \('dog', 'cat'\), got 'gnu'"):
        load(tmp_path / "own", "test")


def test_names_of_lists_of_one_label_are_kept(tmp_path: Path, pixels: np.ndarray):
    features = datasets.Features({"image": datasets.Image(), "label": [datasets.ClassLabel(names=["dog", "cat"])]})
    rows = {"image": [{"bytes": png(image), "path": None} for image in pixels[:2]], "label": [[1], [0]]}
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "set.parquet"))
    images = load(tmp_path / "set.parquet")
    assert (images.classes, labels_of(images)) == (("dog", "cat"), [1, 0])


@pytest.mark.parametrize("metadata", ["{", "[]", '{"info": 3}', b"\xff"])
def test_metadata_that_cannot_be_read_is_named(tmp_path: Path, pixels: np.ndarray, metadata: str | bytes):
    table = pa.table({"image": [png(pixels[0])], "label": [0]}, metadata={"huggingface": metadata})
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(
        UserError, match=r"about the columns of '.*set.parquet' cannot be read .*; write the file again"
    ):
        load(tmp_path / "set.parquet")


def test_shards_that_state_other_names_are_refused(write_parquet, tmp_path: Path, pixels: np.ndarray):
    write_parquet("own/train-00000-of-00002.parquet", list(pixels[:2]), [0, 1], names=["cat", "dog"])
    write_parquet("own/train-00001-of-00002.parquet", list(pixels[:2]), [0, 1], names=["dog", "cat"])
    with pytest.raises(UserError, match=r"-00000-.* and .*-00001-.* state other class names or another order of them"):
        load(tmp_path / "own")


@pytest.mark.parametrize(
    ("first", "second", "numbers"),
    [
        (pa.array([0, 1], pa.int64()), pa.array([2, 1], pa.int32()), [0, 1, 2, 1]),
        (pa.array([0, 1], pa.uint8()), pa.array([2.0, 1.0]), [0, 1, 2, 1]),
        (pa.array(["a", "b"]), category(["c", "b"]), [0, 1, 2, 1]),
        (category(["b", "a"]), category(["c", "b"]), [1, 0, 2, 1]),
        (pa.array(["b", "a"], pa.large_string()), pa.array([b"c", b"b"]), [1, 0, 2, 1]),
        (pa.array([0, 1]), pa.array([], pa.string()), [0, 1]),
        (pa.array([], pa.null()), pa.array(["a", "b"]), [0, 1]),
    ],
)
def test_shards_of_several_types_are_joined(write, first: pa.Array, second: pa.Array, numbers: list[int]):
    folder = write(**{"train-00000-of-00002": first, "train-00001-of-00002": second})
    assert labels_of(load(folder)) == numbers


def test_siblings_count_under_a_root(write, tmp_path: Path):
    write("owner", train=TRAIN, test=TEST).rename(tmp_path / "things")
    (tmp_path / "owner").mkdir()
    (tmp_path / "things").rename(tmp_path / "owner" / "things")
    assert labels_of(load("owner/things", "test", root=tmp_path)) == [1, 2, 3]
    for split in ("train", "test"):
        (tmp_path / "owner" / "deep" / "data" / split).mkdir(parents=True)
        source = tmp_path / "owner" / "things" / f"{split}.parquet"
        source.rename(tmp_path / "owner" / "deep" / "data" / split / "0000.parquet")
    assert labels_of(load("owner/deep", "test", root=tmp_path)) == [1, 2, 3]


def test_hub_splits_of_integers_and_text(monkeypatch: pytest.MonkeyPatch, no_root: None, pixels: np.ndarray):
    def give(**labels: list[Any]) -> None:
        images = [png(image) for image in pixels]
        rows = {split: {"image": images[: len(values)], "label": values} for split, values in labels.items()}
        splits = datasets.DatasetDict({split: datasets.Dataset.from_dict(values) for split, values in rows.items()})
        monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: splits)

    give(train=[0, 1, 2, 3], test=[0, 1, 3])
    assert (load("a/b", "test").num_classes, labels_of(load("a/b", "test"))) == (4, [0, 1, 3])
    give(train=[0, 1], test=["cat", "dog"])
    with pytest.raises(UserError, match=r"split 'train' of 'a/b' are integers, .* split 'test' of 'a/b' are text"):
        load("a/b", "test")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (pa.array([[0, 1], [1], [2]]), r"got lists, row 0 of 2 elements; images of several classes are not supported"),
        (pa.array([[0], [], [2]]), r"got lists, row 1 of 0 elements"),
        (pa.array([["a"], ["b"], ["a", "b"]]), r"got lists, row 2 of 2 elements"),
        (pa.array([[[0], [1]], [[1], [1]], [[2], [1]]]), r"got lists, row 0 of 2 elements"),
        (pa.array([[0, 1], [1, 0], [0, 1]]), r"got one-hot rows; store the place of the 1"),
        (pa.array([[0.0, 1.0, 0.0]] * 3, pa.list_(pa.float32(), 3)), r"got one-hot rows"),
        (pa.array([[True, False]] * 3), r"got one-hot rows"),
        (pa.array([{"id": 0, "name": "cat"}] * 3), r"got struct<id: .*; write its part that is the class as a column"),
        (pa.array([{"id": 0}] * 3), r"got struct<id: int64>; write its part"),
        (pa.array([[("a", 1)]] * 3, pa.map_(pa.string(), pa.int64())), r"got map<string, int64.*>; write its part"),
        (pa.array([datetime(2020, 1, 1)] * 3), r"got timestamp\[us\]; convert it, or name another column with"),
        (pa.array([Decimal("0.5")] * 3), r"got decimal128\(1, 1\) \(.*data loss\); convert it"),
        (pa.array([0.0, 1.5, float("inf")]), r"got float64 \(.*truncated"),
        (pa.array([2**63, 0, 1], pa.uint64()), r"got uint64 \(.*not in range"),
        (pa.array([b"\xff", b"a", b"b"]), r"got binary \(Invalid UTF8"),
        (pa.array([0, None, 1]), r"there for all images or for none, row 1 has none"),
        (pa.array([0.0, float("nan"), 1.0]), r"there for all images or for none, row 1 has none"),
        (pa.array(["a", "", "b"]), r"there for all images or for none, row 1 has none"),
        (category(["a", None, "b"]), r"there for all images or for none, row 1 has none"),
        (pa.array([[0], None, [1]]), r"there for all images or for none, row 1 has none"),
    ],
)
def test_what_is_no_label_is_refused(write, labels: pa.Array, message: str):
    with pytest.raises(UserError, match=rf"labels in column 'label' of '.*train.parquet' must be .*{message}"):
        load(write(train=labels))


# Arrays


def save(path: Path, **arrays: Any) -> Path:
    images = {
        key.replace("y", "x", 1): np.zeros((len(labels), 2, 2)) for key, labels in arrays.items() if key[0] == "y"
    }
    np.savez(path / "set.npz", **images, **arrays)
    return path / "set.npz"


@pytest.mark.parametrize("kind", ["U", "S"])
def test_text_in_arrays_is_numbered_over_all_splits(tmp_path: Path, kind: str):
    file = save(tmp_path, y_train=np.array(TRAIN, kind), y_test=np.array(TEST, kind), y_val=np.array(["gnu"], kind))
    assert load(file).classes == load(file, "test").classes == ("cat", "dog", "emu", "fox", "gnu")
    assert [labels_of(load(file, split)) for split in ("train", "test", "val")] == [[0, 1, 2], [1, 2, 3], [4]]


@pytest.mark.parametrize("kind", ["int64", ">i4", "uint8", "float32", "float16", "longdouble"])
def test_integers_in_arrays_count_the_classes_of_all_splits(tmp_path: Path, kind: str):
    file = save(tmp_path, y=np.arange(4).astype(kind), y_test=np.array([0, 1, 3]).astype(kind)[:, None])
    assert load(file).classes == load(file, "test").classes == ("0", "1", "2", "3")
    assert labels_of(load(file, "test")) == [0, 1, 3]


def test_arrays_of_two_kinds_are_refused(tmp_path: Path):
    file = save(tmp_path, y_train=[0, 1], y_test=["cat", "dog"])
    with pytest.raises(
        UserError, match=r"labels 'y_train' of '.*set.npz' are integers, labels 'y_test' of .* are text"
    ):
        load(file)


def test_arrays_that_were_named_have_siblings_of_their_name(tmp_path: Path):
    arrays: dict[str, Any] = {"fine_train": [3, 1, 0, 2], "test_fine": [0, 1], "coarse_train": [0, 1, 1, 0]}
    images = {"shots_train": np.zeros((4, 2, 2)), "shots_test": np.zeros((2, 2, 2))}
    np.savez(tmp_path / "set.npz", y_test=[5], **images, **arrays)

    def classes(split: str, labels: str) -> tuple[str, ...]:
        return load(tmp_path / "set.npz", split, image_column=f"shots_{split}", label_column=labels).classes

    assert classes("train", "fine_train") == classes("test", "test_fine") == ("0", "1", "2", "3")
    assert classes("train", "coarse_train") == ("0", "1")


def test_arrays_beside_that_are_no_labels_of_a_split_have_no_say(tmp_path: Path):
    arrays: dict[str, Any] = {"y_train": [0, 1], "labels_val": ["not", "of", "three"], "label_names": ["a", "b"]}
    np.savez(tmp_path / "set.npz", x_train=np.zeros((2, 2, 2)), x_val=np.zeros((2, 2, 2)), **arrays)
    assert load(tmp_path / "set.npz").classes == ("0", "1")


@pytest.mark.parametrize(
    "stored", [np.array(5), np.array([5]), np.arange(5), np.array(list("01234")), np.array(list("01234"), "S")]
)
def test_classes_may_be_counted(tmp_path: Path, stored: np.ndarray):
    file = save(tmp_path, y_train=[0, 1, 3], classes=stored)
    assert (load(file).classes, labels_of(load(file))) == (("0", "1", "2", "3", "4"), [0, 1, 3])


def test_classes_counted_beside_text_are_the_texts(tmp_path: Path):
    file = save(tmp_path, y_train=["b", "a"], y_test=["a", "c"], class_names=np.array(3))
    assert (load(file).classes, labels_of(load(file, "test"))) == (("a", "b", "c"), [0, 2])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": [0, 1], "classes": np.array(0)}, r"'classes' .* or their number, at least 1, got 0"),
        ({"y": [0, 1], "classes": np.array([], int)}, r"'classes' .* as text, or their number, got none"),
        ({"y": [0, 1], "classes": np.array([], str)}, r"'classes' .* as text, or their number, got none"),
        ({"y": [0, 1], "classes": np.array(1)}, r"labels 'y' of .* must lie in 0..0 \(1 classes\), got 1"),
        ({"y": [3, 5], "classes": np.array([3, 5])}, r"'classes' .* got integers that are not 0..K-1: whether"),
        ({"y": [0, 1], "classes": np.array([[1, 2]])}, r"'classes' .* got integers that are not 0..K-1"),
        (
            {"y": [0, 1], "classes": np.array([b"a", b"\xff"])},
            r"'classes' .* must be text in UTF-8, got bytes that are",
        ),
        ({"y": [0, 1], "classes": np.array([0.5])}, r"'classes' .* must be class names as text .* got float64 \[1\]"),
        ({"y": ["a", "b"], "classes": np.array(3)}, r"labels 'y' of .* must be of 3 classes, as 'classes' says, got 2"),
        ({"y": np.eye(3)}, r"labels 'y' of .* got one-hot rows; store the place of the 1, .*argmax"),
        ({"y": np.ones((3, 2), int)}, r"labels 'y' of .* got lists, row 0 of 2 elements"),
        ({"y": np.zeros((2, 1, 2))}, r"labels 'y' of .* got lists, row 0 of 2 elements"),
        ({"y": np.array([1j, 2])}, r"labels 'y' of .* must be one integer or string .* got complex128"),
        ({"y": np.array(["2020-01-01"] * 2, "datetime64[D]")}, r"labels 'y' of .* got date32"),
        ({"y": np.array([0.5, 1.0])}, r"labels 'y' of .* got float64"),
        ({"y": np.zeros(2, dtype=[("a", int)])}, r"labels 'y' of .* got \[\('a', '<i8'\)\]"),
        ({"y": np.array([b"\xff", b"a"])}, r"labels 'y' of .* got binary"),
        ({"x": np.zeros((1, 2, 2)), "y": np.array(1)}, r"labels 'y' of .* got a single int64"),
    ],
)
def test_what_is_no_label_in_arrays_is_refused(tmp_path: Path, arrays: dict[str, Any], message: str):
    images = {} if "x" in arrays else {"x": np.zeros((len(arrays["y"]), 2, 2))}
    np.savez(tmp_path / "set.npz", **images, **arrays)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "set.npz")


def test_labels_are_numbered_without_a_loop_over_rows():
    texts = pa.array(["b", "a"]).take(pa.array(np.arange(300_000) % 2))
    numbers, names = encode_labels([LabelColumn(pa.chunked_array([texts]), "labels")], list, "labels")
    assert numbers is not None
    assert (names, numbers.dtype, np.bincount(numbers).tolist()) == (("a", "b"), np.int64, [150_000] * 2)
