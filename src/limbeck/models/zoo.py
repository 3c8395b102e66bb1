"""Networks by name, and other people's networks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from limbeck.errors import UserError
from limbeck.models import alexnet, convnet, lenet, mobilenet, resnet, shufflenet_v1, shufflenet_v2, vgg, wide_resnet
from limbeck.models.catalogue import TIMM, TIMM_PREFIX, canonical, entry
from limbeck.models.classifier import Classifier, Size, as_size, check_counts
from limbeck.models.options import check_options
from limbeck.models.recorder import check_taps
from limbeck.models.reused_head import with_fresh_reused_head
from limbeck.models.taps import Tapped, Taps
from limbeck.models.whitening import Whitening
from limbeck.randomness import own_randomness

BUILDERS: Mapping[str, Callable[..., Tapped]] = {
    **resnet.BUILDERS,
    **wide_resnet.BUILDERS,
    **vgg.BUILDERS,
    **mobilenet.BUILDERS,
    **shufflenet_v1.BUILDERS,
    **shufflenet_v2.BUILDERS,
    **convnet.BUILDERS,
    **lenet.BUILDERS,
    **alexnet.BUILDERS,
}


def create(
    name: str,
    *,
    num_classes: int,
    seed: int = 0,
    channels: int = 3,
    input_size: Size | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] = (),
    whitening: Whitening | None = None,
    **options: Any,
) -> Classifier:
    """A network of the catalogue with fresh weights, or any of timm as `timm:<name>`.

    Args:
        name: case does not matter.
        num_classes: at least 1.
        seed: the same seed gives the same weights; torch's own random state is left as it was.
        channels: of the images that the network takes.
        input_size: images of another size are resized to it. Without it, networks take images as they come, ConvNets
            32x32 (in recipes, the size of the images), and networks of timm the size that they were trained at.
        mean, std: normalisation, one number per channel in units of [0, 1] images. Without them 0.5 and 0.25, which
            centre natural images well enough; networks of timm bring their own.
        classes: names of the classes.
        whitening: in place of mean and std; it fixes the size of the images.
        options: of the model, see its entry in the catalogue.

    Raises:
        UserError: unknown name or option, a value that is not allowed, an input too small for the network.

    Example:
        >>> student = create("convnet_d3", num_classes=10, channels=1, input_size=28, norm="batch")
        >>> student(torch.rand(2, 1, 28, 28)).logits.shape
        torch.Size([2, 10])
    """
    name = canonical(name)
    common: dict[str, Any] = {
        "num_classes": num_classes,
        "channels": channels,
        "input_size": None if input_size is None else as_size(input_size),
        "mean": mean,
        "std": std,
        "classes": classes,
    }
    if whitening is not None:
        common |= {"whitening": whitening, "input_size": common["input_size"] or whitening.shape[1:]}
    if name.startswith(TIMM_PREFIX):
        return create_timm(name, seed=seed, **common, **options)
    model_entry = entry(name)
    options = check_options(name, model_entry.options, options)
    check_counts(num_classes, channels)
    building = dict(options)
    if model_entry.input_size is not None:
        common["input_size"] = building["size"] = common["input_size"] or as_size(model_entry.input_size)
    config = {"name": name, "options": options}
    with own_randomness(seed, "weights"):
        if model_entry.made_by is not None:
            return model_entry.made_by(config=config, **{**common, **building})
        network = BUILDERS[name](num_classes=num_classes, channels=channels, **building)
    return Classifier(network, taps=network.taps, config=config, **common)


def create_timm(
    name: str,
    *,
    num_classes: int | None,
    seed: int = 0,
    channels: int = 3,
    input_size: Size | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    classes: Sequence[str] = (),
    whitening: Whitening | None = None,
    **options: Any,
) -> Classifier:
    """`create` for `timm:<name>`; without `num_classes` the head is that of the published weights."""
    from limbeck.models.timm_models import timm_classifier  # importing timm takes as long as many a command

    options = check_options(name, TIMM.options, options)
    check_counts(1 if num_classes is None else num_classes, channels)
    with own_randomness(seed, "weights"):
        return timm_classifier(
            name,
            num_classes=num_classes,
            channels=channels,
            size=None if input_size is None else as_size(input_size),
            mean=mean,
            std=std,
            classes=classes,
            whitening=whitening,
            **options,
        )


def untrained(classifier: Classifier, *, seed: int = 0) -> Classifier | None:
    """The same network with fresh weights in eval mode, as a control; None for a network that no name rebuilds.

    Example:
        >>> untrained(student, seed=1).name
        'convnet_d3'
    """
    if classifier.config is None:
        return None
    options = {key: value for key, value in classifier.config["options"].items() if key != "pretrained"}
    mean, std = classifier.normalisation
    inputs = {"mean": mean, "std": std} if classifier.whitening is None else {"whitening": classifier.whitening}
    fresh = create(
        classifier.config["name"],
        num_classes=classifier.num_classes,
        seed=seed,
        channels=classifier.channels,
        input_size=classifier.input_size,
        classes=classifier.classes,
        **inputs,
        **options,
    )
    if "reused_head" in classifier.config:
        with own_randomness(seed, "reused head"):
            fresh = with_fresh_reused_head(fresh, classifier.config["reused_head"])
    return fresh.eval()


def wrap(
    module: nn.Module,
    *,
    num_classes: int,
    input_size: Size | None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    whitening: Whitening | None = None,
    channels: int = 3,
    classes: Sequence[str] = (),
    embedding: str | None = None,
    stages: Sequence[str] = (),
) -> Classifier:
    """Any network as a `Classifier`.

    Args:
        module: takes normalised images `[B, C, H, W]`, returns logits `[B, K]`.
        input_size: what images are resized to; `None` to leave them.
        mean, std: what the network was trained with; 0 and 1 if it takes images in [0, 1].
        whitening: in their place, for a network that takes whitened images; see `Whitening`.
        embedding: path of the classifier head, whose input is the embedding.
        stages: paths of modules whose output is a stage, shallow to deep; name activation modules if
            pre-activations will be wanted.

    Raises:
        UserError: a path that the module does not have, lengths that do not match, neither or both of `mean` with `std`
            and `whitening`.

    Example:
        >>> layers = [torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(7200, 10)]
        >>> module = torch.nn.Sequential(*layers)
        >>> teacher = wrap(module, num_classes=10, input_size=32, mean=(0.5,) * 3, std=(0.25,) * 3, embedding="3")
        >>> teacher(torch.rand(2, 3, 32, 32), want=("embedding",)).embedding.shape
        torch.Size([2, 7200])
    """
    if whitening is None and (mean is None or std is None):
        raise UserError(
            "`mean` and `std`, or `whitening`, must say how the network sees images, got neither in full; give what it "
            "was trained with, 0 and 1 of each channel if it takes images in [0, 1]."
        )
    taps = Taps(embedding, tuple(stages))
    check_taps(module, taps)
    return Classifier(
        module,
        num_classes=num_classes,
        input_size=input_size,
        channels=channels,
        mean=mean,
        std=std,
        whitening=whitening,
        classes=classes,
        taps=taps,
    )
