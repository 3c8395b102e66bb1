"""What every worker does first: know the parts that were registered in the program, and make what it works with."""

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
        self.make = pack(make)  # apart, as it may need these parts to be unpacked

    def __call__(self) -> Any:
        for folder in reversed(self.folders):
            look_in(folder)
        restore(self.parts)
        return pickle.loads(self.make)()
