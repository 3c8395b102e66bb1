import subprocess
import sys

import pytest

from limbeck.errors import UserError
from limbeck.transfer.select import CONTROLS, CRITERIA, Criterion, find_criterion


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


def test_unknown_criterion():
    with pytest.raises(UserError, match="unknown criterion 'entrop'; did you mean 'entropy'"):
        find_criterion("entrop")
