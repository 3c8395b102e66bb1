"""Map-style data sets of torch and torchvision, and which of them are refused."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from tests.data.objects.conftest import LABELS
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset
from torchvision.transforms import v2

import limbeck as lb
from limbeck.data.objects.map_style import ItemImages
from limbeck.data.objects.opened import How
from limbeck.errors import UserError

TO_FLOATS = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])


class Own(Dataset[Any]):
    """Items (image, label), or what `form` makes of the two."""

    def __init__(
        self,
        images: Any,
        transform: Callable[[Any], Any] | None = None,
        form: Callable[[Any, Any], Any] = lambda image, label: (image, label),
        **more: Any,
    ) -> None:
        self.images, self.transform, self.form = images, transform, form
        self.reads = 0
        vars(self).update(more)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        image = self.images[index]
        return self.form(image if self.transform is None else self.transform(image), LABELS[index])


def test_every_form_of_item_is_the_same(pictures: list[Image.Image], images: Tensor, pixels: np.ndarray) -> None:
    datasets: list[Any] = [
        Own(pictures),
        Own(pictures, v2.PILToTensor()),
        Own(pictures, TO_FLOATS),
        Own(pixels),
        Own(pictures, form=lambda image, label: {"pixel_values": image, "labels": label}),
        Own(images, form=lambda image, label: {"img": image, "label": torch.tensor([label])}),
        Own(pictures, form=lambda image, label: [image, np.int64(label)]),
        TensorDataset(images, torch.tensor(LABELS)),
        list(zip(pictures, LABELS, strict=True)),
    ]
    loaded = [lb.load(dataset) for dataset in datasets]
    assert {image_set.fingerprint for image_set in loaded} == {lb.ImageSet(images, LABELS).fingerprint}
    unlabelled = [
        TensorDataset(images),
        Own(pictures, form=lambda image, label: image),
        Own(images, form=lambda a, b: (a,)),
    ]
    assert {lb.load(dataset).fingerprint for dataset in unlabelled} == {lb.ImageSet(images).fingerprint}
    named = lb.load(Own(images, form=lambda image, label: {"photo": image, "y": 0, "kind": label}),
                    image_column="photo", label_column="kind")  # fmt: skip
    assert named.fingerprint == loaded[0].fingerprint


def test_class_names_go_through_what_wraps_a_dataset(pictures: list[Image.Image]) -> None:
    own = Own(pictures, classes=["ant", "bee", "cat"])
    assert lb.load(own).classes == ("ant", "bee", "cat")
    part = lb.load(Subset(ConcatDataset([own, own]), [13, 0]))
    assert part.classes == ("ant", "bee", "cat")
    assert part.labels is not None
    assert (part.labels.tolist(), part.name) == ([1, 0], "ConcatDataset")
    synonyms = Own(pictures, classes=[("ant", "emmet"), ("bee",), ("cat",)])
    assert lb.load(synonyms).classes == ("ant, emmet", "bee", "cat")
    cranes = Own(pictures, classes=[("crane",), ("maillot", "tank suit"), ("crane",)])  # as ImageNet of torchvision
    assert lb.load(cranes).classes == ("crane", "maillot, tank suit", "crane2")
    with pytest.raises(UserError, match=r"`classes` must be distinct, got 'crane' twice"):
        lb.load(Own(pictures, classes=["crane", "bee", "crane"]))
    with pytest.raises(UserError, match=r"must have the same `classes` in one order, got 'ant', 'bee', 'cat' and none"):
        lb.load(ConcatDataset([own, Own(pictures)]))
    with pytest.raises(UserError, match=r"`classes` of the Own must be names of classes, got \[1, 2\]"):
        lb.load(Own(pictures, classes=[1, 2]))


def test_a_part_without_some_class_is_numbered_as_the_whole(images: Tensor, pictures: list[Image.Image]) -> None:
    whole = TensorDataset(images, torch.tensor(LABELS))
    assert lb.load(Subset(whole, [0, 2])).num_classes == 3
    with pytest.raises(UserError, match=r"without 1.*Set `dataset\.classes`, a list of the names of all classes"):
        lb.load(Subset(Own(pictures), [0, 2]))


def test_torchvision(pictures: list[Image.Image], images: Tensor, tmp_path: Path) -> None:
    for number, picture in enumerate(pictures):
        folder = tmp_path / "own" / "abc"[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        picture.save(folder / f"{number:02d}.png")
    folder = torchvision.datasets.ImageFolder(tmp_path / "own")
    assert lb.load(folder).fingerprint == lb.load(tmp_path / "own").fingerprint
    assert lb.load(folder).classes == ("a", "b", "c")
    fake = torchvision.datasets.FakeData(5, (3, 8, 8), num_classes=2)
    assert lb.load(fake).shape == (3, 8, 8)
    turned = torchvision.datasets.ImageFolder(tmp_path / "own", target_transform=lambda label: 2 - label)
    with pytest.warns(
        UserWarning, match=r"names of classes of the ImageFolder are left aside, since its `target_trans"
    ):
        loaded = lb.load(turned)
    assert loaded.classes == ("0", "1", "2")
    assert loaded.labels is not None
    assert loaded.labels[0] == 2


def test_labels_that_torch_keeps_are_not_read_from_items(images: Tensor) -> None:
    whole = TensorDataset(images, torch.tensor(LABELS))
    read: list[int] = []

    class Counted(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    lb.load(Subset(whole, range(6)))
    lb.load(Counted(*whole.tensors))
    assert sorted(set(read)) == list(range(12))  # of a user's own class, every item is read
    assert len(read) <= 12 + 8 + 8


def test_items_are_decoded_when_they_are_asked_for(pictures: list[Image.Image], images: Tensor) -> None:
    own = Own(pictures)
    late = lb.load(own, in_memory=False)
    assert not late.is_decoded
    assert torch.equal(pickle.loads(pickle.dumps(lb.load(TensorDataset(images), in_memory=False))).tensor(), images)
    assert torch.equal(late.tensor(), images)
    storage = ItemImages(own, How(), "the Own")
    assert [np.asarray(image).shape for image in storage.encoded(np.array([3, 1]))] == [(6, 5, 3)] * 2


def test_no_items_go_to_workers() -> None:
    storage = ItemImages(Numbers(), How(), "the Numbers")
    before = len(pickle.dumps(storage))
    for row in range(len(Numbers())):
        storage.image(row)
    assert len(pickle.dumps(storage)) < before + 10 < 1000
    assert np.asarray(pickle.loads(pickle.dumps(storage)).image(1)).max() == 1


class Numbers(Dataset[Any]):
    """Images that are generated on access."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.full((64, 64, 3), index, dtype=np.uint8), 0


def test_random_transforms_are_refused(pictures: list[Image.Image]) -> None:
    why = r"have the random transform `RandomHorizontalFlip`; leave random transforms out, so that an image is the same"
    for transform in (
        v2.RandomHorizontalFlip(),
        v2.Compose([TO_FLOATS, torch.nn.Sequential(v2.RandomHorizontalFlip())]),
    ):
        with pytest.raises(UserError, match=why):
            lb.load(Subset(Own(pictures, transform), [1, 2, 0]))
    with pytest.raises(UserError, match=r"random transform `ColorJitter`"):
        lb.load(ConcatDataset([Own(pictures), Own(pictures, v2.ColorJitter(0.5))]))
    with pytest.raises(UserError, match=r"item 0 of the Own is another one each time that it is read; leave random"):
        lb.load(Own(pictures, lambda image: TO_FLOATS(image) * torch.rand(())))


def test_normalised_images_are_refused(pictures: list[Image.Image]) -> None:
    normalise = v2.Normalize([0.5] * 3, [0.5] * 3)
    with pytest.raises(
        UserError, match=r"`images` have `Normalize` in their transform; leave it out: networks normalise"
    ):
        lb.load(Own(pictures, v2.Compose([TO_FLOATS, normalise])))
    with pytest.raises(
        UserError, match=r"item 0 of the Own must be floats in \[0, 1\], got -1\.\.0\.9.*look normalised"
    ):
        lb.load(Own(pictures, lambda image: normalise(TO_FLOATS(image))))


class WithoutLength(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return None


def fails(image: Any) -> Any:
    raise RuntimeError("no such file")


@pytest.mark.parametrize(
    ("dataset", "why"),
    [
        (
            WithoutLength(),
            r"must be images as `lb\.load` gives them, or a data set's name, got WithoutLength, which l",
        ),
        (Own([]), r"`images` must be at least one, got none: the Own is empty"),
        (Own([1], fails), r"item 0 of the Own could not be read: RuntimeError: no such file"),
        (
            Own([1]),
            r"item 0 of the Own must hold a PIL image, a tensor, an array, or bytes or path of an image file, go",
        ),
        (Own([1], form=lambda a, b: (a, b, 0)), r"item 0 of the Own must be \(image, label\), .*got tuple of 3 parts"),
        (Own([1], form=lambda a, b: {"a": a}), r"must have its image under 'image', 'pixel_values'.*got \['a'\]; name"),
        (Own([torch.zeros(7, 8, 8)]), r"item 0 of the Own must be \[C, H, W\], \[H, W, C\] or \[H, W\] with C 1, 3"),
        (Own([torch.zeros(8, 8)], form=lambda a, b: (a, [0, 1])), r"labels of the Own must be one integer or string"),
        (DataLoader(TensorDataset(torch.zeros(2, 8, 8))), r"must be a data set, got a DataLoader.*`loader\.dataset`"),
        ([torch.zeros(8, 8), torch.zeros(9, 9)], r"`size` must be given for 'list', whose images differ in size"),
    ],
)
def test_what_cannot_be_read(dataset: Any, why: str) -> None:
    with pytest.raises(UserError, match=why):
        lb.load(dataset)


def test_columns_are_for_mappings(pictures: list[Image.Image]) -> None:
    with pytest.raises(
        UserError, match=r"`image_column` is for tables and items that are mappings, and item 0 of the Own"
    ):
        lb.load(Own(pictures), image_column="image")
    with pytest.raises(UserError, match=r"`label_column` must be a key of item 0 of the Own, got 'kind'; it has"):
        lb.load(Own(pictures, form=lambda a, b: {"image": a, "y": b}), label_column="kind")
