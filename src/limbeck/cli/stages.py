"""Work in progress: how far it is, and how long it will still take; `bars` and `progress` show it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from limbeck.progress import TRAINING


@dataclass
class Stage:
    """Counted work, as a training or all runs of a comparison.

    Attributes:
        title: what it is.
        total: how much there is to do.
        done: of the total.
        first: how much was done before it was watched.
        began: seconds, when it began to be watched.
        note: what else is to be said of it now.
    """

    title: str
    total: int
    done: int
    first: int
    began: float
    note: str = ""

    @property
    def share(self) -> float:
        """Done of the total, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total > 0 else 1.0

    @property
    def fresh(self) -> float:
        """The share that was done while it was watched."""
        return max(self.done - self.first, 0) / self.total if self.total > 0 else 0.0

    def seconds_left(self, now: float) -> float | None:
        """At the pace so far; None where there is none to go by."""
        return (now - self.began) / self.fresh * (1 - self.share) if self.fresh else None


@dataclass
class Run:
    """One of several runs that go on side by side.

    Attributes:
        title: what it is.
        began: seconds, when it began to be watched.
        stages: nested, the innermost is the last.
        first: share of its training that was done before it was watched.
    """

    title: str
    began: float
    stages: list[Stage] = field(default_factory=list)
    first: float = 0.0

    @property
    def training(self) -> Stage | None:
        """The stage that its remaining time is estimated by."""
        return next((stage for stage in self.stages if stage.title == TRAINING), None)


@dataclass
class Board:
    """All work in progress: nested stages of the whole, the innermost the last, and the runs side by side in them.

    Attributes:
        stages: of the whole; runs are counted by the outermost.
        runs: begun and not closed, in the order of their beginning.
        unpaced: runs that are counted as done, but tell nothing of the pace: those that failed, and of those that were
            resumed the share that they had before.
        closed: the run that was closed last, and how it ended, until that is shown.
    """

    stages: list[Stage] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    unpaced: float = 0.0
    closed: tuple[Run, str] | None = None

    def seconds_left(self, now: float) -> float | None:
        """Of the outermost stage; None where there is nothing to go by yet."""
        if not self.stages:
            return None
        whole = self.stages[0]
        if self.runs or self.unpaced:
            return seconds_left(whole, self.runs, self.unpaced, now)
        return whole.seconds_left(now)


def seconds_left(whole: Stage, runs: Sequence[Run], unpaced: float, now: float) -> float | None:
    """Time until all runs of `whole` are done, at the pace of those that finished and those that go on.

    However fast the others are, no run ends sooner than at its own pace; where none waits to begin, that decides.

    Args:
        whole: counts runs.
        runs: that go on now.
        unpaced: of those done since `whole` began to be watched, what took hardly any time: see `Board`.
        now: seconds.

    Example:
        >>> whole = Stage("comparison", total=42, done=22, first=20, began=0.0)
        >>> seconds_left(whole, [], 0, now=60.0)  # two in a minute, twenty to go
        600.0
    """
    trainings = [training for run in runs if (training := run.training)]
    seconds_each = [seconds for training in trainings if (seconds := training.seconds_left(now)) is not None]
    paced = whole.done - whole.first - unpaced + sum(training.fresh for training in trainings)
    if whole.done + len(runs) >= whole.total and runs and len(seconds_each) == len(runs):
        return max(seconds_each)
    if paced <= 0:
        return None
    remaining = max(whole.total - whole.done - sum(training.share for training in trainings), 0.0)
    return max(remaining * (now - whole.began) / paced, *seconds_each, 0.0)


def time_left(seconds: float | None) -> str:
    """In words as rough as the estimate, "" for less than some seconds.

    Example:
        >>> time_left(33), time_left(200), time_left(9000), time_left(None)
        ('about 30 s left', 'about 3 min left', 'about 2.5 h left', '')
    """
    if seconds is None or seconds < 5:
        return ""
    if seconds < 55:
        return f"about {max(round(seconds, -1), 10):.0f} s left"
    if seconds < 90 * 60:
        return f"about {max(seconds / 60, 1):.0f} min left"
    hours = seconds / 3600
    return f"about {hours:.{0 if hours >= 10 else 1}f} h left"
