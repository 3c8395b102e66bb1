"""The options of `limbeck.load` on the command line: every message's advice can be followed there."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.cli.test_cli import call, done, refused
from tests.training.tiny import network, stripes, turned

import limbeck as lb
from limbeck.cli.loading import OPTIONS, parse_size
from limbeck.errors import UserError
from limbeck.recipes.settings import DatasetSettings

VERBS = {
    "evaluate": ["net", "--split", "train", "--data"],
    "select": ["--budget", "2", "--criterion", "random", "--out", "chosen"],
    "score": ["--criterion", "entropy", "--out", "scores.parquet"],
    "probe": ["net", "--hold-out", "0.5", "--no-untrained", "--out", "probed"],
}


@pytest.fixture(autouse=True)
def _with_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lb.save_model(network(), "net")


def write(images: lb.ImageSet, folder: str, sizes: tuple[int, ...] = (8,)) -> str:
    """A folder of class folders, of images of these sizes in turn."""
    assert images.labels is not None
    for index, label in enumerate(images.labels.tolist()):
        path = Path(folder) / images.classes[label] / f"{index:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = sizes[index % len(sizes)]
        Image.fromarray(images.tensor()[index, 0].numpy()).resize((size, size)).save(path)
    return f"./{folder}"


def test_recipes_and_verbs_have_the_options_of_load() -> None:
    # An array's layout is said where the array is handed over.
    of_load = inspect.signature(lb.load).parameters.keys() - {"name", "split", "root", "layout"}
    assert of_load == DatasetSettings.model_fields.keys() - {"name", "split", "fingerprint"}
    # Verbs have a seed of their own.
    assert OPTIONS.keys() == {"images_seed" if option == "seed" else option for option in of_load}


@pytest.mark.parametrize("verb", VERBS)
def test_images_of_several_sizes(verb: str) -> None:
    data = write(stripes(20), "mixed", (8, 12, 10))
    if verb in ("evaluate", "probe"):  # of a network that takes one size
        done(verb, *VERBS[verb], data)
        return
    message = "`size` must be given for './mixed' (train), whose images differ in size (3 sizes; 12x12 is the commonest"
    output = refused(verb, *VERBS[verb], data)
    assert message in output
    assert "--size 12 on a command line" in output
    done(verb, *VERBS[verb], data, "--size", "32")


@pytest.mark.parametrize("verb", ["select", "score"])
def test_images_of_several_sizes_are_brought_to_that_of_the_teacher(verb: str) -> None:
    data = write(stripes(20), "mixed", (8, 12, 10))
    done(verb, *VERBS[verb], data, "--teacher", "net")
    if verb == "select":
        assert lb.TransferSet.load("chosen").images.shape[1:] == network().input_size


@pytest.mark.parametrize("verb", VERBS)
def test_broken_images_colour_and_a_class_too_many(verb: str) -> None:
    images = stripes(24).with_labels(torch.arange(24) % 3, ("rows", "columns", "dots"))
    data = write(images, "three")
    (Path("three") / "rows" / "broken.png").write_bytes(b"no image")
    assert "broken.png" in refused(verb, *VERBS[verb], data)
    options = ["--channels", "1", "--skip-unreadable", "--no-in-memory"]
    two_classes = [*options, "--classes", "columns", "--classes", "rows"]
    assert "unknown class 'row'; did you mean 'rows'" in refused(verb, *VERBS[verb], data, *options, "--classes", "row")
    if verb != "evaluate":
        done(verb, *VERBS[verb], data, *two_classes)
        return
    with pytest.warns(UserWarning, match="left out 1 unreadable image of 'three/train'"):
        message = refused(verb, *VERBS[verb], data, *options)
    with pytest.warns(UserWarning, match="left out 1 unreadable image of 'three/train'"):
        done(verb, *VERBS[verb], data, *two_classes)
    assert "`student` tells 2 classes apart, but 'three/train' has 3: 'dots' is none of" in message


@pytest.mark.parametrize("verb", VERBS)
def test_arrays_of_unusual_names(verb: str) -> None:
    images = stripes(20)
    assert images.labels is not None
    np.savez(
        "own.npz", frames=images.tensor().numpy(), kinds=images.labels.numpy(), class_names=np.array(images.classes)
    )
    assert "name it with `image_column`" in refused(verb, *VERBS[verb], "own.npz")
    done(verb, *VERBS[verb], "own.npz", "--image-column", "frames", "--label-column", "kinds")


def test_evaluate_finds_classes_by_name() -> None:
    for name, images in (("same", stripes(20)), ("turned", turned(20))):
        assert images.labels is not None
        names = np.array(images.classes)
        np.savez(f"{name}.npz", x_test=images.tensor().numpy(), y_test=images.labels.numpy(), classes=names)
        done("evaluate", "net", "--data", f"{name}.npz", "--json", f"{name}.json")
    assert json.loads(Path("same.json").read_text()) == json.loads(Path("turned.json").read_text())
    np.savez("other.npz", x_test=np.zeros((4, 8, 8), np.uint8), y_test=[0, 1, 0, 1], classes=np.array(["ants", "bees"]))
    assert "'other.npz/test' has other classes: 'ants', 'bees' are none of the 2 of `student`" in refused(
        "evaluate", "net", "--data", "other.npz"
    )


def test_sizes() -> None:
    assert (parse_size("32"), parse_size("32x48"), parse_size("32X48")) == (32, (32, 48), (32, 48))
    for size in ("big", "32x", "1x2x3", "-3", "3.5"):
        with pytest.raises(UserError, match=r"`--size` must be a number of pixels, or HEIGHTxWIDTH, got"):
            parse_size(size)
    assert "`--size` must be a number of pixels" in refused("evaluate", "net", "--data", "digits", "--size", "big")
    assert call("evaluate", "--help").output.count("--size") == 1


def test_procedural_images() -> None:
    select = ["select", "--budget", "20", "--criterion", "random", "--seed", "3", "shaders"]
    assert "`images` must say how many of 'shaders' to make" in refused(*select, "--out", "none")
    options = ["--images", "50", "--size", "8", "--channels", "1"]
    done(*select, *options, "--out", "zero")
    done(*select, *options, "--images-seed", "1", "--out", "one")
    seed_zero, seed_one = (lb.TransferSet.load(folder).images for folder in ("zero", "one"))
    assert torch.equal(seed_zero.ids, seed_one.ids)
    assert torch.equal(seed_zero.tensor(), lb.load("shaders", images=50, size=8, channels=1).gather(seed_zero.ids))
    assert torch.equal(
        seed_one.tensor(), lb.load("shaders", images=50, size=8, channels=1, seed=1).gather(seed_one.ids)
    )
    done("score", "shaders", *options, "--criterion", "variance", "--out", "scores.parquet")
    assert "`images` is for procedural images, as 'dead-leaves', and 'digits' are none" in refused(
        "score", "digits", "--images", "5", "--criterion", "variance", "--out", "other.parquet"
    )


def test_procedural_images_are_listed() -> None:
    listed = done("ls", "datasets")
    assert "made on the fly" in listed
    assert "noise:pink" in listed
