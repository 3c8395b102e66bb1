"""Every verb of Python takes objects where it takes a data set's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.training.tiny import CLASSES, network, stripes
from torch.utils.data import IterableDataset, TensorDataset

import limbeck as lb
from limbeck.errors import UserError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def pair(count: int, seed: int = 0) -> tuple[Any, ...]:
    """(images, labels, names), which are `stripes`."""
    images = stripes(count, seed)
    return images.tensor(), images.labels, CLASSES


def dataset(count: int, seed: int = 0) -> TensorDataset:
    images, labels, classes = pair(count, seed)
    tensors = TensorDataset(images, labels)
    vars(tensors)["classes"] = list(classes)
    return tensors


def test_distill_and_evaluate(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 2, "batch_size": 8, "views": "none", "validations": 1}
    result = lb.distill(None, network(), dataset(24), test=pair(8, 1), out=tmp_path / "one", **options)
    assert result.evaluation is not None
    assert result.evaluation == lb.evaluate(result.student, dataset(8, 1))
    assert result.student.classes == CLASSES


def test_select_and_score(tmp_path: Path) -> None:
    selection = lb.select(dataset(24), criterion="variance", budget=6)
    assert torch.equal(selection.ids, lb.select(stripes(24), criterion="variance", budget=6).ids)
    assert len(selection.transfer_set(dataset(24))) == 6
    path = lb.score_table(pair(24), tmp_path / "scores.parquet", criteria=["variance"])
    assert torch.equal(lb.select_from_scores(path, criterion="variance", budget=6).ids, selection.ids)
    assert len(lb.score_table(lambda: stripes(8), tmp_path / "own.parquet", criteria=["variance"]).read_bytes()) > 0


class Stream(IterableDataset[Any]):
    def __init__(self, images: Any) -> None:
        self.images = images

    def __iter__(self) -> Any:
        while True:
            yield from self.images


def test_borrow_from_whatever_is_at_hand() -> None:
    teacher = network().eval()
    pictures = [Image.fromarray(image[0].numpy()).resize((12, 9)) for image in stripes(20).tensor()]
    stream = {"name": Stream(pictures), "images": 15}
    folder = {"name": {"train": pair(20), "test": pair(12, 1)}, "split": "test", "images": 10, "exclude": ["rows"]}
    pools: list[Any] = [stream, folder, pair(16, 2), stripes(16, 3)]
    borrowed = lb.borrow(teacher, pools, budget=12, by="random", size=8)
    assert (len(borrowed), borrowed.images.shape) == (12, (1, 8, 8))
    with pytest.raises(UserError, match=r"the Stream has no length; say how many.*`\{'name': stream"):
        lb.borrow(teacher, Stream(pictures), budget=4, size=8)
    with pytest.raises(UserError, match=r"`streaming` of pool .* must be left out, since its images were handed over"):
        lb.borrow(teacher, {**stream, "streaming": True}, budget=4, size=8)


def test_exports_are_checked_on_them(tmp_path: Path) -> None:
    options: dict[str, Any] = {"format": "safetensors"}
    exported = lb.export(network().eval(), tmp_path / "file", test={"test": pair(8, 1)}, **options)
    assert exported.file.is_file()


def test_probe_takes_splits() -> None:
    splits = {"train": pair(24), "test": pair(12, 1)}
    result = lb.probe(network().eval(), splits, seeds=[0])
    assert result.mean_top1 == lb.probe(network().eval(), pair(24), dataset(12, 1), seeds=[0]).mean_top1


def test_sets_are_judged_on_objects() -> None:
    chosen = lb.TransferSet(stripes(8), use={"training": {"steps": 1, "views": "none"}})
    large = [(Image.fromarray(image[0].numpy()).resize((9 + row % 2, 9)), CLASSES[row % 2])
             for row, image in enumerate(stripes(8, 1).tensor())]  # fmt: skip
    (result,) = lb.evaluate_set(chosen, large, networks=network, seeds=1)
    assert result.seeds == [0]


@pytest.mark.parametrize(
    "verb",
    [
        lambda images: lb.select(images, budget=3),
        lambda images: lb.evaluate(network(), images),
        lambda images: lb.condense(images, budget="1/class"),
        lambda images: lb.experts(images, out="none"),
        lambda images: lb.distill(None, "lenet5", images, out="none", steps=1),
        lambda images: lb.score_table(images, "none"),
    ],
)
@pytest.mark.parametrize(("images", "kind"), [(3, "int"), (None, "None"), (["digits"], "list"), ({1, 2}, "set")])
def test_what_is_no_images(verb: Callable[[Any], Any], images: Any, kind: str) -> None:
    message = (
        rf"`images` must be images as `lb\.load` gives them, or a data set's name, got {kind}; a `datasets\.Dataset`"
    )
    with pytest.raises(UserError, match=message):
        verb(images)
