"""Images read from front to back: each once, kept in the given shape, whatever interrupts the reading."""

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from PIL import Image

from limbeck.caching import cache_entries
from limbeck.data import ImageSet, load, stream_reading, streaming
from limbeck.data.encoded.decode_many import decode_many
from limbeck.data.stream_cache import StreamCache, joined_labels
from limbeck.data.stream_source import Stream, open_stream
from limbeck.data.streaming import open_streamed
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.progress import Progress, Silent

SHAPE = (3, 8, 8)
COUNT = 40
BATCH = 16


def png(row: int) -> bytes:
    noise = np.random.default_rng(row).integers(0, 256, (9, 8 + row % 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    return buffer.getvalue()


IMAGES = [png(row) for row in range(COUNT)]
LABELS = [row % 3 for row in range(COUNT)]


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_root: None) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "huggingface"))
    monkeypatch.setattr(stream_reading, "SHARD_BYTES", 1)  # each batch is a shard
    monkeypatch.setattr("limbeck.data.stream_source._BATCH", BATCH)


@pytest.fixture
def shards(write_parquet) -> Path:
    """40 images in two files, and a few of a test split."""
    for part, rows in enumerate((slice(0, 22), slice(22, COUNT))):
        path = f"set/data/train-{part:05d}-of-00002.parquet"
        write_parquet(path, IMAGES[rows], LABELS[rows], names=["ant", "bee", "cat"])
    test = write_parquet("set/data/test-00000-of-00001.parquet", IMAGES[:2], [0, 1], names=["ant", "bee", "cat"])
    return test.parents[1]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Records how many images each decoded batch has."""
    batches: list[int] = []

    def counted(images: Any, rows: np.ndarray, *rest: Any, **options: Any) -> np.ndarray:
        batches.append(len(rows))
        return decode_many(images, rows, *rest, **options)

    monkeypatch.setattr(stream_reading, "decode_many", counted)
    return batches


def load_stream(
    name: str | Path, split: str = "train", *, progress: Progress | None = None, **options: Any
) -> ImageSet:
    return open_streamed(name, split, **options).read(progress or Silent())


def same(streamed: ImageSet, whole: ImageSet) -> bool:
    assert streamed.is_decoded
    assert torch.equal(streamed.tensor(), whole.tensor())
    assert streamed.classes == whole.classes
    return streamed.fingerprint == whole.fingerprint and streamed.name == whole.name


def test_a_stream_is_what_loading_gives(shards: Path, decoded: list[int]) -> None:
    whole = load(shards, size=8)
    assert same(load_stream(shards, shape=SHAPE), whole)
    assert sum(decoded) == COUNT
    assert same(load_stream(shards, shape=SHAPE), whole), "and needs no stream again"
    assert sum(decoded) == COUNT
    assert load_stream(shards, shape=(1, 4, 6), count=5).shape == (1, 4, 6)
    assert len(load_stream(shards, "test", shape=SHAPE)) == 2


def test_of_a_stream_as_much_as_is_asked_for(shards: Path, decoded: list[int]) -> None:
    whole = load(shards, size=8)
    assert same(load_stream(shards, count=18, shape=SHAPE), whole.subset(torch.arange(18)))
    assert decoded == [BATCH, 2]
    assert same(load_stream(shards, count=7, shape=SHAPE), whole.subset(torch.arange(7)))
    assert decoded == [BATCH, 2]
    assert same(load_stream(shards, count=25, shape=SHAPE), whole.subset(torch.arange(25)))
    assert sum(decoded) == 25
    assert len(load_stream(shards, count=1000, shape=SHAPE)) == COUNT
    assert sum(decoded) == COUNT
    load_stream(shards, count=2000, shape=SHAPE)
    assert sum(decoded) == COUNT, "the stream is known to have ended"


class Stopping(Silent):
    """Fails, or requests a stop, after some images."""

    def __init__(self, at: int, error: type[BaseException] | None = None) -> None:
        self.at = at
        self.error = error

    def update(self, done: int, note: str = "") -> None:
        if done >= self.at and self.error is not None:
            raise self.error("killed")
        if done >= self.at:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("error", [None, RuntimeError, MemoryError])
def test_what_was_stopped_goes_on(shards: Path, decoded: list[int], error: type[BaseException] | None) -> None:
    with pytest.raises(error or Interrupted, match=r"stopped after 16 images of 'set/train'|killed"):
        load_stream(shards, count=36, shape=SHAPE, progress=Stopping(10, error))
    assert same(load_stream(shards, count=36, shape=SHAPE), load(shards, size=8).subset(torch.arange(36)))
    assert sum(decoded) == 36


def test_what_a_kill_leaves_of_a_shard_is_written_over(shards: Path, decoded: list[int]) -> None:
    load_stream(shards, count=BATCH, shape=SHAPE)
    (entry,) = cache_entries("streams")
    with (entry.path / "images.bin").open("ab") as file:
        file.write(b"half a shard")
    (entry.path / ".000001.parquet.tmp.parquet").write_bytes(b"not renamed yet")
    assert same(load_stream(shards, shape=SHAPE), load(shards, size=8))
    assert sum(decoded) == COUNT
    (entry.path / "images.bin").write_bytes(b"")
    with pytest.raises(UserError, match=rf"is damaged; `limbeck cache rm {entry.key[:10]}` removes it"):
        load_stream(shards, shape=SHAPE)
    (entry.path / "000000.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        load_stream(shards, shape=SHAPE)
    (entry.path / "000000.parquet").unlink()
    (entry.path / "about.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        load_stream(shards, shape=SHAPE)


def test_what_has_lost_its_end_is_not_filled_with_zeros(shards: Path) -> None:
    load_stream(shards, count=BATCH, shape=SHAPE)
    (entry,) = cache_entries("streams")
    with (entry.path / "images.bin").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(UserError, match=rf"is damaged; `limbeck cache rm {entry.key[:10]}` removes it"):
        load_stream(shards, shape=SHAPE)
    assert (entry.path / "images.bin").stat().st_size == 100


def broken_off(stream: Stream, after: int) -> Stream:
    def rows(start: int) -> Iterator[pa.Table]:
        for batch in stream.rows(start):
            yield batch
            if start + len(batch) >= after:
                raise ConnectionError("connection reset by peer")

    return replace(stream, rows=rows, count=None)


def test_what_broke_off_goes_on(shards: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[int, str]] = []

    class Watch(Silent):
        def update(self, done: int, note: str = "") -> None:
            heard.append((done, note))

    with monkeypatch.context() as patch:
        patch.setattr(streaming, "open_stream", lambda *a, **k: broken_off(open_stream(*a, **k), 10))
        with pytest.raises(UserError, match=r"broke off after 16 images: connection reset by peer. They are kept"):
            load_stream(shards, shape=SHAPE, progress=Watch())
    assert heard == [(0, "16 images")], "nobody knows how many there are"
    assert same(load_stream(shards, shape=SHAPE), load(shards, size=8))
    assert sum(decoded) == COUNT


def test_images_that_cannot_be_read(write_parquet, shards: Path, decoded: list[int]) -> None:
    images: list[Any] = [*IMAGES[:19], b"no image", b"", *IMAGES[19:28]]
    path = write_parquet("broken.parquet", images, None)
    with pytest.raises(UserError, match=r"row 19 of '.*broken.parquet' cannot be read as an image: cannot identify"):
        load_stream(path, shape=SHAPE)
    assert decoded == [BATCH, 14]
    streamed = load_stream(path, shape=SHAPE, skip_unreadable=True)
    assert decoded == [BATCH, 14, 14], "the first batch was kept"
    assert streamed.skipped == 2
    assert streamed.ids.tolist() == [*range(19), *range(21, 30)]
    assert streamed.labels is None
    whole = load(path, size=8, skip_unreadable=True)
    assert same(streamed, whole)
    with pytest.raises(UserError, match=r"row 19 of '.*broken.parquet' cannot be read as an image: it could not be"):
        load_stream(path, shape=SHAPE)
    assert len(load_stream(path, shape=SHAPE, count=19)) == 19
    unreadable = write_parquet("none.parquet", [b"", b"x"], None)
    with pytest.raises(UserError, match="holds no readable image: all 2 were skipped"):
        load_stream(unreadable, shape=SHAPE, skip_unreadable=True)


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ([5, 2, 5], ("0", "1", "2", "3", "4", "5"), [5, 2, 5]),
        (["b", "a", "b"], ("a", "b"), [1, 0, 1]),
        ([-1, -1, -1], (), None),
        ([None, None, None], (), None),
    ],
)
def test_labels_without_names(
    write_parquet, labels: list[Any], classes: tuple[str, ...], numbers: list[int] | None
) -> None:
    """Numbers may have gaps, since later rows may fill them."""
    path = write_parquet("set.parquet", IMAGES[:3], labels)
    images = load_stream(path, shape=SHAPE, count=3)
    assert images.classes == classes
    assert (None if images.labels is None else images.labels.tolist()) == numbers


@pytest.mark.parametrize("labels", [[0, None, 1], [0, -1, 1], [0.5, 1, 2], [2**40, 0, 1]])
def test_labels_that_cannot_be_numbered_are_left_aside(write_parquet, labels: list[Any]) -> None:
    path = write_parquet("set.parquet", IMAGES[:3], labels)
    with pytest.warns(UserWarning, match=r"the labels of .set.parquet/train. are left aside: labels in column .label."):
        assert load_stream(path, shape=SHAPE).labels is None
    with pytest.raises(UserError, match="labels in column 'label' of"):
        load_stream(path, shape=SHAPE, label_column="label")


def test_columns_by_name(tmp_path: Path, write_parquet) -> None:
    path = write_parquet("set.parquet", IMAGES[:3], [0, 1, 0], image="photo", label="kind", typed=False)
    with pytest.raises(UserError, match=r"`image_column` must be named: .* it has photo, kind"):
        load_stream(path, shape=SHAPE)
    images = load_stream(path, shape=SHAPE, image_column="photo", label_column="kind")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 0]
    with pytest.raises(UserError, match=r"`label_column` must be a column of .*, got 'sort'"):
        load_stream(path, shape=SHAPE, image_column="photo", label_column="sort")


def test_other_kinds_of_columns(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8), dtype=np.uint8)
    pq.write_table(pa.table({"image": pixels.tolist()}), tmp_path / "lists.parquet")
    pq.write_table(pa.table({"image": pa.array(IMAGES[:4])}), tmp_path / "bytes.parquet")
    lists = load_stream(tmp_path / "lists.parquet", shape=(1, 8, 8))
    assert np.array_equal(lists.tensor()[:, 0].numpy(), pixels)
    whole = load(tmp_path / "bytes.parquet", size=8, channels=3)
    assert same(load_stream(tmp_path / "bytes.parquet", shape=SHAPE), whole)


def test_the_value_that_is_white(tmp_path: Path) -> None:
    pixels = np.full((3, 8, 8), 1000, dtype=np.uint16)
    lists = pa.array(pixels.tolist(), pa.list_(pa.list_(pa.uint16())))
    pq.write_table(pa.table({"image": lists}), tmp_path / "dark.parquet")
    with pytest.warns(UserWarning, match="are dark"):
        load_stream(tmp_path / "dark.parquet", shape=SHAPE)
    assert int(load_stream(tmp_path / "dark.parquet", shape=SHAPE, scale=1000).tensor().min()) == 255


# The Hub


@pytest.fixture
def hub(shards: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands in for a Hub with one repository; returns the requests it received."""
    requests: list[tuple[Any, ...]] = []
    local = datasets.load_dataset_builder

    def load_dataset_builder(path: str, *rest: Any, revision: str | None = None, **options: Any) -> Any:
        if path == "parquet":
            return local(path, *rest, **options)
        requests.append((path, *rest, revision, *([options["data_files"]] if "data_files" in options else [])))
        if path not in ("owner/insects", "frgfm/imagenette"):
            raise ConnectionError("no such repository")
        files = {"train": str(shards / "data" / "train-*.parquet"), "test": str(shards / "data" / "test-*.parquet")}
        builder = local("parquet", data_files=files)
        builder.hash = "c0ffee"
        return builder

    monkeypatch.setattr(datasets, "load_dataset_builder", load_dataset_builder)
    return requests


def test_a_repository_is_read_as_it_was_at_first(shards: Path, hub: list[tuple[Any, ...]]) -> None:
    whole = load(shards, size=8)
    streamed = load_stream("owner/insects", count=10, shape=SHAPE)
    assert (streamed.name, streamed.classes) == ("insects/train", whole.classes)
    assert torch.equal(streamed.tensor(), whole.tensor()[:10])
    all_streamed = load_stream("owner/insects", count=30, shape=SHAPE)
    assert torch.equal(all_streamed.tensor(), whole.tensor()[:30])
    assert hub == [("owner/insects", None, None), ("owner/insects", None, "c0ffee")]
    load_stream("owner/insects", count=30, shape=SHAPE)
    assert len(hub) == 2, "what is kept needs no connection"
    assert len(load_stream("owner/insects:small", "test", shape=SHAPE)) == 2
    assert hub[-1] == ("owner/insects", "small", None)


def test_a_converted_repository_of_the_catalogue(hub: list[tuple[Any, ...]]) -> None:
    load_stream("imagenette", count=1, shape=SHAPE)
    assert hub == [("frgfm/imagenette", "refs/convert/parquet", {"train": "160px/train/*.parquet"})]


def test_what_the_local_root_has_is_read_there(
    shards: Path, hub: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "root" / "owner").mkdir(parents=True)
    shards.rename(tmp_path / "root" / "owner" / "insects")
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "root"))
    assert len(load_stream("owner/insects", shape=SHAPE)) == COUNT
    assert hub == []


def test_images_in_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Repositories of image files stream like this: rows are the files' addresses."""
    for row, name in enumerate(["ant/1.png", "ant/2.png", "bee/3.png"]):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(IMAGES[row])
    local = datasets.load_dataset_builder
    monkeypatch.setattr(
        datasets, "load_dataset_builder", lambda *a, **k: local("imagefolder", data_dir=str(tmp_path / "photos"))
    )
    images = load_stream("owner/photos", shape=SHAPE)
    assert same_pictures(images, load(tmp_path / "photos", size=8))


def same_pictures(streamed: ImageSet, whole: ImageSet) -> bool:
    return sorted(map(bytes, streamed.digests().numpy())) == sorted(map(bytes, whole.digests().numpy()))


def test_images_at_addresses_are_fetched(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/one.png", IMAGES[0])
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"path": "memory://one.png"}, {"bytes": IMAGES[1], "path": "two.png"}, {"path": "memory://gone.png"}, None]
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), tmp_path / "far.parquet")
    images = load_stream(tmp_path / "far.parquet", shape=SHAPE, skip_unreadable=True)
    assert (images.ids.tolist(), images.skipped) == ([0, 1], 2)


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_bytes(IMAGES[0])
    pq.write_table(pa.table({"image": ["photos/one.png"]}), tmp_path / "paths.parquet")
    assert same(load_stream(tmp_path / "paths.parquet", shape=SHAPE), load(tmp_path / "paths.parquet", size=8))


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("owner/nothing", "train", "dataset 'owner/nothing' could not be opened. No local root .* no such repository"),
        ("owner/insects", "validation", "`split` of 'owner/insects' must be 'train' or 'test'"),
        ("digits", "train", "`streaming` reads from the hub, and 'digits' is not on the hub; leave `streaming` out"),
        ("imagenet-1k:imagewoof", "train", "'imagenet-1k:imagewoof' is a part of another"),
        ("cifar10", "extra", "`split` of 'cifar10' must be 'train' or 'test'"),
        ("cifar", "train", "unknown dataset 'cifar'; did you mean"),
        ("./nowhere", "train", "there is no file or folder './nowhere'"),
    ],
)
def test_what_cannot_be_streamed(hub: list[tuple[Any, ...]], name: str, split: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_stream(name, split, shape=SHAPE)


def test_what_is_no_table_cannot_be_streamed(write_folder, tmp_path: Path, write_parquet) -> None:
    folder = write_folder({"one.png": IMAGES[0]})
    with pytest.raises(UserError, match=r"`streaming` reads tables, .* and '.*own' is none"):
        load_stream(folder, shape=SHAPE)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"damaged.parquet' cannot be read as Parquet"):
        load_stream(tmp_path / "damaged.parquet", shape=SHAPE)
    with pytest.raises(UserError, match=r"empty.parquet' holds no images"):
        load_stream(write_parquet("empty.parquet", [], []), shape=SHAPE)
    with pytest.raises(UserError, match="`count` must be at least 1, got 0"):
        load_stream(folder, shape=SHAPE, count=0)


def test_a_stream_that_another_process_reads_is_waited_for(shards: Path) -> None:
    load_stream(shards, count=1, shape=SHAPE)
    (entry,) = cache_entries("streams")
    lock = FileLock(entry.path / ".lock")
    lock.acquire()

    class Watch(Silent):
        def say(self, message: str) -> None:
            assert message == "another process is reading set/train; waiting for it"
            lock.release()

    assert len(load_stream(shards, count=2, shape=SHAPE, progress=Watch())) == 2
    assert not lock.is_locked


def test_of_two_that_begin_a_stream_one_says_which_revision_is_read(
    hub: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*arguments: Any, **options: Any) -> Stream:
        monkeypatch.setattr(streaming, "open_stream", open_stream)
        load_stream("owner/insects", count=1, shape=SHAPE)
        opened = open_stream(*arguments, **options)
        return replace(opened, about={**opened.about, "commit": "decaf"})

    monkeypatch.setattr(streaming, "open_stream", overtaken)
    load_stream("owner/insects", count=2, shape=SHAPE)
    assert [revision for _, _, revision in hub] == [None, None, "c0ffee"]


def test_what_cannot_be_opened_leaves_nothing(hub: list[tuple[Any, ...]]) -> None:
    with pytest.raises(UserError, match="could not be opened"):
        load_stream("owner/nothing", shape=SHAPE)
    assert cache_entries("streams") == []


def test_a_cache_that_cannot_be_written(shards: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write '.*': '.*file' is in its way"):
        load_stream(shards, shape=SHAPE)


def test_a_path_with_letters_of_patterns(tmp_path: Path, write_parquet) -> None:
    path = write_parquet("set [1] *?/data.parquet", IMAGES[:2], [0, 1])
    assert same(load_stream(path, shape=SHAPE), load(path, size=8))


def test_a_picture_that_a_table_names_may_change(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": ["one.png"]}), tmp_path / "paths.parquet")
    for row in (0, 3):
        (tmp_path / "one.png").write_bytes(IMAGES[row])
        os.utime(tmp_path / "one.png", ns=(row, row))
        streamed = load_stream(tmp_path / "paths.parquet", shape=SHAPE)
        assert same(streamed, load(tmp_path / "paths.parquet", size=8))


LACKING = pa.chunked_array([pa.nulls(2)])


def test_labels_of_batches_that_lack_them_all() -> None:
    numbers = pa.chunked_array([pa.array([3, 4])])
    assert joined_labels([LACKING, numbers, LACKING]).to_pylist() == [None, None, 3, 4, None, None]
    assert joined_labels([LACKING]).to_pylist() == [None, None]
    assert joined_labels([numbers, pa.chunked_array([pa.array([0.5])])]).type == pa.float64()
    with pytest.raises(UserError, match="labels of a stream must be of one type, got int64 and string; state the type"):
        joined_labels([numbers, pa.chunked_array([pa.array(["ant"])])])


def test_a_shard_whose_first_batch_lacks_labels(tmp_path: Path) -> None:
    cache = StreamCache(tmp_path, SHAPE)
    shard = stream_reading._Shard(cache)
    for labels in (LACKING, pa.chunked_array([pa.array([3, 4])])):
        shard.add(np.zeros((2, *SHAPE), np.uint8), np.ones(2, dtype=bool), labels, [])
    shard.keep()
    assert cache.read(4).labels.to_pylist() == [None, None, 3, 4]
