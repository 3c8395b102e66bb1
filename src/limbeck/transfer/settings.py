"""Base of what a recipe says under `transfer`; without importing torch."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, field_validator

from limbeck.training.numeric_fields import refuse_truth
from limbeck.transfer.budget import parse_budget


def _budget(value: Any) -> Any:
    parse_budget(value)
    return value


BudgetSpec = Annotated[int | float | str, BeforeValidator(_budget)]
"""A count, a share, or images per class; see `parse_budget`."""


class MakerSettings(BaseModel):
    """What every maker is told; each adds its own, and gives `maker` the default that is its name in the catalogue.

    Attributes:
        maker: its name.
        budget: how many images the transfer set holds; of one that grows, at its end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    _numbers = field_validator("*", mode="before")(refuse_truth)

    maker: str
    budget: BudgetSpec
