"""`load` by name: catalogue, local root, hub."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from limbeck.data import load
from limbeck.errors import UserError

pytestmark = pytest.mark.usefixtures("no_root")

DIGITS = [str(digit) for digit in range(10)]


class Hub:
    """Stands in for the Hub and records its requests; offline until it is given splits."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []
        self.splits: datasets.DatasetDict | None = None

    def load_dataset(self, path: str, name: str | None = None, **options: Any) -> datasets.DatasetDict:
        self.calls.append((path, name, options))
        if self.splits is None:
            raise ConnectionError("no connection")
        return self.splits

    def give(self, **splits: dict[str, list]) -> None:
        self.splits = datasets.DatasetDict({name: datasets.Dataset.from_dict(rows) for name, rows in splits.items()})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(datasets, "load_dataset", hub.load_dataset)
    return hub


def test_digits_are_split_alike_for_ever():
    train, test = load("digits"), load("digits", "test")
    assert (len(train), len(test), train.shape, train.classes) == (1437, 360, (1, 8, 8), tuple(DIGITS))
    assert sorted(train.ids.tolist() + test.ids.tolist()) == list(range(1797))
    assert test.class_counts().tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert train.fingerprint == "5ee408c82fd8f573d1c73581bd0675a6"
    assert test.fingerprint == "764c85c9b4d567968d3090ebbbdc812e"
    assert train.tensor().max() == 255
    with pytest.raises(UserError, match="`split` of 'digits' must be 'train' or 'test', got 'validation'"):
        load("digits", "validation")


def test_name_is_found_under_the_root(write_parquet, pixels: np.ndarray, tmp_path: Path, monkeypatch, hub: Hub):
    labels = [0, 3, 9, 1, 2, 4, 5, 6, 7, 8, 0, 1]
    write_parquet("root/ylecun/mnist/mnist/train-00000-of-00001.parquet", list(pixels[..., 0]), labels, names=DIGITS)
    images = load("mnist", root=tmp_path / "root")
    assert np.array_equal(images.tensor()[:, 0].numpy(), pixels[..., 0])
    assert images.classes == tuple(DIGITS)
    assert images.name == "mnist/train"
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "root"))
    assert load("mnist").fingerprint == images.fingerprint
    assert load("ylecun/mnist:mnist").shape == (1, 6, 5)
    assert hub.calls == []


def test_layouts_under_the_root(write_parquet, pixels: np.ndarray, tmp_path: Path):
    for folder in ("data", "one_config"):
        write_parquet(f"{folder}/ylecun/mnist/{folder}/train.parquet", list(pixels[..., 0]), [0] * 12, names=DIGITS)
        assert len(load("mnist", root=tmp_path / folder)) == 12
    write_parquet("converted/frgfm/imagewoof/160px/validation/0000.parquet", list(pixels), [0] * 12, names=DIGITS)
    assert load("imagewoof", "test", root=tmp_path / "converted").shape == (3, 6, 5)


def test_several_configurations_must_be_named(write_parquet, pixels: np.ndarray, tmp_path: Path):
    for config, count in (("64px", 3), ("96px", 4)):
        write_parquet(f"frgfm/imagenette/{config}/train-0.parquet", list(pixels[:count]), [0] * count, names=DIGITS)
    with pytest.raises(
        UserError, match=r"several configurations; name one of 'frgfm/imagenette:64px', 'frgfm/.*:96px'"
    ):
        load("imagenette", root=tmp_path)
    assert len(load("imagenette:96px", root=tmp_path)) == 4
    assert len(load("frgfm/imagenette:64px", root=tmp_path)) == 3


def test_a_configuration_named_is_never_swapped(
    write_parquet, pixels: np.ndarray, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
):
    write_parquet("frgfm/imagenette/64px/train-0.parquet", list(pixels), [0] * 12, names=DIGITS)
    assert len(load("imagenette", root=tmp_path)) == 12
    for name in ("imagenette:320px", "frgfm/imagenette:320px"):
        with pytest.raises(
            UserError, match=r"Looked for train-\*.parquet below '.*/frgfm/imagenette/320px' \(`root`\)"
        ):
            load(name, root=tmp_path)
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    for name in ("imagenette:320px", "frgfm/imagenette:320px"):
        with pytest.raises(UserError, match="'frgfm/imagenette:320px' could not be opened"):
            load(name)
    assert len(hub.calls) == 2


def test_varying_sizes_take_the_catalogues(write_parquet, pixels: np.ndarray, tmp_path: Path):
    images = [pixels[0], pixels[1][:4]]
    write_parquet("frgfm/imagenette/160px/train-0.parquet", images, [0, 1], names=DIGITS)
    assert load("imagenette", root=tmp_path).shape == (3, 160, 160)
    assert load("imagenette", root=tmp_path, size=8).shape == (3, 8, 8)


def test_imagenet_subset_is_renumbered(write_parquet, pixels: np.ndarray, tmp_path: Path):
    names = [f"class {number}" for number in range(1000)]
    labels = [217, 0, 5, 574, 420, 594, 402, 776, 486, 401, 546, 558]
    write_parquet("ILSVRC/imagenet-1k/data/train-0.parquet", list(pixels), labels, names=names)
    images = load("imagenet-1k:imagenette", root=tmp_path)
    assert images.labels is not None
    assert (images.labels.tolist(), images.ids.tolist(), images.num_classes) == ([1, 0, 8], [0, 1, 3], 10)
    assert images.classes[:2] == ("class 0", "class 217")
    assert load("imagenet-1k:imagenette", root=tmp_path, classes=[8, 0]).ids.tolist() == [1, 3]
    with pytest.warns(UserWarning, match="lists class 420 twice, so it has 9 classes"):
        assert load("imagenet-1k:comp-dd-music-hard", root=tmp_path).num_classes == 9


def test_hub_is_asked_when_nothing_is_local(
    hub: Hub, tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    shots = [Image.fromarray(image) for image in pixels]
    hub.give(train={"picture": shots[:8], "kind": ["b", "c"] * 4}, test={"picture": shots[8:], "kind": ["a", "c"] * 2})
    images = load("someone/things:small", "test", image_column="picture", label_column="kind")
    assert hub.calls == [("someone/things", "small", {"revision": None})]
    assert np.array_equal(images.tensor().numpy(), pixels[8:].transpose(0, 3, 1, 2))
    assert images.labels is not None
    assert (images.classes, images.labels.tolist()) == (("a", "b", "c"), [0, 2, 0, 2])
    encoded = load("someone/things", "test", image_column="picture", label_column="kind", in_memory=False)
    assert encoded.fingerprint == images.fingerprint
    with pytest.raises(UserError, match="`split` of 'someone/things' must be 'train' or 'test', got 'validation'"):
        load("someone/things", "validation")
    with pytest.raises(
        UserError, match="`image_column` must be a column of split 'train' of 'someone/things', got 'img'"
    ):
        load("someone/things", image_column="img")


def test_scripts_of_old_are_read_from_the_converted_branch(hub: Hub, pixels: np.ndarray):
    hub.give(train={"image": [Image.fromarray(image) for image in pixels], "label": [*range(10), 0, 1]})
    assert len(load("imagenette:320px")) == 12
    assert hub.calls == [
        (
            "frgfm/imagenette",
            None,
            {"revision": "refs/convert/parquet", "data_files": {"train": "320px/train/*.parquet"}},
        )
    ]


def test_what_is_nowhere_says_where_it_was_sought(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setenv("LIMBECK_DATA", str(tmp_path))
        with pytest.raises(
            UserError,
            match=r"dataset 'ylecun/mnist:mnist' could not be opened. Looked for train-\*.parquet below "
            r"'.*/ylecun/mnist' \(LIMBECK_DATA\). The hub said: no connection. .*LIMBECK_DATA or `root=`",
        ):
            load("mnist")
    with pytest.raises(UserError, match=r"No local root is set \(LIMBECK_DATA or `root=`\). The hub said"):
        load("someone/nothing")
    with pytest.raises(UserError, match=r"`root` must be a folder that holds datasets by hub id, got '.*/absent'"):
        load("mnist", root=tmp_path / "absent")
    with pytest.raises(
        UserError, match=r"unknown dataset 'cifar11'; did you mean .*`limbeck ls datasets` lists them all"
    ):
        load("cifar11")
    assert len(hub.calls) == 2


@pytest.mark.parametrize("name", ["mnist", "someone/things", "imagenet-1k", "imagenet-1k:imagewoof"])
def test_a_root_that_lacks_the_set_is_said_and_the_hub_left_alone(
    name: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "elsewhere"))
    place = {"mnist": "ylecun/mnist", "someone/things": name}.get(name, "ILSVRC/imagenet-1k")
    owner = place.split("/")[0]
    start = rf"`root` '{tmp_path}' has no split 'train' of '{place}'. Looked for train-\*.parquet below '.*/{place}'"
    folders = (
        "Class folders will do, too, as <root>/ILSVRC/imagenet-1k/train/n01440764/, .*" if "ILSVRC" in place else ""
    )
    advice = (
        rf"Give the folder in which '{owner}' lies, put the files there, .*, or leave `root` out: then LIMBECK_DATA"
    )
    with pytest.raises(UserError, match=rf"{start} \(`root`\)\. {folders}It holds no folders\. {advice}"):
        load(name, root=tmp_path)
    (tmp_path / owner.lower() / "inner").mkdir(parents=True)
    with pytest.raises(UserError, match=rf"It holds the folders '{owner.lower()}'\. {advice}"):
        load(name, root=tmp_path)
    assert hub.calls == []
