"""Settings of `solid` in a recipe."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from limbeck.transfer.settings import Control, MakerSettings


class SolidSettings(MakerSettings):
    """Images of one colour.

    Attributes:
        steps_per_round: after so many steps there is one image more, until there are as many as the budget says.
        first: images of the first round.
        gray: whether all channels are equal.
    """

    maker: str = "solid"
    steps_per_round: Annotated[int, Field(ge=1)] = 2
    first: Annotated[int, Field(ge=1)] = 1
    gray: bool = False

    needs_pool: ClassVar[bool] = False
    controls: ClassVar[Mapping[str, Control]] = {
        "gray-solid": Control(label="gray colours", changes={"gray": True}, strict=1)
    }
