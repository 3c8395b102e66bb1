from typing import Any

import pytest
from tests.report import report_factory as factory

from limbeck.report import headline
from limbeck.report.controls import Controls
from limbeck.report.results_tex import above_controls
from limbeck.report.sentences import difference, headlines, lead, verdict

OF_BEFORE = Controls.of({})
MINUS = "\N{MINUS SIGN}"


def row(mean: float, low: float | None, high: float | None, *, n: int = 3, budget: str = "10 %") -> dict[str, Any]:
    beyond = low is not None and high is not None and (low > 0 or high < 0)
    content = {"arm": "entropy", "against": "balanced-random", "budget": budget, "images": int(budget[:-2]) * 450}
    return content | {"n": n, "mean": mean, "low": low, "high": high, "beyond_noise": beyond}


WORSE = row(-0.013, -0.020, -0.006)
BETTER = row(0.021, 0.012, 0.030, budget="25 %")
WITHIN = row(0.003, -0.009, 0.015, budget="5 %")
ALONE = row(-0.013, None, None, n=1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            WORSE,
            "entropy is 1.3 points below balanced random at 10 % "
            f"(95 % interval {MINUS}2.0 to {MINUS}0.6, n = 3 seeds), beyond seed noise",
        ),
        (
            BETTER,
            "entropy is 2.1 points above balanced random at 25 % (95 % interval 1.2 to 3.0, n = 3 seeds), "
            "beyond seed noise",
        ),
        (
            WITHIN,
            f"entropy is 0.3 points above balanced random at 5 % (95 % interval {MINUS}0.9 to 1.5, n = 3 seeds), "
            "within seed noise",
        ),
        (
            ALONE,
            "entropy is 1.3 points below balanced random at 10 % with a single seed (n = 1), so seed noise is unknown",
        ),
    ],
)
def test_one_difference(found: dict[str, Any], expected: str) -> None:
    assert difference(found, OF_BEFORE) == expected


def test_unequal_images_are_no_equal_budget() -> None:
    unlike = [{**compared, "images": 45, "images_against": 1192} for compared in (WITHIN, WORSE)]
    assert difference(unlike[1], OF_BEFORE).startswith(
        "entropy is 1.3 points below balanced random at 10 %, not at equal images but 45 against 1,192 (95 % interval"
    )
    results = factory.results() | {"differences": [*unlike, BETTER]}
    assert f"10 % ({MINUS}1.3 points, not at equal images but 45 against 1,192)" in headline(results)
    many = factory.results({**factory.LEVELS, **{f"arm-{place}": 0.7 for place in range(5)}})
    many["differences"] = [{**row, "images_against": 45} for row in many["differences"]]
    assert "arm-0 at 5 %, not at equal images but 2,250 against 45; " in lead(many)[-1]
    assert not above_controls(many)


def test_one_budget_gives_the_sentence_with_its_interval() -> None:
    results = factory.results() | {"differences": [WORSE]}
    assert headline(results) == f"{difference(WORSE, OF_BEFORE)}."


def test_several_budgets_are_all_named() -> None:
    results = factory.results() | {"differences": [WORSE, BETTER, WITHIN]}
    assert headlines(results) == [
        "entropy is above balanced random beyond seed noise at 25 % (+2.1 points), "
        f"and below it beyond seed noise at 10 % ({MINUS}1.3 points), "
        "and within seed noise of it at 5 % (+0.3 points); n = 3 seeds"
    ]


def test_balanced_random_is_preferred_to_random() -> None:
    against_random = BETTER | {"against": "random"}
    assert "balanced random" in headline(factory.results() | {"differences": [against_random, WORSE]})
    assert "above random" in headline(factory.results() | {"differences": [against_random]})


def test_every_arm_has_its_sentence() -> None:
    other = WORSE | {"arm": "margin"}
    runs = factory.results(arms={"entropy": 0.7})["runs"]
    runs += [run | {"arm": "margin"} for run in runs if run["arm"] == "entropy"]
    assert [sentence.split()[0] for sentence in headlines({"runs": runs, "differences": [WORSE, other]})] == [
        "entropy",
        "margin",
    ]


def test_of_many_arms_the_two_ends_are_named() -> None:
    runs = [factory.results(arms={"entropy": 0.7}, seeds=1)["runs"][0] | {"arm": f"arm-{i}"} for i in range(10)]
    rows = [BETTER | {"budget": "10 %"}, *[WORSE] * 8, WITHIN | {"budget": "10 %"}]
    rows = [row | {"arm": f"arm-{i}", "mean": row["mean"] - i / 1000} for i, row in enumerate(rows)]
    assert headlines({"runs": runs, "differences": rows}) == [
        "Of 10 arms at 10 %, 1 is above balanced random beyond seed noise and 8 are below it",
        f"The highest: {difference(rows[0], OF_BEFORE)}",
        f"The lowest: {difference(rows[8], OF_BEFORE)}",
    ]
    assert "none is above" in headlines({"runs": runs, "differences": rows[1:]})[0]
    assert "Nothing can be said yet" in headlines({"runs": runs, "differences": []})[0]


def test_arms_are_set_against_controls_of_their_own() -> None:
    usual = {"kind": "budget", "teacher": True, "strict": 2}
    controls = [
        {"name": "any", "label": "any (entropy)", "arms": ["entropy"], **usual},
        {"name": "any-of-margin", "label": "any (margin)", "arms": ["margin"], **usual},
    ]
    listed = Controls(controls)
    assert (listed.strictest(arm="margin"), listed.strictest()) == (["any-of-margin"], ["any", "any-of-margin"])
    runs = [factory.results(arms={"entropy": 0.7}, seeds=1)["runs"][0] | {"arm": arm} for arm in ("entropy", "margin")]
    rows = [WORSE | {"against": "any"}, BETTER | {"arm": "margin", "against": "any-of-margin", "budget": "10 %"}]
    first, second = headlines({"runs": runs, "controls": controls, "differences": rows})
    assert "entropy is 1.3 points below any (entropy)" in first
    assert "margin is 2.1 points above any (margin)" in second
    runs += [runs[0] | {"arm": f"arm-{i}"} for i in range(10)]
    assert headlines({"runs": runs, "controls": controls, "differences": rows})[0] == (
        "Of 2 arms at 10 %, 1 is above their strictest control beyond seed noise and 1 is below it"
    )


def test_nothing_to_compare_is_said() -> None:
    assert "Nothing can be said yet" in headline(factory.results() | {"differences": []})


def test_an_interval_without_zero_is_needed_for_a_verdict() -> None:
    assert [verdict(compared) for compared in (WORSE, BETTER, WITHIN, ALONE)] == [
        "worse",
        "better",
        "within seed noise",
        "one seed only",
    ]


def test_without_budgets_the_baseline_comes_before_labels_alone() -> None:
    results = factory.objectives({"kd": 0.85, "dkd": 0.86, "full-no-teacher": 0.84}) | {"baseline": "kd"}
    content = {
        "budget": "all",
        "images": 45_000,
        "n": 3,
        "low": 0.005,
        "high": 0.015,
        "beyond_noise": True,
        "mean": 0.01,
    }
    pairs = [("kd", "full-no-teacher"), ("dkd", "kd"), ("dkd", "full-no-teacher")]
    results["differences"] = [{"arm": arm, "against": against, **content} for arm, against in pairs]
    rest = "(95 % interval 0.5 to 1.5, n = 3 seeds), beyond seed noise"
    assert headlines(results) == [
        f"kd is 1.0 points above full data without teacher {rest}",
        f"dkd is 1.0 points above kd {rest}",
    ]
    nothing = headline(results | {"differences": []})
    assert "no arm has a finished run beside full data without teacher" in nothing


def test_arms_of_one_seed_are_not_within_seed_noise() -> None:
    def said(*found: dict[str, Any]) -> str:
        rows = [{**compared, "arm": f"arm-{place}"} for place, compared in enumerate(found)]
        runs = [factory.results(arms={"entropy": 0.7}, seeds=1)["runs"][0] | {"arm": row["arm"]} for row in rows]
        return lead({"runs": runs, "differences": rows})[-1]

    within, better = WITHIN | {"budget": "10 %"}, BETTER | {"budget": "10 %"}
    assert said(better, within, within, ALONE) == (
        "Above balanced random beyond seed noise: arm-0 at 10 %; 2 other arms are within seed noise; 1 other arm is "
        "compared on one seed only"
    )
    assert said(within, within, ALONE, ALONE) == (
        "2 arms are within seed noise of balanced random; 2 arms are compared with balanced random on one seed only"
    )
    assert said(*[within] * 4) == "All 4 arms are within seed noise of balanced random"
    assert said(*[ALONE] * 4) == "All 4 arms are compared with balanced random on one seed only"
