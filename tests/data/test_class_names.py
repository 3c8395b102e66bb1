"""Names that are not UTF-8, and names that look alike but differ."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import limbeck as lb
from limbeck.data import ImageSet, TransferSet, load
from limbeck.data.class_names import check_class_names, printable
from limbeck.errors import UserError
from limbeck.files import atomic_folder, atomic_write_text
from limbeck.recipes.selecting import default_folder, save_selection
from limbeck.recipes.verbs import write_report
from limbeck.transfer.criteria import find_criterion

from .conftest import png

LATIN = os.fsdecode(b"caf\xe9")
COMPOSED, DECOMPOSED = "caf\xe9", "cafe\u0301"
UNUSUAL = (
    "caf\xe9",
    "\u65e5\u672c",
    "two\nlines",
    'quo"te',
    "<b>&amp;",
    "[red]x",
    "\U0001f408",
    "it's",
    "\u0645\u0631",
)


@pytest.fixture
def classes_of(tmp_path: Path, pixels: np.ndarray):
    """Writes class folders of two images each."""

    def write(*names: str, folder: str = "own") -> Path:
        for number, name in enumerate(names):
            path = tmp_path / folder / name
            path.mkdir(parents=True)
            for copy in range(2):
                (path / f"{copy}.png").write_bytes(png(pixels[(2 * number + copy) % 12]))
        return tmp_path / folder

    return write


def test_class_folders_that_are_not_utf8_are_refused_before_the_work(classes_of):
    with pytest.raises(UserError, match=r"class folders of '.*' must have names in UTF-8, got b'caf\\xe9'; rename it"):
        load(classes_of(LATIN, "dog"))
    with pytest.raises(UserError, match=r"must have names in UTF-8, got b'caf\\xe9'"):
        load(classes_of(f"train/{LATIN}", "train/dog", "test/dog", folder="split"))


def test_class_folders_that_differ_in_unicode_form_alone_are_told_apart(classes_of):
    with pytest.raises(
        UserError, match=r"in more than their Unicode form, got 'cafe\\u0301' and 'caf\\xe9', both written"
    ):
        load(classes_of(COMPOSED, DECOMPOSED, "dog"))


def test_unicode_form_does_not_part_splits(classes_of):
    base = classes_of("train/cafz", f"train/{DECOMPOSED}", f"test/{COMPOSED}")
    train, test = load(base), load(base, "test")
    assert train.classes == test.classes == ("cafz", COMPOSED)
    assert test.class_counts().tolist() == [0, 2]
    for name in (COMPOSED, DECOMPOSED):
        assert load(base, classes=[name]).classes == (COMPOSED,)


def test_files_and_folders_that_are_not_utf8_hold_images_as_others_do(classes_of, pixels: np.ndarray):
    base = classes_of("cat", "dog", folder=LATIN)
    (base / "cat" / f"{LATIN}.png").write_bytes(png(pixels[0]))
    for in_memory in (True, False):
        images = load(base, in_memory=in_memory)
        assert (len(images), images.name) == (5, r"caf\udce9/train")
    (base / "cat" / f"{LATIN}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"caf\\udce9.png' cannot be read as an image"):
        load(base)


def test_sets_from_such_folders_are_saved(classes_of, tmp_path: Path):
    images = load(classes_of("cat", "dog", folder=LATIN))
    TransferSet(images, provenance={"source": [images.name] * 4}).save(tmp_path / "set")
    assert TransferSet.load(tmp_path / "set").images.name == r"caf\udce9/train"


def test_tables_below_such_folders_are_refused(write_parquet, pixels: np.ndarray, tmp_path: Path):
    file = write_parquet("set.parquet", list(pixels), [0, 1] * 6)
    (tmp_path / LATIN).mkdir()
    moved = file.rename(tmp_path / LATIN / "set.parquet")
    for path in (moved, moved.parent):
        with pytest.raises(UserError, match=r"the path b'.*caf\\xe9/set.parquet' must be text in the encoding"):
            load(path)


@pytest.mark.parametrize(
    "write", [lambda path: atomic_write_text(path, ""), lambda path: atomic_folder(path).__enter__()]
)
def test_nothing_is_written_where_not_all_could_be_read_again(tmp_path: Path, write):
    with pytest.raises(
        UserError, match=r"the path b'.*caf\\xe9' must be text .* \(utf-8\); rename it, or choose another"
    ):
        write(tmp_path / LATIN)


def test_a_selection_is_refused_before_it_is_made(tmp_path: Path):
    with pytest.raises(UserError, match=r"the path b'.*caf\\xe9' must be text"):
        save_selection("nowhere/at/all", tmp_path / LATIN, split="train", criterion="random", budget="1", seed=0)
    assert default_folder(LATIN, find_criterion("random")) == Path(r"runs/caf\udce9-random")


def test_texts_may_name_what_is_not_utf8(tmp_path: Path):
    atomic_write_text(tmp_path / "page.html", f"<p>{LATIN} {COMPOSED}")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == rf"<p>caf\udce9 {COMPOSED}"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", LATIN], r"`classes` must have names in UTF-8, got b'caf\\xe9'"),
        (["cat", "\ud83d"], r"`classes` must have names in UTF-8, got '\\ud83d'"),
        (
            [DECOMPOSED, COMPOSED],
            r"`classes` must differ in more than their Unicode form, got 'cafe\\u0301' and 'caf\\xe9'",
        ),
        (["\u212b", "\xc5"], r"must differ in more than their Unicode form, got '\\u212b' and '\\xc5'"),
        (["\uac00", "\u1100\u1161"], r"must differ in more than their Unicode form"),
    ],
)
def test_class_names_from_python_are_checked(names: list[str], message: str):
    with pytest.raises(UserError, match=message):
        ImageSet(torch.zeros(2, 1, 2, 2, dtype=torch.uint8), [0, 1], classes=names)


def test_names_that_only_resemble_each_other_are_distinct():
    check_class_names(["cafe", COMPOSED, "Caf\xe9", "\ufb01", "fi", "2", "\xb2", "\u0430", "a"], "classes")
    assert printable(COMPOSED) == COMPOSED


def test_arrays_and_tables_with_names_alike_are_refused_before_decoding(tmp_path: Path, write_parquet):
    np.savez(tmp_path / "set.npz", images=np.zeros((2, 2, 2), np.uint8), labels=[0, 1], classes=[COMPOSED, DECOMPOSED])
    with pytest.raises(UserError, match=r"classes of 'set.npz/train' must differ in more than their Unicode form"):
        load(tmp_path / "set.npz")
    broken = write_parquet("set.parquet", [b"no image"] * 2, [COMPOSED, DECOMPOSED])
    with pytest.raises(UserError, match=r"classes of 'set.parquet/train' must differ in more than their Unicode form"):
        load(broken)


def test_unusual_names_go_through_all_that_is_written(classes_of, tmp_path: Path):
    images = load(classes_of(*UNUSUAL))
    assert images.classes == tuple(sorted(UNUSUAL))
    options = {"steps": 1, "batch_size": 4, "views": "none", "validation": 0}
    result = lb.distill(None, "convnet_d3", images, test=images, out=tmp_path / "run", **options)
    assert lb.models.load(tmp_path / "run" / "student").classes == images.classes == result.student.classes
    write_report(tmp_path / "run")
    summary = save_selection(
        str(tmp_path / "own"), tmp_path / "set", split="train", criterion="balanced-random", budget="1/class", seed=0
    )
    assert all(f"{name} 1" in summary for name in UNUSUAL)
    assert TransferSet.load(tmp_path / "set").images.classes == images.classes
    assert load(tmp_path / "set").classes == images.classes


def test_names_are_utf8_whatever_the_locale(classes_of):
    base = classes_of(*UNUSUAL)
    code = (
        "import sys; from pathlib import Path; from limbeck.data.folders import read_folder;"
        f"print(sys.getfilesystemencoding(), ascii(read_folder(Path({str(base)!r}), 'train').classes))"
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | plain, capture_output=True, check=True, text=True
    )
    assert result.stdout == f"ascii {tuple(sorted(UNUSUAL))!a}\n"


@pytest.mark.parametrize("other", ["cat ", " cat", "cat\n", "\tcat", "cat\u00a0"])
def test_names_that_differ_in_spaces_around_them_are_told_apart(other: str):
    with pytest.raises(
        UserError, match=r"classes of 'own' must differ in more than spaces around them, got 'cat' and "
    ):
        check_class_names(["cat", "dog", other], "classes of 'own'")
    check_class_names(["dog", other, "big cat", "bigcat"], "classes of 'own'")  # no other name is like it


@pytest.mark.parametrize("name", ["", " ", "\n"])
def test_names_that_are_empty_are_refused(name: str):
    with pytest.raises(UserError, match=r"classes of 'own' must have names, got '.*'; name it"):
        check_class_names(["cat", name], "classes of 'own'")
