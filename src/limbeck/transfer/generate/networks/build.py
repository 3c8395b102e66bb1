"""From settings to the network that makes images."""

from collections.abc import Sequence

from limbeck.randomness import check_seed, own_randomness
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.networks.catalogue import find_generator
from limbeck.transfer.generate.networks.codes import NoisyCodes, orthogonal_codes, read_codes
from limbeck.transfer.generate.networks.convolutional import Convolutional
from limbeck.transfer.generate.networks.layout import LAYOUTS
from limbeck.transfer.generate.networks.network import ImageNetwork
from limbeck.transfer.generate.networks.pixels import Pixels

Shape = tuple[int, int, int]


def build_network(
    settings: Generator,
    *,
    shape: Shape,
    num_classes: int,
    seed: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageNetwork:
    """The network that makes images, on the CPU; one seed makes one network, to the bit.

    Args:
        settings: which, how wide, and what it makes images from.
        shape: (channels, height, width) of the images.
        num_classes: of the teacher.
        seed: any whole number.
        mean, std: of each channel, the teacher's, for `network: none`; 0.5 and 0.25 by default.

    Raises:
        UserError: no such network, class codes that do not fit, or a registered network that is none.

    Example:
        >>> network = build_network(Generator(), shape=(3, 32, 32), num_classes=10, seed=0)
        >>> sum(one.numel() for one in network.parameters())
        2328899
    """
    check_seed(seed)
    entry = find_generator(settings.network, settings.options)
    with own_randomness(seed, "generate", "network"):
        if entry.made_by is not None:
            return entry.made_by(
                settings, shape=shape, num_classes=num_classes, noisy=_noisy(settings, num_classes, seed)
            )
        if settings.network == "none":
            channels = shape[0]
            body = Pixels(mean or [0.5] * channels, std or [0.25] * channels)
            return ImageNetwork(body, latents=shape, num_classes=num_classes)
        layout = LAYOUTS[settings.network](shape[1:], settings.width)
        inputs = settings.latents + (num_classes if settings.conditional else 0)
        body = Convolutional(layout, latents=inputs, shape=shape)
    latents = (settings.latents, *(layout.sizes[0] if layout.maps else ()))
    return ImageNetwork(
        body,
        latents=latents,
        num_classes=num_classes,
        conditional=settings.conditional,
        noisy=_noisy(settings, num_classes, seed),
    )


def _noisy(settings: Generator, num_classes: int, seed: int) -> NoisyCodes | None:
    if not settings.noisy:
        return None
    path = settings.codes
    return NoisyCodes(orthogonal_codes(num_classes, seed=seed) if path is None else read_codes(path, num_classes))
