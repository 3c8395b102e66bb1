"""User-defined representations, scores and allocations: catalogue entries made from functions."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from inspect import isclass, isroutine
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import UserError, unknown_name
from limbeck.foreign import ForeignError, check_remarks, errors_of
from limbeck.signatures import Options, check_default, inputs_and_options, parameters, summary_of
from limbeck.transfer.own_allocations import check_rows, spread_by_scores
from limbeck.transfer.part_entries import AllocationEntry, End, Kind, RepresentationEntry, ScoreEntry
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.features import TeacherFeatures
from limbeck.transfer.scoring.scores import ScoreInputs

_NO_OPTIONS = ("allocation", "name", "options", "order", "representation", "score", "space", "summary")
"""Keys that a criterion has besides its options, so that no option may have one of these names."""
_SCORE_OF: Mapping[str, str] = {"shares": "entropy", "entropies": "patch-entropy-sum", "logits": "entropy"}
_SEEN_BY: Mapping[str, str] = {
    "shares": "grayscale-histogram",
    "entropies": "patch-entropies",
    "logits": "teacher-logits",
    "pixels": "pixels",
}
_NUMBERS: tuple[Kind, ...] = ("values", "shares", "logits", "entropies")
_READ = ("features", *_NUMBERS, "pixels")
"""Inputs of a score that come from an image, of which it reads at most one."""
_BESIDE = tuple(name for name in ScoreInputs._fields if name != "shape")
"""Other inputs of a score."""


def describe_representation(name: str, part: Any, remarks: Mapping[str, Any]) -> RepresentationEntry:
    """The catalogue's entry of a user-defined representation.

    Args:
        name: its name.
        part: a function from `pixels` uint8 `[B, C, H, W]`, or from the teacher's `logits` `[B, K]` or `embedding`
            `[B, D]`, to features `[B, F]`; or a function from the whole set of `images` to a function of pixels.
            Further parameters are options.
        remarks: `summary`, the `kind` of its numbers, the default `score`, and whether it `trains` a network.

    Raises:
        UserError: `part` is not such a function.
    """
    what = f"representation {name!r}"
    inputs, options = _signature(part, ("pixels", "logits", "embedding", "images", "context"), what)
    check_remarks(remarks, ("summary", "kind", "score", "trains"), what)
    read = [parameter for parameter in inputs if parameter != "context"]
    if len(read) != 1 or ("context" in inputs and read != ["images"]):
        raise UserError(
            f"{what} must be a function of `pixels`, of the teacher's `logits` or `embedding`, or of all `images`, got "
            f"parameters {', '.join(inputs) or '(none)'}."
        )
    kind = _kind(remarks.get("kind", "values"), what)
    function: Callable[..., Any] = partial(_features, part, what)
    if read == ["images"]:
        function = partial(_of_set, part, what, "context" in inputs)
    elif read != ["pixels"]:
        function = partial(_of_teacher, part, what, read[0])
    return RepresentationEntry(
        _summary(part, remarks),
        kind,
        str(remarks.get("score", _SCORE_OF.get(kind, "variance"))),
        function,
        reads={"pixels": "pixels", "images": "set"}.get(read[0], "teacher"),  # pyright: ignore[reportArgumentType]
        trains=bool(remarks.get("trains", False)),
        options=options,
        own=True,
    )


def describe_score(name: str, part: Any, remarks: Mapping[str, Any]) -> ScoreEntry:
    """The catalogue's entry of a user-defined score.

    Args:
        name: its name.
        part: a function that returns one number per image, `[B]`, as a tensor, an array or a list. Its parameters say
            what it reads: features `[B, D]` as `values`, `shares`, `entropies` or `logits`, or `features` of any kind,
            or the images themselves as `pixels` uint8 `[B, C, H, W]`; `ids`, `labels`, `seed`, `head` and `stream` as
            in `ScoreInputs`. A function of all `images` (and `context`) trains something and scores the whole set.
            Further parameters are options.
        remarks: `summary`, the default `representation`, and the `hard_end` at which the hardest images are, "highest"
            or "lowest", which is then preferred by default; without it "highest" is.

    Raises:
        UserError: `part` is not such a function.
    """
    what = f"score {name!r}"
    check_remarks(remarks, ("summary", "representation", "hard_end"), what)
    known = (*_READ, *_BESIDE, "images", "context")
    inputs, options = _signature(part, known, what)
    read = [parameter for parameter in inputs if parameter in _READ]
    trains = "images" in inputs
    rest = [parameter for parameter in inputs if parameter not in (*read, "images", "context")]
    if len(read) > 1 or (trains and (read or rest)) or not inputs or ("context" in inputs and not trains):
        raise UserError(
            f"{what} must be a function of one kind of features ({', '.join(_READ)}), of what else is known of the "
            f"images ({', '.join(_BESIDE)}), or of all `images`, got parameters "
            f"{', '.join(inputs) or '(none)'}."
        )
    kinds = _kinds_read(read[0] if read else "", what)
    if trains:
        function: Callable[..., Any] = partial(_of_all, part, what, "context" in inputs)
    else:
        function = partial(_scores, part, what, read[0] if read else "", tuple(rest))
    required = {parameter.name for parameter in parameters(part) if parameter.default is parameter.empty}
    representation = "none" if not read else _SEEN_BY.get(read[0], "grayscale")
    if "pixels" in read and remarks.get("representation", representation) != representation:
        raise UserError(f"{what} reads `pixels`, so its `representation` is that, got {remarks['representation']!r}.")
    return ScoreEntry(
        _summary(part, remarks),
        dict.fromkeys(kinds, function),
        str(remarks.get("representation", representation)),
        labels="labels" in required,
        head="head" in required,
        trains=trains,
        hard_end=_end(remarks.get("hard_end"), what),
        options=options,
        own=True,
    )


def describe_allocation(name: str, part: Any, remarks: Mapping[str, Any]) -> AllocationEntry:
    """The catalogue's entry of a user-defined allocation.

    Args:
        name: its name.
        part: a function that returns n rows, int64 `[n]`, of images sorted by preference, the most preferred first:
            from `scores` float64 `[N]` and `n`, or from `features` `[N, D]` and `n`; or one from `candidates` and
            `quotas` to a
            `limbeck.transfer.allocation.AllocationPlan`. Further parameters are options.
        remarks: `summary`; whether it works `per_class`; the default `space` in which it measures distances.

    Raises:
        UserError: `part` is not such a function.
    """
    what = f"allocation {name!r}"
    check_remarks(remarks, ("summary", "per_class", "space"), what)
    inputs, options = _signature(part, ("scores", "features", "n", "candidates", "quotas"), what)
    if set(inputs) not in ({"scores", "n"}, {"features", "n"}, {"candidates", "quotas"}):
        raise UserError(
            f"{what} must be a function of `scores` and `n`, of `features` and `n`, or of `candidates` and `quotas`, "
            f"got parameters {', '.join(inputs) or '(none)'}."
        )
    greedy = "features" in inputs
    function = partial(spread_by_scores, part, what)
    if greedy:
        function = partial(_rows_by_features, part, what)
    elif "candidates" in inputs:
        function = partial(_native, part, what)
    return AllocationEntry(
        _summary(part, remarks),
        function,
        greedy=greedy,
        per_class=bool(remarks.get("per_class", False)),
        space=str(remarks.get("space", "")) if greedy else None,
        options=options,
        own=True,
    )


def _signature(part: Any, known: tuple[str, ...], what: str) -> tuple[list[str], Options]:
    if isclass(part) or not (isroutine(part) or callable(part)):
        raise UserError(f"{what} must be a function, got {part!r}.")
    inputs, options = inputs_and_options(part, known, what)
    for option, default in options.items():
        if option in _NO_OPTIONS:
            raise UserError(f"an option of {what} cannot be called `{option}`, which a criterion has already.")
        check_default(option, default, what)
    return inputs, options


def _kinds_read(read: str, what: str) -> tuple[Kind, ...]:
    """The kinds of representations that a score can read."""
    if read in ("", "features"):
        return _NUMBERS if read else ("nothing",)
    return ("values",) if read == "pixels" else (_kind(read, what),)


def _kind(kind: Any, what: str) -> Any:
    if kind not in get_args(Kind) or kind in ("nothing", "any"):
        raise unknown_name(f"`kind` of {what}:", str(kind), _NUMBERS, f"It is one of {', '.join(_NUMBERS)}.")
    return kind


def _end(end: Any, what: str) -> End | None:
    if end is not None and end not in get_args(End):
        raise UserError(f"`hard_end` of {what} must be 'highest' or 'lowest', got {end!r}.")
    return end


def _summary(part: Any, remarks: Mapping[str, Any]) -> str:
    return str(remarks.get("summary", summary_of(part)))


def _features(function: Callable[..., Any], what: str, seen: Tensor, **options: Any) -> Tensor:
    """Features of a batch, checked."""
    with errors_of(what):
        features = function(seen.clone(), **options)  # a copy: the function may write into it
    if not isinstance(features, Tensor) or features.ndim != 2 or len(features) != len(seen):
        got = list(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(f"{what} must return a tensor [B, F], one row for each of {len(seen)} images, got {got}.")
    return features.detach().cpu()


def _of_set(
    function: Callable[..., Any], what: str, with_context: bool, images: Any, context: ScoringContext, **options: Any
) -> Callable[[Tensor], Tensor]:
    with errors_of(what):
        represent = function(images, **({"context": context} if with_context else {}), **options)
    if not callable(represent):
        raise UserError(f"{what} must return a function of pixels, got {type(represent).__name__}.")
    return partial(_features, represent, what)


def _of_teacher(
    function: Callable[..., Any], what: str, read: str, images: Any, context: ScoringContext, **options: Any
) -> TeacherFeatures:
    seen = partial(_features, function, what, **options)
    return TeacherFeatures(context.frozen, read, context.meter, seen, block=context.block)


def _scores(
    function: Callable[..., Any],
    what: str,
    read: str,
    known: tuple[str, ...],
    features: Tensor,
    inputs: ScoreInputs,
    **options: Any,
) -> Tensor:
    """Checked scores of a batch, float64 `[B]`; whole numbers are made floats, as torch takes no mean of integers."""
    values = {name: getattr(inputs, name) for name in known}
    if read == "pixels":
        features = _as_pixels(features, inputs, what)
    else:
        features = features.clone() if features.is_floating_point() else features.float()  # others read them, too
    with errors_of(what):
        scores = function(**({read: features} if read else {}), **values, **options)
    return _checked(scores, len(inputs.ids), what)


def _as_pixels(features: Tensor, inputs: ScoreInputs, what: str) -> Tensor:
    """uint8 `[B, C, H, W]` of images in [0, 1] `[B, C H W]`."""
    if inputs.shape is None or features.shape[1:] != (math.prod(inputs.shape),):
        raise UserError(f"{what} reads `pixels`; leave `representation` out, or name that one.")
    return features.mul(255).round().to(torch.uint8).view(-1, *inputs.shape)


def _of_all(
    function: Callable[..., Any], what: str, with_context: bool, images: Any, context: ScoringContext, **options: Any
) -> Tensor:
    try:
        with errors_of(what):
            scores = function(images, **({"context": context} if with_context else {}), **options)
    except ForeignError as error:
        raise ForeignError(
            f"{str(error).removesuffix('.')}; `images` of a score are the whole `lb.ImageSet`, and one that sees "
            "tensors takes `pixels`, uint8 [B, C, H, W]."
        ) from error
    return _checked(scores, len(images), what)


def _checked(scores: Any, count: int, what: str) -> Tensor:
    if isinstance(scores, list | tuple | np.ndarray):
        scores = _as_tensor(scores, what)
    if not isinstance(scores, Tensor) or scores.shape != (count,):
        got = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise UserError(f"{what} must return a tensor [B], one number for each of {count} images, got {got}.")
    return scores.detach().to("cpu", torch.float64)


def _as_tensor(scores: Any, what: str) -> Tensor:
    """float64 for plain numbers, so that none is rounded; an array may have negative strides."""
    try:
        if isinstance(scores, np.ndarray):
            return torch.as_tensor(np.ascontiguousarray(scores))
        return torch.as_tensor(scores, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{what} must return one number for each image, as a tensor, an array or a list of them, got a "
            f"{type(scores).__name__} that is none ({str(error).rstrip('.')})."
        ) from None


def _rows_by_features(function: Callable[..., Any], what: str, features: Tensor, n: int, **options: Any) -> Tensor:
    with errors_of(what):
        rows = function(features=features, n=n, **options)
    return check_rows(rows, len(features), n, what)


def _native(function: Callable[..., Any], what: str, candidates: Any, quotas: Any) -> Any:
    values = candidates.criterion.options_of(ALLOCATIONS[candidates.criterion.allocation])
    with errors_of(what):
        return function(candidates=candidates, quotas=quotas, **values)
