"""Splits of Parquet files by their names, compared with those that `datasets` finds."""

from pathlib import Path

import numpy as np
import pytest
from datasets.data_files import DataFilesDict, get_data_patterns

from limbeck.data import load
from limbeck.data.table_files import splits_by_file
from limbeck.errors import UserError

Splits = dict[str, list[str]]


def placed(folder: Path, names: str) -> Path:
    """Creates empty files called `names`, with ".parquet" added to names without a suffix."""
    for name in names.split():
        path = folder / (name if "." in name.rpartition("/")[2] else f"{name}.parquet")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def ours(folder: Path) -> Splits:
    return {split: [str(path.relative_to(folder)) for path in files] for split, files in splits_by_file(folder).items()}


def theirs(folder: Path) -> Splits:
    """The files that `load_dataset("parquet", data_dir=folder)` reads."""
    patterns = get_data_patterns(str(folder))
    files_of = DataFilesDict.from_patterns(patterns, str(folder), allowed_extensions=[".parquet"])
    return {
        split: sorted(str(Path(file).relative_to(folder.resolve())) for file in files)
        for split, files in files_of.items()
    }


SAME = [
    "a b",
    "part-0 part-1 part-2",
    "0000 0001",
    "images",
    "latest",
    "train",
    "test",
    "train test",
    "train validation test",
    "training valid testing",
    "train dev eval",
    "train val evaluation",
    "cifar_train cifar_test",
    "my-train-file my-test-file",
    "train_001 train_002 test_001",
    "train001 test001",
    "x.train.parquet x.test.parquet",
    "train.v2.parquet test.v2.parquet",
    "2024-train 2024-test",
    "train-00000-of-00002 train-00001-of-00002 test-00000-of-00001",
    "train-00000-of-00001-a09b74b3ef9c3b56 test-00000-of-00001-b42f2a8b7f2f4b5e",
    "data/train data/test",
    "data/train-00000-of-00001 data/test-00000-of-00001",
    "data/train-00000-of-00001 data/extra-00000-of-00001",
    "data/val-00000-of-00001 data/unsupervised-00000-of-00001",
    "data/cifar_train-00000-of-00001 data/cifar_test-00000-of-00001",
    "data/images",
    "train/0 test/0",
    "train/0 train/1 validation/0 test/0",
    "train/data test/data",
    "data/train/0 data/test/0",
    "default/train/0000 default/test/0000",
    "training_set/0 test_set/0",
    "cifar-train/0 cifar-test/0",
    "plain_text/train-00000-of-00001 plain_text/test-00000-of-00001",
    "dev/0 eval/0",
    "trains_test trains_train",
    "latest_train contest-test",
    "test/cat test/dog",
    "val_a val_b dev_c",
]


@pytest.mark.parametrize("names", SAME)
def test_splits_are_those_of_datasets(tmp_path: Path, names: str):
    folder = placed(tmp_path, names)
    assert ours(folder) == theirs(folder)


def test_names_put_together_at_random_are_read_as_datasets_does_or_refused(tmp_path: Path):
    random = np.random.default_rng(0)
    words = ["train", "test", "val", "dev", "eval", "training", "validation", "a", "cat", "x", "images", "set", "data"]
    agreed = 0
    for number in range(60):
        folder = tmp_path / str(number)
        for _ in range(random.integers(1, 4)):
            name = "".join(word + random.choice(list("-_.0")) for word in random.choice(words, random.integers(1, 3)))
            placed(folder, random.choice(["", "", "data/", f"{random.choice(words)}/"]) + f"{name}.parquet")
        try:
            splits = ours(folder)
        except UserError:
            continue
        assert splits == {split: sorted(set(files)) for split, files in theirs(folder).items()}
        agreed += 1
    assert agreed > 15


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("Train Test", {"train": "Train", "test": "Test"}),
        ("CIFAR_TRAIN CIFAR_TEST", {"train": "CIFAR_TRAIN", "test": "CIFAR_TEST"}),
        ("Training/0 Testing/0", {"train": "Training/0", "test": "Testing/0"}),
        ("data/TRAIN-00000-of-00001 data/Test-00000-of-00001", {}),
    ],
)
def test_case_does_not_count(tmp_path: Path, names: str, expected: dict[str, str]):
    expected = expected or {"train": "data/TRAIN-00000-of-00001", "test": "data/Test-00000-of-00001"}
    assert ours(placed(tmp_path, names)) == {split: [f"{name}.parquet"] for split, name in expected.items()}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("train images", "'images.parquet' in .* tell no split where 'train.parquet' do. Give all of them names"),
        ("pool test", "'pool.parquet' in .* tell no split where 'test.parquet' do"),
        ("train/0 test", "'test.parquet' in .* tell no split where 'train/0.parquet' do"),
        ("data/train-00000-of-00001 extra", "'extra.parquet' in .* tell no split"),
        ("data/train-00000-of-00001 data/test", "'data/test.parquet' in .* tell no split"),
        ("train_test", "'train_test.parquet' in .* may be of the splits 'test', 'train'"),
        ("train test-dev", "'test-dev.parquet' in .* may be of the splits 'test', 'validation'"),
        ("train/test/0", "'train/test/0.parquet' in .* may be of the splits 'test', 'train'"),
        ("trainset testset", "'testset.parquet', 'trainset.parquet' in .* may be of a split, or not. Give all"),
        ("testset", "'testset.parquet' in .* may be of a split, or not"),
        ("imagesTrain imagesTest", "'imagesTest.parquet', 'imagesTrain.parquet' in .* may be of a split"),
        ("xtrain xtest", "'xtest.parquet', 'xtrain.parquet' in .* may be of a split"),
        ("pool TestData", "'TestData.parquet' in .* may be of a split"),
        ("64px/train 96px/train", "split 'train' in .* lie in several folders, '64px', '96px'; load one of them"),
        ("cat/0 dog/0", "split 'train' in .* lie in several folders, 'cat', 'dog'; load one"),
        ("train/a/0 train/b/0", "split 'train' in .* lie in several folders, 'train/a', 'train/b'"),
        ("a/1 a/2 cats/1.png", "holds tables, 'a/1.parquet', 'a/2.parquet', and folders of images; load one"),
        ("train-00000-of-00002 test", "shard 00001 is missing beside '.*train-00000-of-00002"),
    ],
)
def test_names_that_leave_doubt_are_refused(tmp_path: Path, names: str, message: str):
    with pytest.raises(UserError, match=message):
        splits_by_file(placed(tmp_path, names))


@pytest.mark.parametrize("hidden", ["._train", ".ipynb_checkpoints/test", "__MACOSX/._a", "@eaDir/a", "cat/.test"])
def test_hidden_tables_are_none(tmp_path: Path, hidden: str):
    assert ours(placed(tmp_path, f"train test {hidden}")) == {"train": ["train.parquet"], "test": ["test.parquet"]}


def test_images_and_texts_beside_tables_name_no_split(tmp_path: Path):
    folder = placed(tmp_path, "a b test.log train.csv validation/1.png")
    assert ours(folder) == {"train": ["a.parquet", "b.parquet"]}
    assert ours(placed(tmp_path / "none", "cats/1.png")) == {}


def test_split_is_found_by_all_its_names(write_parquet, pixels: np.ndarray, tmp_path: Path):
    write_parquet("own/cifar_train.parquet", list(pixels[:8]), [0, 1] * 4)
    write_parquet("own/cifar_dev.parquet", list(pixels[8:]), [0, 1] * 2)
    for split in ("validation", "val", "dev"):
        assert len(load(tmp_path / "own", split)) == 4
    with pytest.raises(UserError, match=r"`split` of .* must be 'validation' or 'train', got 'test'"):
        load(tmp_path / "own", "test")
    write_parquet("sharded/data/val-00000-of-00001.parquet", list(pixels), [0, 1] * 6)
    assert len(load(tmp_path / "sharded", "val")) == len(load(tmp_path / "sharded", "validation")) == 12
    write_parquet("sharded/data/dev-00000-of-00001.parquet", list(pixels), [0, 1] * 6)
    with pytest.raises(UserError, match=r"must be 'dev' or 'val', got 'validation'"):
        load(tmp_path / "sharded", "validation")


def test_a_folder_of_test_images_alone_has_no_training_split(write_parquet, pixels: np.ndarray, tmp_path: Path):
    write_parquet("own/cifar_test.parquet", list(pixels), [0, 1] * 6)
    with pytest.raises(UserError, match=r"must be 'test', got 'train'\.$"):
        load(tmp_path / "own")


def test_a_table_by_itself_is_of_the_split_in_its_name_too(write_parquet, pixels: np.ndarray):
    file = write_parquet("own/cifar_test.parquet", list(pixels), [0, 1] * 6)
    assert len(load(file)) == len(load(file, "test")) == 12
    with pytest.raises(UserError, match=r"`split` of .* must be 'train' or 'test', got 'validation'"):
        load(file, "validation")
    folder = write_parquet("own/test/0.parquet", list(pixels), [0, 1] * 6).parent
    assert len(load(folder)) == len(load(folder, "test")) == 12


# Cards

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: pool/*
  - split: test
    path:
    - held_out.parquet
---
# Words
"""


def carded(folder: Path, names: str, card: str) -> Path:
    placed(folder, names)
    (folder / "README.md").write_text(card)
    return folder


def test_a_card_is_followed(tmp_path: Path):
    folder = carded(tmp_path, "pool/a pool/b held_out notes/scores", CARD)
    assert ours(folder) == {"test": ["held_out.parquet"], "train": ["pool/a.parquet", "pool/b.parquet"]}


@pytest.mark.parametrize("files", ["train/**", "'train/*.parquet'", "[train/0.parquet]", "{train: train/0.parquet}"])
def test_forms_of_a_card(tmp_path: Path, files: str):
    card = f"---\nconfigs:\n- config_name: one\n  data_files: {files}\n---\n"
    assert ours(carded(tmp_path, "train/0 other", card)) == {"train": ["train/0.parquet"]}


@pytest.mark.parametrize(
    "card",
    ["# Words only", "---\nlicense: mit\n---\n", "---\n: [\n---\n", "---\nconfigs: 3\n---\n", "---\n- 1\n---\n"]
    + [f"---\nconfigs:\n- data_files: '{path}'\n---\n" for path in ("../x", "/x", "hf://x", "gone/*")],
)
def test_cards_without_files_of_the_folder_leave_it_to_names(tmp_path: Path, card: str):
    assert ours(carded(tmp_path, "train test", card)) == {"train": ["train.parquet"], "test": ["test.parquet"]}


def test_a_card_of_several_configurations_is_refused(tmp_path: Path):
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*\n" for name in ("64px", "96px"))
    folder = carded(tmp_path, "64px/a 96px/a", f"---\nconfigs:\n{configs}---\n")
    with pytest.raises(
        UserError, match=r"lists several configurations, '64px', '96px'; load the folder or file of one"
    ):
        splits_by_file(folder)
    chosen = configs.replace("64px/*", "64px/*\n  default: true")
    assert ours(carded(tmp_path, "", f"---\nconfigs:\n{chosen}---\n")) == {"train": ["64px/a.parquet"]}
