"""The images that were made and are kept, with what the teacher says of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.joined import content_ids
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.randomness import words
from limbeck.transfer.generate.batch_columns import as_written, columns_of
from limbeck.transfer.generate.held_ids import HeldIds
from limbeck.transfer.generate.rows import Columns, FileRows, Layout, MemoryRows, Rows
from limbeck.transfer.generate.segmented_rows import SegmentedRows

_CHUNK = 4096
_SEGMENTS = 4  # files that what is held is spread over: more of them would leave the disk sooner
_PIECES = ("round", "call", "wanted", "confidence", "view")


class Appended(NamedTuple):
    """What became of a batch.

    Attributes:
        rows: of the images that are new, int64 [n], ascending.
        places: of these in the batch, int64 [n]; the rest equal a held image or an earlier one of the batch.
        left: rows that left for them, int64 [m].
    """

    rows: Tensor
    places: Tensor
    left: Tensor


class Repository:
    """Images uint8 with a row of columns each; appending and removing cost the same however many there are.

    Every image has a number, its row, in order of age, which no other image gets. Equal images are held once; the id of
    an image comes from its content. Columns: round, call, the label that was wanted, the teacher's label, confidence,
    logits and embedding, the view that the teacher saw, losses.

    Columns lie in files that only grow and are memory-mapped, with about 20 bytes an image in memory; `state_dict` says
    which of their rows are held, so that the state of an earlier round stays valid after the files grew: a repeated
    round overwrites what was written since. Where `capacity` is small, images are in memory and in the state instead.
    Where it is not, and the oldest leave (`latest`), files are of so many rows each, and those leave the disk that have
    no row that is held, or was in a pinned state, see `pin`.

    Args:
        folder: for the files, and for nothing else; those of another run are overwritten.
        shape: (C, H, W).
        num_classes: K.
        embedding: numbers of the teacher's embedding; 0 where it is not kept.
        losses: names of the losses that are kept.
        capacity: images it is to hold at most; None for any number.
        latest: whether the oldest leave where `append` goes beyond `capacity`; else whoever appends removes some.
        limit: bytes up to which `capacity` images are in memory and in the state.

    Example:
        >>> repository = Repository(Path("repository"), shape=(1, 8, 8), num_classes=10)
        >>> made = torch.randint(0, 256, (32, 1, 8, 8), dtype=torch.uint8)
        >>> appended = repository.append(made, logits=torch.randn(32, 10), round=0, call=0)
        >>> repository.remove(appended.rows[:2])
        >>> len(repository), repository.image_set(list("0123456789")).shape
        (30, (1, 8, 8))
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        shape: tuple[int, int, int],
        num_classes: int,
        embedding: int = 0,
        losses: Sequence[str] = (),
        capacity: int | None = None,
        latest: bool = False,
        limit: int = 2**26,
    ) -> None:
        if capacity is not None and capacity < 1:
            raise UserError(f"`capacity` must be at least 1, or None for any number of images, got {capacity}.")
        self.folder = Path(folder)
        self.layout = Layout(shape, num_classes, embedding, tuple(losses))
        self.capacity = capacity
        self.latest = latest
        self.in_memory = capacity is not None and capacity * self.layout.row_bytes <= limit
        self._columns = self._rows_kept()
        self._begin()

    def _rows_kept(self) -> Rows:
        if self.in_memory:
            return MemoryRows(self.layout)
        if self.latest and self.capacity is not None:
            return SegmentedRows(self.folder, self.layout, -(-self.capacity // _SEGMENTS))
        return FileRows(self.folder, self.layout)

    def _begin(self) -> None:
        self._alive = np.zeros(1024, bool)
        self._counts = np.zeros(self.layout.num_classes, np.int64)
        self._held = HeldIds()
        self._length = 0  # rows that were ever appended
        self._oldest = 0  # no row below is held
        self._checked = 0  # held rows below are known to be as they were written

    def __len__(self) -> int:
        return int(self._counts.sum())

    def __repr__(self) -> str:
        return f"Repository({str(self.folder)!r}, {len(self):,} of {self._length:,} images that were made)"

    @property
    def appended(self) -> int:
        """How many images were ever appended: the next row."""
        return self._length

    @property
    def rows(self) -> Tensor:
        """The rows that are held, int64 [n], ascending: the oldest first."""
        return torch.from_numpy(self._rows())

    def class_counts(self) -> Tensor:
        """Images of each class by the teacher's label, int64 [K]."""
        return torch.from_numpy(self._counts.copy())

    def append(
        self,
        images: Tensor,
        *,
        logits: Tensor,
        round: int,
        call: int,
        wanted: Tensor | None = None,
        embedding: Tensor | None = None,
        view: Tensor | int = -1,
        losses: Mapping[str, Tensor | float] | None = None,
    ) -> Appended:
        """Adds images, except those that equal one that is held.

        Args:
            images: uint8 [B, C, H, W].
            logits: the teacher's, float [B, K].
            round: in which they were made.
            call: in which they were made.
            wanted: the labels they were to have, int64 [B]; None where there were none.
            embedding: the teacher's, float [B, D].
            view: number of the view that the teacher saw, [B] or one for all; -1 where that is not known.
            losses: by name, [B] or one for all.

        Raises:
            UserError: other shapes or types, logits or embeddings that are not finite, other losses, or a full disk.
        """
        if not len(images):
            nothing = torch.empty(0, dtype=torch.int64)
            return Appended(nothing, nothing, nothing)
        columns = columns_of(
            self.layout,
            images,
            logits=logits,
            embedding=embedding,
            losses=losses or {},
            round=round,
            call=call,
            wanted=-1 if wanted is None else wanted,
            view=view,
        )
        ids = content_ids(torch.from_numpy(columns["digests"])).numpy()
        _, places = np.unique(ids, return_index=True)
        places = np.sort(places[self._held.rows(ids[places], self._alive) < 0])
        columns = {name: values[places] for name, values in columns.items()}
        rows = self._write(columns, ids[places])
        left = self._drop_oldest()
        return Appended(*(torch.from_numpy(array) for array in (rows, places, left)))

    def remove(self, rows: Tensor | Sequence[int]) -> None:
        """Removes images.

        Args:
            rows: int64 [n], distinct, of images that are held.

        Raises:
            UserError: one that is not held, or given twice.
        """
        numbers = torch.as_tensor(rows, dtype=torch.int64).cpu().numpy()
        within = (numbers >= 0) & (numbers < self._length)
        held = within & self._alive[np.where(within, numbers, 0)]
        if not held.all() or len(np.unique(numbers)) < len(numbers):
            wrong = numbers[~held].tolist() or ["one twice"]
            raise UserError(f"`rows` must be distinct rows of images that are held, got {wrong[0]}.")
        numbers = np.sort(numbers)
        labels = self._columns.read("notes", numbers)["label"]
        self._alive[numbers] = False
        self._counts -= np.bincount(labels, minlength=len(self._counts))
        self._columns.removed(self._alive[: self._length], len(self))

    def column(self, name: str, rows: Tensor | None = None) -> Tensor:
        """One column of the images that are held, or of some of them: [n], [n, K] of logits, [n, D] of embeddings.

        Args:
            name: "round", "call", "wanted", "label", "confidence", "view", "loss_NAME", "id", "logits", "embedding" or
                "images".
            rows: int64 [n], ascending; None for all.
        """
        numbers = self._rows() if rows is None else rows.numpy()
        if name == "id":
            return content_ids(torch.from_numpy(self._columns.read("digests", numbers)))
        if name in self.layout.columns and name != "notes":
            return torch.from_numpy(self._columns.read(name, numbers))
        values = self._columns.read("notes", numbers)[name]
        return torch.from_numpy(values.astype(np.int64 if values.dtype.kind == "i" else np.float32))

    def image_set(self, classes: Sequence[str], *, name: str = "generated") -> ImageSet:
        """The images that are held, oldest first, with the teacher's labels; pixels in files are not copied.

        Raises:
            UserError: none are held, or other names than K.
        """
        if len(classes) != self.layout.num_classes:
            raise UserError(f"`classes` must be {self.layout.num_classes} names, got {len(classes)}.")
        storage = self._columns.storage(self._length, self._rows())
        return ImageSet(storage, self.column("label"), ids=self.column("id"), classes=classes, name=name)

    def transfer_set(
        self, classes: Sequence[str], *, maker: str = "generate", about: Mapping[str, Any] | None = None
    ) -> TransferSet:
        """The images that are held, each with where it is from: round, call, wanted label, confidence, view, losses."""
        images = self.image_set(classes)
        names = {name: name for name in _PIECES} | {"wanted": "wanted_label"}
        provenance: dict[str, Any] = {"maker": [maker] * len(images)}
        provenance |= {names[name]: self.column(name) for name in _PIECES}
        provenance |= {f"loss_{name}": self.column(f"loss_{name}") for name in self.layout.losses}
        return TransferSet(images, provenance=provenance, about=about or {})

    def pin(self, name: str) -> None:
        """What is held now can be loaded again until `name` has pinned two other states.

        Two, as the last but one stays on disk until the last has replaced it. Where the oldest leave and lie in files,
        states that are not pinned do not stay valid.

        Args:
            name: of where the state is kept, such as "checkpoint".
        """
        self._columns.pin(name, self._rows())

    def state_dict(self) -> dict[str, Tensor]:
        """Which rows are held, a bit each, and a checksum; of a repository in memory, also all that they hold."""
        rows = self._rows()
        return {
            "length": torch.tensor(self._length),
            "held": torch.from_numpy(np.packbits(self._alive[: self._length])),
            "checksum": torch.tensor(self._checksum(rows)),
            **{f"rows.{name}": values for name, values in self._columns.state_dict(rows).items()},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores what was held, be it earlier or later.

        Rows that this object neither wrote nor read before are read once, to check that they are those of the state.

        Raises:
            UserError: the files are gone, damaged or of another run.
        """
        checked = self._checked
        self._begin()
        length = int(state["length"])
        alive = np.unpackbits(state["held"].cpu().numpy(), count=length).astype(bool)
        rows = np.flatnonzero(alive)
        columns = {name.removeprefix("rows."): tensor for name, tensor in state.items() if name.startswith("rows.")}
        self._columns.load_state_dict(length, rows, columns)
        self._alive, self._length = _grown(alive, length), length
        self._checked = 0 if self.in_memory else min(checked, length)
        if not self._as_written(rows) or self._checksum(rows) != int(state["checksum"]):
            raise UserError(
                f"the images in {str(self.folder)!r} are damaged, or not those that the checkpoint knows; bring its "
                "files back, or remove the run's folder to begin anew."
            )
        self._checked = length
        self._counts += np.bincount(self._columns.read("notes", rows)["label"], minlength=len(self._counts))
        self._held.add(self.column("id").numpy(), rows, self._alive)

    def _rows(self) -> np.ndarray:
        return self._oldest + np.flatnonzero(self._alive[self._oldest : self._length])

    def _write(self, columns: Columns, ids: np.ndarray) -> np.ndarray:
        count = len(ids)
        rows = np.arange(self._length, self._length + count)
        if not count:
            return rows
        self._columns.append(self._length, columns)
        self._alive = _grown(self._alive, self._length + count)
        self._alive[rows] = True
        self._length = self._checked = self._length + count
        self._counts += np.bincount(columns["notes"]["label"], minlength=len(self._counts))
        self._held.add(ids, rows, self._alive)
        return rows

    def _drop_oldest(self) -> np.ndarray:
        """Removes the rows that `latest` has no room for, and returns them."""
        excess = len(self) - self.capacity if self.latest and self.capacity is not None else 0
        left: list[np.ndarray] = []
        while excess > 0:
            oldest = np.flatnonzero(self._alive[self._oldest : self._oldest + _CHUNK])[:excess] + self._oldest
            self._oldest = int(oldest[-1]) + 1 if len(oldest) else self._oldest + _CHUNK
            left.append(oldest)
            excess -= len(oldest)
        dropped = np.concatenate(left) if left else np.empty(0, np.int64)
        if len(dropped):
            self.remove(torch.from_numpy(dropped))
        return dropped

    def _checksum(self, rows: np.ndarray) -> int:
        """A checksum of the rows that are held, whatever else lies in the files."""
        checks = self._columns.read("notes", rows)["check"].astype(np.int64)
        return int(words(self._length, torch.from_numpy(rows), torch.from_numpy(checks)).sum())

    def _as_written(self, rows: np.ndarray) -> bool:
        """Whether the rows that were not checked before match their checksums."""
        rows = rows[rows >= self._checked]
        chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
        names = self.layout.columns
        return all(
            as_written({name: self._columns.read(name, chunk) for name in names}, self.layout) for chunk in chunks
        )


def _grown(values: np.ndarray, length: int) -> np.ndarray:
    """The same with room for `length` at least, and twice as much as before where there was too little."""
    if length <= len(values):
        return values
    out = np.zeros(max(length, 2 * len(values)), values.dtype)
    out[: len(values)] = values
    return out
