"""What every round of generating made, lost and took: a table with a row for each round."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nan

Numbers = Sequence[float] | Tensor


@dataclass(frozen=True, kw_only=True)
class Round:
    """What is noted of one round; None where it is not known, as agreement where there is no student.

    Attributes:
        number: from 0.
        made: images made in this round and kept at first.
        held: images of the repository at its end.
        removed: images that left it, as outliers or from a full buffer.
        distinct: of those made, how many differ from one another, see `distinct_count`.
        obtained: share of those made whose class, by the teacher, is the one that was wanted; None where none was.
        counts: images held of each class, by the teacher's label, `[K]`.
        losses: name -> its mean over those made, without its weight.
        layers: batch-norm loss of each layer of the teacher, `[L]`; empty where it is not measured.
        one_hot_weight: weight of the one-hot loss.
        spread: how far the teacher's embeddings of those made are apart within a class, see `within_class_spread`.
        agreement: share of those made of which student and teacher say the same, before the student is taught on them.
        distillation: divergence of the student from the teacher on images that it was taught on before.
        teacher_passes: images that the teacher was run on in this round.
        seconds: it took to make the images.

    Example:
        >>> Round(number=0, made=64, held=64, distinct=60, obtained=0.5, counts=[30, 34]).removed
        0
    """

    number: int
    made: int
    held: int
    removed: int = 0
    distinct: int = 0
    obtained: float | None = None
    counts: Numbers = ()
    losses: Mapping[str, float] = field(default_factory=dict)
    layers: Numbers = ()
    one_hot_weight: float = 0.0
    spread: float | None = None
    agreement: float | None = None
    distillation: float | None = None
    teacher_passes: int = 0
    seconds: float = 0.0


class History(Sequence[Round]):
    """The rounds so far, in order.

    Args:
        rounds: to begin with.

    Example:
        >>> history = History()
        >>> history.append(Round(number=0, made=64, held=64, losses={"one_hot": 0.25}, counts=[30, 34]))
        >>> history.column("one_hot"), history[0].counts
        ([0.25], [30, 34])
    """

    def __init__(self, rounds: Sequence[Round] = ()) -> None:
        self._rounds = list(rounds)

    def append(self, one: Round) -> None:
        self._rounds.append(one)

    def __len__(self) -> int:
        return len(self._rounds)

    def __getitem__(self, place: Any) -> Any:
        return self._rounds[place]

    def __iter__(self) -> Iterator[Round]:
        return iter(self._rounds)

    def column(self, name: str) -> list[float]:
        """The values of an attribute, or of a loss by its name, in all rounds; NaN where it is not known.

        Example:
            >>> History([Round(number=0, made=2, held=2)]).column("agreement")
            [nan]
        """
        if name in Round.__dataclass_fields__:
            return [_number(getattr(row, name)) for row in self]
        return [_number(row.losses.get(name)) for row in self]

    @property
    def losses(self) -> list[str]:
        """Names of all losses, in the order in which they came up."""
        return list(dict.fromkeys(name for row in self for name in row.losses))


def _number(value: float | None) -> float:
    return nan if value is None else float(value)
