"""Transfer sets for the user's own training loop: a torch `Dataset` of augmented images, and its DataLoader."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from limbeck.data.mixing import mixed_labels
from limbeck.data.views import Identity, Spec, augmentation
from limbeck.errors import UserError, unknown_name
from limbeck.randomness import check_seed, derive_seed, generator

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet
    from limbeck.data.soft_targets import SoftTargets

Target = Literal["label", "probabilities", "logits"]
TARGETS: tuple[Target, ...] = get_args(Target)
Normalisation = tuple[Sequence[float], Sequence[float]]
"""Mean and deviation of each channel, in units of [0, 1] images, as `Classifier.normalisation` has them."""


class Shown(TypedDict, total=False):
    """How images are shown; see `TorchDataset`."""

    views: Spec
    seed: int
    targets: Target | Sequence[Target] | None
    dtype: torch.dtype
    normalise: Normalisation | None


class Item(NamedTuple):
    """One item of a `TorchDataset`.

    Attributes:
        image: [C, H, W], uint8 or float32.
        target: what is to be learned, see `TorchDataset`; several where several are asked for.
        id: of the image in its set.
    """

    image: Tensor
    target: Any
    id: int


class TorchDataset(Dataset[Item]):
    """Images of a set in views of an epoch, as items (image, target, id).

    A view is a function of seed, epoch and id alone, in whatever process and order it is rendered: the same views as in
    `limbeck.distill` with that seed, where an epoch is one pass over the images.

    Args:
        images: N images; floats stay as they are.
        soft_labels: of these images, or None.
        views: as of recipes, a name, a mapping from name to options, or a list of these; "none" for plain images.
        seed: of the views and, with `dataloader`, of the order.
        targets: "label", int64 or, of mixed images, float32 [K]; "probabilities" or "logits", the teacher's according
            to the soft labels, float32 [K], at temperature 1; several of these for a tuple. Default: soft labels as the
            set has them, else labels.
        dtype: float32 for [0, 1], or uint8.
        normalise: mean and deviation of each channel, for a network that does not normalise itself.

    Attributes:
        epoch: whose views are shown; `set_epoch` changes it, in persistent workers too.
        classes: names of the K classes.

    Raises:
        UserError: targets that the set does not have, views that need whole gray levels of a set of floats, soft labels
            beside views that mix images.

    Example:
        >>> shown = images.torch_dataset(views="pad-crop-flip", seed=1)
        >>> shown.set_epoch(3)
        >>> image, target, id = shown[0]
        >>> image.shape, image.dtype, bool(target == images.labels[0]), id
        (torch.Size([1, 8, 8]), torch.float32, True, 0)
    """

    def __init__(
        self,
        images: "ImageSet",
        soft_labels: "SoftTargets | None" = None,
        *,
        views: Spec = "none",
        seed: int = 0,
        targets: Target | Sequence[Target] | None = None,
        dtype: torch.dtype = torch.float32,
        normalise: Normalisation | None = None,
    ) -> None:
        check_seed(seed)
        if dtype not in (torch.float32, torch.uint8):
            raise UserError(f"`dtype` must be torch.float32, for [0, 1], or torch.uint8, got {dtype}.")
        self.images = images
        self._teacher = soft_labels
        self.seed = seed
        self.classes = images.classes
        self.views = augmentation(views)
        self.view_seed = derive_seed(seed, "views")
        self._dtype = dtype
        self._single = targets is None or isinstance(targets, str)
        self._targets = self._checked_targets(targets)
        self._soft = {name: self._soft_labels(name) for name in self._targets if name != "label"}
        self._scale = None if normalise is None else channel_scale(normalise, self.images.shape[0])
        self._check()
        # In shared memory, so that persistent workers see it change.
        self._epoch = torch.zeros(1, dtype=torch.int64).share_memory_()

    @property
    def epoch(self) -> int:
        return int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Switches to the views of another epoch, 0, 1, ..."""
        if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 0:
            raise UserError(f"`epoch` must be a whole number, at least 0, got {epoch!r}.")
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> Item:
        """The item at `position`, -N..N-1."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"{position} is none of {len(self)} items")  # ends loops over items
        return self.__getitems__([position % len(self)])[0]

    def __getitems__(self, positions: Sequence[int]) -> list[Item]:
        """Several items at once, as a DataLoader asks for them: views are rendered for whole batches."""
        where = torch.as_tensor(positions, dtype=torch.int64)
        ids = self.images.ids[where]
        images, labels = self._shown(where, ids)
        columns = [labels if name == "label" else self._soft[name][where] for name in self._targets]
        rows = columns[0] if self._single else list(zip(*columns, strict=True)) or [()] * len(where)
        return [Item(*row) for row in zip(self._numbers(images), rows, ids.tolist(), strict=True)]

    def _shown(self, where: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Views uint8 [B, C, H, W] (floats of a set that has them), and their labels (float32 [B, K] of mixtures)."""
        images, views = self.images, self.views
        labels = torch.zeros_like(where) if images.labels is None else images.labels[where]
        raw = images.floats(where).float() if images.has_floats else images.gather(where)
        draw = views.draw(ids, seed=self.view_seed, view=self.epoch)
        if not views.others:
            return views.show(raw, ids, draw), labels
        partners = [images.positions(partner) for partner in views.partners(ids, draw, images.ids.sort().values)]
        shown, shares = views.mix(raw, ids, draw, [images.gather(positions) for positions in partners])
        if images.labels is not None:
            labels = mixed_labels(
                [labels, *(images.labels[positions] for positions in partners)], shares, len(self.classes)
            )
        return shown, labels

    def _numbers(self, images: Tensor) -> Tensor:
        if self._dtype == torch.uint8:
            return images
        floats = images if images.is_floating_point() else images.float() / 255
        if self._scale is None:
            return floats
        mean, deviation = self._scale
        return (floats - mean) / deviation

    def _checked_targets(self, targets: Target | Sequence[Target] | None) -> tuple[Target, ...]:
        soft = None if self._teacher is None else self._teacher.kind
        if targets is None:
            if soft is None and self.images.labels is None:
                raise UserError(
                    f"{self.images.name!r} has neither labels nor soft labels to learn from; `lb.distillation_loader` "
                    "asks a teacher, `targets=()` gives images alone."
                )
            return (soft or "label",)
        names = (targets,) if isinstance(targets, str) else tuple(targets)
        for name in names:
            if name not in TARGETS:
                raise unknown_name("target", str(name), TARGETS, f"Known are {', '.join(TARGETS)}.")
            if name == "label" and self.images.labels is None:
                raise UserError(f"`targets` 'label' needs labels, {self.images.name!r} has none.")
            if name != "label" and soft is None:
                raise UserError(
                    f"`targets` {name!r} needs soft labels, {self.images.name!r} has none; `lb.distillation_loader` "
                    "asks a teacher."
                )
        return names

    def _soft_labels(self, kind: Target) -> Tensor:
        """A teacher's float32 [N, K], at temperature 1."""
        soft = self._teacher
        assert soft is not None
        if kind == soft.kind and soft.temperature == 1:
            return soft.values.float().cpu()
        logits = soft.teacher_logits().cpu()
        return logits if kind == "logits" else logits.softmax(dim=1)

    def _check(self) -> None:
        if self.views.others and self._soft:
            raise UserError(
                "views that mix images have no soft labels: a teacher must see the mixture. Leave such views out, or "
                "have `lb.distillation_loader` ask it."
            )
        if not self.images.has_floats:
            return
        if self._dtype == torch.uint8:
            raise UserError(f"`dtype` must be torch.float32, since {self.images.name!r} holds floats, got torch.uint8.")
        if not isinstance(self.views, Identity) and not (self.views.moves and not self.views.others):
            raise UserError(
                f"`views` must move pixels alone, as 'pad-crop-flip', since {self.images.name!r} holds floats; its "
                "8-bit form has all views: `lb.load((images.tensor(), images.labels))`."
            )


class EpochSampler(Sampler[int]):
    """The random order of an epoch: the same as in that pass of `limbeck.distill` with the same seed.

    Args:
        dataset: gives seed and epoch.
    """

    def __init__(self, dataset: TorchDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[int]:
        order = generator(self._dataset.seed, "order", self._dataset.epoch)
        return iter(torch.randperm(len(self._dataset), generator=order).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Called by trainers that set the epoch on the sampler."""
        self._dataset.set_epoch(epoch)


class EpochLoader(DataLoader[Item]):
    """Batches (images [B, C, H, W], targets [B, ...], ids [B]) of a `TorchDataset`, an epoch at a time.

    Example:
        >>> loader = images.dataloader(batch_size=64)
        >>> loader.set_epoch(2)
        >>> loader.dataset.epoch
        2
    """

    dataset: TorchDataset  # pyright: ignore[reportIncompatibleVariableOverride] (it is set once, when this is made)

    def set_epoch(self, epoch: int) -> None:
        """Switches to the views and the order of another epoch, 0, 1, ..."""
        self.dataset.set_epoch(epoch)


def dataloader(
    images: "ImageSet",
    soft_labels: "SoftTargets | None" = None,
    *,
    batch_size: int,
    shuffle: bool = True,
    workers: int = 0,
    **shown: Unpack[Shown],
) -> EpochLoader:
    """Batches of an epoch, which shows every image once.

    Args:
        images, soft_labels, shown: see `TorchDataset`.
        batch_size: images of a batch; the last may be smaller.
        shuffle: a random order for each epoch, from seed and epoch; else the order of the set.
        workers: processes that read and render ahead; the batches are the same.

    Raises:
        UserError: see `TorchDataset`.

    Example:
        >>> loader = dataloader(images, batch_size=64, views="pad-crop-flip")
        >>> for epoch in range(2):
        ...     loader.set_epoch(epoch)
        ...     shapes = [batch.shape for batch, labels, ids in loader]
        >>> shapes[-1]
        torch.Size([8, 1, 8, 8])
    """
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(f"`{name}` must be a whole number, at least {least}, got {value!r}.")
    dataset = TorchDataset(images, soft_labels, **shown)
    sampler = EpochSampler(dataset) if shuffle else None
    return EpochLoader(dataset, batch_size, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)


def channel_scale(normalise: Normalisation, channels: int) -> tuple[Tensor, Tensor]:
    """float32 [C, 1, 1] each."""
    try:
        mean, deviation = (torch.tensor(values, dtype=torch.float32).view(-1) for values in normalise)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"`normalise` must be (mean, deviation) of each channel, got {normalise!r}.") from error
    if len(mean) != channels or len(deviation) != channels or not (deviation > 0).all() or not mean.isfinite().all():
        raise UserError(
            f"`normalise` must be (mean, deviation), {channels} finite numbers each, the latter > 0, got {normalise!r}."
        )
    return mean.view(-1, 1, 1), deviation.view(-1, 1, 1)
