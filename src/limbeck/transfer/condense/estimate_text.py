"""Time, memory and disk space that learning will take, in words; said before it starts and before it resumes."""

from dataclasses import dataclass

from limbeck.transfer.condense.estimate import Estimate, rough_time
from limbeck.transfer.condense.settings import CondenseSettings


@dataclass(frozen=True)
class Beside:
    """Work that is repeated beside the iterations, as judging.

    Attributes:
        name: a word or two.
        times: how often it is done.
        seconds: what it takes once.
        memory: bytes, as far as they are known.
    """

    name: str
    times: int
    seconds: float
    memory: int


def times_of(every: int, iterations: int, done: int) -> int:
    """How often something is done that is due before iterations 0, `every`, 2 * `every`, ..., counted from `done` on.

    Example:
        >>> times_of(2, 5, 0), times_of(2, 5, 2)  # at 0, 2 and 4; at 2 and 4
        (3, 2)
    """
    return len(range(-(-done // every) * every, iterations, every))


def looks_ahead(every: int, iterations: int, done: int) -> int:
    """How often images are looked at: at the beginning, after every `every` iterations, and at the end.

    Example:
        >>> looks_ahead(2, 5, 0), looks_ahead(2, 5, 2), looks_ahead(2, 4, 2)  # 0, 2, 4, 5; 4, 5; 4
        (4, 2, 1)
    """
    return times_of(every, iterations, done + 1 if done else 0) + 1


def work_beside(
    settings: CondenseSettings, judging: tuple[float, int] | None, maps: tuple[float, int] | None, done: int
) -> list[Beside]:
    """What is repeated beside the iterations from `done` on.

    Args:
        settings: of the maker.
        judging: seconds and bytes of judging once; None where nothing is judged.
        maps: seconds and bytes of making the mask's maps once; None without a mask.
        done: iterations that are done.
    """
    besides: list[Beside] = []
    if judging is not None:
        times = looks_ahead(settings.evaluate_every, settings.iterations, done)
        besides.append(Beside("judging", times, *judging))
    if settings.mask is not None and maps is not None:
        times = times_of(settings.mask.every, settings.iterations, done)
        besides.append(Beside("maps for the mask", times, *maps))
    return besides


def ahead(estimate: Estimate, *besides: Beside, iterations: int = 1, done: int = 0) -> str:
    """A sentence about how long learning takes, and how much memory and disk space.

    Args:
        estimate: of all iterations.
        besides: work that comes on top.
        iterations: of the whole run.
        done: how many of them are done already.
    """
    besides = tuple(extra for extra in besides if extra.times)
    seconds = estimate.seconds * (iterations - done) / iterations + sum(
        extra.times * extra.seconds for extra in besides
    )
    memory = max(estimate.memory, *(extra.memory for extra in besides)) if besides else estimate.memory
    opening = "learning takes" if not done else f"{done:,} of {iterations:,} iterations are done, and the rest takes"
    parts = [f"{extra.name} {extra.times:,} times {rough_time(extra.times * extra.seconds)}" for extra in besides]
    return (
        f"{opening} {rough_time(seconds)} on a machine as idle as now, {memory / 2**20:,.0f} MiB of memory, and "
        f"{estimate.disk / 2**20:,.0f} MiB on disk"
        + ("" if estimate.chunk is None else f"; a step sees {estimate.chunk} images at a time")
        + (f"; of that time {' and '.join(parts)}" if parts else "")
    )
