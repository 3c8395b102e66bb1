"""Networks of timm, with their normalisation, input size, head and stages found.

Wightman, "PyTorch image models", https://github.com/huggingface/pytorch-image-models
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import timm

from limbeck.errors import UserError, unknown_name
from limbeck.models.catalogue import TIMM_PREFIX
from limbeck.models.classifier import Classifier
from limbeck.models.recorder import check_taps
from limbeck.models.taps import Taps
from limbeck.models.timm_taps import find_taps
from limbeck.models.whitening import Whitening

_ELSEWHERE = ("hf-hub:", "hf_hub:", "local-dir:")


def timm_classifier(
    name: str,
    *,
    num_classes: int | None,
    channels: int,
    size: tuple[int, int] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    classes: Sequence[str],
    whitening: Whitening | None = None,
    pretrained: bool = False,
    stages: Sequence[str] = (),
    arguments: Mapping[str, Any] | None = None,
    **rates: float,
) -> Classifier:
    """`create` for a name of timm; `num_classes` of `None` keeps the head of the weights.

    Raises:
        UserError: a name that timm does not know, weights that cannot be had, arguments that the model does not take.
    """
    arguments = dict(arguments or {})
    timm_options = {key: rate for key, rate in rates.items() if rate} | arguments
    network = _build(name.removeprefix(TIMM_PREFIX), pretrained, num_classes, channels, size, timm_options)
    published: dict[str, Any] = network.pretrained_cfg
    size = size or tuple(published["input_size"][-2:])
    check_taps(network, Taps(stages=tuple(stages)))
    taps = find_taps(network, channels, size, tuple(stages))
    num_classes = int(network.num_classes)
    names = published.get("label_names") or ()
    if name.removeprefix(TIMM_PREFIX).startswith(_ELSEWHERE):
        # Recorded by architecture, as where the weights came from may be gone when the network is rebuilt.
        name = TIMM_PREFIX + published["architecture"]
    if whitening is None:
        mean, std = (_per_channel(values, published[key], channels) for key, values in (("mean", mean), ("std", std)))
    return Classifier(
        network,
        num_classes=num_classes,
        input_size=size,
        channels=channels,
        mean=mean,
        std=std,
        whitening=whitening,
        classes=classes or (names if len(names) == num_classes else ()),
        taps=taps,
        config={"name": name, "options": {"stages": list(stages), "arguments": arguments, **rates}},
    )


def published_size(name: str) -> tuple[int, int] | None:
    """(H, W) of the images that timm's weights of a name, without "timm:", were trained with; nothing is downloaded.

    Example:
        >>> published_size("deit_tiny_patch16_224")
        (224, 224)
    """
    if name.startswith(_ELSEWHERE):
        return None
    with suppress(UserError):  # building reports names that timm does not know
        published = _published(name)
        return None if published is None else tuple(published.input_size[-2:])
    return None


def _build(
    name: str,
    pretrained: bool,
    num_classes: int | None,
    channels: int,
    size: tuple[int, int] | None,
    timm_options: dict[str, Any],
) -> Any:
    if not name.startswith(_ELSEWHERE):
        published = _published(name)
        # Transformers with a fixed number of patches are built for one size; convolutions take any.
        if (
            published is not None
            and published.fixed_input_size
            and size not in (None, tuple(published.input_size[-2:]))
        ):
            timm_options = {"img_size": size} | timm_options
    if num_classes is not None:
        timm_options = {"num_classes": num_classes} | timm_options
    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=channels, **timm_options)
    except TypeError as error:
        raise UserError(f"timm cannot build {name!r} with {sorted(timm_options)}: {error}.") from error
    except (OSError, RuntimeError, ValueError) as error:
        if not pretrained:
            raise
        raise UserError(
            f"weights of timm's {name!r} cannot be had: {_first_line(error)} Check the name and the network, or load "
            "a local folder or file."
        ) from error


def _published(name: str) -> Any:
    """timm's record for a name; `None` for architectures without published weights."""
    architectures = timm.list_models()
    architecture = name.split(".")[0]
    if architecture not in architectures:
        raise unknown_name("timm model", name, architectures, "`timm.list_models()` in Python lists them all")
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tagged = timm.list_pretrained(f"{architecture}.*")
        raise unknown_name("timm weights", name, tagged, "What follows the dot names the training.") from error


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [type(error).__name__])[0].rstrip(". ")
    return f"{line}."


def _per_channel(values: Sequence[float] | None, published: Sequence[float], channels: int) -> Sequence[float]:
    if values is not None or len(published) == channels:
        return published if values is None else values
    return (sum(published) / len(published),) * channels
