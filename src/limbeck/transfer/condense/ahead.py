"""What is said of the time and memory ahead, before images are learned and before they go on to be."""

from dataclasses import dataclass

from limbeck.transfer.condense.estimate import Estimate, rough_time


@dataclass(frozen=True)
class Beside:
    """What is done now and then beside the iterations.

    Attributes:
        name: in a word or two.
        times: how often.
        seconds: of one time.
        memory: bytes, as far as they are known.
    """

    name: str
    times: int
    seconds: float
    memory: int


def times_of(every: int, iterations: int, done: int) -> int:
    """How often something is done before the first of so many iterations, or every so many of them, from `done` on.

    Example:
        >>> times_of(2, 5, 0), times_of(2, 5, 2)  # at 0, 2 and 4; at 2 and 4
        (3, 2)
    """
    return len(range(-(-done // every) * every, iterations, every))


def looks_ahead(every: int, iterations: int, done: int) -> int:
    """How often images are looked at: at the beginning, after every so many iterations, and at the end.

    Example:
        >>> looks_ahead(2, 5, 0), looks_ahead(2, 5, 2), looks_ahead(2, 4, 2)  # 0, 2, 4, 5; 4, 5; 4
        (4, 2, 1)
    """
    return times_of(every, iterations, done + 1 if done else 0) + 1


def ahead(estimate: Estimate, *besides: Beside, iterations: int = 1, done: int = 0) -> str:
    """How long learning takes, how much memory and how much disk, in words.

    Args:
        estimate: of all iterations.
        besides: what comes on top.
        iterations: of the whole run.
        done: of these.
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
