"""What every augmentation must do: the same (seed, view, id) gives the same pixels anywhere."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.views import Augmentation, augmentation
from limbeck.testing.assertions import ensure, ensure_equal

Options = dict[str, Any]


def _made(name: str, options: Options) -> Augmentation:
    return augmentation({name: options})


def _images(channels: int = 3) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=source)
    return images[:, :channels], torch.arange(12) * 7


def gives_images_of_the_same_shape(name: str, options: Options) -> None:
    for channels in (1, 3):
        images, ids = _images(channels)
        before = images.clone()
        shown = _made(name, options)(images, ids, seed=3, view=5, among=ImageSet(images, ids=ids))
        same = shown.dtype == torch.uint8 and shown.shape == images.shape
        ensure(same, f"{name} must give uint8 {list(images.shape)}, got {shown.dtype} {list(shown.shape)}")
        ensure_equal(images, before, f"{name} must not write into the images that it is given")


def depends_on_image_seed_and_view_alone(name: str, options: Options, *, channels: int = 3) -> None:
    """In any batch, in any order, however often."""
    augment = _made(name, options)
    images, ids = _images(channels)
    among = ImageSet(images, ids=ids)
    whole = augment(images, ids, seed=3, view=5, among=among)
    ensure_equal(
        augment(images, ids, seed=3, view=5, among=among), whole, f"{name} must give the same view twice; use `draw`"
    )
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    shuffled = augment(images[order], ids[order], seed=3, view=5, among=among)
    ensure_equal(shuffled, whole[order], f"{name} must not depend on the order of a batch")
    single = augment(images[4:5], ids[4:5], seed=3, view=torch.tensor([5]), among=among)
    ensure_equal(single, whole[4:5], f"{name} must not depend on the other images of a batch")


def seed_view_and_id_each_change_the_pixels(name: str, options: Options) -> None:
    augment = _made(name, options)
    if augment.distinct == 1:
        return
    images, _ = _images()
    ids = torch.arange(12)
    among, others = ImageSet(images, ids=ids), ImageSet(images, ids=ids + 100)
    base = augment(images, ids, seed=0, view=0, among=among)
    shown = {
        "seed": augment(images, ids, seed=1, view=0, among=among),
        "view": augment(images, ids, seed=0, view=1, among=among),
        "id": augment(images, ids + 100, seed=0, view=0, among=others),
    }
    for what, other in shown.items():
        ensure(not torch.equal(other, base), f"another {what} must give other views by {name}")


def renders_as_many_views_as_it_says(name: str, options: Options) -> None:
    """Of `distinct` views each number is one, and all are drawn."""
    augment = _made(name, options)
    if augment.distinct is None or augment.distinct > 1000:
        return
    images, _ = _images()
    drawn = torch.cat([augment.draw(torch.arange(2000), seed=0, view=view) for view in range(20)])
    ensure(int(drawn.min()) >= 0 and int(drawn.max()) < augment.distinct, f"{name} must draw below `distinct`")
    views = {augment.render(images[:1], torch.tensor([n])).numpy().tobytes() for n in range(augment.distinct)}
    ensure(len(views) == augment.distinct, f"{name} says it has {augment.distinct} views, and renders {len(views)}")


def mixes_with_others_of_its_set(name: str, options: Options) -> None:
    """Whatever the order of the set, and with shares that sum up to 1."""
    augment = _made(name, options)
    if not augment.others:
        return
    images, ids = _images()
    before = images.clone()
    draw = augment.draw(ids, seed=3, view=5)
    partners = augment.partners(ids, draw, ids)
    expected = [augment.others, len(ids)]
    ensure(list(partners.shape) == expected, f"{name} must name {expected} partners, got {list(partners.shape)}")
    ensure(bool(torch.isin(partners, ids).all()), f"{name} must mix with images of the set alone")
    ensure(bool((partners != ids).all()), f"{name} must mix images with others than themselves")
    shown, shares = augment.mix(images, ids, draw, [images[partner_ids // 7] for partner_ids in partners])
    ensure_equal(images, before, f"{name} must not write into the images that it is given")
    off = (shares.sum(dim=1) - 1).abs().max().item()
    valid = list(shares.shape) == [len(ids), 1 + augment.others] and off < 1e-5 and bool((shares >= 0).all())
    ensure(valid, f"{name} must give shares float [B, {1 + augment.others}] of 1, got {shares}")
    turned = ImageSet(images.flip(0), ids=ids.flip(0))
    again = augment(images, ids, seed=3, view=5, among=turned)
    ensure_equal(again, shown, f"{name} must not depend on the order of the set")


def differs_by_its_key(name: str, options: Options) -> None:
    """Two of the same options have one key."""
    first, second = _made(name, options), _made(name, options)
    ensure(
        first.key == second.key, f"{name} must have one key for the same options, got {first.key!r} and {second.key!r}"
    )


CHECKS: Mapping[str, Callable[..., None]] = {
    "gives images of the same shape": gives_images_of_the_same_shape,
    "depends on image, seed and view alone": depends_on_image_seed_and_view_alone,
    "and of gray images, too": partial(depends_on_image_seed_and_view_alone, channels=1),
    "seed, view and id each change the pixels": seed_view_and_id_each_change_the_pixels,
    "renders as many views as it says": renders_as_many_views_as_it_says,
    "mixes with others of its set": mixes_with_others_of_its_set,
    "is told apart by its key": differs_by_its_key,
}
