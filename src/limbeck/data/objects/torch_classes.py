"""What torch's own data sets know without reading images: labels, class names, a title."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from limbeck.errors import UserError


def known_labels(dataset: Any) -> Sequence[Any] | None:
    """Labels of all items, for the classes of torch and torchvision that keep them; None for all others, whose items
    may have other labels.

    Example:
        >>> from torch.utils.data import Subset, TensorDataset
        >>> known_labels(Subset(TensorDataset(torch.zeros(3, 1, 8, 8), torch.tensor([5, 6, 7])), [2, 0]))
        [7, 5]
    """
    if type(dataset) is Subset:
        base = known_labels(dataset.dataset)
        return None if base is None else [base[int(index)] for index in dataset.indices]
    if type(dataset) is ConcatDataset:
        parts = [known_labels(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        return [label for part in known for label in part] if len(known) == len(parts) else None
    if type(dataset) is TensorDataset:
        return _numbers(dataset.tensors[1]) if len(dataset.tensors) == 2 else None
    if not _is_torchvision(dataset) or getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        labels = getattr(dataset, name, None)
        if isinstance(labels, list | Tensor | np.ndarray) and len(labels) == len(dataset):
            return _numbers(labels)
    return None


def class_names(dataset: Any) -> tuple[str, ...] | None:
    """Class names from the attribute `classes` of a data set, or of those that it wraps; None where there is none.

    Raises:
        UserError: parts with different names, or `classes` that are no names.
    """
    stated = getattr(dataset, "classes", None)
    if isinstance(stated, list | tuple) and stated:
        names = _joined(stated) if all(isinstance(name, tuple) for name in stated) else tuple(stated)
        if not all(isinstance(name, str) for name in names):
            raise UserError(f"`classes` of the {title_of(dataset)} must be names of classes, got {list(stated)[:3]!r}.")
        return names
    if isinstance(dataset, Subset):
        return class_names(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        names = [class_names(part) for part in dataset.datasets]
        for other in names:
            if other != names[0]:
                raise UserError(
                    "the parts of a `ConcatDataset` must have the same `classes` in one order, got "
                    f"{_few(names[0])} and {_few(other)}; bring their labels to one numbering first, and set `classes`."
                )
        return names[0]
    return None


def has_target_transform(dataset: Any) -> bool:
    """Whether labels of a data set, or of those that it wraps, are transformed when they are read."""
    if isinstance(dataset, Subset):
        return has_target_transform(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        return any(map(has_target_transform, dataset.datasets))
    return getattr(dataset, "target_transform", None) is not None


def title_of(dataset: Any) -> str:
    """The title for reports: the class of the data set inside any `Subset`."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return type(dataset).__name__


def _is_torchvision(dataset: Any) -> bool:
    return type(dataset).__module__.partition(".")[0] == "torchvision"


def _joined(synonyms: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Names of ImageNet's classes, which are tuples of synonyms; the second "crane" is "crane2", as at the hub."""
    joined = [", ".join(map(str, names)) for names in synonyms]
    seen = Counter[str]()
    for number, name in enumerate(joined):
        seen[name] += 1
        if seen[name] > 1:
            joined[number] = f"{name}{seen[name]}"
    return tuple(joined)


def _numbers(values: Any) -> list[Any]:
    return values.tolist() if isinstance(values, Tensor | np.ndarray) else values


def _few(names: Sequence[str] | None) -> str:
    return "none" if names is None else ", ".join(map(repr, names[:5]))
