"""Recipes for condense give normalised views and sharpness as recipes for training do."""

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.training.settings import Sharpness
from limbeck.transfer.condense.settings import CondenseSettings


@pytest.mark.parametrize("part", [(), ("experts",), ("use",)], ids=str)
def test_misspelt_views_are_refused_wherever_they_are_named(part: tuple[str, ...]) -> None:
    for views, message in (
        ("das", "unknown normalised view 'das'; did you mean 'dsa'"),
        ({"dsa": {"shift": 3}}, "`shift` of normalised view 'dsa' must be from 0 to 1, got 3"),
        (5, "normalised views must be a name, a mapping from name to options, or a list of these, got 5"),
    ):
        values: dict[str, Any] = {part[0]: {"views": views}} if part else {"views": views}
        with pytest.raises(ValidationError, match=message):
            CondenseSettings(budget="1/class", **values)


def test_the_sharpness_of_experts_is_that_of_training() -> None:
    sharpness = CondenseSettings(budget="1/class", experts={"sharpness": {"rho": 0.1}}).experts.sharpness  # pyright: ignore
    assert sharpness == Sharpness(rho=0.1)
    with pytest.raises(ValidationError, match="greater than 0"):
        CondenseSettings(budget="1/class", experts={"sharpness": {"rho": 0}})  # pyright: ignore


def test_views_of_a_method_are_replaced() -> None:
    settings = CondenseSettings(budget="1/class", method="ncfm", views={"crop-scale-rotate": {"shift": 0.25}})
    assert settings.views == {"crop-scale-rotate": {"shift": 0.25}}
    assert "dsa" in CondenseSettings(budget="1/class", method="ncfm").views
