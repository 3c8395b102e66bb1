"""What racing would have saved in finished comparisons, and how often it would have stopped an arm that it should not.

    python benchmarks/racing.py runs/digits runs/cifar --seeds 3 5 10 --draws 1000

Seeds of a comparison that ran in full are drawn without replacement, and the code that decides in `limbeck compare`
decides on them, from what the runs wrote down. It was wrong to stop an arm where all of its seeds together are within
noise of the best arm's, in test accuracy after the last step.
"""

import argparse
import json
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import yaml

from limbeck.evaluation.statistics import paired_difference
from limbeck.recipes.plan import PlannedRun, plan
from limbeck.recipes.racing import Curve, decisions_of, ladder, read_curve, stand
from limbeck.recipes.racing_settings import RacingSettings
from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.rungs import common_shares, raced
from limbeck.training.run_folder import RunFolder


@dataclass
class Finished:
    """A comparison that ran in full: budget -> arm -> seed -> curve and test accuracy."""

    planned: list[PlannedRun]
    curves: dict[str, dict[str, dict[int, Curve]]]
    tests: dict[str, dict[str, dict[int, float]]]
    images: int

    @classmethod
    def read(cls, folder: Path, without: list[str]) -> "Finished":
        recipe = parse_recipe(yaml.safe_load((folder / "recipe.yaml").read_text()))
        networks = json.loads((folder / "networks.json").read_text())
        planned = plan(recipe, networks["train_images"], networks["train_classes"], labelled=networks["labelled"])
        planned = [run for run in raced(planned) if run.arm not in without]
        curves: dict[str, dict[str, dict[int, Curve]]] = defaultdict(lambda: defaultdict(dict))
        tests: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        complete = [seed for seed in {run.recipe.seed for run in planned} if _all_finished(folder, planned, seed)]
        for run in planned:
            run_folder, seed = RunFolder(folder / run.folder), run.recipe.seed
            curve = read_curve(run_folder) if seed in complete else None
            if curve is not None:
                curves[run.budget_label][run.arm][seed] = curve
                tests[run.budget_label][run.arm][seed] = run_folder.read("evaluation.json")["last"]["top1"]
        return cls(planned, curves, tests, networks["validation_images"])

    @property
    def seeds(self) -> list[int]:
        return sorted(set.intersection(*(set(s) for arms in self.curves.values() for s in arms.values())))

    def within_noise(self, budget: str) -> set[str]:
        """The arms of a budget that all seeds together do not tell from the best."""
        tests = self.tests[budget]
        best = max(tests, key=lambda arm: mean(tests[arm].values()))
        differences = {arm: paired_difference(tests[arm], tests[best]) for arm in tests}
        return {arm for arm, difference in differences.items() if difference["high"] is None or difference["high"] >= 0}


def _all_finished(folder: Path, planned: list[PlannedRun], seed: int) -> bool:
    return all(RunFolder(folder / run.folder).finished for run in planned if run.recipe.seed == seed)


@dataclass
class Raced:
    """What a draw came to: the share of the arms' steps that was saved, and (arm, budget, rung) of each stop."""

    saved: float
    stopped: list[tuple[str, str, str]]


def race(finished: Finished, settings: RacingSettings, seeds: list[int]) -> Raced:
    """One race with some of the seeds, by steps or by seeds."""
    planned = [run for run in finished.planned if run.recipe.seed in seeds]
    rungs, shares = ladder(planned, settings), common_shares(planned)
    stopped: dict[tuple[str, str], str] = {}
    trained = {(arm, budget): 0.0 for budget, arms in finished.curves.items() for arm in arms}
    for level in rungs:
        for rung in level:
            alive = {
                arm: {
                    run.recipe.seed: finished.curves[rung.budget][arm][run.recipe.seed]
                    for run in rung.runs
                    if run.arm == arm
                }
                for arm in finished.curves[rung.budget]
                if (arm, rung.budget) not in stopped
            }
            for arm, curves in alive.items():
                trained[arm, rung.budget] = float(rung.share) * len(curves) / len(seeds)
            decisions = decisions_of(len(finished.curves[rung.budget]), len(rungs))
            for standing in stand(alive, rung.share, shares, settings, decisions=decisions, images=finished.images):
                if standing.stops:
                    stopped |= {(standing.arm, budget): rung.label for budget in rung.drops}
    parts = [trained[group] if group in stopped else 1.0 for group in trained]
    return Raced(1 - mean(parts), [(arm, budget, label) for (arm, budget), label in stopped.items()])


def report(folder: Path, settings: RacingSettings, counts: list[int], draws: int, without: list[str]) -> None:
    finished = Finished.read(folder, without)
    if not finished.curves:
        print(f"{folder.name}: no seed has finished with all arms")
        return
    good = {budget: finished.within_noise(budget) for budget in finished.curves}
    arms = sum(map(len, finished.curves.values()))
    print(
        f"{folder.name}: {arms} arms at {len(good)} budgets, {len(finished.seeds)} seeds, {finished.images} validation "
        "images"
    )
    for budget, names in good.items():
        print(f"  within noise of the best at {budget}: {', '.join(sorted(names))}")
    print(f"  {settings.model_dump()}")
    for count in counts:
        if count > len(finished.seeds):
            continue
        generator = random.Random(0)
        results = [race(finished, settings, sorted(generator.sample(finished.seeds, count))) for _ in range(draws)]
        stops = [stop for result in results for stop in result.stopped]
        wrong = [stop for stop in stops if stop[0] in good[stop[1]]]
        races = sum(any(stop[0] in good[stop[1]] for stop in result.stopped) for result in results)
        chances = draws * sum(map(len, good.values()))
        print(
            f"  {count} seeds: saves {mean(result.saved for result in results):.1%} of the arms' steps; stopped "
            f"{len(stops) / draws / arms:.1%} of the arms, wrongly {len(wrong)} of {chances} that are within noise "
            f"({len(wrong) / chances:.2%}), in {races} of {draws} comparisons"
        )
        for key in sorted(set(wrong)):
            print(f"    wrongly {key}: {wrong.count(key)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--settings", type=yaml.safe_load, default={}, help="as in `compare.racing`")
    parser.add_argument("--without", nargs="*", default=[], help="arms to leave out")
    options = parser.parse_args()
    for folder in options.folders:
        report(folder, RacingSettings.model_validate(options.settings), options.seeds, options.draws, options.without)


if __name__ == "__main__":
    main()
