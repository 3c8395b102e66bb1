import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

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
        if number + 1 < max(memory, warmup):
            assert weight.value == 0.5


def grown(weight: GrowingWeight, *rounds: tuple[float | None, float | None]) -> float:
    for batch_norm, adversarial in rounds:
        weight.update(batch_norm=batch_norm, adversarial=adversarial)
    return weight.value


def test_both_losses_must_be_below_all_before() -> None:
    both = [(3.0, -1.0), (2.0, -2.0)]
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both) == 1.0
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (1.0, -3.0)) == pytest.approx(1.1)
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (1.0, -2.0)) == 1.0
    assert grown(GrowingWeight(1.0, Growth(memory=3)), *both, (2.5, -3.0)) == 1.0
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
