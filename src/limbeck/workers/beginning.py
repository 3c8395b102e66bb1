"""What every worker does first: register the parts that the program has registered, and make what it works with."""

import pickle
from collections.abc import Callable
from typing import Any

from limbeck.import_paths import folders, look_in
from limbeck.plugins import registered, restore
from limbeck.workers.packing import pack


class Beginning:
    """To be sent to workers and called there.

    Args:
        make: see `Crew.work`.

    Raises:
        UserError: a part that was registered cannot be sent.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.folders = folders()
        self.parts = registered()
        self.make = pack(make)  # packed on its own, as unpacking it may need these parts

    def __call__(self) -> Any:
        for folder in reversed(self.folders):
            look_in(folder)
        restore(self.parts)
        return pickle.loads(self.make)()
