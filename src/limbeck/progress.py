"""How long work says where it is; who shows it, and how, is not the worker's affair."""

from typing import Protocol

TRAINING = "training"
"""The stage of a run that takes the time, and tells how far it is."""
FAILED = "failed"
"""What the outcome of a run begins with that ended otherwise than it should."""


class Progress(Protocol):
    """Interface of whoever watches."""

    def begin(self, title: str, total: int, done: int = 0) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...

    def end(self) -> None: ...

    def say(self, message: str) -> None: ...

    def beside(self, title: str) -> "Progress":
        """Who watches one of several things that go on side by side, as the runs of a comparison, until its `close`."""
        ...

    def close(self, outcome: str = "") -> None:
        """Ends what `beside` began; `outcome` says in a few words how, as "91.7 % in 12 s"."""
        ...


class Silent:
    """Watches without a word."""

    def begin(self, title: str, total: int, done: int = 0) -> None:
        pass

    def update(self, done: int, note: str = "") -> None:
        pass

    def end(self) -> None:
        pass

    def say(self, message: str) -> None:
        pass

    def beside(self, title: str) -> "Silent":
        return self

    def close(self, outcome: str = "") -> None:
        pass
