"""The factors of pixels' gradients over the iterations of learning."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of, evaluating
from limbeck.models.weights.folder import load
from limbeck.randomness import derive_seed
from limbeck.transfer.condense.estimate import measured
from limbeck.transfer.condense.mask.activation import layer_of, maps, passes_of
from limbeck.transfer.condense.mask.classes import class_map
from limbeck.transfer.condense.mask.discriminative import discriminative_mask
from limbeck.transfer.condense.method_settings import Mask


class Masks:
    """EDF's discriminative area enhancement: factors of the pixels' gradients, renewed every few iterations.

    Args:
        settings: of the mask.
        network: gives the maps, see `mask_network`; it is left as it was.
        classes: names of the images' K classes.
        seed: of the maps' noise.
        batch_size: images per pass.

    Attributes:
        maps: float32 `[N, H, W]`, those of the latest factors; None before the first.
        passes: images that the network has seen so far, including noisy copies.

    Raises:
        UserError: the network has no such layer, or does not know a class, see `class_map`.

    Example:
        >>> network = lb.create("resnet20", num_classes=2, classes=["cat", "dog"])
        >>> masks = Masks(Mask(beta=2), network, ["dog", "cat"], seed=0)
        >>> masks(torch.rand(4, 3, 32, 32), torch.tensor([0, 0, 1, 1]), 0).shape
        torch.Size([4, 1, 32, 32])
    """

    def __init__(
        self, settings: Mask, network: Classifier, classes: Sequence[str], *, seed: int, batch_size: int = 64
    ) -> None:
        self.settings = settings
        self.network = network if settings.size is None else _taking(network, settings.size)
        self.layer = layer_of(network, settings.layer)
        self.places = class_map(classes, network, by_name=settings.class_map)
        self.seed = seed
        self.batch_size = batch_size
        self.maps: Tensor | None = None
        self.passes = 0
        self._factors: Tensor | None = None

    def check_size(self, shape: tuple[int, int, int]) -> None:
        """Raises a UserError where the network cannot take images [C, H, W] at the size that they are resized to.

        Args:
            shape: of the images.
        """
        size = self.network.input_size or shape[1:]
        with torch.no_grad(), evaluating(self.network):
            inputs = self.network.prepare(torch.zeros(1, *shape, device=device_of(self.network)))
            try:
                self.network.network(inputs)
            except (RuntimeError, ValueError) as error:  # pooled to nothing, or no multiple of a transformer's patches
                raise UserError(
                    f"`mask.size` must be one at which {self.network.name} sees images, got {size[0]}x{size[1]} "
                    f"({str(error).splitlines()[0].rstrip('.')}); give another, or null for the network's own."
                ) from error

    def due(self, iteration: int) -> bool:
        """Whether an iteration renews the maps; in others pixels are not read."""
        return self.maps is None or iteration % self.settings.every == 0

    def __call__(self, images: Tensor, classes: Tensor, iteration: int) -> Tensor:
        """Factors of the gradients of all images, the same for all channels.

        They are of the images and classes at the last iteration that `every` divides.

        Args:
            images: float `[N, C, H, W]` in [0, 1] units, the whole set; values beyond are not clipped. Where no maps
                are `due`, anything of that shape.
            classes: int64 `[N]` in 0..K-1, whose maps are wanted; of soft labels the most probable ones.
            iteration: >= 0.

        Returns:
            float32 `[N, 1, H, W]`, on the device of the images.
        """
        if self.maps is None or self.due(iteration):
            self.maps, self._factors = self._maps(images, classes, iteration), None
        if self.maps.shape != (len(images), *images.shape[2:]):
            raise UserError(
                f"`images` must be the {len(self.maps)} of {list(self.maps.shape[1:])} pixels that the mask is kept "
                f"for, got {list(images.shape)}."
            )
        if self._factors is None:  # kept, as making them in every iteration would wait for the GPU
            factors = discriminative_mask(self.maps, self.settings.threshold, self.settings.beta)
            self._factors = factors[:, None].to(images.device)
        return self._factors

    def _maps(self, images: Tensor, classes: Tensor, iteration: int) -> Tensor:
        if not bool(((classes >= 0) & (classes < len(self.places))).all()):
            raise UserError(
                f"`classes` must lie in 0..{len(self.places) - 1}, got {int(classes.min())}..{int(classes.max())}."
            )
        self.passes += len(images) * passes_of(self.settings.map)
        parts = [
            self._maps_of(images[rows], classes[rows], iteration, int(rows[0]))
            for rows in torch.arange(len(images), device=images.device).split(self.batch_size)
        ]
        return torch.cat(parts)

    def measured(self, images: Tensor, classes: Tensor) -> tuple[float, int]:
        """Seconds and bytes of the maps of all these images, measured on one batch; the maps are not kept."""
        sample = min(len(images), self.batch_size)
        device = device_of(self.network)
        seconds, memory = measured(lambda: self._maps_of(images[:sample], classes[:sample], 0, 0), device)
        return seconds * len(images) / sample, memory

    def _maps_of(self, images: Tensor, classes: Tensor, iteration: int, first: int) -> Tensor:
        """Maps of a batch: only a batch at a time, as prepared images may be many times as large."""
        with torch.no_grad():
            inputs = self.network.prepare(images.detach().to(device_of(self.network)))
        return maps(
            self.network,
            self.layer,
            inputs,
            self.places[classes.cpu()],
            self.settings.map,
            derive_seed(self.seed, "mask", iteration),
            size=(int(images.shape[2]), int(images.shape[3])),
            first=first,
            batch_size=self.batch_size,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """The current maps, with which a resumed run continues, and how many passes have been made so far."""
        return {} if self.maps is None else {"maps": self.maps, "passes": torch.tensor(self.passes)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what `state_dict` returned."""
        self._factors = None
        # On the network's device, as without a stop: on another, the mean of a map is rounded differently.
        self.maps = state["maps"].to(device_of(self.network), copy=True) if "maps" in state else None
        self.passes = int(state["passes"]) if "passes" in state else 0


def _taking(network: Classifier, size: int) -> Classifier:
    """The same network, with shared weights, for images of another size."""
    resized = copy.copy(network)
    resized.input_size = (size, size)
    return resized


def mask_network(settings: Mask, *, teacher: Classifier | None, expert: Classifier | None) -> Classifier:
    """The network that gives the maps: the teacher, a fully taught expert, or weights by name, file or (run) folder.

    Raises:
        UserError: there is no such network.

    Example:
        >>> mask_network(Mask(network="expert"), teacher=None, expert=student) is student
        True
    """
    networks = {"teacher": teacher, "expert": expert}
    if settings.network not in networks:
        return load(settings.network)
    network = networks[settings.network]
    if network is None:
        other = "'expert'" if settings.network == "teacher" else "'teacher'"
        raise UserError(
            f"`mask.network` {settings.network!r} is not there; give one, or name {other} or weights that tell these "
            "classes apart, as 'timm:resnet18.tv_in1k'."
        )
    return network
