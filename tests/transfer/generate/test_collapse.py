"""Signs of collapse: each where it is to be, none where all is well, and said once."""

from typing import Any

import pytest
import torch

from limbeck.transfer.generate.collapse import fresh_signs, signs_of_collapse
from limbeck.transfer.generate.history import Round

CLASSES = [f"kind {place}" for place in range(10)]


def rounds(count: int = 12, **last: Any) -> list[Round]:
    """Rounds in which all is well, except for the last three, which have the values of `last`."""
    history = []
    for number in range(count):
        held = 100 * (number + 1)
        values: dict[str, Any] = {
            "made": 100,
            "held": held,
            "distinct": 98,
            "obtained": 0.6,
            "counts": [held // 10] * 10,
        }
        values |= {"losses": {"batch_norm": 40.0 - number}, "one_hot_weight": 0.5}
        values |= {"spread": 0.4, "distillation": 0.3}
        history.append(Round(number=number, **{**values, **(last if number >= count - 3 else {})}))
    return history


def kinds(found: list[Round], **options: Any) -> list[str]:
    return [sign.kind for sign in signs_of_collapse(found, CLASSES, **options)]


def test_none_where_all_is_well() -> None:
    assert not kinds([])
    assert not kinds(rounds(1))
    assert not kinds(rounds())
    assert not kinds(rounds(agreement=1.0))


COUNTS = [200, 0, 100, 100, 100, 200, 200, 0, 200, 100]


@pytest.mark.parametrize(
    ("last", "kind", "words"),
    [
        (
            {"distinct": 4},
            "distinct",
            "Only 12 of the 300 images of rounds 10 to 12 differ from one another; try a low",
        ),
        ({"spread": 0.05}, "spread", "their spread fell from 0.4 to 0.05; try a lower `losses.one_hot`"),
        ({"counts": COUNTS}, "empty", "2 of 10 classes have no images after round 12 (kind 1 and kind 7); try"),
        ({"counts": [1100] + [11] * 9}, "crowded", "91.7 % of the images are 'kind 0' to the teacher; try a higher"),
        (
            {"distillation": 1e-4},
            "distillation",
            "The distillation loss is near zero (0.0001): the student has nothing",
        ),
    ],
)
def test_each(last: dict[str, Any], kind: str, words: str) -> None:
    (sign,) = signs_of_collapse(rounds(**last), CLASSES)
    assert sign.kind == kind
    assert words in str(sign)
    assert not str(sign).endswith(".")


def test_wanted_classes_are_missed_where_images_are_optimised_for_nothing_else() -> None:
    """A share as by chance is no sign while the batch-norm loss is high: the generator has just begun to learn."""
    missed: dict[str, Any] = {"obtained": 0.11, "losses": {"batch_norm": 15.0}}
    (sign,) = map(str, signs_of_collapse(rounds(**missed), CLASSES))
    assert "11.0 % of the images of rounds 10 to 12 are of the class that was wanted, as by chance (10.0 %)" in str(
        sign
    )
    assert not kinds(rounds(obtained=0.11))
    assert kinds(rounds(obtained=0.11), floor=62.0) == ["obtained"]
    unwanted: dict[str, Any] = missed | {"one_hot_weight": 0.0}
    unknown: dict[str, Any] = missed | {"obtained": None}
    assert not kinds(rounds(**unwanted))
    assert not kinds(rounds(**unknown))
    assert kinds(rounds(obtained=0.11, losses={})) == [], "it was measured before, and high"


@pytest.mark.parametrize(("loss", "kind"), [(0.0, True), (1e-5, True), (2e-4, True), (4e-4, True), (6e-4, False)])
def test_a_student_that_never_had_anything_to_learn(loss: float, kind: bool) -> None:
    history = [Round(**{**vars(row), "distillation": loss}) for row in rounds(10)]
    assert kinds(history) == ["distillation"] * kind
    assert not kinds(history[:3]), "that early it is chance"


def test_a_single_round_is_looked_at() -> None:
    single = rounds(1)[0]
    assert kinds([Round(**{**vars(single), "distinct": 1})]) == ["distinct"]


def test_few_images_say_nothing_of_many_classes() -> None:
    history = [Round(number=0, made=100, held=100, distinct=100, counts=torch.arange(1000) % 10 == 0)]
    assert not signs_of_collapse(history, [str(place) for place in range(1000)])


def test_rounds_that_make_nothing_do_not_hide_those_before() -> None:
    history = rounds(distinct=4)
    idle = Round(number=12, made=0, held=1200, counts=[120] * 10)
    assert kinds([*history, idle]) == ["distinct"]


def test_signs_are_said_once() -> None:
    history = rounds(distinct=4)
    signs = [[sign.kind for sign in fresh_signs(history[:count], CLASSES)] for count in range(1, len(history) + 1)]
    assert sum(map(len, signs)) == 1
    assert signs[-2] == ["distinct"], "two of the last three rounds are enough"
