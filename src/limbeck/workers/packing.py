"""Pickling what is sent to workers."""

import importlib
import importlib.util
import io
import pickle
from typing import Any

_CLOUDPICKLE = "cloudpickle"


def pack(content: Any) -> bytes:
    """Pickles with cloudpickle where installed, which takes lambdas and what is defined in the script itself.

    Raises:
        TypeError, pickle.PicklingError, AttributeError: it cannot be pickled; the message says what to do.
    """
    if importlib.util.find_spec(_CLOUDPICKLE) is not None:
        return importlib.import_module(_CLOUDPICKLE).dumps(content)
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(content)
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, content: Any) -> Any:
        """Refuses what workers could not find by its name: they do not run the caller's script."""
        where = content if isinstance(content, type) or callable(content) else type(content)
        if getattr(where, "__module__", None) == "__main__" and hasattr(where, "__qualname__"):
            raise pickle.PicklingError(
                f"{where.__qualname__} is defined in the script itself: put it into a module of its own, or "
                "`pip install cloudpickle`"
            )
        return NotImplemented
