"""Images for checks: small, labelled, with some structure."""

import torch

from limbeck.data.image_set import ImageSet


def natural(n: int, *, size: int = 16, classes: int = 4, seed: int = 0, channels: int = 1) -> ImageSet:
    """Labelled images with some structure: blotches of few levels, no two alike."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 4, 4, generator=source)
    fine = torch.nn.functional.interpolate(coarse, size, mode="bilinear") + 0.1 * torch.rand(
        n, channels, size, size, generator=source
    )
    labels = torch.randint(0, classes, (n,), generator=source)
    labels[:classes] = torch.arange(classes)
    pixels = (fine / 1.1 * 255).to(torch.uint8)
    return ImageSet(pixels, labels, ids=torch.randperm(2 * n, generator=source)[:n], name="blotches")


def reordered(images: ImageSet, seed: int) -> ImageSet:
    """The same images in another order."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images.subset(images.ids[order])


def saturated(channels: int) -> ImageSet:
    """Black, white, gray and striped."""
    levels = torch.tensor([0, 255, 128, 0], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, channels, 16, 16).clone()
    levels[3, :, ::2] = 255
    return ImageSet(levels, torch.tensor([0, 1, 0, 1]), name="saturated")
