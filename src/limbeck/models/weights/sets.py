"""Finds the sets of weights in one file (raw ones and moving averages, a student and its teacher) and chooses one.

Sets are told apart by the keys that hold them (`state_dict`, `model_ema`) and by prefixes of the names in them
(`student.`, `ema_model.module.`). The one that fits the network is taken, and a warning names the others; of several
that fit, the one that is no moving average; if that leaves several, none is taken.
"""

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from limbeck.errors import UserError, unknown_name

State = dict[str, Tensor]
Fit = Callable[[State], State | None]

_DEPTH = 4
_AVERAGES = frozenset(["average", "averaged", "avg", "ema", "polyak", "shadow", "swa"])
_WEIGHTS = frozenset(["model", "net", "network", "params", "state", "student", "teacher", "weights"]) | _AVERAGES
_OTHER = frozenset(
    ["amp", "criterion", "loss", "lr", "optim", "optimizer", "optimizers", "sched", "scheduler", "scaler"]
)


def weight_sets(content: Mapping[Any, Any]) -> dict[str, State]:
    """All mappings in a checkpoint that hold tensors, by their paths of keys joined by dots; "" is the checkpoint."""
    sets: dict[str, State] = {}
    _collect(content, "", sets)
    return sets


def _collect(content: Mapping[Any, Any], path: str, found: dict[str, State]) -> None:
    state = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if state:
        found[path] = state
    for key, value in content.items():
        if isinstance(value, torch.nn.Module):
            value = value.state_dict()
        if isinstance(key, str) and isinstance(value, Mapping) and path.count(".") < _DEPTH:
            _collect(value, f"{path}.{key}".lstrip("."), found)


def has_weights_name(path: str) -> bool:
    """Whether training scripts usually put weights under such keys."""
    words = _words(path)
    return bool(words & _WEIGHTS) and not words & _OTHER


def is_average(path: str) -> bool:
    return bool(_words(path) & _AVERAGES)


def _words(path: str) -> set[str]:
    return set(path.casefold().replace(".", "_").replace("-", "_").split("_"))


def prefix_sets(
    state: State, wanted: Mapping[str, Tensor], renames: Sequence[tuple[str, str]] = ()
) -> dict[str, State]:
    """Parts of a state dict whose names, without a prefix, are those of a network; by prefix.

    Args:
        state: as it is in the file.
        wanted: the network's own.
        renames: regular expressions for names that files may have instead, and their replacements.
    """
    keys = [key for key in wanted if not key.endswith("num_batches_tracked")]
    # Two names of the network, as one may belong to a head that the file names differently.
    ends = {keys[0], keys[-1]} if keys else set()
    candidates = {key.removesuffix(rest) for key in state for rest in _ends_of(key) if _ours(rest, renames) & ends}
    prefixes = {prefix for prefix in candidates if not _is_block(prefix, candidates, state, ends, wanted)}
    parts = {}
    for prefix in sorted(prefixes):
        longer = tuple(other for other in prefixes if other.startswith(prefix) and other != prefix)
        parts[prefix.rstrip(".")] = {
            key.removeprefix(prefix): value
            for key, value in state.items()
            if key.startswith(prefix) and not (longer and key.startswith(longer))
        }
    return parts


def _ends_of(key: str) -> list[str]:
    words = key.split(".")
    return [".".join(words[start:]) for start in range(len(words))]


def _ours(name: str, renames: Sequence[tuple[str, str]]) -> set[str]:
    return {name, *(re.sub(theirs, mine, name) for theirs, mine in renames)}


def _is_block(prefix: str, prefixes: set[str], state: State, ends: set[str], wanted: Mapping[str, Tensor]) -> bool:
    """Whether a prefix belongs to a block with the same names inside as the network itself, as in `layer1.0.conv1`."""
    inside = (prefix.removeprefix(other) for other in prefixes if prefix.startswith(other) and prefix != other)
    if any(f"{block}{end}" in wanted for block in inside for end in ends):
        return True
    # Files may name blocks differently from the network.
    return 2 * sum(key.startswith(prefix) for key in state) < len(wanted)


def take(
    sets: Mapping[str, State],
    fit: Fit,
    fit_whole: Fit,
    wanted: Mapping[str, Tensor],
    source: str,
    renames: Sequence[tuple[str, str]] = (),
) -> State | None:
    """The set to take, fitted to the network by `fit` from a part or by `fit_whole` from all of it; None if none fits.

    Raises:
        UserError: several fit.
    """
    fitting: dict[str, State] = {}
    for path, state in sets.items():
        fitted = {prefix: fit(part) for prefix, part in prefix_sets(state, wanted, renames).items()}
        if not any(fitted.values()):
            fitted = {"": fit_whole(state)}
        fitting |= {f"{path}.{prefix}".strip("."): part for prefix, part in fitted.items() if part is not None}
    if not fitting:
        return None
    taken = choose(list(fitting), source, twice="" if len(sets) > 1 else next(iter(wanted)))
    _say(taken, list(fitting), sets, source)
    return fitting[taken]


def choose(names: list[str], source: str, *, twice: str = "") -> str:
    """The only one of the names, or the only one that is no moving average.

    Args:
        twice: a name that all of them have in one state dict, under different prefixes.

    Raises:
        UserError: more than one is left.
    """
    raw = [name for name in names if not is_average(name)] or names
    if len(raw) > 1:
        there = ", ".join(sorted(name or "none" for name in names))
        what = (
            f"{twice!r} more than once, under different prefixes ({there}),"
            if twice
            else f"several state dicts ({there})"
        )
        raise UserError(f"{source!r} holds {what} and does not say which is meant; name one by `weights_key`.")
    return raw[0]


def named_set(sets: Mapping[str, State], key: str, source: str) -> dict[str, State]:
    """The sets that `key` names: a path of keys, the end of one, or a prefix of the names in a set.

    Raises:
        UserError: no such set, or `key` may be more than one.
    """
    key = key.strip(".")
    under = {path: state for path, state in sets.items() if f"{path}.".startswith(f"{key}.")}
    if under:
        return under
    matches = {path: state for path, state in sets.items() if path.endswith(f".{key}")} or _beginning(sets, key)
    if not matches:
        names = {
            beginning for state in sets.values() for beginning in _beginnings(state) if has_weights_name(beginning)
        }
        there = sorted({*filter(None, sets), *names})
        raise unknown_name("`weights_key`", key, there, f"{source!r} holds {', '.join(there) or 'one set alone'}.")
    if len(matches) > 1:
        raise UserError(
            f"`weights_key` {key!r} may be {' or '.join(matches)} in {source!r}; give one of these in full."
        )
    return matches


def _beginning(sets: Mapping[str, State], key: str) -> dict[str, State]:
    """Parts of sets whose names begin with `key`, which itself may begin with the set's path."""
    parts = {}
    for path, state in sets.items():
        begin = f"{key.removeprefix(f'{path}.')}."
        part = {name.removeprefix(begin): value for name, value in state.items() if name.startswith(begin)}
        if part:
            parts[f"{path}.{begin}".strip(".")] = part
    return parts


def _say(taken: str, fitting: list[str], sets: Mapping[str, State], source: str) -> None:
    """Warns of other sets of weights that were left out: fitting ones, and those under other keys or prefixes."""
    path = max((key for key in sets if not key or f"{taken}.".startswith(f"{key}.")), key=len)
    keys = [key for key in sets if key and key != path and has_weights_name(key)]
    begin = taken.removeprefix(path).strip(".").partition(".")[0]
    beginnings = [
        f"{path}.{beginning}".strip(".") for beginning in _beginnings(sets[path]) if begin and beginning != begin
    ]
    left = set(fitting + keys + beginnings) - {taken, ""}
    # Of `ema` and `ema.module`, only the longer one.
    left = sorted(name for name in left if not any(other.startswith(f"{name}.") for other in {*left, taken}))
    if left:
        warnings.warn(
            f"{source!r} holds several sets of weights: {repr(taken) if taken else 'that without a prefix'} was taken; "
            f"`weights_key` takes another: {', '.join(left)}.",
            stacklevel=4,
        )


def _beginnings(state: State) -> list[str]:
    """First words of dotted names; counters of averages and the like have no dot."""
    return list(dict.fromkeys(name.partition(".")[0] for name in state if "." in name))
