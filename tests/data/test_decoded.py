import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.caching import cache_folder
from limbeck.data import ImageSet, load
from limbeck.data.encoded import build as materialise_module


@pytest.fixture
def file(write_parquet, pixels: np.ndarray) -> Path:
    return write_parquet("set.parquet", list(pixels), [0, 1] * 6)


def cached(kind: str) -> list[Path]:
    folder = cache_folder() / kind
    return sorted(folder.iterdir()) if folder.exists() else []


def never(*_: object, **__: object) -> None:
    raise AssertionError("decoded again")


def assert_same(one: ImageSet, other: ImageSet) -> None:
    assert torch.equal(one.tensor(), other.tensor())
    assert one.fingerprint == other.fingerprint
    assert one.ids.tolist() == other.ids.tolist()


def test_quick_sets_are_not_cached(file: Path):
    load(file)
    assert cached("decoded") == []


@pytest.mark.usefixtures("cached_at_once")
def test_second_load_decodes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch):
    first = load(file)
    assert len(cached("decoded")) == 1
    monkeypatch.setattr(materialise_module, "decode_many", never)
    again = load(file)
    assert_same(first, again)
    assert_same(first, ImageSet(first.tensor().clone(), first.labels))


@pytest.mark.usefixtures("cached_at_once")
def test_options_and_changed_files_are_decoded_anew(file: Path, write_parquet, pixels: np.ndarray):
    first = load(file)
    assert load(file, size=3).shape == (3, 3, 3)
    assert load(file, channels=1).shape == (1, 6, 5)
    assert load(file, classes=["1"]).ids.tolist() == [1, 3, 5, 7, 9, 11]
    write_parquet("set.parquet", list(pixels[::-1]), [0, 1] * 6)
    os.utime(file, ns=(1, 1))
    changed = load(file)
    assert torch.equal(changed.tensor(), first.tensor().flip(0))
    assert len(cached("decoded")) == 5


@pytest.mark.usefixtures("cached_at_once")
def test_a_file_replaced_with_its_size_and_time_is_decoded_anew(tmp_path: Path, pixels: np.ndarray):
    photo = tmp_path / "photos" / "0.png"
    photo.parent.mkdir()
    Image.fromarray(pixels[0]).save(photo, compress_level=0)
    load(photo.parent)
    before = photo.stat()
    Image.fromarray(pixels[1]).save(photo, compress_level=0)
    assert photo.stat().st_size == before.st_size, "else the size would tell"
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert np.array_equal(load(photo.parent).tensor()[0].permute(1, 2, 0), pixels[1])


@pytest.mark.usefixtures("cached_at_once")
def test_skipped_images_stay_skipped(write_parquet, pixels: np.ndarray):
    file = write_parquet("set.parquet", [pixels[0], b"garbage", pixels[2]], [0, 1, 1])
    first, again = load(file, skip_unreadable=True), load(file, skip_unreadable=True)
    assert len(cached("decoded")) == 1
    assert_same(first, again)
    assert (again.skipped, again.ids.tolist()) == (1, [0, 2])


@pytest.mark.usefixtures("cached_at_once")
@pytest.mark.parametrize("name", ["images.npy", "digests.npy", "readable.npy"])
def test_damaged_cache_is_made_anew(file: Path, name: str):
    decoded = load(file)
    first = ImageSet(decoded.tensor().clone(), decoded.labels)
    damaged = cached("decoded")[0] / name
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert_same(first, load(file))


@pytest.mark.usefixtures("cached_at_once")
def test_cache_that_cannot_be_written_is_a_warning(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = load(file)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr("limbeck.files.tempfile.mkdtemp", refuse)
    with pytest.warns(
        UserWarning, match=r"decoded images are not cached: cannot write .* \(LIMBECK_CACHE names the folder\)"
    ):
        assert_same(first, load(file))


@pytest.mark.usefixtures("cached_at_once")
@pytest.mark.usefixtures("cached_at_once")
def test_a_cache_that_others_write_to_at_once_is_a_warning(file: Path, monkeypatch: pytest.MonkeyPatch):
    first = load(file)
    shutil.rmtree(cached("decoded")[0])

    def vanished(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "rename", vanished)
    with pytest.warns(UserWarning, match="decoded images are not cached: .*No such file"):
        assert_same(ImageSet(first.tensor().clone(), first.labels), load(file))


def test_writing_into_a_cached_set_does_not_reach_the_disk(file: Path):
    before = load(file).tensor().clone()
    load(file).tensor().zero_()
    assert torch.equal(load(file).tensor(), before)


def test_hashes_of_encoded_sets_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch):
    first = load(file, in_memory=False)
    fingerprint = first.fingerprint
    assert len(cached("digests")) == 1
    assert len(cached("arrow")) == 1
    monkeypatch.setattr("limbeck.data.storage.image_digests", never)
    assert load(file, in_memory=False).fingerprint == fingerprint


def test_large_sets_stay_encoded_by_themselves(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(materialise_module, "IN_MEMORY_LIMIT", 12 * 90 - 1)
    monkeypatch.setattr(materialise_module, "write_decoded", never)
    large = load(file)
    monkeypatch.undo()
    assert_same(large, load(file))


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LIMBECK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "limbeck"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "limbeck"
