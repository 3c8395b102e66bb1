"""How long work says where it is; who shows it, and how, is not the worker's affair."""

from typing import Protocol


class Progress(Protocol):
    """Interface of whoever watches."""

    def begin(self, title: str, total: int, done: int = 0) -> None: ...

    def update(self, done: int, note: str = "") -> None: ...

    def end(self) -> None: ...

    def say(self, message: str) -> None: ...


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
