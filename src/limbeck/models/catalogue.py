"""Every network that is known by name. torch is not imported; listings and documentation are made from this table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.catalogue import Catalogue
from limbeck.errors import unknown_name
from limbeck.models.options import Option
from limbeck.models.published import NAMED

TIMM_PREFIX = "timm:"


@dataclass(frozen=True)
class ModelEntry:
    """What a user needs to know before choosing a model.

    Attributes:
        family: architectures of one family share a file.
        parameters: at 100 classes and 3x32x32 images; `None` where it depends on the name.
        summary: what it is, a few words.
        options: what `create` takes besides the common arguments.
        input_size: for a network that is built for one size, the default side in pixels.
        made_by: builds the network, where it is not limbeck's own.
    """

    family: str
    parameters: int | None
    summary: str
    options: Mapping[str, Option] = field(default_factory=dict)
    input_size: int | None = None
    made_by: Callable[..., Any] | None = None


CONVNET_OPTIONS = {
    "width": Option("count", 128, "channels of every layer"),
    "norm": Option("choice", "instance", "normalisation", ("instance", "batch", "group", "layer", "none")),
    "pooling": Option("choice", "average", "pooling after every layer", ("average", "max", "none")),
    "activation": Option("choice", "relu", "after every norm", ("relu", "leaky_relu", "sigmoid")),
}
ALEXNET_OPTIONS = {"norm": Option("choice", "none", "after every convolution", ("none", "instance"))}
TIMM_OPTIONS = {
    "pretrained": Option("switch", False, "download the published weights"),
    "drop_rate": Option("share", 0.0, "dropout before the head"),
    "drop_path_rate": Option("share", 0.0, "stochastic depth"),
    "stages": Option("paths", (), "module paths of the stages, instead of those found"),
    "arguments": Option("mapping", {}, "further arguments of timm.create_model"),
}


def _option_a(depth: int, parameters: int) -> ModelEntry:
    return ModelEntry("ResNet", parameters, f"CIFAR ResNet of {depth} layers, shortcuts without parameters")


def _resnet(depth: int, parameters: int) -> ModelEntry:
    return ModelEntry("ResNet", parameters, f"CIFAR ResNet of {depth} layers, widths 16-32-64")


def _wide(depth: int, factor: int, parameters: int) -> ModelEntry:
    return ModelEntry("WideResNet", parameters, f"wide ResNet of {depth} layers, {factor} times as wide")


def _vgg(depth: int, parameters: int) -> ModelEntry:
    return ModelEntry("VGG", parameters, f"VGG of {depth} layers with batch norm, widths 64 to 512")


def _narrow(width: int, parameters: int) -> ModelEntry:
    return ModelEntry("VGG", parameters, f"VGG-8 with {width} channels in the first block, later ones alike")


def _convnet(depth: int, parameters: int) -> ModelEntry:
    layers = "a plain 3x3 layer, pooled" if depth == 1 else f"{depth} plain 3x3 layers, each pooled"
    return ModelEntry("ConvNet", parameters, layers, CONVNET_OPTIONS, 32)


_OWN = {
    "resnet8": _resnet(8, 83_892),
    "resnet14": _resnet(14, 181_108),
    "resnet20": _resnet(20, 278_324),
    "resnet32": _resnet(32, 472_756),
    "resnet44": _resnet(44, 667_188),
    "resnet56": _resnet(56, 861_620),
    "resnet110": _resnet(110, 1_736_564),
    "resnet8x4": ModelEntry("ResNet", 1_233_540, "CIFAR ResNet of 8 layers, four times as wide"),
    "resnet32x4": ModelEntry("ResNet", 7_433_860, "CIFAR ResNet of 32 layers, four times as wide"),
    "resnet20_option_a": _option_a(20, 275_572),
    "resnet32_option_a": _option_a(32, 470_004),
    "resnet44_option_a": _option_a(44, 664_436),
    "resnet56_option_a": _option_a(56, 858_868),
    "resnet110_option_a": _option_a(110, 1_733_812),
    "resnet18": ModelEntry("ResNet", 11_220_132, "ResNet-18 with a 3x3 stem, without max-pooling, for small images"),
    "resnet18_instance": ModelEntry("ResNet", 11_220_132, "resnet18 with instance norm; parameters say all about it"),
    "resnet34": ModelEntry("ResNet", 21_328_292, "ResNet-34 with a 3x3 stem, without max-pooling, for small images"),
    "ResNet50": ModelEntry("ResNet", 23_705_252, "ResNet-50 with a 3x3 stem, without max-pooling, for small images"),
    "wrn_16_1": _wide(16, 1, 180_916),
    "wrn_16_2": _wide(16, 2, 703_284),
    "wrn_40_1": _wide(40, 1, 569_780),
    "wrn_40_2": _wide(40, 2, 2_255_156),
    "vgg8": _vgg(8, 3_965_028),
    "vgg11": _vgg(11, 9_277_284),
    "vgg11_instance": ModelEntry("VGG", 9_277_284, "VGG of 11 layers with instance norm, halved five times"),
    "vgg13": _vgg(13, 9_462_180),
    "vgg16": _vgg(16, 14_774_436),
    "vgg19": _vgg(19, 20_086_692),
    "vgg8_w32": _narrow(32, 1_005_668),
    "vgg8_w16": _narrow(16, 258_660),
    "vgg8_w8": _narrow(8, 68_324),
    "vgg8_w4": _narrow(4, 18_948),
    "vgg8_w2": _narrow(2, 5_708),
    "MobileNetV2": ModelEntry("MobileNet", 812_836, "MobileNetV2 at half width, expansion 6"),
    "ShuffleV1": ModelEntry("ShuffleNet", 949_258, "ShuffleNetV1 with 3 groups"),
    "ShuffleV2": ModelEntry("ShuffleNet", 1_355_528, "ShuffleNetV2 at width 1"),
    "convnet_d1": _convnet(1, 3_280_740),
    "convnet_d2": _convnet(2, 970_980),
    "convnet_d3": _convnet(3, 504_420),
    "convnet_d4": _convnet(4, 498_660),
    "convnet_d5": _convnet(5, 608_100),
    "convnet_d6": _convnet(6, 755_940),
    "lenet5": ModelEntry(
        "LeNet",
        69_656,
        "LeNet-5 with ReLU and max pooling, made for gray digits",
        {
            "width": Option("count", 6, "channels of the first convolution, others in proportion"),
            "norm": Option("choice", "none", "after every convolution", ("none", "batch")),
        },
    ),
    "alexnet": ModelEntry("AlexNet", 2_148_772, "AlexNet for small images, without norm", ALEXNET_OPTIONS),
}
MODELS: Catalogue[ModelEntry] = Catalogue(
    "models",
    _OWN,
    "limbeck.models.own_models:describe",
    lambda: {name: f"the name of published weights, {name!r}" for name in NAMED},
)

# Stands for some thousand names, which `timm.list_models()` lists.
TIMM = ModelEntry("timm", None, "any model of timm by its name there, as in timm:deit_tiny_patch16_224", TIMM_OPTIONS)


def canonical(name: str) -> str:
    """The name as the catalogue spells it; case does not matter, and names of timm are returned as they are.

    Raises:
        UserError: no such model.

    Example:
        >>> canonical("Resnet50")
        'ResNet50'
    """
    if name.casefold().startswith(TIMM_PREFIX):
        return TIMM_PREFIX + name[len(TIMM_PREFIX) :]
    if MODELS.is_unlisted(name):
        return name
    by_fold = {model.casefold(): model for model in MODELS}
    if name.casefold() not in by_fold:
        raise unknown_name("model", name, MODELS, "`limbeck ls models` lists them all")
    return by_fold[name.casefold()]


def entry(name: str) -> ModelEntry:
    """A model's entry in the catalogue; raises as `canonical` does."""
    name = canonical(name)
    return TIMM if name.startswith(TIMM_PREFIX) else MODELS[name]
