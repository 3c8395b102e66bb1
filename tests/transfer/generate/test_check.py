from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from limbeck import UserError
from limbeck.data.image_set import ImageSet
from limbeck.data.procedural.storage import render
from limbeck.models import Classifier, create
from limbeck.transfer.generate.check import check_teacher
from limbeck.transfer.generate.feature_statistics import measure
from limbeck.transfer.generate.maker import GenerateMaker
from limbeck.transfer.generate.normalisation import input_statistics
from limbeck.transfer.generate.scales import Scale, balanced, scales_at_start, weights_at_start
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.maker import MakerContext

WRONG = {
    "[-1, 1]": (0.5, 0.5),
    "[0, 1]": (0.0, 1.0),
    "[0, 255]": (0.0, 1 / 255),
}


def settings(**more: object) -> GenerateSettings:
    values = {"budget": 64, "method": "dafl", "generator": {"width": 8, "latents": 8}, "batch_size": 32}
    return GenerateSettings.model_validate(values | more)


def plausible(channels: int, seed: int = 5, images: int = 200, size: int = 16) -> Tensor:
    """A stand-in for a data set: smooth, and darker than most."""
    return (render("noise", seed, torch.arange(images), (channels, size, size)).float() / 255) ** 1.5


def having_seen(images: Tensor, **options: object) -> Classifier:
    """A network whose batch norms remember images, as if trained on them."""
    channels, size = images.shape[1], images.shape[2]
    values = {"width": 16, "norm": "batch", **options}
    teacher = create("convnet_d3", num_classes=4, channels=channels, input_size=size, seed=0, **values)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # an average over all
    teacher.train()
    with torch.no_grad():
        teacher(images)
    return teacher.eval()


def stating(teacher: Classifier, mean: float, std: float) -> Classifier:
    """The same network, stated to take images of another normalisation."""
    channels = teacher.channels
    return Classifier(
        teacher.network,
        num_classes=4,
        channels=channels,
        input_size=teacher.input_size,
        mean=[mean] * channels,
        std=[std] * channels,
        taps=teacher.taps,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_images_that_the_first_batch_norm_remembers(channels: int) -> None:
    data = plausible(channels)
    statistics = input_statistics(having_seen(data), (channels, 16, 16))
    assert statistics is not None
    assert statistics.possible
    for channel in range(channels):
        assert statistics.mean[channel] == pytest.approx(float(data[:, channel].mean()), abs=0.03)
        assert statistics.std[channel] == pytest.approx(float(data[:, channel].std()), rel=0.4)


@pytest.mark.parametrize("stated", WRONG)
def test_a_normalisation_that_it_was_not_trained_with(stated: str) -> None:
    teacher = having_seen(plausible(3), mean=[0.5] * 3, std=[0.2] * 3)
    report = check_teacher(stating(teacher, *WRONG[stated]), settings())
    assert report.inputs is not None
    assert not report.inputs.possible
    assert any("images in [0, 1] are not so" in doubt and "mean 0.5, std 0.25" in doubt for doubt in report.doubts)
    assert check_teacher(teacher, settings()).doubts == ()


class Curved(nn.Module):
    """Not linear before its first batch norm."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.abs() ** 1.5)


def test_what_cannot_be_told() -> None:
    untrained = create("convnet_d3", num_classes=4, channels=1, input_size=8, width=8, norm="batch")
    assert input_statistics(untrained, (1, 8, 8)) is None
    seen = having_seen(plausible(1))
    assert input_statistics(Classifier(Curved(seen.network), num_classes=4, channels=1), (1, 16, 16)) is None
    with torch.no_grad():
        first = next(module for module in seen.modules() if isinstance(module, nn.Conv2d))
        first.weight -= first.weight.mean((2, 3), keepdim=True)  # its filters see means at the border alone
    statistics = input_statistics(seen, (1, 16, 16))
    assert statistics is None or isinstance(statistics.mean, tuple)


def test_an_untrained_teacher() -> None:
    teacher = create("convnet_d3", num_classes=4, channels=1, input_size=8, width=8, norm="batch")
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    report = check_teacher(teacher, settings(method="fast"), student=create("resnet8", num_classes=4, channels=1))
    assert report.refusal == ""
    assert "its batch norms remember nothing" in report.doubts[0]
    assert report.rows[0].found.startswith("3 layers, ")
    assert report.rows[2].found == "cannot be told from its first batch norm"
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in teacher.parameters())


def test_damaged_weights() -> None:
    teacher = having_seen(plausible(1))
    next(norm for norm in teacher.modules() if isinstance(norm, nn.BatchNorm2d)).running_mean.fill_(float("nan"))  # type: ignore[union-attr]
    assert any("is not finite; the weights are damaged" in doubt for doubt in check_teacher(teacher, settings()).doubts)


def test_without_batch_norm(tmp_path: Path) -> None:
    teacher = create("convnet_d3", num_classes=4, channels=1, input_size=8, width=8, norm="instance")
    refused = check_teacher(teacher, settings(method="fast"))
    assert refused.layers == ()
    assert "`lb.export_statistics`" in refused.refusal
    assert refused.doubts == (refused.refusal,)
    assert check_teacher(teacher, settings()).refusal == ""
    path = tmp_path / "owner.safetensors"
    data = ImageSet(torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8), name="owned")
    measured = measure(teacher, data, batch_size=32)
    measured.save(path)
    report = check_teacher(teacher, settings(method="fast", statistics=str(path)))
    assert report.refusal == ""
    assert report.layers[0] == "input"
    assert report.floor == pytest.approx(float(measured.floor.sum()))
    assert report.rows[0].found == "none; exported statistics of 5 layers in its place"
    assert report.rows[1].found.endswith("(batches of 32 out of 64)")


def test_without_an_embedding() -> None:
    linear = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    teacher = Classifier(linear, num_classes=4, channels=1)
    assert "`losses.activation` needs one" in check_teacher(teacher, settings(), shape=(1, 8, 8)).doubts[-1]
    assert "`homogenise` needs one" in check_teacher(teacher, settings(method="bsr"), shape=(1, 8, 8)).doubts[-1]
    assert "activation" not in scales_at_start(settings(), teacher, shape=(1, 8, 8))
    with pytest.raises(UserError, match="there are no feature statistics at"):
        check_teacher(teacher, settings(method="bsr", statistics="nowhere"))


def test_losses_pull_alike_by_weights_at_the_start() -> None:
    teacher, student = having_seen(plausible(1)), create("resnet8", num_classes=4, channels=1, seed=3)
    pulls = {"one_hot": 1.0, "batch_norm": 2.0, "adversarial": 1.0, "activation": 0.0, "balance": 0.0}
    recipe = settings(method="fast", losses=pulls, scale_losses=True, momentum=0.9, adversarial="kl")
    weights = weights_at_start(recipe, teacher, shape=(1, 16, 16), student=student)
    scales = scales_at_start(recipe, teacher, shape=(1, 16, 16), student=student)
    unit = scales["one_hot"].gradient
    assert weights.one_hot == 1
    assert weights.batch_norm * 0.1 * scales["batch_norm"].gradient == pytest.approx(2 * unit, rel=1e-3)
    assert weights.adversarial * scales["adversarial"].gradient == pytest.approx(unit, rel=1e-3)
    assert weights.activation == 0
    without = weights_at_start(recipe, teacher, shape=(1, 16, 16))
    assert without.batch_norm == weights.batch_norm
    assert 0.1 < without.adversarial / weights.adversarial < 10  # a student that knows nothing stands in for it
    assert scales["batch_norm"].value > 0 > scales["adversarial"].value
    assert weights_at_start(recipe, teacher, shape=(1, 16, 16)) == without


def test_balanced_without_one_hot_and_without_gradients() -> None:
    scales = {"adversarial": Scale(-1.0, 2.0), "balance": Scale(-1.0, 4.0), "l2": Scale(0.0, 0.0)}
    weights = balanced(Losses(adversarial=1, balance=1, l2=3, contrast=0.8), scales)
    assert (weights.adversarial, weights.balance, weights.l2, weights.contrast) == (1, 0.5, 3, 0.8)
    assert balanced(Losses(contrast=1), scales) == Losses(contrast=1)


def test_the_maker_makes_images_by_weights_at_the_start(tmp_path: Path) -> None:
    teacher = having_seen(plausible(1, size=8))
    losses = {"one_hot": 1.0, "batch_norm": 1.0, "activation": 0.0, "balance": 0.0}
    recipe = settings(method="dafl", losses=losses, scale_losses=True, labels="uniform", inner_steps=1, fresh=0)
    alone = recipe.model_copy(update={"steps_per_round": None})
    classes = ("a", "b", "c", "d")
    context = MakerContext(folder=tmp_path, pool=None, classes=classes, shape=(1, 8, 8), teacher=teacher, seed=3)
    source = GenerateMaker()._source(alone, context)
    weights = weights_at_start(recipe, teacher, shape=(1, 8, 8), seed=3)
    assert source.engine.settings.losses == weights
    assert weights.batch_norm != 1
