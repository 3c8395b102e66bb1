"""Workers that are given work more than once, as the runs of a race, rung after rung."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.progress import Silent
from limbeck.workers.crew import Crew, Task


class Hand:
    """A worker that does as it is told; a slower one says later that it is ready."""

    def __init__(self, slow: int) -> None:
        self.heard: list[str] = []
        self.waiting = slow
        self.says: list[tuple[Any, ...]] = []

    def send(self, message: tuple[Any, ...]) -> None:
        self.heard.append(message[0])
        self.says.append(("ready",) if message[0] == "begin" else ("done", "well"))


class Hands:
    """Where they work."""

    advice = ""

    def __init__(self) -> None:
        self.hired: list[Hand] = []

    def prepare(self) -> None:
        pass

    def hire(self) -> Hand:
        self.hired.append(Hand(slow=4 * len(self.hired)))
        return self.hired[-1]

    def surroundings(self, worker: Hand, shared: Sequence[Path], threads: int) -> int:
        return threads

    def receive(self, workers: Sequence[Hand], seconds: float) -> list[tuple[Hand, tuple[Any, ...]]]:
        answers = []
        for worker in workers:
            worker.waiting -= 1
            if worker.says and worker.waiting < 0:
                answers.append((worker, worker.says.pop(0)))
        return answers


def test_work_after_work(tmp_path: Path) -> None:
    place: Any = Hands()
    make: Any = dict
    crew = Crew(place, 2)

    def work(names: str, threads: int = 1) -> list[str]:
        tasks = [Task(name, name) for name in names]
        done = crew.work(make, tasks, lambda _: Silent(), [tmp_path], threads=threads)
        return sorted(task.content for task, outcome, _ in done if outcome == "well")

    assert work("ab") == ["a", "b"]  # by the first alone: the second is not ready yet
    assert work("cdefgh") == ["c", "d", "e", "f", "g", "h"]
    assert [hand.heard.count("begin") for hand in place.hired] == [1, 1]
    assert work("ijkl", threads=2) == ["i", "j", "k", "l"]
    assert [hand.heard.count("begin") for hand in place.hired] == [2, 2]
    assert sum(hand.heard.count("do") for hand in place.hired) == 12
