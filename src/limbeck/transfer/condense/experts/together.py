"""The progress of many trainings in one line, which counts the steps of all of them."""

from types import TracebackType
from typing import Self

from limbeck.progress import Progress


class Together:
    """A stage of the progress with the steps of all trainings, shown inside `with`.

    Args:
        progress: reports progress.
        title: of the stage.
        total: steps of all trainings.
    """

    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self.progress = progress
        self.title = title
        self.total = total
        self._done: dict[str, int] = {}

    def __enter__(self) -> Self:
        self.progress.begin(self.title, self.total)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.progress.end()

    def part(self, title: str) -> "Part":
        """The progress of one training; starts at 0 again where a training begins anew because its worker died."""
        self._done[title] = 0
        return Part(self, title)

    def tell(self, title: str, done: int, note: str) -> None:
        self._done[title] = done
        self.progress.update(sum(self._done.values()), f"{title}: {note}" if note else title)


class Part:
    """The `Progress` of one training.

    Args:
        whole: of all.
        title: of this one.
    """

    def __init__(self, whole: Together, title: str) -> None:
        self.whole = whole
        self.title = title

    def begin(self, title: str, total: int, done: int = 0) -> None:
        self.whole.tell(self.title, done, "")

    def update(self, done: int, note: str = "") -> None:
        self.whole.tell(self.title, done, note)

    def end(self) -> None:
        pass

    def say(self, message: str) -> None:
        self.whole.progress.say(f"{self.title}: {message}")

    def beside(self, title: str) -> "Part":
        return self

    def close(self, outcome: str = "") -> None:
        if outcome:
            self.say(outcome)
