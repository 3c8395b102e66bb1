"""What every criterion must do: its parts work together."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from limbeck.testing.assertions import ensure, ensure_equal
from limbeck.testing.images import natural, reordered
from limbeck.testing.parts import teacher_for
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import ALLOCATIONS
from limbeck.transfer.select import score_table, select, select_from_scores


def can_be_found_and_described(name: str, options: dict[str, Any]) -> None:
    """By its name, and once more by its parts."""
    criterion = _made(name, options)
    parts = {key: value for key, value in asdict(criterion).items() if value}
    ensure(find_criterion(parts) == criterion, f"the parts of {name} must make it again, got {find_criterion(parts)}")


def chooses_exactly_the_same_images(name: str, options: dict[str, Any]) -> None:
    """As many as the budget says, the same every time, whatever their order, and from a table of scores."""
    images, criterion = natural(40), _made(name, options)
    with TemporaryDirectory() as place:
        folder = Path(place)
        inputs: dict[str, Any] = {"teacher": teacher_for(images), "folder": folder, "seed": 5}
        chosen = select(images, criterion=criterion, budget=12, **inputs)
        ensure(len(chosen.ids.unique()) == 12, f"{name} must choose 12 images, got {len(chosen.ids.unique())}")
        again = select(images, criterion=criterion, budget=12, **inputs)
        ensure_equal(again.ids, chosen.ids, f"{name} of one seed must choose the same twice")
        other = select(reordered(images, 1), criterion=criterion, budget=12, **inputs)
        ensure_equal(other.ids, chosen.ids, f"{name} must not depend on the order of the images")
        if not ALLOCATIONS[criterion.allocation].greedy:
            path = score_table(images, folder / "scores.parquet", criteria=[criterion], **inputs)
            from_table = select_from_scores(path, criterion=criterion, budget=12, seed=5)
            ensure_equal(from_table.ids, chosen.ids, f"{name} must choose the same from a table of scores")


def _made(name: str, options: dict[str, Any]) -> Criterion:
    criterion = find_criterion(name)
    return replace(criterion, options={**criterion.options, **options})


CHECKS: Mapping[str, Callable[..., None]] = {
    "can be found and described": can_be_found_and_described,
    "chooses exactly the same images": chooses_exactly_the_same_images,
}
