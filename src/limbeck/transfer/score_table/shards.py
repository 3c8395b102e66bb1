"""Computing the shards of a table of scores, in any process."""

import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.score_table.identity import seen
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import histogram_sum
from limbeck.transfer.scoring.score import score_columns

if TYPE_CHECKING:
    from limbeck.data import ImageSet


class Shards:
    """Computes the shards of a table; one instance per worker.

    Args:
        images: the whole set.
        columns: name -> criterion.
        context: teacher, folder, seed.
        parts: folder of finished shards.
        size: images per shard.
        beside: further columns, see `score_table`.
    """

    def __init__(
        self,
        images: "ImageSet",
        columns: Mapping[str, Criterion],
        context: ScoringContext,
        parts: Path,
        size: int,
        beside: Sequence[str] = (),
    ) -> None:
        self.images = images
        self.columns = columns
        self.context = context
        self.parts = parts
        self.beside = beside
        self.size = size

    def positions(self, index: int) -> Tensor:
        """Positions of the images of a shard, int64 `[n]`."""
        return torch.arange(index * self.size, min((index + 1) * self.size, len(self.images)))

    def add_up(self, index: int) -> int:
        """Saves the sum of the shard's gray histograms; returns the number of images."""
        positions = self.positions(index)
        total = histogram_sum(self.images, positions)
        with atomic_path(self.parts / f"{index:06d}.npy") as temporary:
            np.save(temporary, total.numpy())
        return len(positions)

    def score(self, index: int) -> int:
        """Saves the shard's part of the table; returns the number of images."""
        part = self.images.subset(self.images.ids[self.positions(index)])
        columns: dict[str, Any] = {"id": part.ids.numpy()}
        if part.labels is not None:
            columns["label"] = part.labels.numpy()
        columns |= {name: _arrow(values) for name, values in self._scores(part).items()}
        with atomic_path(self.parts / f"{index:06d}.parquet") as temporary:
            pq.write_table(pa.table(columns), temporary)
        return len(part)

    def _scores(self, part: "ImageSet") -> dict[str, Tensor]:
        options = {"seed": self.context.seed, "context": self.context, "whole": self.images, "average": self._average()}
        return score_columns(part, self.columns, beside=self.beside, **options)

    def _average(self) -> Tensor | None:
        """The average histogram of the whole set, if a criterion needs it."""
        if all(criterion.representation != "average-adjusted-histogram" for criterion in self.columns.values()):
            return None
        sums = [np.load(self.parts / f"{index:06d}.npy") for index in range(-(-len(self.images) // self.size))]
        return torch.from_numpy(np.sum(sums, axis=0)) / len(self.images)


class MakeShards:
    """Makes `Shards` in the process that calls it."""

    def __init__(
        self,
        images: "ImageSet | Callable[[], ImageSet]",
        columns: Mapping[str, Criterion],
        context: ScoringContext,
        parts: Path,
        size: int,
        beside: Sequence[str],
        *,
        begun: str,
    ) -> None:
        self.images = images
        self.rest = (columns, context, parts.absolute(), size, beside)
        self.begun = begun

    def __call__(self) -> Shards:
        images = self.images() if callable(self.images) else self.images
        if seen(images) != self.begun:
            raise UserError(
                f"the images that {images.name!r} names on {platform.node()} are others than where it began"
            )
        return Shards(images, *self.rest)


def _arrow(values: Tensor) -> pa.Array:
    """An Arrow column of numbers `[N]`, or of D bytes each, uint8 `[N, D]`."""
    if values.ndim == 1:
        return pa.array(values.numpy())
    kind = pa.binary(values.shape[1])
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values.contiguous().numpy())])
