"""Workers side by side: each begins once and does many tasks; one that dies is replaced, and its task done again."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.interruption import Interrupted, listening_for_stop
from limbeck.progress import Progress
from limbeck.workers.beginning import Beginning
from limbeck.workers.local import SECONDS_TO_LEAVE, LocalPlace
from limbeck.workers.packing import pack
from limbeck.workers.process import Work
from limbeck.workers.ray_cluster import RayPlace, connected, is_wanted
from limbeck.workers.relay import Line

DEATHS = 3
"""Deaths of workers at one task after which the work is given up."""
_SECONDS_BETWEEN_LOOKS = 0.2

Place = LocalPlace | RayPlace


@dataclass(frozen=True)
class Task:
    """A task for a worker.

    Attributes:
        content: what the worker is given; must survive pickling.
        title: what to call it.
    """

    content: Any
    title: str


class Crew:
    """Workers, which start with their first work; made by `open_crew`.

    Args:
        place: where they work.
        count: how many, 1 or more.
    """

    def __init__(self, place: Place, count: int) -> None:
        self.place = place
        self.count = count
        self._workers: list[Any] = []
        self._idle: list[Any] = []
        self._at: dict[Any, int] = {}
        self._beginning: tuple[bytes, list[Path], int] | None = None
        self._deaths = Counter[int | None]()
        self._warned: set[tuple[type[Warning], str]] = set()
        place.prepare()

    def work(
        self,
        make: Callable[[], Work],
        tasks: Sequence[Task],
        watch: Callable[[Task], Progress],
        shared: Sequence[Path] = (),
        *,
        threads: int = 1,
    ) -> Iterator[tuple[Task, Any, Line]]:
        """Has every worker call `make()` once, and what it returns with tasks: each task once, in their order.

        Args:
            make: returns the function that does a task; must survive pickling.
            tasks: any number.
            watch: returns the display of a task that begins; called again for a task whose worker died.
            shared: files and folders that are there and that every worker must see.
            threads: that each computes on.

        Yields:
            A finished task, its result, and its line, which the caller must close.

        Raises:
            UserError: a worker cannot begin, or workers keep dying.
            Interrupted: stopped by Ctrl-C or SIGTERM; so were all workers, after the step they were at.
        """
        self._deaths.clear()
        while len(self._workers) < self.count:  # not before, as forking waits until the shared imports are done
            self._workers.append(self.place.hire())
        beginning = pack(Beginning(make)), list(shared), threads
        if beginning != self._beginning:  # workers that began so for an earlier call are ready, or will say so
            self._beginning = beginning
            self._idle.clear()
            for worker in self._workers:
                self._begin(worker)
        todo, lines = list(range(len(tasks)))[::-1], dict[int, Line]()
        with listening_for_stop() as stop:
            while todo or self._at:
                if stop:
                    raise Interrupted(self._stop(lines))
                while todo and self._idle:
                    index = todo.pop()
                    lines[index] = Line(watch(tasks[index]))
                    self._at[worker := self._idle.pop()] = index
                    worker.send(("do", pack(tasks[index].content)))
                for worker, message in self.place.receive(self._workers, _SECONDS_BETWEEN_LOOKS):
                    if message is None:
                        todo += self._replace(worker, tasks, lines)
                    elif message[0] == "done":
                        self._idle.append(worker)
                        index = self._at.pop(worker)
                        yield tasks[index], message[1], lines.pop(index)
                    else:
                        self._hear(worker, message, lines)

    def _begin(self, worker: Any) -> None:
        assert self._beginning is not None, "work begins before its workers do"
        packed, shared, threads = self._beginning
        worker.send(("begin", self.place.surroundings(worker, shared, threads), packed))

    def _hear(self, worker: Any, message: tuple[Any, ...], lines: dict[int, Line]) -> None:
        kind, *content = message
        if kind == "ready" and worker not in self._idle and worker not in self._at:
            self._idle.append(worker)
        elif kind == "event" and worker in self._at:
            lines[self._at[worker]].replay(content[0])
        elif kind == "warning":
            self._warn(*content)
        elif kind == "broken":
            raise UserError(f"a worker {content[0]}{self.place.advice}.")
        elif kind == "raised":
            raise content[0]
        elif kind == "interrupted":
            raise Interrupted(f"a worker was {content[0]}")

    def _warn(self, category: type[Warning], message: str) -> None:
        if (category, message) not in self._warned:
            self._warned.add((category, message))
            warnings.warn(message, category, stacklevel=5)

    def _replace(self, worker: Any, tasks: Sequence[Task], lines: dict[int, Line]) -> list[int]:
        """Hires a replacement for a worker that is gone; returns the index of its task in a list, empty without one."""
        cause = self.place.cause(worker)
        self._workers.remove(worker)
        index = self._at.pop(worker, None)
        if worker in self._idle:
            self._idle.remove(worker)
        self._deaths[index] += 1
        if index is not None:
            lines.pop(index).close(f"its worker died ({cause})")
        if self._deaths[index] == DEATHS:
            which = "first workers" if index is None else f"worker of {tasks[index].title}"
            raise UserError(
                f"the {which} died {DEATHS} times ({cause}); what is done is kept. Is there memory enough for "
                f"{self.count} workers? Try fewer `workers`."
            )
        self._workers.append(self.place.hire())
        self._begin(self._workers[-1])
        return [] if index is None else [index]

    def _stop(self, lines: dict[int, Line]) -> str:
        """Has all workers stop after their step, and waits for them; returns a message."""
        for worker in self._workers:
            worker.send(("stop",))
        stopped = 0
        while self._at:
            for worker, message in self.place.receive(list(self._at), _SECONDS_BETWEEN_LOOKS):
                if message is not None and message[0] == "event":
                    lines[self._at[worker]].replay(message[1])
                elif message is None or message[0] in ("done", "interrupted", "raised"):
                    lines.pop(self._at.pop(worker)).close("its worker died" if message is None else str(message[1]))
                    stopped += message is None or message[0] != "done"
        return f"stopped {stopped} of {len(self._workers)} workers at their tasks"

    def close(self) -> None:
        """Has all workers leave, and ends those that do not."""
        self.place.dismiss(self._workers, seconds=SECONDS_TO_LEAVE)
        self._workers = []


@contextmanager
def open_crew(count: int) -> Iterator[Crew]:
    """A crew of `count` workers, whose imports begin at once; on Ray if connected to it, or if RAY_ADDRESS is set.

    All of them leave at the end: at once where they are idle, else after the step they are at.
    """
    with connected(count) if is_wanted() else nullcontext(LocalPlace(count)) as place:
        crew = Crew(place, count)
        try:
            yield crew
        finally:
            crew.close()
