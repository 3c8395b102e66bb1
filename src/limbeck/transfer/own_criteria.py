"""User-defined criteria: a name for a combination of parts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import ALLOCATIONS, ORDERS, REPRESENTATIONS, SCORES, full_name


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> Criterion:
    """The criterion of that name.

    Args:
        name: its name; the name of a part only if the criterion uses that part, since recipes name parts, too.
        part: a `Criterion`, a mapping of parts, or parts joined by slashes, as for `select`.
        remarks: `summary`.

    Raises:
        UserError: `part` is none of these, parts do not fit together, or the name hides another part.
    """
    what = f"criterion {name!r}"
    check_remarks(remarks, ("summary",), what)
    if not isinstance(part, Criterion | Mapping | str):
        raise UserError(
            f"{what} must be a `Criterion`, a mapping of parts or parts joined by slashes, got {type(part).__name__}."
        )
    criterion = find_criterion(part)
    parts = {criterion.representation, criterion.score, criterion.allocation, criterion.order, criterion.space}
    family = next(
        (catalogue for catalogue in (REPRESENTATIONS, SCORES, ALLOCATIONS) if full_name(name) in catalogue), None
    )
    if SCORES.is_unlisted(name):
        family = None  # an import path is not the name of a part
    if (family is not None or full_name(name) in ORDERS) and name not in parts:
        raise UserError(f"{what} would hide the part {name!r}, which it does not use; give it another name.")
    return replace(criterion, name=name, summary=str(remarks.get("summary", criterion.summary)))
