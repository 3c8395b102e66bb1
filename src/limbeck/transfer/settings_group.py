"""Groups of settings of makers, and the numbers that they hold; without importing torch."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from limbeck.training.numeric_fields import refuse_truth

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class SettingsGroup(BaseModel):
    """A group of settings within those of a maker."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(refuse_truth)
