"""Networks and images by name, wherever objects of them stand."""

from pathlib import Path

import pytest
from tests.photos import write_photos

import limbeck as lb
from limbeck.errors import UserError


@pytest.fixture(autouse=True)
def _photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos/train"), 8)
    write_photos(Path("photos/val"), 4, seed=1)
    lb.save_model(lb.create("convnet_d3", num_classes=2, classes=("cat", "dog"), input_size=8, width=4), "net")


@pytest.mark.parametrize("named", [True, False])
def test_photos_are_judged_on_in_the_size_of_the_network(named: bool) -> None:
    student = "net" if named else lb.load_model("net")
    with pytest.warns(UserWarning, match="the validation images of './photos' are judged on"):
        assert lb.evaluate(student, "./photos").n == 8


def test_a_teacher_that_chooses_may_be_named() -> None:
    images = lb.load("./photos", "train", size=8)
    by_name = lb.select(images, criterion="margin", teacher="net", budget=4)
    assert (
        by_name.ids.tolist()
        == lb.select(images, criterion="margin", teacher=lb.load_model("net"), budget=4).ids.tolist()
    )
    assert lb.score_table(images, "scores.parquet", criteria=["margin"], teacher=Path("net")).is_file()
    with pytest.raises(UserError, match="`teacher` must be a Classifier or weights by name"):
        lb.select(images, criterion="margin", teacher=lb.load_model("net").network, budget=4)
