"""What every round of generating made, lost and took: a table with a row for each round."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
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
        teacher_passes: answers of the teacher in this round.
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


_MANY = ("counts", "layers")  # numbers each, as many in every round
_LOSS = "losses."
_WHOLE = ("number", "made", "held", "removed", "distinct", "teacher_passes")
_PARTS = tuple(one.name for one in fields(Round) if one.name not in (*_MANY, *_WHOLE, "losses"))


class History(Sequence[Round]):
    """The rounds so far, in order; goes into a checkpoint as tensors.

    Args:
        rounds: to begin with.

    Example:
        >>> history = History()
        >>> history.append(Round(number=0, made=64, held=64, losses={"one_hot": 0.25}, counts=[30, 34]))
        >>> other = History()
        >>> other.load_state_dict(history.state_dict())
        >>> other[0].losses["one_hot"], other[0].counts.tolist()
        (0.25, [30, 34])
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
            return [_number(getattr(one, name)) for one in self]
        return [_number(one.losses.get(name)) for one in self]

    @property
    def losses(self) -> list[str]:
        """Names of all losses, in the order in which they came up."""
        return list(dict.fromkeys(name for one in self for name in one.losses))

    def state_dict(self) -> dict[str, Tensor]:
        """A tensor for each column, `[rounds]`, or `[rounds, K]` and `[rounds, L]`."""
        found = {name: torch.tensor([getattr(one, name) for one in self], dtype=torch.int64) for name in _WHOLE}
        found |= {name: torch.tensor(self.column(name), dtype=torch.float64) for name in _PARTS}
        found |= {_LOSS + name: torch.tensor(self.column(name), dtype=torch.float64) for name in self.losses}
        kinds = {"counts": torch.int32, "layers": torch.float32}
        return found | {name: _stacked([getattr(one, name) for one in self], kind) for name, kind in kinds.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        columns: dict[str, list[Any]] = {name: state[name].tolist() for name in (*_WHOLE, *_PARTS)}
        losses = {name.removeprefix(_LOSS): found.tolist() for name, found in state.items() if name.startswith(_LOSS)}
        self._rounds = [
            Round(
                **{name: _known(values[place]) for name, values in columns.items()},
                losses={name: values[place] for name, values in losses.items() if not math.isnan(values[place])},
                counts=_row(state["counts"][place]),
                layers=_row(state["layers"][place]),
            )
            for place in range(len(columns["number"]))
        ]


def _stacked(rows: Sequence[Numbers], kind: torch.dtype) -> Tensor:
    """`[rounds, most]`; rounds that made nothing, and have no numbers, are NaN, or -1 where those are whole."""
    tensors = [torch.as_tensor(row).detach().to("cpu", kind) for row in rows]
    width = max(map(len, tensors), default=0)
    found = torch.full((len(tensors), width), nan if kind.is_floating_point else -1, dtype=kind)
    for place, one in enumerate(tensors):
        found[place, : len(one)] = one
    return found


def _row(values: Tensor) -> Tensor:
    return values[~values.isnan()] if values.is_floating_point() else values[values >= 0]


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _known(value: Any) -> Any:
    return None if math.isnan(value) else value
