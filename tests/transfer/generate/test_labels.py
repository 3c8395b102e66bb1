from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from limbeck.errors import UserError
from limbeck.transfer.generate.labels import biased_labels, wanted_labels

GOLDEN = Path(__file__).parents[2] / "golden" / "datafree"
RULES = ("uniform", "sorted", "even", "balanced")


def test_biased_labels_are_the_references() -> None:
    with np.load(GOLDEN / "biased_labels.npz") as golden:
        labels = biased_labels(torch.from_numpy(golden["in.counts"]), torch.from_numpy(golden["in.uniform"]))
        assert labels.tolist() == golden["out.labels"].tolist()
        shares = torch.bincount(
            biased_labels(torch.from_numpy(golden["in.counts"]), torch.linspace(0, 1, 100_001)), minlength=10
        )
        np.testing.assert_allclose(shares / 100_001, golden["out.probabilities"], atol=1e-4)


counts = st.lists(st.integers(0, 10**9) | st.just(0), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(counts, st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_biased_labels_are_always_labels_and_never_the_largest_class(held: list[int], uniforms: list[float]) -> None:
    labels = biased_labels(torch.tensor(held), torch.tensor([*uniforms, 0.0, 1.0, 1 - 2**-24]))
    assert labels.dtype == torch.int64
    assert int(labels.min()) >= 0
    assert int(labels.max()) < len(held)
    if len(set(held)) > 1:
        assert not any(held[label] == max(held) for label in labels.tolist())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(RULES), st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**40), st.integers(0, 9))
def test_labels_are_a_function_of_seed_and_call(rule, count: int, classes: int, seed: int, call: int) -> None:
    held = torch.arange(classes)
    labels = wanted_labels(rule, count, classes, seed=seed, call=call, held=held)
    assert labels.shape == (count,)
    assert bool(((labels >= 0) & (labels < classes)).all())
    torch.rand(3)
    assert torch.equal(labels, wanted_labels(rule, count, classes, seed=seed, call=call, held=held))
    if rule == "sorted":
        assert labels.tolist() == sorted(labels.tolist())
        drawn = wanted_labels("uniform", count, classes, seed=seed, call=call)
        assert torch.equal(labels, drawn.sort().values)
    if rule == "even":
        sizes = torch.bincount(labels, minlength=classes)
        assert int(sizes.max() - sizes.min()) <= 1


def test_calls_and_seeds_have_labels_of_their_own() -> None:
    for rule in RULES:
        drawn = {
            tuple(wanted_labels(rule, 40, 5, seed=seed, call=call, held=torch.arange(5)).tolist())
            for seed in (0, 1)
            for call in (0, 1)
        }
        assert len(drawn) == 4, rule


def test_balanced_labels_of_equal_classes_are_uniform() -> None:
    for held in (torch.full((4,), 7), torch.zeros(4)):
        labels = wanted_labels("balanced", 4000, 4, seed=0, call=0, held=held)
        assert int(torch.bincount(labels, minlength=4).min()) > 850
    assert biased_labels([5], torch.rand(9)).tolist() == [0] * 9


def test_balanced_labels_make_classes_equal() -> None:
    held = torch.tensor([50, 400, 120, 0])
    for call in range(30):
        labels = wanted_labels("balanced", 100, 4, seed=3, call=call, held=held)
        held = held + torch.bincount(labels, minlength=4)
    assert int(held.max()) < 1.05 * int(held.min())


def test_messages() -> None:
    with pytest.raises(UserError, match="`held` must be the images of each class that there are"):
        wanted_labels("balanced", 4, 3, seed=0, call=0)
    with pytest.raises(UserError, match=r"`held` must be \[3\], one for each class, got \[2\]"):
        wanted_labels("balanced", 4, 3, seed=0, call=0, held=[1, 2])
    with pytest.raises(UserError, match="`count` must be at least 1, got 0"):
        wanted_labels("uniform", 0, 3, seed=0, call=0)
    with pytest.raises(UserError, match="`num_classes` must be at least 1, got 0"):
        wanted_labels("even", 1, 0, seed=0, call=0)
    with pytest.raises(UserError, match="unknown rule of labels 'evn'; did you mean 'even'"):
        wanted_labels("evn", 1, 1, seed=0, call=0)  # pyright: ignore[reportArgumentType]
    for wrong in ([], [1.0, float("nan")], [2, -1], [[1, 2]]):
        with pytest.raises(UserError, match=r"`held` must be \[K\] counts of at least 0"):
            biased_labels(torch.tensor(wrong), torch.rand(2))
    with pytest.raises(UserError, match=r"`uniforms` must lie in 0\.\.1"):
        biased_labels([1, 2], torch.tensor([1.5]))
