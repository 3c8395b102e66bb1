"""Pools: any images that limbeck reads, of one shape, under names of their own, without what is left out."""

import io
import json
import warnings
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from limbeck.data import ImageSet, load
from limbeck.data.encoded.decode_many import decode_many
from limbeck.data.joined import join
from limbeck.errors import UserError
from limbeck.plugins import register, unregister
from limbeck.transfer.borrow.pool_names import distinct_names
from limbeck.transfer.borrow.pools import Pool, open_pools
from limbeck.transfer.borrow.settings import PoolSettings

SHAPE = (3, 8, 8)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LIMBECK_DATA", raising=False)


def encoded(mode: str, size: tuple[int, int], format: str = "png") -> bytes:
    noise = np.random.default_rng(len(mode)).integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    image = Image.fromarray(noise, "RGBA").convert(mode) if mode != "RGBA" else Image.fromarray(noise, "RGBA")
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()


ODD = [
    ("L", (3, 40)),
    ("RGB", (9, 8)),
    ("P", (8, 8)),
    ("RGBA", (1, 1)),
    ("LA", (20, 7)),
    ("1", (33, 5)),
    ("I;16", (8, 9)),
]


def odd_images() -> list[bytes]:
    return [encoded(mode, size) if mode != "I;16" else sixteen_bit(size) for mode, size in ODD]


def sixteen_bit(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full(size[::-1], 65535, dtype=np.uint16)).save(buffer, "png")
    return buffer.getvalue()


def write_table(path: Path, images: list[bytes], names: list[str] | None = None, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array([{"bytes": image, "path": None} for image in images], kind), **columns})
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names is not None:
        features["label"] = {"_type": "ClassLabel", "names": names}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), path)
    return path


def opened(*pools: Any, **options: Any) -> tuple[Pool, ...]:
    settings = [pool if isinstance(pool, PoolSettings) else PoolSettings(name=str(pool)) for pool in pools]
    return open_pools(settings, options.pop("shape", SHAPE), **options)


def labels_of(pool: Pool) -> list[int]:
    assert pool.images.labels is not None
    return pool.images.labels.tolist()


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Two ants, three bees, one cat, two garbage trucks."""
    names = ["ant", "bee", "cat", "garbage truck"]
    images = [encoded("RGB", (8 + row, 8)) for row in range(8)]
    return write_table(tmp_path / "animals.parquet", images, names, label=[0, 1, 1, 3, 2, 0, 1, 3])


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_kind_in_every_form(tmp_path: Path, channels: int) -> None:
    images = odd_images()
    folder = tmp_path / "loose"
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number}.png").write_bytes(image)
    half = len(images) // 2
    write_table(tmp_path / "shards" / "train-00000-of-00002.parquet", images[:half])
    write_table(tmp_path / "shards" / "train-00001-of-00002.parquet", images[half:])
    np.savez(tmp_path / "gray.npz", images=np.zeros((4, 28, 28), dtype=np.uint8))
    pools = opened(folder, tmp_path / "shards", tmp_path / "gray.npz", "digits", shape=(channels, 8, 6))
    assert [pool.name for pool in pools] == ["loose", "shards", "gray.npz", "digits"]
    assert [len(pool.images) for pool in pools] == [len(images), len(images), 4, 1437]
    assert {pool.images.shape for pool in pools} == {(channels, 8, 6)}
    assert [pool.images.labels is None for pool in pools] == [True, True, True, False]
    assert torch.equal(pools[0].images.tensor(), pools[1].images.tensor())
    assert int(pools[0].images.tensor()[-1].min()) == 255
    assert [(pool.read, pool.unreadable, dict(pool.excluded)) for pool in pools[:3]] == [
        (7, 0, {}),
        (7, 0, {}),
        (4, 0, {}),
    ]


@pytest.mark.parametrize("labels", [[0, None, 1, 2], [[0, 1], [1], [], [2]], [0, 1, 7, 2], [0, -1, 1, 1]])
def test_labels_that_cannot_be_numbered_are_left_aside(tmp_path: Path, labels: list[Any]) -> None:
    path = write_table(tmp_path / "odd.parquet", odd_images()[:4], label=pa.array(labels))
    with pytest.warns(UserWarning, match=r"the labels of '.*odd.parquet' are left aside: labels in column 'label'"):
        (pool,) = opened(path)
    assert (len(pool.images), pool.images.labels) == (4, None)
    with pytest.raises(UserError, match=r"labels in column 'label' of .* must"):
        opened(PoolSettings(name=str(path), label_column="label"))


def test_labels_of_no_use_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", images=np.zeros((4, 8, 8), dtype=np.uint8), labels=np.eye(4))
    with pytest.warns(UserWarning, match="are left aside: .* one-hot"):
        (pool,) = opened(tmp_path / "set.npz")
    assert pool.images.labels is None


def test_photos_in_folders_and_beside_them_have_no_labels(tmp_path: Path) -> None:
    for name in ("1.png", "trips/2.png", "trips/sea/3.png", "empty/notes.txt"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(encoded("RGB", (9, 8)))
    with pytest.warns(UserWarning, match=r"the labels of .*photos. are left aside: .* images beside class folders"):
        (pool,) = opened(tmp_path / "photos")
    assert (len(pool.images), pool.images.labels) == (3, None)
    (tmp_path / "photos" / "1.png").unlink()
    with pytest.warns(UserWarning, match=r"class folder .*empty. holds no images"):
        (pool,) = opened(tmp_path / "photos")
    assert len(pool.images) == 2


def test_the_first_images_alone_are_decoded(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counted(images: Any, rows: np.ndarray, *rest: Any, **options: Any) -> np.ndarray:
        decoded.extend(rows)
        return decode_many(images, rows, *rest, **options)

    monkeypatch.setattr("limbeck.data.encoded.build.decode_many", counted)
    (pool,) = opened(PoolSettings(name=str(animals), images=3))
    assert (pool.images.ids.tolist(), labels_of(pool), decoded) == ([0, 1, 2], [0, 1, 1], [0, 1, 2])
    (whole,) = opened(PoolSettings(name=str(animals), images=300))
    assert len(whole.images) == 8
    (digits,) = opened(PoolSettings(name="digits", images=1))
    assert len(digits.images) == 1


def test_unreadable_images_are_told_or_left_out_and_counted(tmp_path: Path) -> None:
    path = write_table(tmp_path / "broken.parquet", [encoded("RGB", (8, 8)), b"no image", encoded("L", (8, 8))])
    with pytest.raises(UserError, match=r"row 1 of '.*broken.parquet' cannot be read as an image"):
        opened(path)
    (pool,) = opened(PoolSettings(name=str(path), skip_unreadable=True))
    assert (pool.images.ids.tolist(), pool.unreadable, pool.read) == ([0, 2], 1, 3)


# What is left out.


def test_classes_are_left_out_by_name_or_number(animals: Path) -> None:
    (pool,) = opened(PoolSettings(name=str(animals), exclude=[0, "Garbage_Trucks"]))
    assert pool.images.ids.tolist() == [1, 2, 4, 6]
    assert labels_of(pool) == [1, 1, 2, 1]
    assert pool.images.classes == ("ant", "bee", "cat", "garbage truck"), "numbers are the data set's own"
    assert pool.excluded == {"ant": 2, "garbage truck": 2}
    assert pool.read == 8
    assert torch.equal(pool.images.tensor()[0], load(animals, size=8).tensor()[1])


def test_classes_are_left_out_of_every_pool_that_has_them(animals: Path) -> None:
    pools = opened(animals, "digits", exclude=["cats", "7"])
    assert [pool.excluded for pool in pools] == [{"cat": 1}, {"7": 143}]
    assert [len(pool.images) for pool in pools] == [7, 1294]
    (alone,) = opened(PoolSettings(name=str(animals), exclude=["bee"]), exclude=["ant", "bee"])
    assert alone.excluded == {"ant": 2, "bee": 3}


def test_classes_that_the_teacher_knows_are_left_out(animals: Path) -> None:
    (pool,) = opened(animals, exclude="known", teacher_classes=["cat", "truck", "seahorse"])
    assert pool.excluded == {"cat": 1, "garbage truck": 2}
    (whole,) = opened(animals, exclude="known", teacher_classes=["fish"])
    assert whole.excluded == {}


def test_of_one_image_what_is_left(animals: Path) -> None:
    (pool,) = opened(PoolSettings(name=str(animals), exclude=["ant", "bee", "garbage truck"]))
    assert len(pool.images) == 1
    with pytest.raises(UserError, match=r"pool 'animals.parquet' holds no images but those .* \(8 of 4 classes\)"):
        opened(PoolSettings(name=str(animals), exclude=[0, 1, 2, 3]))
    with pytest.raises(UserError, match="leave the pool out"):
        opened("digits", exclude="known", teacher_classes=[str(digit) for digit in range(10)])


def test_where_names_tell_nothing_nothing_is_left_out_and_that_is_said(tmp_path: Path) -> None:
    images = odd_images()[:2]
    ids = write_table(tmp_path / "ids.parquet", images, ["n99999998", "n99999999"], label=[0, 1])
    bare = write_table(tmp_path / "bare.parquet", images)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pools = opened(ids, bare, exclude="known", teacher_classes=["cat"])
    assert [pool.excluded for pool in pools] == [{}, {}]
    texts = [str(warning.message) for warning in caught]
    assert "which classes of pool 'ids.parquet' the teacher knows" in texts[0]
    assert "WordNet ids (n99999998, n99999999)" in texts[0]
    assert "pool 'bare.parquet' the teacher knows" in texts[1]
    assert "the pool has no labels" in texts[1]


@pytest.mark.parametrize(
    ("own", "over_all", "message"),
    [
        (["bea"], [], r"pool 'animals.parquet' must name classes of it, got 'bea' \(did you mean 'bee'\?\)"),
        ([4], [], r"`exclude` of pool 'animals.parquet' must lie in 0..3, or name classes as text, got 4"),
        ([-1], [], r"must lie in 0..3, or name classes as text, got -1"),
        ([], ["truk"], r"`exclude` must name classes of the pools, got 'truk'.*Leave out what no pool has"),
        ([], ["bea", "ant", "10"], r"'bea' \(did you mean 'bee' of 'animals.parquet'\?\), '10' \(did you mean '1' of"),
    ],
)
def test_classes_that_there_are_not(animals: Path, own: list[str | int], over_all: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        opened(PoolSettings(name=str(animals), exclude=own), "digits", exclude=over_all)


def test_numbers_that_are_names_are_refused(tmp_path: Path) -> None:
    path = write_table(tmp_path / "set.parquet", odd_images()[:3], ["2", "1", "0"], label=[0, 1, 2])
    with pytest.raises(UserError, match=r"2 is the number of class '0' and the name of another; give names, as text"):
        opened(PoolSettings(name=str(path), exclude=[2]))
    (pool,) = opened(PoolSettings(name=str(path), exclude=[1, "2"]))
    assert pool.excluded == {"2": 1, "1": 1}


def test_without_labels_nothing_can_be_left_out(tmp_path: Path) -> None:
    path = write_table(tmp_path / "bare.parquet", odd_images()[:2])
    with pytest.raises(UserError, match=r"`exclude` of pool 'bare.parquet' needs labels, and it has none"):
        opened(PoolSettings(name=str(path), exclude=["cat"]))


def test_no_pools() -> None:
    with pytest.raises(UserError, match="`pools` must be at least one"):
        open_pools([], SHAPE)
    with pytest.raises(UserError, match="unknown dataset 'digit'; did you mean 'digits'"):
        opened("digit")


# Names.


def test_names_are_distinct_whatever_the_order() -> None:
    settings = [
        PoolSettings(name="cifar100"),
        PoolSettings(name="cifar100", split="test"),
        PoolSettings(name="/data/a/photos"),
        PoolSettings(name="/data/b/photos"),
        PoolSettings(name="photos", images=10),
        PoolSettings(name="photos", images=20),
        PoolSettings(name="owner/photos:small"),
    ]
    names = distinct_names(settings)
    assert names == [
        "cifar100/train",
        "cifar100/test",
        "/data/a/photos/train",
        "/data/b/photos/train",
        "photos/train (1)",
        "photos/train (2)",
        "photos:small",
    ]
    for order in list(permutations(range(len(settings))))[::97]:
        assert distinct_names([settings[place] for place in order]) == [names[place] for place in order]


def test_the_same_pool_twice(animals: Path) -> None:
    assert [pool.name.removeprefix(str(animals)) for pool in opened(animals, animals)] == ["/train (1)", "/train (2)"]


def test_pools_tell_how_far_they_are(animals: Path) -> None:
    calls: list[tuple[Any, ...]] = []

    class Watch:
        def begin(self, title: str, total: int, done: int = 0) -> None:
            calls.append((title, total))

        def update(self, done: int, note: str = "") -> None:
            calls.append((done, note))

        def end(self) -> None:
            calls.append(())

    opened(animals, "digits", progress=Watch())
    assert calls == [("opening pools", 2), (1, "animals.parquet"), (2, "digits"), ()]


def test_sets_of_ones_own_are_pools() -> None:
    pixels = torch.arange(6 * 3 * 16 * 16).remainder(251).to(torch.uint8).view(6, 3, 16, 16)
    register("datasets", "mine", lambda split: ImageSet(pixels, [0, 1, 2, 0, 1, 2], classes=["a", "b", "c"]))
    try:
        (pool,) = opened(PoolSettings(name="mine", images=4, exclude=["b"]), shape=(1, 8, 8))
    finally:
        unregister("datasets", "mine")
    assert (pool.images.shape, pool.images.ids.tolist(), pool.excluded) == ((1, 8, 8), [0, 2, 3], {"b": 1})


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 6, 5)])
def test_images_that_were_handed_over_are_pools(shape: tuple[int, int, int], animals: Path) -> None:
    images = load(animals, size=8, in_memory=False).subset(torch.tensor([7, 2, 4, 0]))
    settings = PoolSettings(name="python:mine", images=3, exclude=["cat"])
    (pool,) = opened(settings, shape=shape, handed={"python:mine": images})
    assert (pool.name, pool.images.ids.tolist(), labels_of(pool)) == ("animals.parquet/train", [7, 2], [3, 1])
    assert pool.images.shape == shape
    (same,) = opened(PoolSettings(name=str(animals)), shape=shape)
    assert torch.equal(pool.images.digests(), same.images.subset(torch.tensor([7, 2])).digests()) or shape[0] == 1
    with pytest.raises(UserError, match=r"`streaming` and `scale` of pool 'animals.parquet/train' must be left out"):
        opened(PoolSettings(name="python:mine", streaming=True, scale=3.0), handed={"python:mine": images}, shape=shape)


# Streams.


def test_a_streamed_pool_is_what_a_loaded_one_is(animals: Path) -> None:
    loaded, streamed = opened(
        PoolSettings(name=str(animals), exclude=["bee"]),
        PoolSettings(name=str(animals), exclude=["bee"], streaming=True),
    )
    assert streamed.images.fingerprint == loaded.images.fingerprint
    assert (streamed.excluded, streamed.read, streamed.images.classes) == ({"bee": 3}, 8, loaded.images.classes)


def test_classes_are_looked_for_before_a_stream_is_read(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("nothing is read")

    monkeypatch.setattr("limbeck.data.streaming.read_on", never)
    with pytest.raises(UserError, match="must name classes of it, got 'ape'"):
        opened(PoolSettings(name=str(animals), streaming=True, exclude=["ape"]))
    with pytest.raises(UserError, match="must name classes of the pools, got 'ape'"):
        opened(PoolSettings(name=str(animals), streaming=True), exclude=["ape"])


def test_of_labels_without_names_only_reading_tells(tmp_path: Path) -> None:
    path = write_table(tmp_path / "numbers.parquet", odd_images()[:4], label=[4, 2, 4, 0])
    (pool,) = opened(PoolSettings(name=str(path), streaming=True, exclude=[2]), exclude=["0"])
    assert (labels_of(pool), pool.excluded) == ([4, 4], {"0": 1, "2": 1})
    with pytest.raises(UserError, match=r"must lie in 0..4, or name classes as text, got 5"):
        opened(PoolSettings(name=str(path), streaming=True, exclude=[5]))


def test_procedural_images_are_pools_of_a_kind_and_a_seed() -> None:
    settings = [PoolSettings(name="noise:pink", images=9, seed=seed) for seed in (0, 1)]
    pink, other, leaves = opened(*settings, PoolSettings(name="dead-leaves", images=5), shape=(1, 8, 8))
    assert [pool.name for pool in (pink, other, leaves)] == [
        "noise:pink/train (1)",
        "noise:pink/train (2)",
        "dead-leaves",
    ]
    assert (pink.images.shape, len(pink.images), len(leaves.images), pink.images.labels) == ((1, 8, 8), 9, 5, None)
    assert pink.images.fingerprint == load("noise:pink", images=9, size=8, channels=1).fingerprint
    assert other.images.fingerprint == load("noise:pink", images=9, size=8, channels=1, seed=1).fingerprint
    with pytest.raises(UserError, match="`images` must say how many of 'noise' to make, which has no end"):
        opened("noise")
    with pytest.raises(UserError, match="`streaming` reads from the hub, and 'noise' is not on the hub"):
        opened(PoolSettings(name="noise", images=5, streaming=True))
    with pytest.raises(UserError, match="`label_column` must be left out for 'noise'"):
        opened(PoolSettings(name="noise", images=5, label_column="y"))
    with pytest.raises(UserError, match="exclude"):
        opened(PoolSettings(name="noise", images=5, exclude=["cat"]))


def test_large_pools_stay_encoded(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = PoolSettings(name=str(animals), exclude=["ant"])
    (held,) = opened(settings)
    monkeypatch.setattr("limbeck.data.encoded.build.IN_MEMORY_LIMIT", 1)
    (large,) = opened(settings)
    assert (held.images.is_decoded, large.images.is_decoded) == (True, False)
    assert large.images.fingerprint == held.images.fingerprint
    (resized,) = opened(PoolSettings(name="mine"), shape=(1, 4, 4), handed={"mine": large.images})
    assert not resized.images.is_decoded
    both = join([resized.images], [0, 0], [3, 1], ids=[0, 1], classes=["cat"], name="joined")
    assert torch.equal(both.tensor(), resized.images.tensor()[[3, 1]])
