"""What a program did to limbeck before it compares, as registering parts of its own, is done in its workers, too."""

import pickle
from collections.abc import Callable
from typing import Any

from limbeck.errors import UserError
from limbeck.workers.packing import pack

_steps: dict[str, Callable[[], object]] = {}


def repeat_in_workers(name: str, step: Callable[[], object]) -> None:
    """Has every worker that begins from now on call `step` before it does anything else.

    Args:
        name: of what it does, as "objective 'mine'"; a second one of that name takes the place of the first.
        step: must survive pickling, as a `functools.partial` of a function of a module does.
    """
    _steps[name] = step


class Beginning:
    """Does in a worker what was registered, and then makes what it works with.

    Args:
        make: see `Crew.work`.

    Raises:
        UserError: something that was registered cannot be sent to workers.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.steps = [_packed(name, step) for name, step in _steps.items()]
        self.make = pack(make)  # apart, as it may need what was registered to be unpacked

    def __call__(self) -> Any:
        for step in self.steps:
            pickle.loads(step)()
        return pickle.loads(self.make)()


def _packed(name: str, step: Callable[[], object]) -> bytes:
    try:
        return pack(step)
    except Exception as error:  # whatever a part of somebody else's raises
        raise UserError(
            f"{name} cannot be sent to workers ({type(error).__name__}: {error}); define it in a module, "
            "`pip install cloudpickle`, which takes more, or use 1 worker."
        ) from error
