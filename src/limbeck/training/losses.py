"""Losses of the last steps, kept on the device and looked at together, so that no step waits for a number."""

from collections.abc import Callable

import torch
from torch import Tensor

from limbeck.errors import UserError


class LossLog:
    """Collects each step's loss and terms; `flush` averages them and finds the first that is not finite.

    Args:
        average: the mean of a tensor over the processes of a distributed run.
    """

    def __init__(self, average: Callable[[Tensor], Tensor]) -> None:
        self._average = average
        self._names: list[str] = []
        self._rows: list[Tensor] = []
        self._first = 0

    def add(self, step: int, loss: Tensor, terms: dict[str, Tensor]) -> None:
        if not self._rows:
            self._first = step
            self._names = list(terms)
        self._rows.append(torch.stack([loss.detach(), *terms.values()]))

    def flush(self, kept: str) -> tuple[float, dict[str, float]]:
        """Mean loss and mean terms since the last flush.

        Args:
            kept: where the last good state is, for the error.

        Raises:
            UserError: a loss was NaN or infinite; names the first such step and the term.
        """
        rows = self._average(torch.stack(self._rows)).cpu()
        self._rows = []
        bad = ~rows.isfinite()
        if bad.any():
            row = int(bad.any(dim=1).nonzero()[0])
            terms = [name for name, wrong in zip(self._names, bad[row, 1:], strict=True) if wrong] or ["the sum"]
            raise UserError(
                f"the loss is not finite at step {self._first + row + 1}: {', '.join(terms)} became "
                f"{float(rows[row][bad[row]][-1])}. {kept} "
                "Try a lower `training.learning_rate` or `training.clip_norm: 5`."
            )
        mean = rows.mean(dim=0).tolist()
        return mean[0], dict(zip(self._names, mean[1:], strict=True))

    def __len__(self) -> int:
        return len(self._rows)
