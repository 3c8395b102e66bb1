"""Labels in a file beside the images: `metadata.csv` and `metadata.jsonl`, as in the image folders of `datasets`.

Source of the layout: https://huggingface.co/docs/datasets/image_dataset. Two things differ: class names of a `.csv`
stay as they are written ("007" is not 7), and images that the file does not name are reported.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.json

from limbeck.data.encoded.encoded_set import EncodedSet
from limbeck.data.encoded.images import file_stamps, named_files
from limbeck.data.labels import LabelColumn
from limbeck.data.layout import holds_images, listing
from limbeck.data.tables import LABEL_NAMES, ImageTable, find_images, find_labels, read_table
from limbeck.data.visible import files_in, images_below, images_in, subfolders
from limbeck.errors import UserError

pc: Any = pyarrow.compute  # its functions are created on import, invisible to type checkers
csv: Any = pyarrow.csv
json: Any = pyarrow.json

FILE_NAME = "file_name"
"""The column of paths, relative to the folder of the file."""
PARQUET = "metadata.parquet"
_CSV, _JSONL = "metadata.csv", "metadata.jsonl"
_LISTS = (".csv", ".jsonl", ".tsv", ".xlsx")
_WHOLE = re.compile(r"(-?(0|[1-9]\d{0,14})(\.0)?)?")


def metadata_of(folder: Path, image_column: str | None, label_column: str | None) -> ImageTable | None:
    """The metadata file in `folder`, which lists the images and their labels.

    None where there is none, where it has no column of paths, and where it has no labels but there are several
    folders of images: these are the classes then.

    Raises:
        UserError: there are two, or it cannot be read.
    """
    files = [path for path in (folder / _CSV, folder / _JSONL) if path.is_file()]
    if not files:
        return None
    if len(files) > 1:
        raise UserError(f"{str(folder)!r} holds {_CSV} and {_JSONL}; remove one of them.")
    table = _open(files[0])
    if image_column is None and FILE_NAME not in table.schema.names:
        return None
    labelled = label_column is not None or find_labels(table) is not None
    return table if labelled or len(_class_folders(folder)) < 2 else None


def read_metadata(
    table: ImageTable,
    others: Sequence[ImageTable],
    image_column: str | None,
    label_column: str | None,
    *,
    labelled: bool,
) -> EncodedSet:
    """The images that a metadata file names, in its order, with their labels.

    Args:
        table: of `metadata_of`.
        others: the tables of the other splits, whose classes are numbered together with these.
        image_column, label_column: where they are not `file_name` and one of the usual names.
        labelled: False ignores the labels.

    Raises:
        UserError: see `read_table`.
    """
    table = replace(
        table,
        other_labels=lambda column: [
            labels
            for other in others
            if column in other.schema.names and other.count
            for labels in other.labels(column)
        ],
    )
    image = find_images(table, image_column or FILE_NAME)
    encoded_set = read_table(table, image_column=image, label_column=label_column, labelled=labelled)
    remarks = [_unnamed(table, image), *(_about_labels(table, label_column) if labelled else ())]
    return replace(encoded_set, remarks=tuple(remark for remark in remarks if remark))


def unread_lists(*folders: Path) -> str:
    """The remark on files in `folders` that may list labels and are not read; "" where there are none."""
    lists = sorted(path for folder in folders for path in files_in(folder) if path.suffix.lower() in _LISTS)
    if not lists:
        return ""
    return (
        f"{listing(str(path) for path in lists)} beside images is not read. Labels are read from a file {_CSV} (or "
        f"{_JSONL}) in the folder of each split, with the columns {FILE_NAME}, paths from there, as 'images/1.jpg', "
        "and label; in Python, from a data frame of paths and labels, as `lb.load(frame)`."
    )


def _open(file: Path) -> ImageTable:
    where, is_csv = repr(str(file)), file.name == _CSV
    try:
        content = _csv(file) if is_csv else _jsonl(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{where} cannot be read ({str(error).rstrip('.')}); it must be in UTF-8, "
            f"{'with commas and a line of names' if is_csv else 'one JSON object a line'}."
        ) from error
    return ImageTable(
        schema=content.schema,
        features={},
        count=len(content),
        read=lambda column: content[column],
        labels=lambda column: [
            LabelColumn(
                _numbered(content[column]) if is_csv else content[column], f"labels in column {column!r} of {where}"
            )
        ],
        other_labels=lambda column: [],
        where=where,
        stamp=file_stamps([file]),
        folder=file.parent,
        files=lambda column: named_files(content[column]),
    )


def _csv(file: Path) -> pa.Table:
    """Reads all columns as text, so that no class name is taken for a number, a date or a missing value."""
    parse = csv.ParseOptions(newlines_in_values=True)
    names = csv.open_csv(file, parse_options=parse).schema.names
    kinds = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    return csv.read_csv(file, parse_options=parse, convert_options=kinds)


def _jsonl(file: Path) -> pa.Table:
    one_block = json.ReadOptions(block_size=max(1, file.stat().st_size))  # for lines of any length
    return json.read_json(file, read_options=one_block)


def _numbered(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers in place of text where all values are whole numbers as programs write them, without leading zeros; empty
    text is a missing value."""
    if not all(map(_WHOLE.fullmatch, values.unique().to_pylist())):
        return values
    return pc.if_else(pc.equal(values, ""), None, values).cast(pa.float64())


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if holds_images(path)]


def _unnamed(table: ImageTable, image: str) -> str:
    """The remark on images in the folder that the file does not name; "" where there are none."""
    folder = table.folder
    named = {os.path.normpath(folder / path) for path in table.files(image)}
    images = chain(images_in(folder), chain.from_iterable(map(images_below, subfolders(folder))))
    unnamed = sorted(path for path in images if os.path.normpath(path) not in named)
    if not unnamed:
        return ""
    example = str(unnamed[0].relative_to(folder))
    return f"{len(unnamed):,} images are passed over, for {table.where} does not name them, for instance {example!r}."


def _about_labels(table: ImageTable, label_column: str | None) -> list[str]:
    label = find_labels(table, label_column)
    if label is None:
        return [
            f"{table.where} has no column of labels ({', '.join(LABEL_NAMES)}), so images have none; it has "
            f"{', '.join(table.schema.names)}. `label_column` names another."
        ]
    folders = _class_folders(table.folder)
    if len(folders) < 2:
        return []
    return [
        f"classes are those in column {label!r} of {table.where}, and not the folders "
        f"{listing(path.name for path in folders)}; remove that file for these."
    ]
