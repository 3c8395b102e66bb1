import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from limbeck.transfer.generate.settings import Growth
from limbeck.transfer.generate.weight import GrowingWeight, at_their_least

GOLDEN = Path(__file__).parents[2] / "golden" / "datafree"


def test_it_grows_as_the_references() -> None:
    with np.load(GOLDEN / "dynamic_weight.npz") as golden:
        hp = json.loads(str(golden["hp"]))
        weight = GrowingWeight(hp["start"], Growth(step=hp["step"], memory=hp["memory"]), warmup_rounds=hp["warmup"])
        used = []
        for batch_norm, adversarial in zip(golden["in.bn"], golden["in.adversarial"], strict=True):
            used.append(weight.value)
            weight.update(batch_norm=float(batch_norm), adversarial=float(adversarial))
        np.testing.assert_allclose(used, golden["out.weight"], rtol=1e-12)
        assert used[-1] > used[0]


def as_in_the_reference(rounds: list[tuple[float, float]], *, memory: int, warmup: int) -> list[int]:
    """How often the weight has grown before each round, by the rule of the authors' main loop.

    From the first round after the warm-up on, both last losses lie below all of the at most `memory` - 1 before them.
    Without one before, nothing grows, where their code stops with an error.
    """
    grown = [0]
    for number in range(1, len(rounds) + 1):  # before this round
        *before, last = rounds[max(0, number - memory) : number]
        lowest = [min(losses) for losses in zip(*before, strict=True)]
        grows = number >= warmup and bool(before) and all(own < least for own, least in zip(last, lowest, strict=True))
        grown.append(grown[-1] + grows)
    return grown


falling = st.lists(st.tuples(st.sampled_from([3.0, 2.0, 1.0, 0.5]), st.sampled_from([0.0, -1.0, -2.0])), max_size=14)


@settings(max_examples=200, deadline=None)
@given(falling, st.integers(2, 9), st.integers(0, 9))
@example([(3.0, 0.0), (2.0, 0.0), (1.0, -1.0), (0.5, -2.0)], 8, 2)  # a warm-up shorter than the memory
def test_it_grows_when_the_references_does(rounds: list[tuple[float, float]], memory: int, warmup: int) -> None:
    weight = GrowingWeight(0.0, Growth(step=1.0, memory=memory), warmup_rounds=warmup)
    values = [weight.value]
    for batch_norm, adversarial in rounds:
        weight.update(batch_norm=batch_norm, adversarial=adversarial)
        values.append(weight.value)
    assert values == as_in_the_reference(rounds, memory=memory, warmup=warmup)


losses = st.lists(
    st.tuples(st.none() | st.floats(-3, 3) | st.just(float("nan")), st.none() | st.floats(-3, 3)), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(losses, st.integers(2, 5), st.integers(0, 6), st.none() | st.floats(0.1, 2), st.integers(0, 30))
def test_it_never_falls_and_resumes(rounds, memory: int, warmup: int, most: float | None, kill: int) -> None:
    growth = Growth(memory=memory, most=most)
    weight = GrowingWeight(0.5, growth, warmup_rounds=warmup)
    other = GrowingWeight(0.5, growth, warmup_rounds=warmup)
    last = weight.value
    for number, (batch_norm, adversarial) in enumerate(rounds):
        if number == kill:
            other.load_state_dict(weight.state_dict())
        for growing in (weight, other) if number >= kill else (weight,):
            growing.update(batch_norm=batch_norm, adversarial=adversarial)
        assert weight.value >= last
        assert weight.value <= max(0.5, most or 99)
        last = weight.value
        if number >= kill:
            assert other.value == weight.value
            assert other.state_dict().keys() == weight.state_dict().keys()
        if number + 1 < max(2, warmup):
            assert weight.value == 0.5


def grown(weight: GrowingWeight, *rounds: tuple[float | None, float | None]) -> float:
    for batch_norm, adversarial in rounds:
        weight.update(batch_norm=batch_norm, adversarial=adversarial)
    return weight.value


def test_both_losses_must_be_below_all_before() -> None:
    both = [(3.0, -1.0), (2.0, -2.0)]
    assert grown(GrowingWeight(1.0, Growth(memory=3)), both[0]) == 1.0
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both) == pytest.approx(1.1), "with fewer than `memory` rounds"
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (1.0, -3.0)) == pytest.approx(1.2)
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (1.0, -2.0)) == pytest.approx(1.1)
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (2.5, -3.0)) == pytest.approx(1.1)
    assert grown(GrowingWeight(1.0, Growth(memory=2)), (3.0, -9.0), *both) == pytest.approx(1.1), "a loss long ago"


def test_a_loss_that_is_not_used_has_no_say() -> None:
    assert grown(GrowingWeight(1.0, Growth(memory=2)), (3.0, None), (2.0, None)) == pytest.approx(1.1)
    assert grown(GrowingWeight(1.0, Growth(memory=2)), (None, -1.0), (None, -2.0)) == pytest.approx(1.1)
    assert grown(GrowingWeight(1.0, Growth(memory=2)), (None, None), (None, None)) == 1.0
    assert grown(GrowingWeight(1.0, Growth(memory=2)), (3.0, None), (2.0, -1.0)) == 1.0, "nothing to compare with"


def test_limit_and_no_growth() -> None:
    falling = [(9.0 - number, -float(number)) for number in range(9)]
    assert grown(GrowingWeight(1.0, Growth(memory=2, most=1.25)), *falling) == 1.25
    assert grown(GrowingWeight(2.0, Growth(memory=2, most=1.25)), *falling) == 2.0, "it never falls"
    assert grown(GrowingWeight(1.0, None), *falling) == 1.0
    assert not at_their_least([[], [1.0]])
