"""The controls that results list, and those of before."""

from tests.report import report_factory as factory

from limbeck.report.controls import Controls

NOISE = {"name": "noise", "label": "pure noise", "kind": "budget", "teacher": True, "strict": 1}
LABELS = {"name": "labels", "label": "labels alone", "kind": "full", "teacher": False, "strict": 5}
ALONE = {"name": "alone", "label": "no teacher", "kind": "budget", "teacher": False, "strict": None}


def test_verdicts_go_by_those_of_the_budget_then_the_baseline_then_all_the_data() -> None:
    controls = Controls([LABELS, NOISE, ALONE, NOISE | {"name": "stricter", "strict": 2}])
    assert controls.strictest() == ["stricter", "noise", "labels"]
    assert controls.strictest("mine") == ["stricter", "noise", "mine", "labels"]
    assert (controls.full, controls.of_budget) == (["labels"], ["noise", "alone", "stricter"])


def test_labels_are_words_and_arms_stay_as_they_are() -> None:
    controls = Controls([NOISE])
    assert [controls.label(arm) for arm in ("noise", "random")] == ["pure noise", "random"]
    assert controls.get("random") is None


def test_sentences_name_those_that_there_are() -> None:
    controls = Controls([NOISE, ALONE, LABELS])
    start = "Controls, which nobody has to ask for: "
    assert controls.sentence(["mine", "noise", "alone", "labels"], budgets=True) == (
        f"{start}pure noise, no teacher at each budget, and labels alone."
    )
    assert controls.sentence(["noise"], budgets=True) == f"{start}pure noise at each budget."
    assert controls.sentence(["mine", "labels"], budgets=False) == f"{start}labels alone."
    assert controls.sentence(["mine"], budgets=True) == ""


def test_results_of_before_have_those_of_before_and_an_empty_list_none() -> None:
    assert Controls.of({}).strictest() == ["balanced-random", "random", "full-no-teacher"]
    assert Controls.of({"controls": []}).strictest() == []
    listed = Controls.of({"controls": factory.CONTROLS})
    assert [listed.get(control["name"]) for control in factory.CONTROLS] == [
        Controls.of({}).get(control["name"]) for control in factory.CONTROLS
    ]
