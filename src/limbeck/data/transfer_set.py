"""`TransferSet`: the images that a student is taught on, where each came from, and soft labels if it has any."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.known_logits import KnownLogits
from limbeck.data.multi_formation import part_boxes, split_images
from limbeck.data.soft_targets import Kind, SoftTargets
from limbeck.data.torch_dataset import EpochLoader, Shown, TorchDataset, dataloader
from limbeck.data.transfer_set_folder import CONFIG_NAME, ROWS, read_transfer_set, write_transfer_set
from limbeck.data.transfer_set_rows import Column, column_rows, rows_of, schema_of
from limbeck.data.use import plain_use
from limbeck.errors import UserError

if TYPE_CHECKING:
    import datasets

RESERVED = ("image", "label", "id", "soft_label")
_EXAMPLE_OF_KIND = '{"kind": "logits", "temperature": 1}'


@dataclass(frozen=True)
class TransferSet:
    """An `ImageSet` with soft labels and provenance, saved as Parquet that `datasets.load_dataset` opens.

    Args:
        images: the N images.
        soft_labels: float [N, K], a teacher's output for every image, columns in the order of the images' class names;
            or None.
        provenance: columns of N values each: `source` (dataset), `source_id`, `score`, `maker` or whatever is known;
            lists of strings or numbers (None where unknown), or one-dimensional tensors.
        about: JSON-able facts about the whole set: maker, budget, seed.
        soft_label_kind: "probabilities" for softmax(z / T) of the teacher's logits z, or "logits" for z / T.
        soft_label_temperature: T > 0; 1 for the plain outputs of a classifier.
        use: settings that a student needs for training on the set, where they are not for the user to choose:
            `student`, `training`, `objective` and `teacher`, as in recipes; see `limbeck.data.use`. Tensors in it are
            stored in a file of their own.
        per_image: how many images each one holds, 1, 4, 9 ...: a square of parts that are enlarged when they are used,
            see `decoded`.
        known_logits: a teacher's logits for views of these images from when they were made, which the view cache takes
            over; not saved.
        taught: positions of the images that students are taught on, int64 [n], where others are only kept; None for all
            of them; not saved.

    Images that have floats (see `ImageSet.of_floats`) are saved with them.

    Raises:
        UserError: soft labels that do not fit their kind, soft labels or a column of another length, a reserved column
            name, a `use` that cannot be stored, or an invalid `per_image`.

    Example:
        >>> chosen = TransferSet(images, provenance={"score": torch.rand(len(images))}, about={"maker": "random"})
        >>> chosen.save("transfer-set")
        >>> same = TransferSet.load("transfer-set")
        >>> torch.equal(same.images.ids, images.ids)
        True
    """

    images: ImageSet
    soft_labels: Tensor | None = None
    provenance: Mapping[str, Column] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    soft_label_kind: Kind = "probabilities"
    soft_label_temperature: float = 1.0
    use: Mapping[str, Any] | None = None
    per_image: int = 1
    known_logits: KnownLogits | None = None
    taught: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.images, ImageSet):
            got = type(self.images).__name__
            raise UserError(f"`images` of a transfer set must be an `ImageSet`, got {got}; `lb.load` makes one of it.")
        if isinstance(self.soft_labels, Tensor):
            _check_shape(self.soft_labels, self.images)
        _ = self.soft_targets  # checks them
        for name, values in self.provenance.items():
            if name in RESERVED:
                raise UserError(f"`provenance` must not use the names {', '.join(RESERVED)}, got {name!r}.")
            shape = list(values.shape) if isinstance(values, Tensor) else [len(values)]
            if shape != [len(self.images)]:
                raise UserError(f"`provenance[{name!r}]` must be [{len(self.images)}], one per image, got {shape}.")
        part_boxes(self.images.shape[1:], self.per_image)  # checks it
        if self.use is not None:
            object.__setattr__(self, "use", plain_use(self.use))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def floats(self) -> Tensor | None:
        """The images as they were learned, floating [N, C, H, W] in units of [0, 1], which they may exceed; None where
        there are only 8-bit images."""
        return self.images.floats() if self.images.has_floats else None

    @property
    def soft_targets(self) -> SoftTargets | None:
        """The soft labels with their kind and temperature."""
        if self.soft_labels is None:
            return None
        return SoftTargets(self.soft_labels, self.soft_label_kind, self.soft_label_temperature)

    def decoded(self) -> "TransferSet":
        """The set that students are taught on: one image for each of the `per_image` parts of these.

        The images are floats, the result of enlarging, with labels, soft labels and provenance of the image that held
        them.

        Example:
            >>> held = TransferSet(images, per_image=4)
            >>> len(held), len(held.decoded()), held.decoded().images.shape
            (200, 800, (1, 8, 8))
        """
        if self.per_image == 1:
            return self
        images = self.images
        rows = torch.arange(len(images)).repeat_interleave(self.per_image)
        whole = ImageSet.of_floats(
            split_images(images.floats().float(), self.per_image),
            None if images.labels is None else images.labels[rows],
            classes=images.classes,
            name=images.name,
        )
        return replace(
            self,
            images=whole,
            soft_labels=None if self.soft_labels is None else self.soft_labels[rows],
            provenance={name: column_rows(values, rows) for name, values in self.provenance.items()},
            per_image=1,
            known_logits=None,  # they are of the images before they were taken apart
            taught=None if self.taught is None else torch.isin(rows, self.taught).nonzero().flatten(),
        )

    def taught_part(self) -> "TransferSet":
        """The images that students are taught on, see `taught`, with all that is known of them.

        Example:
            >>> len(TransferSet(images, taught=torch.tensor([3, 5])).taught_part())
            2
        """
        rows = self.taught
        if rows is None:
            return self
        return replace(
            self,
            images=self.images.subset(self.images.ids[rows]),
            soft_labels=None if self.soft_labels is None else self.soft_labels[rows],
            provenance={name: column_rows(values, rows) for name, values in self.provenance.items()},
            known_logits=None if self.known_logits is None else self.known_logits.at(rows),
            taught=None,
        )

    def torch_dataset(self, **shown: Unpack[Shown]) -> TorchDataset:
        """The set as a torch `Dataset` of items (image, target, id), for a training loop of the user's own.

        Images that hold several are taken apart. Whatever else `use` asks for is up to the loop.

        Args:
            shown: views, seed, targets, dtype and normalisation, see `TorchDataset`.

        Example:
            >>> soft = torch.full((len(images), 10), 0.1)
            >>> image, probabilities, id = TransferSet(images, soft).torch_dataset(views="pad-crop")[0]
            >>> image.shape, probabilities.shape, id
            (torch.Size([1, 8, 8]), torch.Size([10]), 0)
        """
        decoded = self.decoded()
        return TorchDataset(decoded.images, decoded.soft_targets, **shown)

    def dataloader(
        self, *, batch_size: int, shuffle: bool = True, workers: int = 0, **shown: Unpack[Shown]
    ) -> EpochLoader:
        """Batches of `torch_dataset` in a random order for each epoch; `loader.set_epoch(epoch)` switches epochs.

        Args:
            batch_size: images of a batch; the last may be smaller.
            shuffle: False for the order of the set.
            workers: processes that read and render ahead; the batches are the same.
            shown: see `torch_dataset`.

        Example:
            >>> loader = TransferSet(images).dataloader(batch_size=150, views="pad-crop", seed=1)
            >>> [(len(shown), len(labels), len(ids)) for shown, labels, ids in loader]
            [(150, 150, 150), (50, 50, 50)]
        """
        decoded = self.decoded()
        arguments: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "workers": workers}
        return dataloader(decoded.images, decoded.soft_targets, **arguments, **shown)

    def to_datasets(self) -> "datasets.Dataset":
        """The set as a `datasets.Dataset` in memory: the columns of the Parquet file that `save` writes.

        Warns where images have floats or hold several images, which only `save` keeps.

        Example:
            >>> TransferSet(images).to_datasets().features["label"].names[:3]
            ['0', '1', '2']
        """
        import datasets  # late: it takes a second, and few need it
        from datasets.table import InMemoryTable

        if self.floats is not None or self.per_image > 1:
            what = "floats, which become whole gray levels" if self.floats is not None else "several images in each"
            warnings.warn(
                f"{self.images.name!r} holds {what}; a `datasets.Dataset` has its pictures alone, `save` keeps all.",
                stacklevel=2,
            )
        schema = schema_of(self)
        parts = [rows_of(self, positions, images, schema) for positions, images in self.images.batches(ROWS)]
        return datasets.Dataset(InMemoryTable(pa.concat_tables(parts)))

    def save(self, folder: str | Path) -> None:
        """Write Parquet, a dataset card and a small configuration into a new `folder`, all or nothing.

        Raises:
            UserError: the folder exists, or the disk is full.
        """
        write_transfer_set(self, folder)

    @classmethod
    def load(cls, folder: str | Path) -> "TransferSet":
        """Read what `save` wrote: equal pixels, floats, ids, labels, soft labels, provenance and use.

        Every image is read once, to check that they are those of the configuration. Soft labels that were saved without
        a kind are probabilities.

        Raises:
            UserError: not a folder that `save` wrote, or its files contradict each other: other images, classes or soft
                labels, another number of images, missing columns or files.
        """
        folder = Path(folder)
        parts = read_transfer_set(folder)
        try:
            return cls(**parts)
        except UserError as error:
            kind_of = f' The kind of saved ones is said in its {CONFIG_NAME}, as "soft_labels": {_EXAMPLE_OF_KIND}.'
            raise UserError(f"{str(folder)!r}: {error}{kind_of if 'soft' in str(error) else ''}") from None


def _check_shape(soft_labels: Tensor, images: ImageSet) -> None:
    expected = f"[{len(images)}, {images.num_classes or 'K'}]"
    shape = list(soft_labels.shape)
    if len(shape) != 2 or shape[0] != len(images) or (images.num_classes and shape[1] != images.num_classes):
        raise UserError(f"`soft_labels` must be {expected}, one row per image and one column per class, got {shape}.")
