"""`Selection`: which of the images of a score table were chosen, and why."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.transfer.budget import Budget
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.parts import left_out
from limbeck.transfer.score_table.identity import CONTENT, IDENTITY, content_of, of_any_order
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.score_table.rows import Candidates, Rows
from limbeck.transfer.summary import Summary, summarise

if TYPE_CHECKING:
    from limbeck.data import ImageSet


@dataclass(frozen=True, eq=False, kw_only=True)
class Selection:
    """What was chosen from a table of scores; everything else is read from the table on access.

    The images that were considered are the rows of the table, in its order, without those never scored. Attributes that
    have a value for each of them (`scores`, `chosen` ...) take memory in proportion; `rows` reads a million at a time.

    Attributes:
        score_table: where the scores are.
        criterion, budget, seed: how they were chosen.
        balance: what was balanced where the criterion goes by class: "label", or the table's "group".
        maker: who chose, for provenance.

    Example:
        >>> selection = lb.select(images, criterion="variance", budget=20)
        >>> len(selection.ids), int(selection.chosen.sum()), len(selection.scores)
        (20, 20, 200)
        >>> lb.select_from_scores("scores.parquet", criterion="variance", budget="10/class").count
        100
    """

    score_table: ScoreTable
    criterion: Criterion
    budget: Budget
    seed: int
    balance: str = "label"
    maker: str = "select"
    _chosen: Rows  # most preferred first
    _candidates: Candidates
    _columns: tuple[str, ...]  # of the table, those that the functions below read
    _is_chosen: Callable[[Rows], np.ndarray]
    _groups_of: Callable[[Rows], np.ndarray] | None

    @property
    def count(self) -> int:
        """How many were chosen."""
        return len(self._chosen.ids)

    @property
    def considered(self) -> int:
        """How many could have been chosen."""
        return len(self._candidates)

    @cached_property
    def ids(self) -> Tensor:
        """Ids of the chosen images, int64 `[n]`, most preferred first."""
        return torch.from_numpy(self._chosen.ids)

    @property
    def sources(self) -> list[str]:
        """The source of each chosen image, most preferred first."""
        if self._chosen.sources is None:
            return [self.score_table.name] * self.count
        return [self.score_table.sources[place] for place in self._chosen.sources.tolist()]

    @property
    def leaves_out_hardest(self) -> bool:
        """Whether some images were left out as too hard, as `coverage` does."""
        cutoff = self.criterion.option("cutoff")
        return "strata" in self.criterion.default_options and left_out(cutoff, self.considered, self.count) > 0

    def rows(self) -> Iterator[dict[str, np.ndarray]]:
        """One pass over all images considered: id, score, chosen and, if there are any, source, label and group.

        Batches of 2^20 rows at most; "id", "label", "group" int64 `[B]`, "score" float64 `[B]`, "chosen" bool `[B]`,
        "source" names `[B]`.
        """
        columns = dict.fromkeys((*self._columns, *(("label",) if self._labelled else ())))
        for rows in self._candidates.read(*columns):
            batch = {"id": rows.ids, "score": rows.scores, "chosen": self._is_chosen(rows)}
            if rows.sources is not None:
                batch["source"] = np.array(self.score_table.sources, dtype=object)[rows.sources]
            if self._labelled:
                batch["label"] = rows.columns["label"]
            if self._groups_of is not None:
                batch["group"] = self._groups_of(rows)
            yield batch

    @cached_property
    def _labelled(self) -> bool:
        return self.score_table.sizes("label", self._candidates.known) is not None

    def _column(self, name: str) -> Tensor:
        return torch.from_numpy(np.concatenate([batch[name] for batch in self.rows()]))

    @cached_property
    def all_ids(self) -> Tensor:
        """Ids of the images that were considered, int64 `[N]`."""
        return self._column("id")

    @cached_property
    def scores(self) -> Tensor:
        """Their scores, float64 `[N]`."""
        return self._column("score")

    @cached_property
    def chosen(self) -> Tensor:
        """Whether each was chosen, bool `[N]`."""
        return self._column("chosen")

    @cached_property
    def labels(self) -> Tensor | None:
        """Their labels, int64 `[N]`, or None."""
        return self._column("label") if self._labelled else None

    @cached_property
    def groups(self) -> Tensor | None:
        """The cluster, stratum or balanced group of each, int64 `[N]`; None where there are none."""
        return None if self._groups_of is None else self._column("group")

    @property
    def chosen_scores(self) -> Tensor:
        """Scores of the chosen images, float64 `[n]`, most preferred first."""
        return torch.from_numpy(self._chosen.scores)

    def provenance(self) -> dict[str, list[str] | Tensor]:
        """One row per chosen image, most preferred first: source, source_id, score, maker."""
        return {
            "source": self.sources,
            "source_id": self.ids,
            "score": self.chosen_scores,
            "maker": [f"{self.maker}/{self.criterion.name}"] * self.count,
        }

    def transfer_set(self, images: ImagesLike) -> TransferSet:
        """The chosen images with their provenance.

        Args:
            images: the set they were chosen from, or, for a table in memory, a set that contains it.

        Raises:
            UserError: `images` is another set, by its name, the size of its images, ids, labels or content; or the
                table has several sources.
        """
        images = as_image_set(images, "train", "images")
        self._check_source(images)
        about = {
            "maker": f"{self.maker}/{self.criterion.name}",
            "criterion": self.criterion.described(),
            "budget": self.budget.label,
            "seed": self.seed,
        }
        if self.criterion.needs_teacher and "precision" in self.score_table.about:
            about["precision"] = self.score_table.about["precision"]  # of the teacher
        return TransferSet(images.subset(self.ids), provenance=self.provenance(), about=about)

    def _check_source(self, images: "ImageSet") -> None:
        if self.score_table.sources:
            raise UserError(
                f"{self.score_table.title} holds scores of {', '.join(map(repr, self.score_table.sources))}; make "
                "one image set of what was chosen of each, by `ids` and `sources`."
            )
        # A table in memory was made from these images; one in a file may be older than they are.
        scored = {} if self.score_table.path is None else {"name": images.name, "shape": list(images.shape)}
        for key, value in scored.items():
            recorded = self.score_table.about.get(key, value)
            if recorded != value:
                raise UserError(
                    f"{self.score_table.title} holds scores of images whose {key} is {recorded}, got {value} of "
                    f"{images.name!r}; score these images, or choose ids alone without them."
                )
        recorded = self.score_table.about.get(IDENTITY) if scored else None  # older tables lack it
        if recorded is not None and recorded != of_any_order(images):
            raise UserError(
                f"{self.score_table.title} holds scores of other images than {images.name!r} has now (files came or "
                "went since); score these anew."
            )
        content = self.score_table.about.get(CONTENT) if scored else None  # older tables lack it
        now = content_of(images) if content else {}
        if content and any(content[key] != now[key] for key in content.keys() & now.keys()):
            raise UserError(
                f"{self.score_table.title} holds scores of other images than {images.name!r} has now (files were "
                "changed or replaced since); score these anew, or choose ids alone without them."
            )

    def summary(self) -> Summary:
        """The selection in numbers; without the distribution of scores if they are random."""
        wanted = ["chosen", "label", "group", *(() if self.criterion.score == "random" else ("score",))]
        return summarise(lambda: ({name: batch[name] for name in wanted if name in batch} for batch in self.rows()))

    def table(self) -> pa.Table:
        """One row per image: id, source if there are several, label (null without), score, chosen, and any group."""
        return pa.Table.from_batches(self._arrow())

    def to_parquet(self, path: str | Path, *, whole: bool | None = None) -> None:
        """Write to `path`, whole file or none, in memory that does not grow.

        Args:
            path: of the file.
            whole: write `table`; else only id (and source) and score of the chosen images. By default True, unless the
                scores are in a file already.

        Raises:
            UserError: `path` is the table of scores that was chosen from.
        """
        scores_path = self.score_table.path
        if scores_path is not None and Path(path).resolve() == scores_path.resolve():
            raise UserError(f"`path` must be another file than {str(scores_path)!r}, whose scores were chosen from.")
        whole = self.score_table.path is None if whole is None else whole
        batches = self._arrow() if whole else self._arrow_of_chosen()
        first = next(batches)
        with atomic_path(path) as temporary, pq.ParquetWriter(temporary, first.schema) as writer:
            for batch in itertools.chain([first], batches):
                writer.write_batch(batch)

    def _arrow(self) -> Iterator[pa.RecordBatch]:
        for batch in self.rows():
            labels: Any = batch.get("label", pa.nulls(len(batch["id"]), pa.int64()))
            columns = {"id": batch["id"], "source": batch.get("source"), "label": labels, "score": batch["score"]}
            columns |= {"chosen": batch["chosen"], "group": batch.get("group")}
            yield pa.RecordBatch.from_pydict({name: column for name, column in columns.items() if column is not None})

    def _arrow_of_chosen(self) -> Iterator[pa.RecordBatch]:
        names = ("id", "source", "score")
        for batch in self.rows():
            yield pa.RecordBatch.from_pydict({name: batch[name][batch["chosen"]] for name in names if name in batch})
