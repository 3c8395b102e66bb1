"""What all networks that make images have in common."""

from collections.abc import Callable

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.transfer.generate.networks.codes import NoisyCodes, with_one_hot


class ImageNetwork(nn.Module):
    """Latents, and labels where images are made by label, to images [B, C, H, W] in [0, 1].

    See `draw_latents` for latents of the right shape, which depends on the labels where they are noisy layers.

    Args:
        body: from latents [B, *latents], with codes of the labels if there are any, to images.
        latents: shape of the latents of one image.
        num_classes: K.
        conditional: whether a one-hot code of the label stands beside the latents.
        noisy: makes latents of labels and of layers that are drawn in their place.
        labelled: whether the body takes the labels, too.
        remake: makes a body of one's own afresh; it is seeded by torch's global generator.

    Example:
        >>> from limbeck.transfer.generate.networks import build_network, draw_latents
        >>> from limbeck.transfer.generate.generator_settings import Generator
        >>> network = build_network(Generator(width=8, conditional=True), shape=(3, 32, 32), num_classes=10, seed=0)
        >>> labels = torch.arange(10)
        >>> network(draw_latents(network, labels, seed=0, call=1), labels).shape
        torch.Size([10, 3, 32, 32])
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        latents: tuple[int, ...],
        num_classes: int,
        conditional: bool = False,
        noisy: NoisyCodes | None = None,
        labelled: bool = False,
        remake: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.body = body
        self.latents = latents
        self.num_classes = num_classes
        self.conditional = conditional
        self.noisy = noisy
        self.labelled = labelled
        self.remake = remake

    @property
    def by_label(self) -> bool:
        """Whether it makes images by their labels."""
        return self.conditional or self.labelled or self.noisy is not None

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images of latents [B, ...], or of noisy layers [G, Z, D], and of labels int64 [B]."""
        if not self.by_label:
            return self.body(latents)
        if labels is None:
            raise UserError("`labels` must be given to a network that makes images by their labels, got none.")
        if self.noisy is not None:
            latents = self.noisy(latents, labels)
        if self.conditional:
            latents = with_one_hot(latents, labels, self.num_classes)
        return self.body(latents, labels) if self.labelled else self.body(latents)
