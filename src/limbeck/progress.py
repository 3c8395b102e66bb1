"""How long work reports its progress; showing it is up to others."""

from typing import Protocol

TRAINING = "training"
"""The stage that takes most of the time of a run, and by which its progress is told."""
FAILED = "failed"
"""Prefix of the outcome of a run that did not end as it should."""


class Progress(Protocol):
    """Interface of a display of progress."""

    def begin(self, title: str, total: int, done: int = 0) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...

    def end(self) -> None: ...

    def say(self, message: str) -> None: ...

    def beside(self, title: str) -> "Progress":
        """The display of one of several tasks that run side by side, as the runs of a comparison, until its `close`."""
        ...

    def close(self, outcome: str = "") -> None:
        """Ends what `beside` began; `outcome` says in a few words how, as "91.7 % in 12 s"."""
        ...


class Silent:
    """Shows nothing."""

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
