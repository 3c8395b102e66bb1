"""Labels in a file beside the images, read as `datasets` reads image folders."""

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.test_load_own import labels_of, same

from limbeck.data import load
from limbeck.data.loading import load_first
from limbeck.errors import UserError

CSV = b"file_name,label\n2.png,dog\n1.png,cat\n3.png,dog\n"
JSONL = (
    b'{"file_name": "2.png", "label": "dog"}\n'
    b'{"file_name": "1.png", "label": "cat"}\n{"file_name": "3.png", "label": "dog"}\n'
)


def files(pixels: np.ndarray, below: str = "", count: int = 3) -> dict[str, np.ndarray | bytes]:
    return {f"{below}{place + 1}.png": pixels[place] for place in range(count)}


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_labels_are_those_of_the_file_in_its_order(write_folder, pixels: np.ndarray, name: str):
    folder = write_folder({**files(pixels), name: CSV if name.endswith("csv") else JSONL})
    images = load(folder)
    assert same(images, pixels[[1, 0, 2]])
    assert (images.classes, labels_of(images), images.ids.tolist()) == (("cat", "dog"), [1, 0, 1], [0, 1, 2])
    assert load(folder, classes=["dog"]).ids.tolist() == [0, 2]
    encoded = load(folder, in_memory=False)
    assert not encoded.storage.is_decoded
    assert encoded.fingerprint == images.fingerprint


def test_it_is_what_datasets_reads(write_folder, pixels: np.ndarray, tmp_path: Path):
    names = JSONL.replace(b': "', b': "images/', 1).replace(b'"1', b'"images/1').replace(b'"3', b'"images/3')
    folder = write_folder({**files(pixels, "images/"), "metadata.jsonl": names})
    table = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "hf"), split="train")
    images = load(folder)
    assert same(images, np.stack([np.asarray(image) for image in table["image"]]))
    assert [images.classes[label] for label in labels_of(images)] == list(table["label"])


def test_a_parquet_file_of_paths(write_folder, pixels: np.ndarray):
    folder = write_folder(files(pixels))
    names = ["2.png", "1.png", "3.png"]
    pq.write_table(pa.table({"file_name": names, "label": ["dog", "cat", "dog"]}), folder / "metadata.parquet")
    assert same(load(folder), pixels[[1, 0, 2]])


def test_splits_are_numbered_together(write_folder, pixels: np.ndarray):
    later = b"file_name,label\n1.png,owl\n2.png,dog\n"
    folder = write_folder(
        {**files(pixels, "train/"), "train/metadata.csv": CSV}
        | {**files(pixels, "test/", 2), "test/metadata.csv": later, **files(pixels, "val/pictures/", 2)}
    )
    assert load(folder).classes == load(folder, "test").classes == ("cat", "dog", "owl")
    assert labels_of(load(folder, "test")) == [2, 1]
    assert load(folder, "val").labels is None, "no folder is a class where a file says what is one"


def test_other_columns(write_folder, pixels: np.ndarray):
    content = b"file_name,breed,left_file_name\n1.png,pug,3.png\n2.png,tabby,3.png\n3.png,pug,3.png\n"
    folder = write_folder({**files(pixels), "metadata.csv": content})
    assert load(folder, label_column="breed").classes == ("pug", "tabby")
    with pytest.warns(UserWarning, match=r"metadata.csv' has no column of labels \(label, .*has file_name, breed, "):
        assert load(folder).labels is None
    with pytest.warns(UserWarning, match="2 images are passed over, for .*metadata.csv' does not name them, .*'1.png'"):
        assert same(load(folder, image_column="left_file_name", label_column="breed"), pixels[[2, 2, 2]])
    with pytest.raises(
        UserError, match=r"`label_column` must be a column of .*metadata.csv', got 'race'; it has file_"
    ):
        load(folder, label_column="race")


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ("001 002 001", ("001", "002")),
        ("NA true NA", ("NA", "true")),
        ("0 1 0", ("0", "1")),
        ("0.0 1.0 0.0", ("0", "1")),
        ("2024-01-02 2024-01-01 2024-01-01", ("2024-01-01", "2024-01-02")),
    ],
)
def test_class_names_stay_as_they_are_written(write_folder, pixels, labels: str, classes: tuple[str, ...]):
    rows = "".join(f"{place + 1}.png,{label}\n" for place, label in enumerate(labels.split()))
    folder = write_folder({**files(pixels), "metadata.csv": f"file_name,label\n{rows}".encode()})
    assert load(folder).classes == classes


def test_folders_and_a_file(write_folder, pixels: np.ndarray):
    """A file with labels decides the classes; with a file without labels, or none, the folders do."""
    both = {"cat/1.png": pixels[0], "dog/2.png": pixels[1]}
    captions = write_folder({**both, "metadata.csv": b"file_name,text\ncat/1.png,a\ndog/2.png,b\n"}, "captions")
    assert load(captions).classes == ("cat", "dog")
    content = b"file_name,label\ncat/1.png,tom\ndog/2.png,rex\n"
    with pytest.warns(UserWarning, match=r"in column 'label' of .*metadata.csv', and not the folders 'cat', 'dog'"):
        assert load(write_folder({**both, "metadata.csv": content})).classes == ("rex", "tom")


def test_files_that_cannot_be_read_are_named(write_folder, pixels: np.ndarray):
    def refused(content: dict[str, bytes], message: str, folder: str) -> None:
        with pytest.raises(UserError, match=message):
            load(write_folder({**files(pixels), **content}, folder))

    refused({"metadata.csv": CSV, "metadata.jsonl": JSONL}, "holds metadata.csv and metadata.jsonl; remove one", "two")
    refused({"metadata.csv": b""}, r"metadata.csv' cannot be read \(.*\); it must be in UTF-8, with commas", "empty")
    refused({"metadata.csv": CSV + b"4.png\n"}, r"metadata.csv' cannot be read \(.*4.png\); it must", "short")
    refused({"metadata.csv": "file_name,label\n1.png,é\n".encode("latin-1")}, "cannot be read .*UTF-?8", "latin")
    refused({"metadata.jsonl": b"{'file_name'"}, r"metadata.jsonl' cannot .* one JSON object a line", "json")
    refused(
        {"metadata.csv": CSV + b"9.png,cat\n"},
        r"row 3 of .* cannot be read as an image: .*No such file .*9.png",
        "gone",
    )
    refused({"metadata.csv": CSV.replace(b"cat", b"")}, r"must be there for all images or for none, row 1 has", "half")


def test_images_whose_labels_cannot_be_numbered_are_read_without(write_folder, pixels: np.ndarray):
    folder = write_folder({**files(pixels), "metadata.csv": CSV.replace(b"cat", b"")})
    with pytest.warns(UserWarning, match=r"the labels of .*own' are left aside: .*row 1 has none"):
        images = load_first(folder, count=2, shape=(3, 6, 5))
    assert same(images, pixels[[1, 0]])
    assert images.labels is None


@pytest.mark.parametrize("name", ["labels.csv", "annotations.jsonl"])
def test_other_lists_of_labels_are_named(write_folder, pixels: np.ndarray, name: str):
    advice = rf"{name}' beside images is not read. Labels are read from a file metadata.csv .* columns file_name, paths"
    with pytest.warns(UserWarning, match=advice):
        assert load(write_folder({**files(pixels), name: CSV}, "loose")).labels is None
    with pytest.warns(UserWarning, match=advice):
        load(write_folder({**files(pixels, "train/"), **files(pixels, "test/"), name: CSV}, "splits"))
    with pytest.raises(UserError, match=rf"one folder, 'images', which would be the only class. .*{advice}.* without"):
        load(write_folder({**files(pixels, "images/"), name: CSV}, "one"))
    with pytest.raises(UserError, match=rf"`label_column` is for tables, .*got 'kind'. .*{advice}"):
        load(write_folder({**files(pixels), name: CSV}, "named"), label_column="kind")
    assert load(write_folder({"a/1.png": pixels[0], "b/1.png": pixels[1], name: CSV}, "classes")).num_classes == 2


def test_a_file_without_paths_is_no_metadata(write_folder, pixels: np.ndarray):
    folder = write_folder({**files(pixels), "metadata.csv": b"file,label\n1.png,cat\n"})
    with pytest.warns(UserWarning, match=r"metadata.csv' beside images is not read. .* columns file_name"):
        assert load(folder).labels is None
