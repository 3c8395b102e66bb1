import subprocess
import sys
from dataclasses import replace

import pytest

from limbeck.cli.criterion_flags import criterion_of
from limbeck.errors import UserError
from limbeck.plugins import register, unregister
from limbeck.transfer.choice import select_from_scores
from limbeck.transfer.parts import SCORES
from limbeck.transfer.select import CONTROLS, CRITERIA, Criterion, ScoreTable, find_criterion


def test_needs_no_torch():
    code = "import sys, limbeck.transfer.criteria; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_are_those_of_the_criteria():
    assert all(name == criterion.name for name, criterion in CRITERIA.items())
    assert set(CONTROLS) < CRITERIA.keys()


def test_a_criterion_passes_through():
    own = Criterion(representation="grayscale-histogram", score="entropy", allocation="top-n")
    assert find_criterion(own) is own
    assert find_criterion("random") is CRITERIA["random"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"score": "entrpy"}, "unknown score 'entrpy'; did you mean 'entropy'"),
        ({"score": "entropy", "representation": "grey"}, "unknown representation 'grey'"),
        ({"score": "random", "allocation": "top"}, "unknown allocation 'top'"),
        ({"score": "random", "order": "high"}, "unknown order 'high'; did you mean 'highest'"),
        (
            {"score": "entropy", "representation": "none"},
            "score 'entropy' reads a `representation`, got 'none'; give one of 'grayscale-hist",
        ),
    ],
)
def test_wrong_parts(parts, message):
    with pytest.raises(UserError, match=message):
        Criterion(**parts)


@pytest.mark.parametrize("score", SCORES)
def test_a_score_comes_in_the_order_of_the_criterion_of_its_name(score):
    expected = CRITERIA[score].order if score in CRITERIA else {"confidence": "lowest"}.get(score, "highest")
    composed = [Criterion(score=score), find_criterion({"score": score, "allocation": "coverage"})]
    composed += [find_criterion(f"{score}/tn"), replace(Criterion(score=score), name="renamed")]
    assert {criterion.order for criterion in composed} == {expected}
    for order in ("highest", "lowest", "random"):
        assert find_criterion({"score": score, "order": order}).order == order, "what is written is read as before"
    assert criterion_of("", {"score": score}, []).order == expected


def test_named_criteria_prefer_what_they_always_did():
    lowest = {name for name, criterion in CRITERIA.built_in.items() if criterion.order == "lowest"}
    assert lowest == {"entropy-lowest", "entropy-whole-lowest", "margin", "minimal-margin"}
    assert not [name for name, criterion in CRITERIA.built_in.items() if criterion.order == "random"]


@pytest.mark.parametrize("order", [{}, {"order": "highest"}, {"order": "lowest"}])
@pytest.mark.parametrize(("score", "hard"), [("margin", "lowest"), ("energy", "highest")])
def test_coverage_leaves_out_the_hard_end_of_its_score(score, hard, order):
    scores = {"id": range(1000), f"{score}:teacher-logits": [id_ / 1000 for id_ in range(1000)]}
    chosen = select_from_scores(
        ScoreTable(scores), criterion={"score": score, "allocation": "coverage", **order}, budget=100
    )
    low, high = min(chosen.ids), max(chosen.ids)
    assert (low >= 300, high < 700) == ((True, False) if hard == "lowest" else (False, True))


def test_a_score_of_ones_own_may_say_where_hard_images_are():
    def ease(pixels):
        return pixels.float().mean((1, 2, 3))

    register("scores", "ease", ease, hard_end="lowest")
    register("scores", "silent", ease)
    try:
        eases = Criterion(score="ease"), Criterion(score="ease", order="highest")
        assert [(one.order, one.hard_end) for one in eases] == [("lowest", "lowest"), ("highest", "lowest")]
        silent = Criterion(score="silent"), Criterion(score="silent", order="lowest")
        assert [(one.order, one.hard_end) for one in silent] == [("highest", "highest"), ("lowest", "lowest")]
        with pytest.raises(UserError, match="`hard_end` of score 'eases' must be 'highest' or 'lowest', got 'low'"):
            register("scores", "eases", ease, hard_end="low")
    finally:
        for name in ("ease", "silent"):
            unregister("scores", name)


def test_unknown_criterion():
    with pytest.raises(UserError, match="unknown criterion 'entrop'; did you mean 'entropy'"):
        find_criterion("entrop")
