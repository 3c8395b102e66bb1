"""`TransferSet`: the images that a student is taught on, where each came from, and soft labels if it has any."""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from limbeck.data.card import dataset_card, features
from limbeck.data.encoded.build import LoadOptions, build_image_set
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.image_set import ImageSet
from limbeck.data.multi_formation import part_boxes, split_images
from limbeck.data.own_splits import TRANSFER_SET
from limbeck.data.soft_targets import Kind, SoftTargets
from limbeck.data.storage import in_levels
from limbeck.data.tables import ImageTable, open_parquet, read_table
from limbeck.data.tensor_files import read_tensors, write_tensors
from limbeck.data.torch_dataset import EpochLoader, Shown, TorchDataset, dataloader
from limbeck.data.use import packed_use, plain_use, unpacked_use, use_in_words
from limbeck.errors import UserError
from limbeck.files import atomic_folder

if TYPE_CHECKING:
    import datasets

PARQUET_NAME = "data/train-00000-of-00001.parquet"
CONFIG_NAME = TRANSFER_SET
FLOATS_NAME = "pixels.safetensors"
USE_NAME = "use.safetensors"
RESERVED = ("image", "label", "id", "soft_label")
_FORMAT, _FORMAT_WITH_USE = 1, 2
"""A set that needs more than its images to be used rightly must not be read by a version that would overlook that."""
_EXAMPLE_OF_KIND = '{"kind": "logits", "temperature": 1}'
_KEPT = ("name", "images", "shape", "classes", "labelled", "fingerprint", "provenance", "about")
_ROWS = 1000

Column = Sequence[Any] | Tensor


@dataclass(frozen=True)
class TransferSet:
    """An `ImageSet` with soft labels and provenance, saved as Parquet that `datasets.load_dataset` opens.

    Args:
        images: the N images.
        soft_labels: float [N, K], a teacher's answer for every image, its columns in the order of the images' class
            names; or None.
        provenance: columns of N values each: `source` (dataset), `source_id`, `score`, `maker` or what else a maker
            knows; lists of strings or numbers (None where unknown), or one-dimensional tensors.
        about: json-able facts about the whole set: maker, budget, seed.
        soft_label_kind: what the soft labels are of the teacher's logits z: "probabilities" softmax(z / T), or "logits"
            z / T.
        soft_label_temperature: T > 0; 1 for answers as a classifier gives them.
        use: all that a student needs to be taught on it rightly, where that is not for the user to choose: `student`,
            `training` and `objective`, as recipes have them; see `limbeck.data.use`. Tensors in it are kept beside.
        per_image: how many images each one holds, 1, 4 or 9: a square of parts that are enlarged when they are used,
            see `decoded`.

    Images that have floats (see `ImageSet.of_floats`) are saved with these.

    Raises:
        UserError: soft labels that are not what their kind says, soft labels or a column of another length, a column
            name that is taken, a `use` that cannot be written down, or another `per_image`.

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
        """The images as they were learned, floating [N, C, H, W] in units of [0, 1] which they may leave; None where
        whole gray levels are all there is."""
        return self.images.floats() if self.images.has_floats else None

    @property
    def soft_targets(self) -> SoftTargets | None:
        """The soft labels with their kind, ready to teach with."""
        if self.soft_labels is None:
            return None
        return SoftTargets(self.soft_labels, self.soft_label_kind, self.soft_label_temperature)

    def decoded(self) -> "TransferSet":
        """The set that students are taught on: with an image for each of the `per_image` that these hold.

        They are floats, as enlarging makes them, with labels, soft labels and provenance of the image that held them.

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
            provenance={name: _taken(values, rows) for name, values in self.provenance.items()},
            per_image=1,
        )

    def torch_dataset(self, **shown: Unpack[Shown]) -> TorchDataset:
        """The set as a torch `Dataset` of items (image, target, id), for a training loop of one's own.

        Several images that are held in one are taken apart. What else the set says of its use is for the loop to heed.

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
        """Batches of `torch_dataset` in an order of the epoch's own; `loader.set_epoch(epoch)` goes on.

        Args:
            batch_size: images of a batch; the last may be smaller.
            shuffle: or else in the order of the set.
            workers: processes that read and render ahead; the batches are the same.
            shown: see `torch_dataset`.

        Example:
            >>> loader = TransferSet(images).dataloader(batch_size=150, views="pad-crop", seed=1)
            >>> [(len(shown), len(labels), len(ids)) for shown, labels, ids in loader]
            [(150, 150, 150), (50, 50, 50)]
        """
        decoded = self.decoded()
        how: dict[str, Any] = {"batch_size": batch_size, "shuffle": shuffle, "workers": workers}
        return dataloader(decoded.images, decoded.soft_targets, **how, **shown)

    def to_datasets(self) -> "datasets.Dataset":
        """The set as a `datasets.Dataset` in memory: the columns of the Parquet file that `save` writes.

        Warns where images are more than the 8 bits of its pictures, or hold several, which only `save` keeps.

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
        schema = self._schema()
        parts = [self._rows(positions, images, schema) for positions, images in self.images.batches(_ROWS)]
        return datasets.Dataset(InMemoryTable(pa.concat_tables(parts)))

    def save(self, folder: str | Path) -> None:
        """Write Parquet, a dataset card and a small configuration into a new `folder`, all or nothing.

        Raises:
            UserError: the folder exists, or the disk is full.
        """
        with atomic_folder(folder) as temporary:
            path = temporary / PARQUET_NAME
            path.parent.mkdir()
            schema = self._schema()
            size = 0
            with pq.ParquetWriter(path, schema) as writer:
                for positions, images in self.images.batches(_ROWS):
                    rows = self._rows(positions, images, schema)
                    writer.write_table(rows)
                    size += rows.nbytes
            if self.floats is not None:
                write_tensors(temporary / FLOATS_NAME, {"pixels": self.floats})
            if tensors := packed_use(self.use or {})[1]:
                write_tensors(temporary / USE_NAME, tensors)
            (temporary / CONFIG_NAME).write_text(json.dumps(self._config(), indent=1) + "\n")
            told = {**self._config(), "use": use_in_words(self.use or {})}
            card = dataset_card(told, features=_features(self), file_bytes=path.stat().st_size, bytes_=size)
            (temporary / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "TransferSet":
        """Read what `save` wrote: equal pixels, floats, ids, labels, soft labels, provenance and use.

        Every image is read once, to see that these are the images of the card. Soft labels that were saved without a
        kind are probabilities.

        Raises:
            UserError: not a folder that `save` wrote, or its files contradict each other: another number of images,
                other images, classes or soft labels, columns or files that are not there.
        """
        folder = Path(folder)
        config = _read_config(folder)
        path = folder / PARQUET_NAME
        if not path.is_file():
            raise UserError(f"{str(folder)!r} lacks {PARQUET_NAME}; copy the whole folder.")
        table = open_parquet([path])
        _check_table(folder, config, table)
        encoded_set = read_table(table, image_column="image", label_column="label" if config["labelled"] else None)
        rows = pq.read_table(path, columns=[name for name in table.schema.names if name != "image"])
        if config["labelled"] and list(encoded_set.classes) != config["classes"]:
            raise _contradiction(folder, f"the classes of {PARQUET_NAME} and {CONFIG_NAME} differ")
        labels = encoded_set.labels if config["labelled"] else None
        ids = rows["id"].to_numpy()
        channels, height, width = config["shape"]
        encoded_set = EncodedSet(encoded_set.images, labels, tuple(config["classes"]), ids=ids, channels=channels)
        images = build_image_set(encoded_set, LoadOptions(size=(height, width)), name=config["name"])
        if config.get("floats"):
            images = _with_floats(folder, images)
        soft_labels = _stack(rows["soft_label"]) if "soft_label" in rows.column_names else None
        about_soft = config.get("soft_labels") or {}
        _check_content(folder, config, images, soft_labels)
        provenance = {name: _restored(rows[name], kind) for name, kind in config["provenance"].items()}
        kind, temperature = about_soft.get("kind", "probabilities"), about_soft.get("temperature", 1.0)
        use, per_image = _read_use(folder, config), config.get("per_image", 1)
        try:
            return cls(images, soft_labels, provenance, config["about"], kind, temperature, use, per_image)
        except UserError as error:
            kind_of = f' The kind of saved ones is said in its {CONFIG_NAME}, as "soft_labels": {_EXAMPLE_OF_KIND}.'
            raise UserError(f"{str(folder)!r}: {error}{kind_of if 'soft' in str(error) else ''}") from None

    def _schema(self) -> pa.Schema:
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        fields = [("image", image), ("id", pa.int64())]
        if self.images.labels is not None:
            fields.append(("label", pa.int64()))
        if self.soft_labels is not None:
            fields.append(("soft_label", pa.list_(pa.float32())))
        fields += [(name, _arrow_column(name, values).type) for name, values in self.provenance.items()]
        stored = json.dumps({"info": {"features": _features(self)}})
        return pa.schema(fields, metadata={"huggingface": stored})

    def _rows(self, positions: Tensor, images: Tensor, schema: pa.Schema) -> pa.Table:
        start, stop = int(positions[0]), int(positions[-1]) + 1
        columns: dict[str, Any] = {
            "image": [{"bytes": _png(image), "path": None} for image in images],
            "id": self.images.ids[start:stop].numpy(),
        }
        if self.images.labels is not None:
            columns["label"] = self.images.labels[start:stop].numpy()
        if self.soft_labels is not None:
            columns["soft_label"] = list(self.soft_labels[start:stop].detach().float().cpu().numpy())
        for name, values in self.provenance.items():
            columns[name] = _arrow_column(name, values[start:stop], schema.field(name).type)
        return pa.table(columns, schema=schema)

    def _config(self) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if self.use is not None:
            more["use"] = packed_use(self.use)[0]
        if self.floats is not None:
            more["floats"] = str(self.floats.dtype).removeprefix("torch.")
        if self.per_image > 1:
            more["per_image"] = self.per_image
        return {
            "format": _FORMAT_WITH_USE if more else _FORMAT,
            "name": self.images.name,
            "images": len(self.images),
            "shape": self.images.shape,
            "classes": self.images.classes,
            "labelled": self.images.labels is not None,
            "fingerprint": self.images.fingerprint,
            "provenance": {
                name: str(values.dtype).removeprefix("torch.") if isinstance(values, Tensor) else "list"
                for name, values in self.provenance.items()
            },
            "soft_labels": None
            if self.soft_labels is None
            else {
                "kind": self.soft_label_kind,
                "temperature": self.soft_label_temperature,
                "hash": _hash(self.soft_labels),
            },
            "about": dict(self.about),
            **more,
        }


def _check_shape(soft_labels: Tensor, images: ImageSet) -> None:
    expected = f"[{len(images)}, {images.num_classes or 'K'}]"
    shape = list(soft_labels.shape)
    if len(shape) != 2 or shape[0] != len(images) or (images.num_classes and shape[1] != images.num_classes):
        raise UserError(f"`soft_labels` must be {expected}, one row per image and one column per class, got {shape}.")


def _check_table(folder: Path, config: Mapping[str, Any], table: ImageTable) -> None:
    """Whether the Parquet file can be that of the configuration, before anything is decoded."""
    wanted = ["image", "id", *(["label"] if config["labelled"] else []), *config["provenance"]]
    wanted += ["soft_label"] if config.get("soft_labels") else []
    absent = [name for name in wanted if name not in table.schema.names]
    if absent:
        raise _contradiction(folder, f"{PARQUET_NAME} lacks the column {', '.join(map(repr, absent))}")
    if table.count != config["images"]:
        raise _contradiction(folder, f"{PARQUET_NAME} holds {table.count:,} images, {CONFIG_NAME} {config['images']:,}")


def _check_content(folder: Path, config: Mapping[str, Any], images: ImageSet, soft_labels: Tensor | None) -> None:
    known = config.get("soft_labels") or {}
    if images.fingerprint != config["fingerprint"]:
        raise _contradiction(
            folder, f"{PARQUET_NAME} holds other images, ids or labels than {CONFIG_NAME} was written for"
        )
    if soft_labels is not None and "hash" in known and _hash(soft_labels) != known["hash"]:
        raise _contradiction(folder, f"{PARQUET_NAME} holds other soft labels than {CONFIG_NAME} was written for")


def _with_floats(folder: Path, images: ImageSet) -> ImageSet:
    """The images with the floats beside them, of which they are the 8-bit form."""
    floats = read_tensors(folder / FLOATS_NAME).get("pixels")
    if floats is None or floats.shape != (len(images), *images.shape) or not floats.is_floating_point():
        raise _contradiction(folder, f"{FLOATS_NAME} does not hold the {len(images):,} images of {PARQUET_NAME}")
    if not torch.equal(in_levels(floats), images.tensor()):
        raise _contradiction(folder, f"{FLOATS_NAME} and {PARQUET_NAME} hold other images")
    return ImageSet.of_floats(floats, images.labels, ids=images.ids, classes=images.classes, name=images.name)


def _read_use(folder: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    packed = config.get("use")
    if packed is None:
        return None
    if not isinstance(packed, dict):
        raise UserError(f"{str(folder / CONFIG_NAME)!r} is damaged: `use` must be a mapping.")
    tensors = read_tensors(folder / USE_NAME) if (folder / USE_NAME).exists() else {}
    try:
        return unpacked_use(packed, tensors)
    except UserError as error:
        raise _contradiction(folder, f"of what {CONFIG_NAME} says is needed, {error} in {USE_NAME}") from None


def _contradiction(folder: Path, what: str) -> UserError:
    return UserError(
        f"the files of the transfer set {str(folder)!r} contradict each other: {what}. Copy the whole folder again, or "
        "load its images alone with `lb.load`."
    )


def _hash(soft_labels: Tensor) -> str:
    values = soft_labels.detach().float().cpu().contiguous().numpy()
    return hashlib.blake2b(values.tobytes(), digest_size=16).hexdigest()


def _features(transfer_set: TransferSet) -> dict[str, Any]:
    images = transfer_set.images
    types = {name: str(_arrow_column(name, values).type) for name, values in transfer_set.provenance.items()}
    classes = images.classes if images.labels is not None else None
    return features(classes=classes, soft_labels=transfer_set.soft_labels is not None, provenance=types)


def _arrow_column(name: str, values: Column, kind: pa.DataType | None = None) -> pa.Array:
    plain = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    try:
        array = pa.array(plain, type=kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UserError(f"`provenance[{name!r}]` must be strings or numbers of one kind: {error}.") from error
    if pa.types.is_nested(array.type):
        raise UserError(f"`provenance[{name!r}]` must be strings or numbers of one kind, got {array.type}.")
    return array.cast(pa.string()) if pa.types.is_null(array.type) else array


def _taken(values: Column, rows: Tensor) -> Column:
    return values[rows] if isinstance(values, Tensor) else [values[row] for row in rows.tolist()]


def _restored(column: pa.ChunkedArray, kind: str) -> Column:
    return column.to_pylist() if kind == "list" else torch.from_numpy(column.to_numpy().copy())


def _stack(column: pa.ChunkedArray) -> Tensor:
    rows = column.combine_chunks()
    return torch.from_numpy(rows.flatten().to_numpy().reshape(len(rows), -1).copy())


def _png(image: Tensor) -> bytes:
    pixels = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).save(buffer, "png")
    return buffer.getvalue()


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{str(folder)!r} is no transfer set: it has no {CONFIG_NAME}.") from error
    except ValueError as error:
        raise UserError(f"{str(path)!r} is damaged: {error}.") from error
    if not isinstance(config, dict):
        raise UserError(f"{str(path)!r} is damaged: it holds no mapping.")
    if config.get("format") not in (_FORMAT, _FORMAT_WITH_USE):
        known = f"{_FORMAT} or {_FORMAT_WITH_USE}"
        raise UserError(f"{str(path)!r} must be of format {known}, got {config.get('format')!r}; update limbeck.")
    absent = [key for key in _KEPT if key not in config]
    if absent:
        raise UserError(f"{str(path)!r} is damaged: it lacks {', '.join(absent)}.")
    mappings = isinstance(config["provenance"], dict) and isinstance(config.get("soft_labels") or {}, dict)
    if not mappings or not isinstance(config["shape"], list) or len(config["shape"]) != 3:
        raise UserError(
            f"{str(path)!r} is damaged: `shape` must be [C, H, W], and `provenance` and `soft_labels` mappings."
        )
    return config
