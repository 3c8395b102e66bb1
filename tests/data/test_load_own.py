"""`load` on the user's own files: folders, Parquet, arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from limbeck.data import ImageSet, load
from limbeck.errors import UserError


def labels_of(images: ImageSet) -> list[int]:
    assert images.labels is not None
    return images.labels.tolist()


def same(images: ImageSet, pixels: np.ndarray) -> bool:
    """Whether `images` are `pixels` [N, H, W, C]."""
    return np.array_equal(images.tensor().numpy(), pixels.transpose(0, 3, 1, 2))


# Folders


def test_class_folders(write_folder, pixels: np.ndarray):
    base = write_folder({"dog/b.png": pixels[1], "cat/a.png": pixels[0], "dog/deep/c.png": pixels[2], "cat/x.txt": b""})
    images = load(base)
    assert same(images, pixels[:3])
    assert (images.classes, labels_of(images), images.name) == (("cat", "dog"), [0, 1, 1], "own/train")


def test_split_folders_share_the_numbering_of_training(write_folder, pixels: np.ndarray):
    base = write_folder(
        {"train/ant/1.png": pixels[0], "train/bee/1.png": pixels[1], "train/cat/1.png": pixels[2]}
        | {"val/cat/2.png": pixels[3], "test/bee/2.png": pixels[4]}
    )
    for split in ("val", "validation", "valid"):
        assert labels_of(load(base, split)) == [2]
    assert labels_of(load(base, "test")) == [1]
    assert load(base, "test").classes == ("ant", "bee", "cat")
    with pytest.raises(UserError, match=r"`split` of .*own' must be 'test' or 'train' or 'validation', got 'extra'"):
        load(base, "extra")


def test_folder_without_classes_is_unlabelled(write_folder, pixels: np.ndarray):
    images = load(write_folder({"b.png": pixels[1], "a.png": pixels[0]}))
    assert images.labels is None
    assert same(images, pixels[:2])


@pytest.mark.parametrize("argument", ["image_column", "label_column"])
def test_folders_have_no_columns(write_folder, pixels: np.ndarray, argument: str):
    base = write_folder({"cat/a.png": pixels[0]})
    with pytest.raises(
        UserError, match=f"`{argument}` is for tables, .* with a metadata.csv, and '.*own' is none; leave"
    ):
        load(base, **{argument: "kind"})
    with pytest.raises(UserError, match=f"`{argument}` is for tables and .npz files, and 'digits' is none; leave"):
        load("digits", **{argument: "kind"})


def test_wrong_folders_are_named(write_folder, pixels: np.ndarray, tmp_path: Path):
    with pytest.raises(UserError, match=r"class folder '.*/empty/dog' holds no images; add some or remove it"):
        load(write_folder({"cat/1.png": pixels[0], "dog/readme.txt": b""}, "empty"))
    with pytest.raises(UserError, match=r"holds no images \(of .avif, .*\) and no class folders"):
        load(write_folder({"readme.txt": b""}, "nothing"))
    with pytest.raises(UserError, match=r"holds images beside class folders, for instance '1.png'; put each into one"):
        load(write_folder({"1.png": pixels[0], "cat/1.png": pixels[0]}, "mixed"))
    with pytest.raises(UserError, match=r"`split` of .* must be 'train', got 'test'. To hold images out"):
        load(write_folder({"cat/1.png": pixels[0]}, "one"), "test")
    with pytest.raises(UserError, match=r"'.*/test/dog' has no counterpart among the training classes"):
        load(write_folder({"train/cat/1.png": pixels[0], "test/dog/1.png": pixels[0]}, "strange"), "test")
    with pytest.raises(UserError, match=r"there is no file or folder '.*/missing'"):
        load(tmp_path / "missing")
    (tmp_path / "list.csv").write_text("")
    with pytest.raises(UserError, match=r"must be a .npz or .parquet file, or a folder, got a .csv file"):
        load(tmp_path / "list.csv")


def test_size_is_needed_when_images_differ(write_folder, pixels: np.ndarray):
    files = {"cat/1.png": pixels[0], "cat/2.png": pixels[1], "dog/1.png": pixels[2][:4]}
    base = write_folder(files)
    with pytest.raises(UserError, match=r"`size` must be given .* \(2 sizes; 6x5 is the commonest, 2 of 3 looked at\)"):
        load(base)
    assert load(base, size=4).shape == (3, 4, 4)
    assert load(base, size=(6, 3)).shape == (3, 6, 3)
    for size in (0, (3, 0)):
        with pytest.raises(UserError, match=r"`size` must be a number of pixels or"):
            load(base, size=size)


def test_gray_images_make_one_channel(write_folder, pixels: np.ndarray):
    base = write_folder({"cat/1.png": pixels[0, :, :, 0], "dog/1.png": pixels[1, :, :, 0]})
    assert load(base).shape == (1, 6, 5)
    assert load(base, channels=3).shape == (3, 6, 5)
    mixed = write_folder({"cat/1.png": pixels[0], "dog/1.png": pixels[1, :, :, 0]}, "mixed")
    assert load(mixed).shape == (3, 6, 5)
    assert load(mixed, channels=1).shape == (1, 6, 5)
    with pytest.raises(UserError, match=r"`channels` must be 1 \(gray\) or 3 \(RGB\), got 4"):
        load(base, channels=4)


def test_unreadable_images_are_named_or_counted(write_folder, pixels: np.ndarray):
    files = {f"cat/{number}.png": pixels[number] for number in range(3)} | {"dog/0.png": pixels[3]}
    base = write_folder(files)
    (base / "cat" / "1.png").write_bytes((base / "cat" / "1.png").read_bytes()[:-60])
    with pytest.raises(UserError, match=r"'.*/cat/1.png' cannot be read as an image: .*`skip_unreadable=True`"):
        load(base)
    for in_memory in (True, False):
        images = load(base, skip_unreadable=True, in_memory=in_memory)
        assert (images.skipped, images.ids.tolist()) == (1, [0, 2, 3])
        assert same(images, pixels[[0, 2, 3]])
    write_folder({"cat/1.png": b"no image"})
    assert load(base, skip_unreadable=True).skipped == 1
    write_folder(dict.fromkeys(files, b"no image"))
    with pytest.raises(UserError, match=r"no image is readable; the first is '.*/cat/0.png'"):
        load(base, skip_unreadable=True)


def test_classes_kept_in_the_order_given(write_folder, pixels: np.ndarray):
    base = write_folder({f"{name}/1.png": pixels[number] for number, name in enumerate(("ant", "bee", "cat"))})
    images = load(base, classes=["cat", 0])
    assert (images.classes, labels_of(images), images.ids.tolist()) == (("cat", "ant"), [1, 0], [0, 2])
    with pytest.raises(UserError, match=r"unknown class 'cta'; did you mean 'cat'"):
        load(base, classes=["cta"])
    with pytest.raises(UserError, match=r"`classes` must lie in 0..2, got 3"):
        load(base, classes=[3])
    with pytest.raises(UserError, match=r"`classes` must be distinct, got 'ant' more than once"):
        load(base, classes=[0, "ant"])


# Parquet


def test_parquet_file_and_encoded_storage_agree(write_parquet, pixels: np.ndarray):
    file = write_parquet("set.parquet", list(pixels), [0, 1] * 6, names=["no", "yes"], image="picture", label="answer")
    decoded = load(file)
    assert same(decoded, pixels)
    assert (decoded.classes, labels_of(decoded)) == (("no", "yes"), [0, 1] * 6)
    encoded = load(file, in_memory=False)
    positions = torch.tensor([7, 0, 7, 3])
    assert torch.equal(encoded.gather(positions), decoded.gather(positions))
    assert torch.equal(encoded.tensor(), decoded.tensor())
    assert encoded.fingerprint == decoded.fingerprint
    assert encoded.subset([5, 2]).fingerprint == decoded.subset([5, 2]).fingerprint
    assert load(file, in_memory=False).fingerprint == decoded.fingerprint


def test_parquet_folder_with_splits_and_shards(write_parquet, pixels: np.ndarray, tmp_path: Path):
    write_parquet("own/data/train-00000-of-00002.parquet", list(pixels[:4]), ["b", "c", "b", "c"])
    write_parquet("own/data/train-00001-of-00002.parquet", list(pixels[4:8]), ["c", "b", "c", "b"])
    write_parquet("own/data/test-00000-of-00001.parquet", list(pixels[8:]), ["a", "c", "a", "c"])
    train, test = load(tmp_path / "own"), load(tmp_path / "own", "test")
    assert same(train, pixels[:8])
    assert (train.classes, labels_of(train)) == (("a", "b", "c"), [1, 2, 1, 2, 2, 1, 2, 1])
    assert labels_of(test) == [0, 2, 0, 2]
    (tmp_path / "own/data/train-00000-of-00002.parquet").unlink()
    with pytest.raises(UserError, match=r"shard 00000 is missing beside"):
        load(tmp_path / "own")


def test_parquet_columns_are_checked(write_parquet, pixels: np.ndarray):
    file = write_parquet("set.parquet", list(pixels), [0, 1] * 6)
    with pytest.raises(
        UserError, match=r"`image_column` must be a column of '.*set.parquet', got 'img'; it has image, label"
    ):
        load(file, image_column="img")
    with pytest.raises(UserError, match=r"`label_column` must be a column of '.*', got 'lable'; it has image, label"):
        load(file, label_column="lable")
    odd = write_parquet("odd.parquet", list(pixels), None, image="photograph", typed=False)
    with pytest.raises(UserError, match=r"`image_column` must be named: no column of .* it has photograph"):
        load(odd)
    assert same(load(odd, image_column="photograph"), pixels)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 1, 3], None, r"must be 0..K-1 with no class left out when no class names are stored, got 0..3 without 2"),
        ([0, 1, -2], None, "got -2"),
        ([0, 1, 2], ["a", "b"], r"must lie in 0..1 \(2 classes\), got 2"),
        ([0, 1, None], None, "must be there for all images or for none, row 2 has none"),
        ([0.5, 1.0, 2.0], None, "must be one integer or string for each image, got float64"),
    ],
)
def test_parquet_labels_are_checked(write_parquet, pixels: np.ndarray, labels: list, names, message: str):
    file = write_parquet("set.parquet", list(pixels[:3]), labels, names=names)
    with pytest.raises(UserError, match=rf"labels in column 'label' of '.*set.parquet' .*{message}"):
        load(file)


def test_labels_withheld_as_minus_one_mean_unlabelled(write_parquet, pixels: np.ndarray):
    images = load(write_parquet("set.parquet", list(pixels[:2]), [-1, -1], names=["a", "b"]))
    assert (images.labels, images.classes) == (None, ("a", "b"))


def test_unreadable_row_is_named(write_parquet, pixels: np.ndarray):
    file = write_parquet("set.parquet", [*pixels[:2], b"garbage", None], [0, 1, 0, 1])
    with pytest.raises(UserError, match=r"row 2 of '.*set.parquet' cannot be read as an image"):
        load(file)
    assert load(file, skip_unreadable=True).skipped == 2


def test_bytes_paths_and_nested_arrays(tmp_path: Path, write_folder, pixels: np.ndarray):
    base = write_folder({"a.png": pixels[0], "b.png": pixels[1]})
    data = [(base / name).read_bytes() for name in ("a.png", "b.png")]
    wide = pixels[:2].astype(np.uint16) * 257
    for column in (
        pa.array(data),
        pa.array(["a.png", "b.png"]),
        pa.array(pixels[:2].tolist(), pa.list_(pa.list_(pa.list_(pa.uint8())))),
        pa.array(wide.tolist(), pa.list_(pa.list_(pa.list_(pa.uint16())))),
        pa.array((pixels[:2] / 255).tolist(), pa.list_(pa.list_(pa.list_(pa.float64())))),
    ):
        pq.write_table(pa.table({"image": column}), base / "set.parquet")
        assert same(load(base / "set.parquet", in_memory=False), pixels[:2])


def test_what_is_not_parquet_is_named(tmp_path: Path):
    (tmp_path / "set.parquet").write_bytes(b"not at all")
    with pytest.raises(UserError, match=r"'.*set.parquet' cannot be read as Parquet"):
        load(tmp_path / "set.parquet")


# Arrays


@pytest.mark.parametrize("layout", ["NHWC", "NCHW", "16 bit", "float", "wide 8 bit"])
def test_npz_layouts(tmp_path: Path, pixels: np.ndarray, layout: str):
    stored = {
        "NHWC": pixels,
        "NCHW": pixels.transpose(0, 3, 1, 2),
        "16 bit": pixels.astype(np.uint16) * 257,
        "float": pixels / 255,
        "wide 8 bit": pixels.astype(np.int64),
    }[layout]
    np.savez(tmp_path / "set.npz", images=stored, labels=np.arange(12)[:, None] % 2)
    images = load(tmp_path / "set.npz")
    assert same(images, pixels)
    assert labels_of(images) == [0, 1] * 6


def test_npz_splits_gray_names_and_resizing(tmp_path: Path, pixels: np.ndarray):
    gray = pixels[..., 0]
    names = np.array(["a", "b", "c"])
    np.savez(tmp_path / "set.npz", x_train=gray, y_train=[0, 1] * 6, x_val=gray[:2], y_val=[1, 1], classes=names)
    train, validation = load(tmp_path / "set.npz"), load(tmp_path / "set.npz", "validation")
    assert (train.shape, train.classes) == ((1, 6, 5), ("a", "b", "c"))
    assert (labels_of(validation), validation.classes) == ([1, 1], ("a", "b", "c"))
    assert load(tmp_path / "set.npz", size=3, channels=3).shape == (3, 3, 3)
    with pytest.raises(UserError, match=r"holds no array of images for split 'test'; it has x_train, y_train"):
        load(tmp_path / "set.npz", "test")
    assert len(load(tmp_path / "set.npz", image_column="x_val", label_column="y_val")) == 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.full((1, 2, 2), np.nan)}, "have wrong pixels: pixels must be finite, got NaN"),
        ({"images": np.full((1, 2, 2), 200.0)}, r"float pixels must lie in \[0, 1\], got 200..200"),
        ({"images": np.full((1, 2, 2), 70000)}, r"16-bit pixels must lie in 0..65535, got 70000"),
        ({"images": np.zeros((2, 2))}, r"must be \[N, H, W\], .*, got \[2, 2\]"),
        ({"images": np.zeros((0, 2, 2))}, "must be at least one, got none"),
        ({"images": np.zeros((2, 2, 2)), "labels": [0]}, "labels 'labels' of .* must be 2, one for each image, got 1"),
        ({"pictures": np.zeros((2, 2, 2))}, "holds no array of images for split 'train'; it has pictures"),
        ({"images": np.array([{}])}, "cannot be read as a .npz of plain arrays"),
        (
            {"images": np.zeros((2, 2, 2)), "labels": np.array(["a", "b"], object)},
            r"'labels' is of Python objects, .* Store text as `array.astype\(str\)`",
        ),
        ({"images": np.full((1, 2, 2), 16.0)}, r"float pixels must lie in \[0, 1\], got 16..16; .* as `scale=16`"),
        ({"images": np.full((1, 2, 2), -0.5)}, r"got -0.5..-0.5; shift and scale them"),
        ({"images": np.full((1, 2, 2), -1)}, r"got -1..-1; shift and scale them"),
    ],
)
def test_wrong_npz_is_named(tmp_path: Path, arrays: dict, message: str):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "set.npz")


def test_what_is_no_npz_is_named(tmp_path: Path):
    (tmp_path / "set.npz").write_bytes(b"PK not at all")
    with pytest.raises(UserError, match=r"cannot be read as a .npz of plain arrays"):
        load(tmp_path / "set.npz")
    np.savez(tmp_path / "set.npz", images=np.zeros((1, 2, 2)))
    with pytest.raises(UserError, match=r"`image_column` must be an array of '.*set.npz', got 'x'; it has images"):
        load(tmp_path / "set.npz", image_column="x")


def test_numbers_that_are_names_of_other_classes_are_refused(write_folder, pixels) -> None:
    folder = write_folder({f"{name}/one.png": pixels[0] for name in ("1", "2", "3", "10")})
    assert load(folder, classes=["1", "2"]).classes == ("1", "2")
    assert load(folder, classes=[0]).classes == ("1",)
    with pytest.raises(
        UserError, match=r"`classes` 1 is the number of class '10' and the name of another; .* '10' or '1'"
    ):
        load(folder, classes=[1, 2])
    with pytest.raises(
        UserError, match=r"must lie in 0\.\.3, got 10\. There is a class of that name, which is text: '10'"
    ):
        load(folder, classes=[10])
    with pytest.raises(UserError, match="`classes` takes names or numbers of the set's classes, got True"):
        load(folder, classes=[True])


def test_links_to_nothing_are_missing_images(write_folder, pixels: np.ndarray):
    """git-annex and moved folders leave such links."""
    folder = write_folder({"cat/1.png": pixels[0], "dog/1.png": pixels[1], "dog/3.png": pixels[2]})
    (folder / "dog" / "2.png").symlink_to(folder / "annex" / "2.png")
    with pytest.raises(UserError, match=r"dog/2.png' cannot be read as an image: .*No such file.*`--skip-unreadable`"):
        load(folder)
    images = load(folder, skip_unreadable=True)
    assert (labels_of(images), images.ids.tolist(), images.skipped) == ([0, 1, 1], [0, 1, 3], 1)
    for path in folder.glob("*/[13].png"):
        path.unlink()
        path.symlink_to("nowhere")
    with pytest.raises(UserError, match=r"no image is readable; .* Without `skip_unreadable` it is said why"):
        load(folder, skip_unreadable=True)


def test_what_lies_where_no_images_do_is_said(write_folder, pixels: np.ndarray):
    with pytest.raises(UserError, match=r"holds no images; add some or remove it. Images end in .avif, .*'1.heic'"):
        load(write_folder({"cat/1.png": pixels[0], "dog/1.heic": b""}, "phone"))
    with pytest.raises(UserError, match=r"no class folders, nor tables \(.parquet\); it holds 'a.arrow', 'b.csv'"):
        load(write_folder({"b.csv": b"", "a.arrow": b""}, "tables"))


def test_a_folder_around_all_splits_is_told_for_every_split(write_folder, pixels: np.ndarray):
    folder = write_folder({f"own/{split}/{name}/1.png": pixels[0] for split in ("train", "test") for name in "ab"})
    for split in ("train", "test"):
        with pytest.raises(UserError, match=r"holds one folder, 'own', .* Load '.*/own'"):
            load(folder, split)


def test_folders_that_training_lacks_come_with_what_to_do(write_folder, pixels: np.ndarray):
    """Tiny ImageNet has such a folder, `test/images/`."""
    files = {f"train/{name}/1.png": pixels[0] for name in "ab"} | {"test/images/1.png": pixels[1]}
    folder = write_folder(files)
    expected = (
        r"test/images' has no counterpart among the training classes, 'a', 'b'; .* without labels, move them to '.*"
    )
    with pytest.raises(UserError, match=expected + r"/test' itself"):
        load(folder, "test")


@pytest.mark.parametrize("name", ["", 5, b"digits", None])
def test_names_that_are_none(name: Any):
    with pytest.raises(
        UserError, match=r"`name` must be a data set of the catalogue, a folder, .*, got .*; the folder"
    ):
        load(name)


@pytest.mark.parametrize("options", [{"size": True}, {"size": (8, True)}, {"channels": True}])
def test_true_is_no_number(options: dict[str, Any]):
    with pytest.raises(UserError, match=r"`(size|channels)` must be (a number|1 \(gray\)) .*, got .*True"):
        load("digits", **options)


def test_links_to_class_folders_that_are_not_there(write_folder, pixels: np.ndarray):
    folder = write_folder({"cat/1.png": pixels[0], "dog/1.png": pixels[1]})
    (folder / "emu").symlink_to(folder / "dog")
    assert load(folder).classes == ("cat", "dog", "emu")
    (folder / "fox").symlink_to(folder / "gone")
    with pytest.raises(UserError, match=r"links to nothing beside class folders, 'fox', which may be classes; mend or"):
        load(folder)


def test_images_that_cannot_be_read_are_said(write_folder, pixels: np.ndarray):
    folder = write_folder(
        {"cat/1.png": pixels[0], "cat/2.HEIC": b"", "cat/3.heic": b"", "dog/1.png": pixels[1], "dog/old/2.dng": b""}
    )
    expected = r"3 images are passed over, 2 in '.*own/cat', 1 in '.*own/dog/old': .heic \(2\) and .dng \(1\) cannot be"
    command = r"`find .*own -iname '\*.heic' -exec mogrify -format jpg -quality 95 \{\} \+`"
    with pytest.warns(UserWarning, match=f"{expected} read. Convert them to JPEG, for instance by {command}"):
        assert same(load(folder), pixels[:2])
    with pytest.raises(UserError, match=r"holds no images; .*'2.dng'. Convert them to JPEG, .*dng"):
        load(write_folder({"cat/1.png": pixels[0], "dog/2.dng": b""}, "lacking"))


def test_images_beside_what_was_made_of_them_are_not_missed(write_folder, pixels: np.ndarray):
    """Cameras write both, and converting leaves both; no warning is due (warnings are errors in these tests)."""
    folder = write_folder({"cat/1.png": pixels[0], "cat/1.CR2": b"", "dog/2.png": pixels[1], "dog/2.heic": b""})
    assert same(load(folder), pixels[:2])


@pytest.mark.parametrize("suffix", ["jpe", "jfif", "tga", "dib", "j2k"])
def test_rare_endings_are_read(tmp_path: Path, pixels: np.ndarray, suffix: str):
    kind = {"jpe": "jpeg", "jfif": "jpeg", "j2k": "jpeg2000"}.get(suffix, suffix)
    Image.fromarray(pixels[0]).save(tmp_path / f"one.{suffix}", kind)
    assert load(tmp_path).shape == (3, 6, 5)
