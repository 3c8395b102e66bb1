"""How a classifier prepares images for its network, and how it is used."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from limbeck.errors import UserError
from limbeck.models import Classifier, Outputs, create


class Passing(nn.Module):
    """Returns the mean of each input channel as logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


def passing(channels: int = 3, **arguments: object) -> Classifier:
    neutral = {"mean": (0.0,) * channels, "std": (1.0,) * channels, "num_classes": channels, "channels": channels}
    return Classifier(Passing(), **(neutral | arguments))


def test_normalises(small: Classifier, images: Tensor) -> None:
    mean, std = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)
    assert torch.equal(small.prepare(images), (images - mean) / std)


def test_bytes_are_divided_by_255(small: Classifier) -> None:
    whole = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(small(whole).logits, small(whole.float() / 255).logits)


def test_resizes_only_what_differs() -> None:
    classifier = passing(input_size=16)
    small, large = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 32, 48)
    assert classifier.input_size == (16, 16)
    assert torch.equal(classifier.prepare(small), small)
    expected = F.interpolate(large, (16, 16), mode="bilinear", antialias=True)
    assert torch.equal(classifier.prepare(large), expected)


def test_gray_for_a_colour_network() -> None:
    gray = torch.rand(2, 1, 4, 4)
    assert torch.equal(passing().prepare(gray), gray.repeat(1, 3, 1, 1))


def test_colour_for_a_gray_network() -> None:
    colour = torch.zeros(1, 3, 1, 3)
    colour[0, 0, 0, 0] = colour[0, 1, 0, 1] = colour[0, 2, 0, 2] = 1
    assert torch.allclose(passing(1).prepare(colour), torch.tensor([0.299, 0.587, 0.114]).view(1, 1, 1, 3))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(2, 4, 8, 8), "vgg8_w2 takes images of 3 channel.s., got 4; .*Load the data with `channels`"),
        (torch.rand(3, 8, 8), r"`images` must be \[B, C, H, W\], got shape \[3, 8, 8\]"),
        (torch.ones(1, 3, 8, 8, dtype=torch.int64), r"must be uint8, or floating in \[0, 1\], got torch.int64"),
    ],
)
def test_images_that_do_not_do(small: Classifier, images: Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(images)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": (0.5,)}, "`mean` must hold one number per channel, 3 in all, got 1"),
        ({"std": (0.5,) * 4}, "`std` must hold one number per channel, 3 in all, got 4"),
        ({"std": (0.5, 0.0, 0.5)}, "`std` must be > 0 in every channel"),
        ({"mean": (0.5, float("nan"), 0.5)}, "`mean` must hold finite numbers"),
        ({"classes": ("a", "b")}, "`classes` must hold 3 names .`num_classes`., got 2"),
        ({"num_classes": 0}, "`num_classes` must be at least 1, got 0"),
        ({"input_size": 0}, "`input_size` must be one or two whole numbers >= 1, got 0"),
    ],
)
def test_arguments_that_do_not_do(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        passing(**arguments)


def test_wrong_number_of_rows() -> None:
    first = Classifier(FirstAlone(), num_classes=2, channels=1)
    assert first(torch.rand(1, 1, 8, 8)).logits.shape == (1, 2)
    with pytest.raises(UserError, match="must return a row of logits for each image, got 1 for 3 images"):
        first(torch.rand(3, 1, 8, 8))


class FirstAlone(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:1, :2]


def test_wrong_number_of_logits() -> None:
    with pytest.raises(UserError, match=r"must return logits \[B, 5\], got shape \[2, 3\]; is `num_classes` right"):
        passing(num_classes=5)(torch.rand(2, 3, 4, 4))


def test_network_that_returns_something_else() -> None:
    class Talkative(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"logits": x.mean((2, 3))}

    classifier = Classifier(Talkative(), num_classes=3)
    with pytest.raises(UserError, match=r"Talkative must return one tensor of logits .*got dict"):
        classifier(torch.rand(2, 3, 4, 4))


def test_state_dict_is_the_network_s_own(small: Classifier) -> None:
    assert all(key.startswith("network.") for key in small.state_dict())


def test_bfloat16_weights_and_autocast(images: Tensor) -> None:
    classifier = create("resnet8", num_classes=10).eval().to(memory_format=torch.channels_last)
    batch = images.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = classifier(images, want=("logits", "stages"))
        with torch.autocast("cpu", torch.bfloat16):
            automatic = classifier(batch, want=("logits", "stages"))
        cast = copy.deepcopy(classifier).to(torch.bfloat16)(batch, want=("logits", "stages"))
    for got in (automatic, cast):
        assert got.logits.dtype == torch.bfloat16
        assert got.stages[1].is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(got.logits.float(), expected.logits, atol=0.1)


def test_distributed_data_parallel(small: Classifier, images: Tensor, tmp_path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(small)
        outputs = wrapped(images, want=("logits", "embedding", "stages"))
        assert isinstance(outputs, Outputs)
        sum(output.mean() for output in (outputs.logits, outputs.embedding, *outputs.stages)).backward()
        assert all(parameter.grad is not None for parameter in small.parameters())
    finally:
        torch.distributed.destroy_process_group()
