"""Fits a foreign state dict to a network: strips wrappers' prefixes, finds the head, reports all misfits at once."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import is_finite
from limbeck.models.shared_memory import load_tensors, tied_names
from limbeck.models.taps import Tapped
from limbeck.models.weights.read import read_file, sets_of
from limbeck.models.weights.sets import State, named_set, take

# Prefixes that DataParallel, torch.compile and modules that hold the network leave in names.
_WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "student.")
_HEADS = ("head", "fc", "linear", "classifier", "last_linear", "output")


def load_state(
    network: nn.Module,
    state: Mapping[str, Any] | str | Path,
    *,
    source: str | None = None,
    weights_key: str | None = None,
) -> None:
    """Loads weights into a network, all or none.

    Prefixes of wrappers are stripped, the CIFAR benchmarks' names of modules are translated, and a head under another
    usual name is renamed where exactly one module of the file is left over, exactly one of the network is missing, and
    their shapes agree. Of a file with several sets of weights, the one that fits is taken, raw weights before their
    moving average, and a warning names the others.

    Args:
        network: a `Classifier` or any module; changed in place.
        state: a file, or a state dict or checkpoint already in memory.
        source: what messages call the weights.
        weights_key: which of several sets of weights to take: its path of keys, joined by dots, or the prefix of its
            names, as in "model_ema", "teacher" or "state_dict.student".

    Raises:
        UserError: an unreadable file; several sets of weights that fit; missing, unexpected or mis-shaped tensors;
            numbers that are not finite.

    Example:
        >>> torch.save(lb.create("resnet8", num_classes=10, seed=1).network.state_dict(), "other.pth")
        >>> network = lb.create("resnet8", num_classes=10)
        >>> load_state(network, "other.pth")
    """
    name = network.name if isinstance(network, Classifier) else type(network).__name__
    network = network.network if isinstance(network, Classifier) else network
    if isinstance(state, str | Path):
        source = source or str(state)
        state = read_file(state)
    source = source or "the state dict"
    wanted = network.state_dict()
    sets = sets_of(state, source)
    if weights_key is not None:
        sets = named_set(sets, weights_key, source)

    def fit(part: State) -> State | None:
        return _fitted(part, network, wanted)

    renames = network.benchmark_names if isinstance(network, Tapped) else ()
    fitted = take(sets, fit, lambda whole: fit(_strip(whole, wanted, source)), wanted, source, renames)
    if fitted is None:
        stripped = [_as_ours(_strip(candidate, wanted, source), network, wanted) for candidate in sets.values()]
        fitted = max(
            stripped, key=lambda candidate: len(candidate.keys() & wanted.keys())
        )  # the nearest one, for the message
        _check_fit(fitted, wanted, source, name)
    check_finite(fitted, source)
    load_tensors(network, fitted)


def _fitted(state: State, network: nn.Module, wanted: Mapping[str, Tensor]) -> State | None:
    """A state dict under the network's names, or None where it does not fit."""
    renamed = _as_ours(state, network, wanted)
    fits = renamed.keys() == wanted.keys() and all(renamed[key].shape == wanted[key].shape for key in wanted)
    return renamed if fits else None


def _as_ours(state: State, network: nn.Module, wanted: Mapping[str, Tensor]) -> State:
    """A state dict under the network's own names, as far as they can be found."""
    renamed = _translate(state, wanted, network.benchmark_names) if isinstance(network, Tapped) else dict(state)
    # Files may hold tied weights once, under any of their names, as `safetensors.torch.save_model` writes them.
    for names in tied_names(wanted):
        present = [name for name in names if name in renamed]
        renamed |= {name: renamed[present[0]] for name in names if present and name not in renamed}
    renamed = _rename_head(renamed, wanted)
    # Files older than these counters lack them, and nothing here reads them.
    return {key: value for key, value in wanted.items() if key.endswith("num_batches_tracked")} | renamed


def _strip(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    stripped: dict[str, Tensor] = {}
    for key, value in state.items():
        short = key
        while short not in wanted and (
            prefix := next((wrapper for wrapper in _WRAPPERS if short.startswith(wrapper)), None)
        ):
            short = short.removeprefix(prefix)
        if short in stripped:
            raise UserError(
                f"{source!r} holds {short!r} more than once, under different prefixes, as in {key!r}; take out the "
                "network that you mean and give its state dict."
            )
        stripped[short] = value
    return stripped


def _translate(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], names: Sequence[tuple[str, str]]
) -> dict[str, Tensor]:
    """Replaces a benchmark's names by the network's own, where these are not in the file already."""
    translated: dict[str, Tensor] = {}
    for key, value in state.items():
        ours = (re.sub(theirs, mine, key) for theirs, mine in names if key not in wanted)
        free = (name for name in ours if name in wanted and name not in state and name not in translated)
        translated[next(free, key)] = value
    return translated


def _rename_head(state: State, wanted: Mapping[str, Tensor]) -> State:
    missing = _modules(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    unexpected = _modules(key for key in state if key not in wanted)
    if len(missing) != 1 or len(unexpected) != 1:
        return state
    [(new, leaves)], [(old, old_leaves)] = missing.items(), unexpected.items()
    usual = new.split(".")[0] in _HEADS and old.split(".")[0] in _HEADS
    if not usual or leaves != old_leaves:
        return state
    if any(state[f"{old}.{leaf}"].shape != wanted[f"{new}.{leaf}"].shape for leaf in leaves):
        return state
    return {f"{new}.{key.rsplit('.', 1)[1]}" if key not in wanted else key: value for key, value in state.items()}


def _modules(keys: Iterable[str]) -> dict[str, set[str]]:
    modules: dict[str, set[str]] = {}
    for key in keys:
        path, _, leaf = key.rpartition(".")
        modules.setdefault(path, set()).add(leaf)
    return modules


def _check_fit(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str, name: str) -> None:
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    shapes = [
        f"{key} (file {list(found[key].shape)}, network {list(wanted[key].shape)})"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    problems = [
        f"{len(keys)} {what}: {_some(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if keys
    ]
    if problems:
        heads = {key.split(".")[0] for key in wanted if key in found and found[key].shape != wanted[key].shape}
        advice = "Is it the right model, with the right options?"
        if not missing and not unexpected and heads.issubset(_HEADS):
            advice = "Only the head differs: give the `num_classes` that the weights have."
        raise UserError(f"weights in {source!r} do not fit {name}; {'; '.join(problems)}. {advice}")


def check_finite(state: Mapping[str, Tensor], source: str) -> None:
    """Raises `UserError` naming the tensors that hold NaN or infinity."""
    bad = [key for key, value in state.items() if not is_finite(value)]
    if bad:
        raise UserError(
            f"weights in {source!r} hold NaN or infinity in {_some(bad)}; the training that made them has diverged, or "
            "the file is damaged. Take an earlier checkpoint."
        )


def _some(names: list[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
