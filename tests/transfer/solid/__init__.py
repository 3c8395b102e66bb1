"""A second maker, which lives in the tests alone: images of one colour, one more every round."""

from tests.transfer.solid.maker import SolidMaker as Maker
from tests.transfer.solid.settings import SolidSettings as Settings

__all__ = ["Maker", "Settings"]
