"""How many steps a run has, and the learning rate of each."""

from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest

from limbeck.training.schedule import learning_rate
from limbeck.training.settings import TrainingSettings


def test_parts_of_epochs_are_counted_as_they_are_written() -> None:
    steps = {epochs: TrainingSettings(epochs=epochs, batch_size=100).total_steps(50_000) for epochs in (1.1, 1.101)}
    assert steps == {1.1: 550, 1.101: 551}
    assert TrainingSettings(epochs=1e-5, batch_size=1).total_steps(200_000) == 2


@pytest.mark.parametrize("epochs", [1, 7, 200, 240, 0.5, 2.25])
def test_whole_and_half_epochs_are_rounded_up_to_steps(epochs: float) -> None:
    for images, batch in ((50_000, 64), (44_999, 100), (1, 64), (10, 3)):
        expected = max(1, ceil(Fraction(epochs) * images / batch))
        assert TrainingSettings(epochs=epochs, batch_size=batch).total_steps(images) == expected


@pytest.mark.parametrize(("warmup", "cooldown"), [(18, 10), (0.9, 0.5), (30, 5), (5, 40), (20, 20)])
def test_a_rate_that_falls_before_it_has_risen_does_not_jump(warmup: float, cooldown: float) -> None:
    settings = TrainingSettings(
        steps=20, warmup=warmup, cooldown=cooldown, schedule="warmup-stable-decay", learning_rate=1.0
    )
    rates = [learning_rate(step, 20, settings) for step in range(20)]
    steepest = max(1 / settings.warmup_steps(20), 1 / settings.cooldown_steps(20))
    assert max(abs(after - before) for before, after in pairwise(rates)) <= steepest + 1e-9
    assert rates[-1] == pytest.approx(min(20 / settings.warmup_steps(20), 1 / settings.cooldown_steps(20)))


def test_a_rate_that_has_time_rises_holds_and_falls() -> None:
    settings = TrainingSettings(steps=10, warmup=4, cooldown=4, schedule="warmup-stable-decay", learning_rate=1.0)
    rates = [learning_rate(step, 10, settings) for step in range(10)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
