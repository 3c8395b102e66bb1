import subprocess
import sys

import pytest

from limbeck.data.catalogue import DATASETS, find, find_split
from limbeck.errors import UserError

NAMES = (
    "cifar10 cifar100 mnist fashion-mnist svhn stl10 tiny-imagenet imagenette imagewoof places365 caltech101 "
    "caltech256 imagenet-1k digits noise dead-leaves fractals shaders"
)


def test_all_datasets_are_there():
    assert set(NAMES.split()) <= set(DATASETS)
    assert len([name for name in DATASETS if name.startswith("imagenet-1k:comp-dd-")]) == 16


@pytest.mark.parametrize("name", DATASETS)
def test_entries_are_complete(name: str):
    info = find(name)
    assert info.name == name
    assert "train" in info.splits
    assert info.channels in (1, 3)
    assert info.num_classes >= 9 if not info.procedural else info.num_classes == 0
    assert info.licence
    assert info.hub_id is None or info.hub_id.count("/") == 1
    if info.keep is not None:
        assert len(info.keep) == len(set(info.keep)) == info.num_classes


def test_subsets_have_ten_classes_but_for_the_one_that_warns():
    assert find("imagenet-1k:imagenet-100").num_classes == 100
    subsets = [info for info in DATASETS.values() if info.keep is not None and info.num_classes < 100]
    assert len(subsets) == 22
    assert [info.name for info in subsets if info.num_classes != 10] == ["imagenet-1k:comp-dd-music-hard"]
    odd = find("imagenet-1k:comp-dd-music-hard")
    assert odd.num_classes == 9
    assert odd.warning == "imagenet-1k:comp-dd-music-hard as published lists class 420 twice, so it has 9 classes"
    assert find("imagenet-1k:imagenette").keep == (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)


def test_configuration_after_a_colon():
    assert find("imagenette:320px").config == "320px"
    assert find("noise:pink").config == "pink"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar", r"unknown dataset 'cifar'; did you mean 'cifar10' or 'cifar100'.*\? `limbeck ls datasets` lists"),
        ("imagenet-1k:comp-dd-brid-hard", "did you mean 'imagenet-1k:comp-dd-bird-hard'"),
        ("digits:other", "unknown dataset 'digits:other'"),
        ("noise:pinc", "unknown variant of 'noise': 'pinc'; did you mean 'pink'.*`limbeck ls datasets`"),
        ("zzz", "unknown dataset 'zzz'. `limbeck ls datasets`"),
    ],
)
def test_unknown_names(name: str, message: str):
    with pytest.raises(UserError, match=message):
        find(name)


def test_splits_by_either_name():
    assert find_split(find("tiny-imagenet"), "validation").hub_name == "valid"
    assert find_split(find("tiny-imagenet"), "valid").hub_name == "valid"
    assert find_split(find("imagenette"), "test").hub_name == "validation"
    with pytest.raises(UserError, match="`split` of 'cifar10' must be 'train' or 'test', got 'validation'"):
        find_split(find("cifar10"), "validation")


def test_catalogue_is_quick_to_import():
    code = "import sys, limbeck.data.catalogue; print({'torch', 'pyarrow', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
