"""BSR's intra-class homogeneity: outliers of a class leave the repository."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.transfer.generate.neighbours import NeighbourLists
from limbeck.transfer.generate.outliers import outlier_factors
from limbeck.transfer.generate.repository import Appended, Repository
from limbeck.transfer.generate.settings import Homogenise
from limbeck.transfer.generate.synthesis import Batch


def strangest(factors: np.ndarray, settings: Homogenise, most: int) -> np.ndarray:
    """Places of the images of a class that are to leave, int64 [m], in the order in which they do.

    An image is an outlier whose factor f is below q1 - s (q3 - q1) or above q3 + s (q3 - q1), with the quartiles q1 and
    q3 of the class. The worst are the furthest beyond the quartiles, of equal ones the oldest.

    Args:
        factors: of a class, [n], the oldest first; see `outlier_factors`.
        settings: spread s, and in which order they leave.
        most: how many leave; one more with `one_more`.

    Example:
        >>> factors = np.array([-1.0, -1.2, -1.01, -1.5, -1.02, -1.01, -1.03, -1.01])
        >>> strangest(factors, Homogenise(), 2).tolist()
        [3, 1]
        >>> strangest(factors, Homogenise(order="oldest-first"), 1).tolist()
        [1]
    """
    if not len(factors):
        return np.empty(0, np.int64)
    low, high = np.percentile(factors, [25, 75])
    beyond = np.maximum(low - factors, factors - high)
    outliers = np.flatnonzero(beyond > settings.spread * (high - low))
    if settings.order == "worst-first":
        outliers = outliers[np.argsort(-beyond[outliers], kind="stable")]
    return outliers[: most + settings.one_more]


class Homogeniser:
    """Removes outliers by the teacher's embedding, class by class: `Pruning` of an `Engine`.

    Args:
        settings: how outliers are found, and how many leave.
        num_classes: K.
        batch_size: of a call, for the settings' default of `most`.

    Example:
        >>> repository = Repository(Path("repository"), shape=(1, 4, 4), num_classes=2, embedding=8)
        >>> made = torch.randint(0, 256, (64, 1, 4, 4), dtype=torch.uint8)
        >>> appended = repository.append(
        ...     made, logits=torch.randn(64, 2), embedding=torch.randn(64, 8) ** 3, round=0, call=0
        ... )
        >>> len(Homogeniser(Homogenise(most=1), num_classes=2, batch_size=64).leaving(repository)) <= 2
        True
    """

    def __init__(self, settings: Homogenise, *, num_classes: int, batch_size: int) -> None:
        self.settings = settings
        self.most = settings.most or -(-batch_size // num_classes)
        self._lists = [NeighbourLists(settings.neighbours) for _ in range(num_classes)]

    def added(self, appended: Appended, batch: Batch) -> None:
        """Nothing: the lists are brought up to date when they are looked at."""

    def removed(self, rows: Tensor) -> None:
        """Nothing, as well."""

    def leaving(self, repository: Repository, student: Classifier | None = None, *, outliers: bool = True) -> Tensor:
        """Outliers of every class that holds more images than an image has neighbours; none without `outliers`.

        Returns:
            Their rows, int64 [m]: the first of each class, then the second of each, and so on.

        Raises:
            UserError: the repository has no embeddings.
        """
        if not outliers:
            return torch.empty(0, dtype=torch.int64)
        if not repository.layout.embedding:
            raise UserError(
                "`homogenise` compares images by the teacher's embedding, and this teacher has none; tap one, or set "
                "`homogenise: null`."
            )

        def embeddings(rows: np.ndarray) -> np.ndarray:
            return repository.column("embedding", torch.from_numpy(rows)).numpy()

        rows, labels = repository.rows.numpy(), repository.column("label").numpy()
        leaving, ranks = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for label, lists in enumerate(self._lists):
            held = rows[labels == label]
            lists.update(held, embeddings)
            if len(held) > self.settings.neighbours:
                leaving.append(held[strangest(outlier_factors(lists), self.settings, self.most)])
                ranks.append(np.arange(len(leaving[-1])))
        return torch.from_numpy(np.concatenate(leaving)[np.argsort(np.concatenate(ranks), kind="stable")])

    def state_dict(self) -> dict[str, Tensor]:
        """Of all classes, one after the other, about 90 bytes an image with ten neighbours."""
        states = [lists.state_dict() for lists in self._lists]
        joined = {name: torch.cat([state[name] for state in states]) for name in ("rows", "places")}
        return {"sizes": torch.tensor([len(state["rows"]) for state in states]), **joined}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        sizes = state["sizes"].tolist()
        parts = zip(state["rows"].split(sizes), state["places"].split(sizes), strict=True)
        for lists, (rows, places) in zip(self._lists, parts, strict=True):
            lists.load_state_dict({"rows": rows, "places": places})
