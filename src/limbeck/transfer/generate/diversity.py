"""How much images that were made together differ: whether a generator has collapsed."""

from torch import Tensor

_MOST_PIXELS = 4096


def distinct_count(images: Tensor, *, tolerance: float = 2.0) -> int:
    """How many images are left if of those that nearly equal one another only the first is kept.

    Of large images only evenly spaced pixels are compared, so that they take no longer than small ones.

    Args:
        images: uint8 `[n, C, H, W]`.
        tolerance: the root mean square difference of two images, in levels of 0..255, at or below which they count as
            one; 0 for images that are equal.

    Example:
        >>> distinct_count(torch.tensor([0, 1, 200, 0], dtype=torch.uint8).reshape(4, 1, 1, 1))
        2
    """
    pixels = images.flatten(1)
    pixels = pixels[:, :: -(-pixels.shape[1] // _MOST_PIXELS)].double()  # whole numbers, so that all sums are exact
    squares = pixels.square().sum(1)
    squared_distances = squares[:, None] + squares - 2 * pixels @ pixels.T  # [n, n]
    same = squared_distances <= tolerance**2 * pixels.shape[1]
    kept: list[int] = []
    for place, alike in enumerate(same):
        if not alike[kept].any():
            kept.append(place)
    return len(kept)


def within_class_spread(embedding: Tensor, labels: Tensor) -> float | None:
    """How far images of a class are apart as the teacher sees them, as a share of what they have in common.

        sqrt( mean_i |e_i - m(class of i)|^2 / mean_i |e_i|^2 )

    with the mean m over each class: 0 where all images of a class look the same, whatever the scale of embeddings.
    Classes of one image do not count.

    Args:
        embedding: `[n, D]`.
        labels: int64 `[n]`, classes by the teacher.

    Returns:
        None where no class has two images, or the embedding is 0.

    Example:
        >>> within_class_spread(torch.tensor([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]]), torch.tensor([0, 0, 1]))
        0.0
    """
    embedding = embedding.detach().double()
    _, place, counts = labels.unique(return_inverse=True, return_counts=True)
    several = counts[place] > 1
    sums = embedding.new_zeros(len(counts), embedding.shape[1]).index_add_(0, place, embedding)
    squared_deviations = (embedding - sums[place] / counts[place, None]).square().sum(1)[several]
    size = embedding.square().sum(1)[several]
    return float((squared_deviations.sum() / size.sum()).sqrt()) if len(size) and size.sum() > 0 else None
