"""Every method's steps beside its published formulas, see `slow`."""

import copy

import pytest
import torch
from tests.transfer.generate.synthesis.slow import Slow
from tests.transfer.generate.synthesis.toys import BATCH, STEPS, labels_of, network, settings_of, synthesiser

from limbeck.randomness import derive_seed
from limbeck.transfer.generate.methods import METHODS

TEACHER, STUDENT = network(0), network(1)


@pytest.mark.parametrize("name", [*METHODS, "reptile", "last", "conditional", "noisy"])
def test_calls_are_those_of_the_formulas(name: str) -> None:
    """Three calls, of which later ones depend on what earlier ones left; contrast has tests of its own."""
    settings = settings_of(name, keep="last", exact=False, fresh=0)
    settings = settings.model_copy(update={"losses": settings.losses.model_copy(update={"contrast": 0.0})})
    if settings.generator.renew:
        settings = settings.model_copy(update={"generator": settings.generator.model_copy(update={"renew": None})})
    made = synthesiser(settings, TEACHER)
    slow = Slow(settings, TEACHER, STUDENT, copy.deepcopy(made.origin.network))
    for number in range(3):
        labels, seed = labels_of(settings, number), derive_seed(0, "generate", number, "views")
        draws = [made.views.draw(torch.arange(BATCH), seed=seed, view=step) for step in range(STEPS)]
        losses = slow.call(number, labels, draws, padding=1)
        batch = made.call(number, labels, student=STUDENT)
        assert batch.losses == pytest.approx(losses, rel=1e-4, abs=1e-5)
        levels = (255 * slow.kept).clamp(0, 255)
        assert (batch.images - levels).abs().max() < 0.5 + 255 * 1e-4  # rounded, of what agrees as losses do
        for weight, expected in zip(made.origin.network.parameters(), slow.network.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)
