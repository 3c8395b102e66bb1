"""Whether settings of `condense` fit together, and what to do where they do not. torch is not imported."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import ValidationError

from limbeck.errors import UserError
from limbeck.models.catalogue import canonical, entry
from limbeck.models.options import check_options
from limbeck.training.setting_errors import error_lines
from limbeck.transfer.catalogue import settings_of

if TYPE_CHECKING:
    from limbeck.transfer.condense.settings import CondenseSettings


def contradictions(settings: "CondenseSettings", *, snapshots_said: bool = False) -> list[str]:
    """What does not fit together, one sentence each without its full stop.

    Args:
        settings: all of them.
        snapshots_said: whether the number of snapshots is given, so that what the method reads does not matter.

    Example:
        >>> from limbeck.transfer.condense import Settings
        >>> contradictions(Settings(budget="1/class"))
        []
    """
    checks = [check for check in _CHECKS if not (snapshots_said and check is _snapshots)]
    return [line for check in checks for line in _lines(check, settings)]


def _lines(check: "Check", settings: "CondenseSettings") -> list[str]:
    """The findings of a check; an error it raises, as for an unknown name, counts as one and hides no other check's."""
    lines: list[str] = []
    try:
        lines.extend(check(settings))
    except UserError as error:
        lines.append(str(error).removesuffix("."))
    return lines


def _network(settings: "CondenseSettings") -> Iterator[str]:
    network = settings.network
    model = canonical(network.model)
    check_options(model, entry(model).options, dict(network.options))
    if network.options.get("norm") == "batch" and settings.reads_parameters:
        yield (
            "`network.options.norm` must not be 'batch', whose running statistics are no parameters that a trajectory "
            "holds, or that steps on a few images could follow; choose 'instance', 'group', 'layer' or 'none'"
        )
    if network.whitening and (network.mean is not None or network.std is not None):
        yield (
            "`network.whitening` stands in place of `network.mean` and `network.std`; leave these out, or set "
            "`whitening: false`"
        )
    if (network.mean is None) != (network.std is None):
        yield "`network.mean` and `network.std` go together; give both, or neither for those of the training images"


def _snapshots(settings: "CondenseSettings") -> Iterator[str]:
    matching, experts = settings.matching, settings.experts
    if not settings.reads_trajectories or experts.folder is not None:
        return  # existing experts are checked when their folder is opened
    if settings.by == "trajectories" and matching.snapshots > experts.epochs + 1:
        yield (
            f"`experts.epochs` must be at least {matching.snapshots - 1}, as starts below {matching.last_start} and "
            f"`matching.expert_epochs` {matching.expert_epochs} read {matching.snapshots} snapshots, and "
            f"{experts.epochs} epochs leave {experts.epochs + 1}; raise it, or lower `matching.start_to`, `grow_to` or "
            "`expert_epochs`"
        )


def _labels(settings: "CondenseSettings") -> Iterator[str]:
    matching = settings.matching
    learning = settings.by == "trajectories" and settings.iterations
    if settings.labels == "hard" and learning and matching.label_rate:
        yield (
            f"`labels` are 'hard', which are not learned, and `matching.label_rate` is {matching.label_rate:g}; set it "
            "to 0, or `labels: soft`"
        )
    if settings.labels == "soft" and settings.by == "crops":
        yield "`labels` of `by: crops` must be 'teacher', who rated the crops, or 'hard', got 'soft'"


def _of_other_methods(settings: "CondenseSettings") -> Iterator[str]:
    if settings.mask is not None and settings.by != "trajectories":
        yield (
            f"`mask` scales the gradients of `by: trajectories`, got `by: {settings.by}`; set `mask: null`, or match "
            "trajectories"
        )
    if settings.per_image > 1 and settings.by != "distribution":
        yield (
            f"`per_image` must be 1 but for `by: distribution`, got {settings.per_image} with `by: {settings.by}`; set "
            "it to 1"
        )
    if settings.by != "crops":
        return
    idle = {
        "iterations": bool(settings.iterations),
        "average": settings.average is not None,
        "learned": settings.learned < 1,
    }
    for name in (name for name, used in idle.items() if used):
        instead = {"iterations": "0", "average": "null", "learned": "1"}[name]
        yield (
            f"`{name}` is about learning, and `by: crops` learns nothing; set it to {instead}, or choose "
            "'trajectories' or 'distribution'"
        )


def _choice(settings: "CondenseSettings") -> Iterator[str]:
    if settings.holds_out and not settings.iterations:
        yield f"`choose: {settings.choose}` judges iterations, and `iterations` is 0; set `choose: last`"
    if settings.holds_out and 0 < settings.iterations < settings.evaluate_every:
        yield (
            f"`evaluate_every` must be at most the {settings.iterations} `iterations` that `choose: {settings.choose}` "
            f"judges, got {settings.evaluate_every}; lower it"
        )
    if settings.average is not None and settings.iterations and settings.by == "distribution":
        yield "`average` is of `by: trajectories`; set `average: null`"


def _use(settings: "CondenseSettings") -> Iterator[str]:
    views = settings.use.image_views
    if settings.may_keep_floats and views not in (None, "none", []):
        yield (
            f"`use.image_views` are of 8-bit images, got {views!r}, and `keep: {settings.keep}` may keep floats; set "
            "`keep: uint8`, or `use.image_views: none`"
        )


def _initial(settings: "CondenseSettings") -> Iterator[str]:
    chosen = settings.initialise
    if not isinstance(chosen, dict):
        return
    if "set" in chosen:
        if [*chosen] != ["set"] or not isinstance(chosen["set"], str):
            yield f"`initialise` by a transfer set must be its folder alone, as {{set: runs/ten}}, got {chosen!r}"
        return
    name = str(chosen.get("maker", "select"))
    if name == settings.maker:
        yield "`initialise` names `maker: condense` itself; choose another, as {maker: select, criterion: herding}"
        return
    if "budget" in chosen:
        yield "`initialise` has the budget of the set itself; leave `budget` out"
        return
    try:
        settings_of(name).model_validate({**chosen, "maker": name, "budget": settings.budget})
    except ValidationError as error:
        yield from error_lines(error.errors(), settings_of(name), "initialise")
        if any(key.startswith("set:") for key in chosen):  # as YAML reads {set:runs/ten}
            yield "`initialise` by a transfer set is `{set: runs/ten}`, with a space after the colon"


Check = Callable[["CondenseSettings"], Iterator[str]]
_CHECKS: tuple[Check, ...] = (
    _network,
    _snapshots,
    _labels,
    _of_other_methods,
    _choice,
    _use,
    _initial,
)
