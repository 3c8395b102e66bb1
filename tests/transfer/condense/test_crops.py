from math import sqrt
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.transforms.v2.functional import resized_crop

import limbeck as lb
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models.forward import FrozenTeacher
from limbeck.models.whitening import Whitening
from limbeck.randomness import derive_seed, uniform, words
from limbeck.transfer.condense.crops import CropImages, crops_per_image, images_of_crops
from limbeck.transfer.condense.method_settings import Crops


def pool(n: int, size: tuple[int, int], *, channels: int = 3, classes: int = 2, seed: int = 0) -> ImageSet:
    source = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (n, channels, *size), generator=source, dtype=torch.uint8)
    ids = torch.randperm(3 * n, generator=source)[:n]
    return ImageSet(pixels, torch.arange(n) % classes, ids=ids, classes=[f"class {k}" for k in range(classes)])


def rater(size: tuple[int, int], *, channels: int = 3, classes: int = 2) -> FrozenTeacher:
    mean, std = [0.4, 0.5, 0.6][:channels], [0.2, 0.3, 0.25][:channels]
    common: dict[str, Any] = {"num_classes": classes, "channels": channels, "input_size": size}
    network = lb.create("convnet_d3", **common, mean=mean, std=std, width=4)
    return FrozenTeacher(network.double(), device=torch.device("cpu"), channels_last=False)


def drawn(seed: int, crop: int, stream: int, id: int) -> float:
    return float(uniform(words(derive_seed(seed, "crops", crop), stream, torch.tensor([id]))))


def rated(images: ImageSet, teacher: FrozenTeacher, settings: Crops, row: int, seed: int) -> list[tuple[float, Tensor]]:
    """Each crop of an image with its cross entropy, one by one."""
    labels, id = images.labels, int(images.ids[row])
    assert labels is not None
    pixels = images.gather(torch.tensor([row]))[0].float()
    height, width = pixels.shape[1:]
    factor = 2 if min(height, width) >= 128 else 1
    h, w = -(-height // factor), -(-width // factor)
    scored = []
    for crop in range(settings.crops):
        area = settings.area[0] + drawn(seed, crop, 0, id) * (settings.area[1] - settings.area[0])
        tall, broad = max(1, round(sqrt(area) * height)), max(1, round(sqrt(area) * width))
        top = int(drawn(seed, crop, 1, id) * (height - tall + 1))
        left = int(drawn(seed, crop, 2, id) * (width - broad + 1))
        small = resized_crop(pixels, top, left, tall, broad, [h, w], antialias=True).round()
        mean, std = (torch.tensor(statistic).double().view(-1, 1, 1) for statistic in teacher.classifier.normalisation)
        padded = torch.zeros(pixels.shape, dtype=torch.float64)
        y, x = (height - h) // 2, (width - w) // 2
        padded[:, y : y + h, x : x + w] = (small.double() / 255 - mean) / std
        with torch.no_grad():
            probabilities = teacher.classifier.network(padded[None]).softmax(1)[0]
        scored.append((-float(probabilities[labels[row]].log()), small.to(torch.uint8)))
    return scored


def by_hand(images: ImageSet, teacher: FrozenTeacher, settings: Crops, count: int, seed: int) -> CropImages:
    assert images.labels is not None
    factor = 2 if min(images.shape[1:]) >= 128 else 1
    pictures, sources, scores = [], [], []
    for label in range(images.num_classes):
        rows = [row for row in range(len(images)) if images.labels[row] == label]
        order = words(derive_seed(seed, "crops", "candidates"), 0, images.ids)
        rows = sorted(rows, key=lambda row: int(order[row]))[: settings.candidates]
        best = [(*min(rated(images, teacher, settings, row, seed), key=lambda pair: pair[0]), row) for row in rows]
        best = sorted(best, key=lambda scored: scored[0])
        n = count * factor**2
        if settings.pick == "spread":
            best = [best[int((place + 0.5) * len(best) / n)] for place in range(n)]
        for image in range(count):
            tiles = [best[part * count + image] for part in range(factor**2)]
            height, width = images.shape[1:]
            h, w = -(-height // factor), -(-width // factor)
            picture = torch.empty(images.shape, dtype=torch.uint8)
            for part, (_, tile, _) in enumerate(tiles):
                y, x = h * (part // factor), w * (part % factor)
                picture[:, y : y + h, x : x + w] = tile[:, : height - y, : width - x]
            pictures.append(picture)
            sources.append([int(images.ids[row]) for _, _, row in tiles])
            scores.append([score for score, _, _ in tiles])
    labels = torch.arange(images.num_classes).repeat_interleave(count)
    return CropImages(torch.stack(pictures), labels, torch.tensor(sources), torch.tensor(scores))


@pytest.mark.parametrize("pick", ["easiest", "spread"])
@pytest.mark.parametrize("size", [(10, 10), (6, 9), (128, 128), (129, 131)])
def test_images_are_those_that_one_makes_by_hand(size: tuple[int, int], pick: str) -> None:
    images, teacher = pool(14, size), rater(size)
    settings = Crops.model_validate({"candidates": 5, "crops": 2, "area": (0.2, 1.0), "pick": pick})
    count = 1 if min(size) >= 128 else 3
    fast, slow = (
        images_of_crops(images, teacher, settings, [count] * 2, seed=3),
        by_hand(images, teacher, settings, count, 3),
    )
    assert torch.equal(fast.sources, slow.sources)
    assert torch.equal(fast.labels, slow.labels)
    assert torch.allclose(fast.scores, slow.scores, rtol=0, atol=2e-4)
    assert (fast.images.int() - slow.images.int()).abs().max() <= 1  # rounding of weights
    assert teacher.passes == 2 * 5 * 2


def test_no_image_hangs_on_the_order_of_the_pool() -> None:
    images, teacher = pool(20, (8, 8)), rater((8, 8))
    first = images_of_crops(images, teacher, Crops(candidates=6), [2, 1], seed=0)
    again = images_of_crops(images.subset(images.ids.flip(0)), teacher, Crops(candidates=6), [2, 1], seed=0)
    other = images_of_crops(images, teacher, Crops(candidates=6), [2, 1], seed=1)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.images, other.images)
    assert first.labels.tolist() == [0, 0, 1]


def test_a_teacher_may_number_its_classes_otherwise() -> None:
    images, teacher = pool(20, (8, 8)), rater((8, 8), classes=3)
    teacher.classifier.classes = ("class 1", "another", "class 0")
    renumbered = images_of_crops(images, teacher, Crops(candidates=6), [2, 0], seed=0)
    assert images.labels is not None
    as_numbered = images.with_labels(2 - 2 * images.labels, ("class 1", "another", "class 0"))
    assert torch.equal(
        renumbered.images, images_of_crops(as_numbered, teacher, Crops(candidates=6), [0, 0, 2], seed=0).images
    )


def test_spread_crops_are_harder_than_the_easiest() -> None:
    images, teacher = pool(40, (8, 8)), rater((8, 8))
    easiest, spread = (
        images_of_crops(images, teacher, Crops.model_validate({"pick": pick}), [4, 4], seed=0).scores.view(2, 4)
        for pick in ("easiest", "spread")
    )
    assert (spread.mean(1) > easiest.mean(1)).all()
    assert (spread.diff(dim=1) > 0).all()


def test_more_images_are_looked_at_and_then_more_crops_of_them_where_many_are_wanted() -> None:
    images, teacher = pool(16, (8, 8)), rater((8, 8))
    looked = images_of_crops(images, teacher, Crops(candidates=2), [6, 0], seed=0)
    assert teacher.passes == 6 * 5
    assert len(set(looked.sources.flatten().tolist())) == 6
    full = images_of_crops(images, teacher, Crops(), [12, 0], seed=0)
    counted = torch.bincount(full.sources.flatten())
    assert sorted(counted[counted > 0].tolist()) == [1] * 4 + [2] * 4, "each image's best, and four next best"
    assert (full.scores.flatten().diff() >= 0).all()


def test_gray_images_are_padded_with_the_mean_of_a_colour_network() -> None:
    images = pool(4, (128, 128), channels=1)
    made = images_of_crops(images, rater((128, 128)), Crops(candidates=4, crops=2), [1, 1], seed=0)
    assert made.images.shape == (2, 1, 128, 128)
    assert made.sources.shape == (2, 4)


def test_crops_are_padded_with_the_mean_image_of_a_network_that_whitens() -> None:
    whitening = Whitening(torch.rand(1, 4, 4), torch.eye(16))
    network = lb.create("convnet_d3", num_classes=2, channels=1, width=4, whitening=whitening)
    images, teacher = pool(2, (128, 128), channels=1), FrozenTeacher(network, device=torch.device("cpu"))
    shown: list[Tensor] = []
    teacher.register_forward_pre_hook(lambda _, args: shown.append(args[0]))
    images_of_crops(images, teacher, Crops(candidates=1, crops=4), [1, 1], seed=0)
    border = torch.cat(shown)[:, 0, 0]
    wanted = interpolate(whitening.mean.view(1, 1, 4, 4), (128, 128), mode="bilinear")[0, 0, 0]
    assert torch.allclose(border, wanted.expand_as(border), atol=1e-6)


def test_how_many_crops_fit() -> None:
    assert [crops_per_image(side, 200) for side in (32, 64, 127, 128)] == [1, 1, 1, 4]


def test_what_cannot_be() -> None:
    images, teacher = pool(8, (8, 8)), rater((8, 8))
    with pytest.raises(UserError, match="'images' has no labels; give labelled images"):
        images_of_crops(images.with_labels(None, ()), teacher, Crops(), [1, 1], seed=0)
    with pytest.raises(UserError, match="`counts` must be of the 2 classes of 'images', a number each, got 3"):
        images_of_crops(images, teacher, Crops(), [1, 1, 1], seed=0)
    with pytest.raises(
        UserError, match="convnet_d3 must know the 2 classes of 'images' by name, or have as many, got 5"
    ):
        images_of_crops(images, rater((8, 8), classes=5), Crops(), [1, 1], seed=0)
    with pytest.raises(UserError, match=r"`counts` must be whole numbers from 0, one above it, got \[0, 0\]"):
        images_of_crops(images, teacher, Crops(), [0, 0], seed=0)
    with pytest.raises(
        UserError, match="21 images of class 'class 1' take 21 crops, and 'images' has 4 such images of 5"
    ):
        images_of_crops(images, teacher, Crops(), [0, 21], seed=0)
    broken = rater((8, 8))
    broken.classifier.network.head.bias.fill_(torch.nan)  # type: ignore[union-attr, operator]
    with pytest.raises(UserError, match="teacher convnet_d3 must rate crops by finite numbers, got 20 that are not"):
        images_of_crops(images, broken, Crops(), [1, 1], seed=0)
    with pytest.raises(ValidationError, match="`area` must be a smallest and a largest share"):
        Crops(area=(0.5, 0.1))
