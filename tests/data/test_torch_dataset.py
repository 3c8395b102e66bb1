"""Transfer sets as torch data sets and as `datasets.Dataset`, for users' own training loops."""

import pickle
from typing import Any

import datasets
import pytest
import torch
from torch.utils.data import DataLoader

import limbeck as lb
from limbeck.data.augmentation import Augmentation
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.training.batches import BatchStream


@pytest.fixture
def images(small_set: lb.ImageSet) -> lb.ImageSet:
    return small_set


def soft(images: lb.ImageSet) -> torch.Tensor:
    """Logits float32 [12, 3]."""
    return torch.randn(len(images), 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("views", ["none", "pad-crop-flip", "colour-jitter", ["pad-crop", {"mixup": {"alpha": 0.5}}]])
def test_batches_are_those_of_limbecks_own_loop(images: lb.ImageSet, views: Any) -> None:
    stream = BatchStream(
        images, augmentation=augmentation(views), batch_size=4, seed=3, device=torch.device("cpu"), channels_last=False
    )
    loader = images.dataloader(batch_size=4, views=views, seed=3)
    for epoch in range(2):
        loader.set_epoch(epoch)
        for step, (shown, labels, ids) in enumerate(loader):
            own = stream[3 * epoch + step]
            assert torch.equal(ids, own.ids)
            assert torch.equal(shown, own.images.float() / 255)
            assert own.labels is not None
            assert torch.equal(labels, own.labels)


def test_items(images: lb.ImageSet) -> None:
    plain = images.torch_dataset(dtype=torch.uint8)
    assert (len(plain), plain.classes) == (12, ("ant", "bee", "cat"))
    image, label, id = plain[-1]
    assert torch.equal(image, images.tensor()[-1])
    assert (int(label), id) == (2, 0)
    with pytest.raises(IndexError):
        plain[12]
    one_by_one = [item.id for item in plain]  # pyright: ignore[reportGeneralTypeIssues]
    assert one_by_one == images.ids.tolist()


def test_a_view_is_a_function_of_seed_epoch_and_id(images: lb.ImageSet) -> None:
    shown = images.torch_dataset(views="pad-crop-flip", seed=1)
    part = images.subset(images.ids[[7, 2]]).torch_dataset(views="pad-crop-flip", seed=1)
    assert torch.equal(part[0].image, shown[7].image)
    before = shown[7].image
    shown.set_epoch(1)
    assert not all(torch.equal(shown[row].image, part_row.image) for row, part_row in ((7, part[0]), (2, part[1])))
    shown.set_epoch(0)
    assert torch.equal(shown[7].image, before)
    again = pickle.loads(pickle.dumps(shown))
    assert torch.equal(again[7].image, before)


def test_targets(images: lb.ImageSet) -> None:
    logits = soft(images)
    softened = lb.TransferSet(images, (logits / 4).softmax(1), soft_label_temperature=4.0)
    assert torch.allclose(softened.torch_dataset()[3].target, logits[3].softmax(0), atol=1e-6)
    of_logits = lb.TransferSet(images, logits / 2, soft_label_kind="logits", soft_label_temperature=2.0)
    assert torch.allclose(of_logits.torch_dataset()[3].target, logits[3], atol=1e-6)
    both = of_logits.dataloader(batch_size=5, targets=("label", "probabilities"), shuffle=False)
    _, (labels, probabilities), _ = next(iter(both))
    assert images.labels is not None
    assert torch.equal(labels, images.labels[:5])
    assert torch.allclose(probabilities, logits[:5].softmax(1), atol=1e-6)
    assert images.with_labels(None, ()).torch_dataset(targets=())[0].target == ()
    plain = lb.TransferSet(images, logits.softmax(1)).torch_dataset(targets="probabilities")
    assert torch.equal(plain[3].target, logits.softmax(1)[3])


def test_images_are_normalised_on_request(images: lb.ImageSet) -> None:
    normalised = images.torch_dataset(normalise=([0.5, 0.4, 0.3], [0.2, 0.2, 0.1]))[0].image
    expected = (images.floats()[0] - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / torch.tensor([0.2, 0.2, 0.1]).view(
        3, 1, 1
    )
    assert torch.allclose(normalised, expected)


def test_learned_images_stay_floats_and_parts_are_taken_apart() -> None:
    floats = torch.randn(6, 3, 8, 8)
    learned = lb.ImageSet.of_floats(floats, [0, 1] * 3)
    assert torch.equal(learned.torch_dataset()[2].image, floats[2])
    assert learned.torch_dataset(views="pad-crop")[2].image.dtype == torch.float32
    transfer_set = lb.TransferSet(learned, per_image=4)
    assert len(transfer_set.torch_dataset()) == 24
    with pytest.warns(UserWarning, match=r"'images' holds floats, which become whole gray levels; a `data"):
        assert len(transfer_set.to_datasets()) == 6
    with pytest.raises(UserError, match=r"`dtype` must be torch\.float32, since 'images' holds floats"):
        learned.torch_dataset(dtype=torch.uint8)
    with pytest.raises(UserError, match=r"`views` must move pixels alone, as 'pad-crop-flip', since 'images'"):
        learned.torch_dataset(views="colour-jitter")


# Forking a process that has threads may warn.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_show_the_same_and_see_the_epoch(images: lb.ImageSet) -> None:
    by_method = images.dataloader(batch_size=5, views="pad-crop-flip")
    elsewhere = images.dataloader(batch_size=5, views="pad-crop-flip", workers=1)
    for epoch in (0, 1):
        for loader in (by_method, elsewhere):
            loader.set_epoch(epoch)
        for batch, expected in zip(by_method, elsewhere, strict=True):
            assert torch.equal(batch[0], expected[0])
            assert torch.equal(batch[2], expected[2])


def test_samplers_can_be_told_the_epoch(images: lb.ImageSet) -> None:
    loader = images.dataloader(batch_size=12)
    first = next(iter(loader))[2]
    loader.sampler.set_epoch(1)  # pyright: ignore[reportAttributeAccessIssue]
    assert loader.dataset.epoch == 1
    assert not torch.equal(next(iter(loader))[2], first)
    assert torch.equal(next(iter(images.dataloader(batch_size=12, shuffle=False)))[2], images.ids)
    assert len(loader) == 1
    own = DataLoader(images.torch_dataset(), batch_size=6, shuffle=True)
    assert sorted(id for _, _, ids in own for id in ids.tolist()) == sorted(images.ids.tolist())


def test_to_datasets_and_back(images: lb.ImageSet) -> None:
    logits = soft(images)
    chosen = lb.TransferSet(images, logits, {"score": torch.arange(12.0)}, soft_label_kind="logits")
    table = chosen.to_datasets()
    assert isinstance(table, datasets.Dataset)
    assert table.column_names == ["image", "id", "label", "soft_label", "score"]
    assert table.features["label"].names == ["ant", "bee", "cat"]
    assert (table[3]["id"], table[3]["score"]) == (80, 3.0)
    assert torch.equal(lb.load(table).tensor(), images.tensor())
    assert torch.allclose(torch.tensor(table["soft_label"][:]), logits)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"views": "none", "targets": "logits"},
            r"`targets` 'logits' needs soft labels, 'small' has none; `lb",
        ),
        ({"targets": "soft"}, r"unknown target 'soft'; known are label, logits, probabilities\. Known are"),
        (
            {"dtype": torch.float16},
            r"`dtype` must be torch\.float32, for \[0, 1\], or torch\.uint8, got",
        ),
        ({"seed": "0"}, r"`seed` must be a whole number, got '0'"),
        (
            {"normalise": ([0.5], [0.5])},
            r"`normalise` must be \(mean, deviation\), 3 finite numbers each",
        ),
        ({"normalise": 0.5}, r"`normalise` must be \(mean, deviation\) of each channel, got 0\.5"),
        ({"batch_size": 0}, r"`batch_size` must be a whole number, at least 1, got 0"),
        ({"workers": -1}, r"`workers` must be a whole number, at least 0, got -1"),
        ({"views": "flip"}, r"unknown view 'flip'"),
    ],
)
def test_what_cannot_be_shown(images: lb.ImageSet, options: dict[str, Any], why: str) -> None:
    keywords: dict[str, Any] = {"batch_size": 4, **options}
    with pytest.raises(UserError, match=why):
        images.dataloader(**keywords)


def test_what_sets_lack(images: lb.ImageSet) -> None:
    with pytest.raises(UserError, match=r"`images` of a transfer set must be an `ImageSet`, got Tensor; `lb\.load`"):
        lb.TransferSet(images.tensor())  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"`epoch` must be a whole number, at least 0, got -1"):
        images.torch_dataset().set_epoch(-1)
    with pytest.raises(UserError, match=r"'small' has neither labels nor soft labels to learn from"):
        images.with_labels(None, ()).torch_dataset()
    with pytest.raises(UserError, match=r"`targets` 'label' needs labels, 'small' has none"):
        images.with_labels(None, ()).torch_dataset(targets="label")
    with pytest.raises(UserError, match=r"views that mix images have no soft labels: a teacher must see the mixture"):
        lb.TransferSet(images, soft(images), soft_label_kind="logits").torch_dataset(views="mixup")


def test_views_that_mix_take_others_of_the_set(images: lb.ImageSet) -> None:
    mixed = images.torch_dataset(views="cutmix")
    assert isinstance(mixed.views, Augmentation)
    target = mixed[0].target
    assert target.shape == (3,)
    assert float(target.sum()) == pytest.approx(1)
