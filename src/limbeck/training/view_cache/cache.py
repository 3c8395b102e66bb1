"""The view cache of one set of images: known teacher outputs are read, and the others computed.

A run uses outputs as they will be read back, so that it makes the same student whether the cache was full or empty.
Where a teacher has code or attributes that a fingerprint cannot cover, its outputs are kept for this process alone,
unless `trust_teacher` says that equal fingerprints mean equal outputs. Every run compares some of the outputs it reads
with the teacher's present ones.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.copies import arrival, copies_alone, to_cpu, to_device
from limbeck.errors import UserError
from limbeck.models.classifier import Outputs
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.agreement import agree, noise_of
from limbeck.training.view_cache.codecs import Codec, TopLogits
from limbeck.training.view_cache.file import CHECK, EntryFile
from limbeck.training.view_cache.history import History
from limbeck.training.view_cache.outputs import joined_outputs, outputs_in_blocks
from limbeck.training.view_cache.top_error import TopError

_COUNTED = 2**30  # bytes: files up to this size are read once to count their entries
_CHUNK = 2**20  # entries
_GOLDEN = 0x9E3779B1  # odd, so that each view of an image has its own checksum


class ViewCache:
    """A teacher whose outputs for the views of a set of images are cached.

    Args:
        teacher: computes unknown outputs.
        folder: of the files; it exists.
        codecs: name of an output ("logits", "embedding", "stages.0" ...) -> how it is stored.
        hashes: uint8 [N, 16], equal exactly where images have the same outputs.
        distinct: views of an image.
        history: what this teacher's caches pass on from earlier rounds.
        say: called with messages about problems that do not stop the run.

    Attributes:
        rows: int64 [N] on the CPU, each image's place in the folder's files. Equal images share a row; -1 stands for
            images without a row because the disk was full, whose outputs are computed every time.
        count: views of all distinct images of the set.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        folder: Path,
        codecs: dict[str, Codec],
        hashes: np.ndarray,
        distinct: int,
        history: History,
        say: Callable[[str], None],
    ) -> None:
        self.teacher = teacher
        self.folder = folder
        self.distinct = distinct
        self.outputs = frozenset(name.split(".")[0] for name in codecs)
        self.history = history
        self.say = say
        self.writes = True
        # Kernels are chosen by batch size and round differently: the teacher computes in blocks of one size.
        self.block = 32 if teacher.device.type == "cpu" else 64
        self._index = history.index(folder / "index.bin")
        with self._index.locked():
            rows, full = self._index.rows(hashes)
            self.files = {name: EntryFile(folder / f"{name}-{codec.name}.bin", codec) for name, codec in codecs.items()}
            for file in self.files.values():
                file.reserve(max(int(rows.max()) + 1, 1) * distinct)
        self.rows = torch.from_numpy(rows)
        if full is not None:
            self._stop_writing(full)
        self._own_rows, first = np.unique(rows, return_index=True)  # int64 [U], sorted
        # 32 bits of the hash of each row's image, which its checksums start from. uint32 [U]
        self._tags = np.ascontiguousarray(hashes[first, -CHECK.itemsize :]).view(CHECK)[:, 0]
        # What this round wrote, in the order of `_own_rows`; everything else was there before. bool [U x distinct]
        self.count = len(self._own_rows) * distinct
        self._written = np.zeros(self.count, bool)
        # For the last computed outputs: a function that waits for them, and one that writes them.
        self._pending: tuple[Callable[[], None], Callable[[], object]] | None = None
        self.late = copies_alone(teacher.device) and all(codec.rounds for codec in codecs.values())
        top = codecs.get("logits")
        self.error = TopError(folder / f"logits-{top.name}-error.json") if isinstance(top, TopLogits) else None

    def entries(self, positions: Tensor, draws: Tensor) -> Tensor:
        """The entries of views, row x `distinct` + draw: int64 [B] on the CPU, below 0 where an image has no row.

        Args:
            positions: int64 [B], of images in the set, 0..N-1.
            draws: int64 [B], which view of each, 0..`distinct` - 1; see `Augmentation.draw`.
        """
        return self.rows[positions.cpu()] * self.distinct + draws.cpu()

    def __call__(self, images: Tensor, entries: Tensor, want: Collection[str]) -> tuple[Outputs, int]:
        """The teacher's outputs, and for how many of the images they were known.

        Args:
            images: uint8 [B, C, H, W], the views.
            entries: int64 [B], see `entries`.
            want: names of outputs; where not all of them are cached, the teacher computes everything.
        """
        self._finish()
        if not self.outputs.issuperset(want):
            return self.teacher(images, want={*want, "logits"}), 0
        numbers = entries.cpu().numpy()
        local, owners = self._owners(numbers)
        read = {name: file.read(numbers, owners) for name, file in self.files.items() if name.split(".")[0] in want}
        known = np.logical_and.reduce([whole for _, whole in read.values()])  # bool [B]
        outputs = {name: values for name, (values, _) in read.items()}  # float32 [B, ...] each
        if not self._still_hold(images, entries, int((known & ~self._written[local]).sum())):
            known[:] = False
        if not known.all():
            places = np.flatnonzero(~known)
            computed = self._ask_and_keep(images, places, numbers[places], owners[places])
            outputs = {name: _with(values, places, computed[name]) for name, values in outputs.items()}
            self._written[local[places]] = True
        return joined_outputs(outputs, self.teacher.device), int(known.sum())

    def verify(self, images: Tensor, entries: Tensor) -> bool:
        """Computes some known outputs again, and clears the cache where the teacher's outputs have changed.

        The folder's name covers everything about a teacher that can be fingerprinted; this covers the rest.

        Returns:
            Whether the outputs agree, see `agree`, or there was nothing to compare.
        """
        self._finish()
        numbers = entries.cpu().numpy()
        _, owners = self._owners(numbers)
        read = {name: file.read(numbers, owners) for name, file in self.files.items()}
        places = np.flatnonzero(np.logical_and.reduce([whole for _, whole in read.values()]))[: self.block]
        if not len(places):
            return True
        now = outputs_in_blocks(self.teacher, images, places, self.outputs, self.block)
        noise = noise_of(self.teacher.device, self.teacher.dtype)
        for name, (values, _) in read.items():
            codec = self.files[name].codec
            if not agree(*codec.comparable(now[name].cpu(), values[places]), codec.dtype, noise):
                self.say(f"the answers kept in {str(self.folder)!r} are not this teacher's; they are thrown away.")
                with self._index.locked():
                    for file in self.files.values():
                        file.clear()
                return False
        return True

    def missing(self, entries: Tensor) -> Tensor:
        """Which of some views are unknown and could be stored: places among `entries`, int64 [n], ascending."""
        self._finish()
        numbers = entries.cpu().numpy()
        _, owners = self._owners(numbers)
        whole = [file.read(numbers, owners)[1] for file in self.files.values()]  # bool [B] each
        return torch.from_numpy(np.flatnonzero(~np.logical_and.reduce(whole) & (numbers >= 0)))

    def would_keep_alike(self, logits: Tensor, others: Tensor) -> bool:
        """Whether both, float32 [n, K], would be stored as the same bits."""
        codec = self.files["logits"].codec
        return np.array_equal(codec.encode(logits.cpu()), codec.encode(others.cpu()))

    def put_logits(self, entries: Tensor, logits: Tensor) -> None:
        """Stores logits, float32 [n, K], of views that the teacher computed elsewhere."""
        numbers = entries.cpu().numpy()
        self._keep({"logits": logits.cpu()}, numbers, self._owners(numbers)[1])

    def known(self) -> int | None:
        """How many views of the set's images are stored; None where counting would take long."""
        self._finish()
        files = [file for file in self.files.values() if self.count * file.record <= _COUNTED]
        if not files:
            return None
        rows = self._own_rows[self._own_rows >= 0]
        views = np.arange(self.distinct)
        parts = np.array_split(rows, -(-self.count // _CHUNK))
        chunks = [(part[:, None] * self.distinct + views).reshape(-1) for part in parts]
        return min(sum(int(file.written(chunk).sum()) for chunk in chunks) for file in files)

    def summary(self) -> dict[str, Any]:
        """What a run folder records about it.

        Returns:
            `outputs`; `folder`, its key; `bytes` that all views of this set take, with checksums; `top_k_error` over
            all outputs that were ever stored there, see `TopError.read`, or None.
        """
        return {
            "outputs": sorted(self.outputs),
            "folder": self.folder.name,
            "bytes": sum(self.count * file.record for file in self.files.values()),
            "top_k_error": None if self.error is None else self.error.read(),
        }

    def close(self) -> None:
        """Closes the files; their content stays."""
        self._finish()
        if self.error is not None and self.writes:
            try:
                self.error.save()
            except (OSError, UserError) as error:
                self._stop_writing(error)
        for file in self.files.values():
            file.close()

    def _owners(self, entries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in `_written` (int64 [B]), and what the entries' checksums start from (uint32 [B])."""
        rows, draws = entries // self.distinct, entries % self.distinct
        place = self._own_rows.searchsorted(rows)  # [B] in 0..U-1
        assert np.array_equal(self._own_rows[place], rows), "entries of another set"
        return place * self.distinct + draws, self._tags[place] + (draws * _GOLDEN).astype(np.uint32)

    def _still_hold(self, images: Tensor, entries: Tensor, found: int) -> bool:
        """Whether outputs that this round did not write are still the teacher's.

        That is checked when the first are read, and each time that their number has doubled.
        """
        before = self.history.found
        self.history.found += found
        if not found or self.history.found < self.history.next_check:
            return True
        self.history.next_check = 2 * self.history.found
        holds = self.verify(images, entries)
        if not holds and before:
            self.say(f"{before:,} of them were read in this run before that was noticed; repeat the run.")
        return holds

    def _ask_and_keep(
        self, images: Tensor, places: np.ndarray, entries: np.ndarray, owners: np.ndarray
    ) -> dict[str, Tensor]:
        """Computes all cached outputs, as one pass yields them, and returns them as they will be read back.

        Where a GPU can round them itself they stay on it, and are written once they are copied, see `_finish`.
        """
        computed = outputs_in_blocks(self.teacher, images, places, self.outputs, self.block)
        if not self.late:
            return self._keep({name: values.cpu() for name, values in computed.items()}, entries, owners)
        on_cpu = {name: to_cpu(values) for name, values in computed.items()}
        self._pending = arrival(self.teacher.device), partial(self._keep, on_cpu, entries, owners)
        rounded = {name: self.files[name].codec.rounded(values) for name, values in computed.items()}
        return {name: _where_finite(rounded[name], values) for name, values in computed.items()}

    def _finish(self) -> None:
        """Writes the outputs of the last call, before anything else is read, so that the order of steps is kept.

        By then a GPU is busy with the student's step, and does not idle.
        """
        if self._pending is not None:
            (wait, keep), self._pending = self._pending, None
            wait()
            keep()

    def _keep(self, computed: Mapping[str, Tensor], entries: np.ndarray, owners: np.ndarray) -> dict[str, Tensor]:
        """Writes outputs, float32 [n, ...] on the CPU, and returns them as they will be read back."""
        kept = {}
        for name, values in computed.items():
            file = self.files[name]
            packed = file.codec.encode(values)  # uint8 [n, size]
            rounded = file.codec.decode(packed)
            fits = rounded.flatten(1).isfinite().all(dim=1)  # bool [n]
            self._write(file, entries[fits.numpy()], owners[fits.numpy()], packed[fits.numpy()])
            if not fits.all():
                self.history.say_once(
                    f"{name} beyond {file.codec.name}",
                    self.say,
                    f"some of the teacher's {name} are beyond {file.codec.name} and are asked for every time; "
                    "`training.cache.dtype: float32` would keep them.",
                )
            if self.error is not None and name == "logits":
                self.error.add(values[fits], rounded[fits])
            kept[name] = _where_finite(rounded, values)
        return kept

    def _write(self, file: EntryFile, entries: np.ndarray, owners: np.ndarray, packed: np.ndarray) -> None:
        if not self.writes:
            return
        try:
            file.write(entries, owners, packed)
        except OSError as error:
            self._stop_writing(error)

    def _stop_writing(self, error: Exception) -> None:
        self.writes = False
        self.history.say_once(
            f"full {self.folder}",
            self.say,
            f"no more answers of the teacher are kept: cannot write in {str(self.folder)!r} ({error}).",
        )


def _where_finite(rounded: Tensor, values: Tensor) -> Tensor:
    """The rounded outputs, [n, ...], or the outputs themselves where rounding made them infinite."""
    fits = rounded.flatten(1).isfinite().all(dim=1)  # bool [n]
    return torch.where(fits.view(-1, *[1] * (values.ndim - 1)), rounded, values)


def _with(whole: Tensor, places: np.ndarray, some: Tensor) -> Tensor:
    """`whole` [B, ...] with its rows `places` replaced by `some` [n, ...], on the device of `some`."""
    return to_device(whole, some.device).index_copy_(0, to_device(torch.from_numpy(places), some.device), some)
