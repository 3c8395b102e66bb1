"""What a selection leaves in the folder of its transfer set for the report, where it cannot be taken for data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from limbeck.files import atomic_path, atomic_write_text
from limbeck.transfer.select.evidence import pictures
from limbeck.transfer.selection import Selection

if TYPE_CHECKING:
    from limbeck.data import ImageSet

DETAILS = "selection"
TABLE, PICTURES, NUMBERS = f"{DETAILS}/table.parquet", f"{DETAILS}/gallery.safetensors", f"{DETAILS}/summary.json"
GROUPS = {
    "chosen_highest": "Chosen, highest",
    "chosen_lowest": "Chosen, lowest",
    "rejected_highest": "Left out, highest",
    "rejected_lowest": "Left out, lowest",
}


def save_details(folder: str | Path, images: "ImageSet", selection: Selection) -> None:
    """Writes images at both ends of the scores, and a row per image; of a table in a file, numbers instead of rows.

    Args:
        folder: of the transfer set.
        images: the set that was selected from.
        selection: from them.
    """
    folder = Path(folder)
    if selection.score_table.path is None:
        selection.to_parquet(folder / TABLE)
    else:
        atomic_write_text(folder / NUMBERS, json.dumps(selection.summary().to_dict()) + "\n")
    save_gallery(folder / PICTURES, images, selection)


def save_gallery(path: str | Path, images: "ImageSet", selection: Selection) -> None:
    """Writes the images at both ends of the scores as safetensors."""
    found = {group.title.rpartition(" ")[0]: group for group in pictures(selection, images)}
    tensors = {}
    for name, title in GROUPS.items():
        group = found.get(title)
        if group is None:
            tensors[f"{name}.images"] = torch.empty(0, *images.shape, dtype=torch.uint8)
            tensors |= {f"{name}.ids": torch.empty(0, dtype=torch.int64), f"{name}.scores": torch.empty(0)}
            if selection.labels is not None:
                tensors[f"{name}.labels"] = torch.empty(0, dtype=torch.int64)
            continue
        parts = {"images": group.images, "ids": group.ids, "labels": group.labels, "scores": group.scores}
        tensors |= {f"{name}.{part}": values for part, values in parts.items() if values is not None}
    metadata = {"classes": json.dumps(list(images.classes)), "score": selection.criterion.score}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
