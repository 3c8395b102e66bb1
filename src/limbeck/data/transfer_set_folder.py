"""The folder of a transfer set: Parquet, a dataset card, a configuration and tensors, checked on reading."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data.card import dataset_card
from limbeck.data.encoded.build import LoadOptions, build_image_set
from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.image_set import ImageSet
from limbeck.data.own_splits import TRANSFER_SET
from limbeck.data.storage import in_levels
from limbeck.data.tables import ImageTable, open_parquet, read_table
from limbeck.data.tensor_files import read_tensors, write_tensors
from limbeck.data.transfer_set_rows import features_of, restored, rows_of, schema_of, stacked
from limbeck.data.use import packed_use, unpacked_use, use_in_words
from limbeck.errors import UserError
from limbeck.files import atomic_folder

if TYPE_CHECKING:
    from limbeck.data.transfer_set import TransferSet

PARQUET_NAME = "data/train-00000-of-00001.parquet"
CONFIG_NAME = TRANSFER_SET
FLOATS_NAME = "pixels.safetensors"
USE_NAME = "use.safetensors"
ROWS = 1000
"""Images that are written at a time."""
_FORMAT, _FORMAT_WITH_USE = 1, 2
"""A set that needs more than its images has another format, so that versions that would ignore the rest refuse it."""
_KEPT = ("name", "images", "shape", "classes", "labelled", "fingerprint", "provenance", "about")


def write_transfer_set(transfer_set: "TransferSet", folder: str | Path) -> None:
    """See `TransferSet.save`."""
    with atomic_folder(folder) as temporary:
        path = temporary / PARQUET_NAME
        path.parent.mkdir()
        schema = schema_of(transfer_set)
        size = 0
        with pq.ParquetWriter(path, schema) as writer:
            for positions, images in transfer_set.images.batches(ROWS):
                rows = rows_of(transfer_set, positions, images, schema)
                writer.write_table(rows)
                size += rows.nbytes
        if transfer_set.floats is not None:
            write_tensors(temporary / FLOATS_NAME, {"pixels": transfer_set.floats})
        if tensors := packed_use(transfer_set.use or {})[1]:
            write_tensors(temporary / USE_NAME, tensors)
        config = _config(transfer_set)
        (temporary / CONFIG_NAME).write_text(json.dumps(config, indent=1) + "\n")
        in_words = {**config, "use": use_in_words(transfer_set.use or {})}
        card = dataset_card(in_words, features=features_of(transfer_set), file_bytes=path.stat().st_size, bytes_=size)
        (temporary / "README.md").write_text(card, encoding="utf-8")


def read_transfer_set(folder: Path) -> dict[str, Any]:
    """The arguments of `TransferSet` from a folder; see `TransferSet.load`.

    Raises:
        UserError: no such folder, or its files contradict each other.
    """
    config = _read_config(folder)
    path = folder / PARQUET_NAME
    if not path.is_file():
        raise UserError(f"{str(folder)!r} lacks {PARQUET_NAME}; copy the whole folder.")
    table = open_parquet([path])
    _check_table(folder, config, table)
    rows = _read_rows(folder, [name for name in table.schema.names if name != "image"])
    images = _images(folder, config, table, rows["id"].to_numpy())
    soft_labels = stacked(rows["soft_label"]) if "soft_label" in rows.column_names else None
    _check_content(folder, config, images, soft_labels)
    about_soft = config.get("soft_labels") or {}
    return {
        "images": images,
        "soft_labels": soft_labels,
        "provenance": {name: restored(rows[name], kind) for name, kind in config["provenance"].items()},
        "about": config["about"],
        "soft_label_kind": about_soft.get("kind", "probabilities"),
        "soft_label_temperature": about_soft.get("temperature", 1.0),
        "use": _read_use(folder, config),
        "per_image": config.get("per_image", 1),
    }


def _read_rows(folder: Path, columns: list[str]) -> pa.Table:
    try:
        return pq.read_table(folder / PARQUET_NAME, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise _contradiction(folder, f"{PARQUET_NAME} is damaged ({str(error).rstrip('.')})") from error


def _images(folder: Path, config: Mapping[str, Any], table: ImageTable, ids: Any) -> ImageSet:
    stored = read_table(table, image_column="image", label_column="label" if config["labelled"] else None)
    if config["labelled"] and list(stored.classes) != config["classes"]:
        raise _contradiction(folder, f"the classes of {PARQUET_NAME} and {CONFIG_NAME} differ")
    labels = stored.labels if config["labelled"] else None
    channels, height, width = config["shape"]
    encoded_set = EncodedSet(stored.images, labels, tuple(config["classes"]), ids=ids, channels=channels)
    images = build_image_set(encoded_set, LoadOptions(size=(height, width)), name=config["name"])
    return _with_floats(folder, images) if config.get("floats") else images


def _config(transfer_set: "TransferSet") -> dict[str, Any]:
    more: dict[str, Any] = {}
    if transfer_set.use is not None:
        more["use"] = packed_use(transfer_set.use)[0]
    if transfer_set.floats is not None:
        more["floats"] = str(transfer_set.floats.dtype).removeprefix("torch.")
    if transfer_set.per_image > 1:
        more["per_image"] = transfer_set.per_image
    return {
        "format": _FORMAT_WITH_USE if more else _FORMAT,
        "name": transfer_set.images.name,
        "images": len(transfer_set.images),
        "shape": transfer_set.images.shape,
        "classes": transfer_set.images.classes,
        "labelled": transfer_set.images.labels is not None,
        "fingerprint": transfer_set.images.fingerprint,
        "provenance": {
            name: str(values.dtype).removeprefix("torch.") if isinstance(values, Tensor) else "list"
            for name, values in transfer_set.provenance.items()
        },
        "soft_labels": None
        if transfer_set.soft_labels is None
        else {
            "kind": transfer_set.soft_label_kind,
            "temperature": transfer_set.soft_label_temperature,
            "hash": _hash(transfer_set.soft_labels),
        },
        "about": dict(transfer_set.about),
        **more,
    }


def _check_table(folder: Path, config: Mapping[str, Any], table: ImageTable) -> None:
    """Checks that the Parquet file fits the configuration, before anything is decoded."""
    wanted = ["image", "id", *(["label"] if config["labelled"] else []), *config["provenance"]]
    wanted += ["soft_label"] if config.get("soft_labels") else []
    absent = [name for name in wanted if name not in table.schema.names]
    if absent:
        raise _contradiction(folder, f"{PARQUET_NAME} lacks the column {', '.join(map(repr, absent))}")
    if table.count != config["images"]:
        raise _contradiction(folder, f"{PARQUET_NAME} holds {table.count:,} images, {CONFIG_NAME} {config['images']:,}")


def _check_content(folder: Path, config: Mapping[str, Any], images: ImageSet, soft_labels: Tensor | None) -> None:
    stored = config.get("soft_labels") or {}
    if images.fingerprint != config["fingerprint"]:
        raise _contradiction(
            folder, f"{PARQUET_NAME} holds other images, ids or labels than {CONFIG_NAME} was written for"
        )
    if soft_labels is not None and "hash" in stored and _hash(soft_labels) != stored["hash"]:
        raise _contradiction(folder, f"{PARQUET_NAME} holds other soft labels than {CONFIG_NAME} was written for")


def _with_floats(folder: Path, images: ImageSet) -> ImageSet:
    """The set of floats stored beside the images, which must be their 8-bit form."""
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


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError as error:
        if not folder.exists():
            raise UserError(f"there is no folder {str(folder)!r}; a transfer set is one.") from error
        raise UserError(f"{str(folder)!r} is no transfer set: it has no {CONFIG_NAME}.") from error
    except ValueError as error:
        raise UserError(f"{str(path)!r} is damaged: {error}.") from error
    if not isinstance(config, dict):
        raise UserError(f"{str(path)!r} is damaged: it holds no mapping.")
    if config.get("format") not in (_FORMAT, _FORMAT_WITH_USE):
        formats = f"{_FORMAT} or {_FORMAT_WITH_USE}"
        raise UserError(f"{str(path)!r} must be of format {formats}, got {config.get('format')!r}; update limbeck.")
    absent = [key for key in _KEPT if key not in config]
    if absent:
        raise UserError(f"{str(path)!r} is damaged: it lacks {', '.join(absent)}.")
    mappings = isinstance(config["provenance"], dict) and isinstance(config.get("soft_labels") or {}, dict)
    if not mappings or not isinstance(config["shape"], list) or len(config["shape"]) != 3:
        raise UserError(
            f"{str(path)!r} is damaged: `shape` must be [C, H, W], and `provenance` and `soft_labels` mappings."
        )
    return config
