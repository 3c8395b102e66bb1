"""How often the interval of the images needed holds the truth, for arms whose curves are known, beside a bootstrap's.

    python benchmarks/images_needed.py [--draws 1000] [--resamples 1000]

An arm is a curve of true accuracy over images with normal noise over seeds; the full data has noise of its own, and a
part of it may be shared by a seed's runs. What an interval must hold is the crossing of the interpolated true means.
The bootstrap draws seeds with replacement, keeping each seed's runs together, and takes the 2.5 and 97.5 % percentiles.

A second table has what the interpolation itself does to curves that are no lines between their budgets: the crossing
of the interpolated means over that of the curve, less 1, for lines over the logarithm of the images, for PCHIP over it,
and for lines of the logarithm of the error over it.
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from limbeck.evaluation import images_needed

Curve = Callable[[Any], Any]
FEW, MANY = (50, 100, 300), (50, 100, 200, 400, 800, 1600)
ALL = 10_000
SEEDS = (3, 5, 10, 20)


@dataclass(frozen=True)
class Noise:
    """Standard deviation at the smallest budget, how it falls with images, and the share of variance a seed shares."""

    name: str
    deviation: float
    falls: float = 0.0
    shared: float = 0.0

    def draw(self, random: np.random.Generator, images: np.ndarray, seeds: int) -> np.ndarray:
        """[images, seeds], the last row of the full data."""
        own = random.standard_normal((len(images), seeds)) * (images / images[0])[:, None] ** -self.falls
        together = random.standard_normal(seeds)
        return self.deviation * (math.sqrt(1 - self.shared) * own + math.sqrt(self.shared) * together)


CURVES: dict[str, Curve] = {
    "linear in log images": lambda x: 0.70 + 0.03 * np.log(x),
    "0.97 - 1.3 x^-0.5": lambda x: 0.97 - 1.3 * x**-0.5,
    "0.95 - 0.6 x^-0.25": lambda x: 0.95 - 0.6 * x**-0.25,
}
NOISES = (
    Noise("0.5 points", 0.005),
    Noise("2 points", 0.02),
    Noise("2 points, falling", 0.02, falls=0.3),
    Noise("2 points, half of it shared", 0.02, shared=0.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=1000)
    options = parser.parse_args()
    console = Console()
    table = Table(
        "curve", "budgets", "noise", *(f"n = {n}" for n in SEEDS), title="t / bootstrap, % of draws that hold"
    )
    held: dict[str, list[float]] = {"t": [], "bootstrap": []}
    settings = [(name, budgets, noise) for name in CURVES for budgets in (FEW, MANY) for noise in NOISES]
    for place, (name, budgets, noise) in enumerate(settings):
        cells = []
        for n in SEEDS:
            random = np.random.default_rng((place, n))
            t, boot = coverage(CURVES[name], budgets, noise, n, options.draws, options.resamples, random)
            held["t"].append(t)
            held["bootstrap"].append(boot)
            cells.append(f"{100 * t:.1f} / {100 * boot:.1f}")
        table.add_row(name, f"{len(budgets)}", noise.name, *cells)
    console.print(table)
    for method, shares in held.items():
        inside = sum(0.93 <= share <= 0.97 for share in shares)
        console.print(
            f"{method}: {100 * min(shares):.1f} to {100 * max(shares):.1f} %, mean {100 * np.mean(shares):.2f} %; "
            f"{inside} of {len(shares)} between 93 and 97 %"
        )
    console.print(bias())


def coverage(
    curve: Curve,
    budgets: tuple[int, ...],
    noise: Noise,
    n: int,
    draws: int,
    resamples: int,
    random: np.random.Generator,
) -> tuple[float, float]:
    """Shares of draws whose t interval and whose bootstrap hold the truth."""
    images = np.array([*budgets, ALL], dtype=float)
    means = curve(images)
    # The reference is reached two fifths of the way (in log images) from the middle budget to the one before it.
    place = len(budgets) // 2
    level = float(means[place] - 0.4 * (means[place] - means[place - 1]))
    margin = float(means[-1]) - level
    truth = math.exp(math.log(budgets[place]) - 0.4 * math.log(budgets[place] / budgets[place - 1]))
    t = boot = 0
    for _ in range(draws):
        values = means[:, None] + noise.draw(random, images, n)
        arm = {budget: dict(enumerate(values[row].tolist())) for row, budget in enumerate(budgets)}
        estimate = images_needed(arm, dict(enumerate(values[-1].tolist())), margin)
        assert estimate is not None
        t += (estimate["low"] or 0) <= truth <= (estimate["high"] or math.inf)
        low, high = bootstrap(values[:-1] - values[-1] + margin, np.log(budgets), random, resamples)
        boot += low <= math.log(truth) <= high
    return t / draws, boot / draws


def bootstrap(distances: np.ndarray, x: np.ndarray, random: np.random.Generator, resamples: int) -> tuple[float, float]:
    """Percentiles of the crossings of resampled seeds' means; [budgets, seeds]."""
    chosen = random.integers(distances.shape[1], size=(resamples, distances.shape[1]))
    means = distances[:, chosen].mean(2)  # [budgets, resamples]
    reached = means >= 0
    first = reached.argmax(0)
    before = np.maximum(first - 1, 0)
    column = np.arange(resamples)
    a, b = means[before, column], means[first, column]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = x[before] + (x[first] - x[before]) * a / (a - b)
    crossing = np.where(first == 0, -np.inf, crossing)
    crossing = np.where(reached.any(0), crossing, np.inf)
    low, high = np.quantile(crossing, (0.025, 0.975), method="nearest")
    return float(low), float(high)


def power(exponent: float, images: Any) -> Any:
    return 0.97 - 0.3 * (images / 50) ** -exponent


def bias() -> Table:
    """The interpolations' own error in images, without noise, at levels all the way between two budgets."""
    table = Table(
        "curve", "budgets", "lines %", "PCHIP %", "log error %", title="images found over images needed, less 1: range"
    )
    curves: dict[str, Curve] = {f"0.97 - b x^-{c:g}": partial(power, c) for c in (0.25, 0.5, 1.0)}
    curves["0.99 - b exp(-x / 200)"] = lambda x: 0.99 - 0.3 * np.exp(-x / 200)
    for name, curve in curves.items():
        for budgets in (FEW, MANY, (50, 300, 1800)):
            x = np.log(np.array(budgets, dtype=float))
            y = curve(np.exp(x))
            smooth = PchipInterpolator(x, y)
            interpolants: tuple[Curve, ...] = (
                lambda at, x=x, y=y: np.interp(at, x, y),
                smooth,
                lambda at, x=x, y=y: 1 - np.exp(np.interp(at, x, np.log(1 - y))),
            )
            cells = []
            for interpolant in interpolants:
                ratios = []
                for needed in np.linspace(x[0], x[-1], 60)[1:-1]:
                    level = float(curve(np.exp(needed)))
                    crossing: Any = brentq(
                        lambda at, interpolant=interpolant, level=level: float(interpolant(at)) - level, x[0], x[-1]
                    )
                    ratios.append(math.exp(crossing - needed) - 1)
                cells.append(f"{100 * min(ratios):+.1f} to {100 * max(ratios):+.1f}")
            table.add_row(name, ", ".join(map(str, budgets)), *cells)
    return table


if __name__ == "__main__":
    main()
