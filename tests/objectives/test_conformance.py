"""What every registered objective must do; a new one is covered by being registered."""

import inspect
from typing import Any

import pytest
import torch
from tests.objectives.pairs import ALL, BATCH, CLASSES, SMALL, Pair, tensors
from torch import Tensor

from limbeck.errors import UserError
from limbeck.objectives import Objective, WeightedSum, weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES, objective_class
from limbeck.objectives.objective import SIGNALS

# Families of other stage counts, sizes and channels; and transformers, whose stages are maps of equal size.
PAIRS = [
    ("vgg8", "ResNet50"),
    ("MobileNetV2", "resnet8x4"),
    ("timm:test_vit", "timm:test_vit3"),
    ("resnet8", "timm:test_vit"),
]
EQUAL_CHANNELS = {"fsp", "kdsvd"}
PRE_ACTIVATIONS = {"ab"}
DETACHED_WEIGHTS = {"wsld", "ea_kd"}  # of images, by what the student knows; no part of the gradient


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def pair() -> Pair:
    return Pair()


def term(made: WeightedSum) -> Objective:
    (one,) = made.objectives().values()
    return one


def built(pair: Pair, name: str, **changes: Any) -> Objective:
    """The objective itself, whose `forward` is its loss in any phase."""
    preparing = {"preparing": 0.0} if "preparing" in OBJECTIVES[name].options else {}
    return term(pair.build(name, **preparing, **changes))


def value(objective: Objective, given: dict[str, Any]) -> Tensor:
    return objective(**{need: given[need] for need in objective.needs})


def test_catalogue_and_classes_agree(name: str) -> None:
    entry, builder = OBJECTIVES[name], objective_class(name)
    head = ("teacher_head",) if builder.reads_teacher_head else ()
    assert set(builder().needs + head) == set(entry.needs)
    assert set(builder().needs) <= SIGNALS
    defaults = {key: one.default for key, one in inspect.signature(builder).parameters.items()}
    assert defaults == entry.options


def test_published_use_is_a_recipe(name: str) -> None:
    entry = OBJECTIVES[name]
    assert entry.weight == (1.0 if name == "kd" else entry.typical[name])
    assert weighted_sum(entry.typical).weights == entry.typical


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_no_number_may_be_negative_or_endless(name: str, value: float) -> None:
    for option, default in OBJECTIVES[name].options.items():
        if isinstance(default, float):
            with pytest.raises(UserError, match=f"`{option}` must be"):
                objective_class(name)(**{option: value})


@pytest.mark.parametrize(("scale", "constant"), [(1.0, False), (1e3, False), (1.0, True)])
def test_value_and_gradient_are_finite(name: str, pair: Pair, scale: float, constant: bool) -> None:
    objective = built(pair, name)
    given = pair.signals(scale, constant=constant)
    loss = value(objective, given)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    reached = False
    for need in objective.needs:
        for one in tensors(given[need]):
            if need.startswith("teacher"):
                assert one.grad is None, "the teacher is never taught"
            elif one.grad is not None:
                reached = True
                assert one.grad.isfinite().all(), need
    assert reached
    assert all(one.grad is None or one.grad.isfinite().all() for one in objective.parameters())


@pytest.mark.parametrize("name", [name for name in ALL if "student_logits" in OBJECTIVES[name].needs])
def test_saturated_logits_are_finite(name: str, pair: Pair) -> None:
    given = pair.signals()
    for who in ("student", "teacher"):
        signs = torch.randint(0, 2, (BATCH, CLASSES), generator=torch.Generator().manual_seed(len(who))) * 2 - 1
        given[f"{who}_logits"] = (signs * 1e3).float().requires_grad_()
    loss = value(built(pair, name), given)
    loss.backward()
    assert loss.isfinite()
    assert given["student_logits"].grad.isfinite().all()


@pytest.mark.parametrize("name", [name for name in ALL if name not in DETACHED_WEIGHTS])
def test_gradient_descends(name: str, pair: Pair) -> None:
    """A small step of the student's outputs against the gradient lowers the loss, by what the gradient says."""
    given = pair.signals()
    value(built(pair, name), given).backward()
    before = value(built(pair, name), given).item()  # a second time, as memories change
    square = 0.0
    with torch.no_grad():
        leaves = [one for need in given if need.startswith("student") for one in tensors(given[need])]
        square = sum(one.grad.square().sum().item() for one in leaves if one.grad is not None)
        step = 1e-3 * abs(before) / square
        for one in leaves:
            if one.grad is not None:
                one -= step * one.grad
    after = value(built(pair, name), given).item()
    assert after - before == pytest.approx(-step * square, rel=0.2, abs=2e-6)


def test_same_seed_same_value_and_state_round_trip(name: str, pair: Pair) -> None:
    first = built(pair, name)
    value(first, pair.signals())
    other = built(
        pair,
        name,
    )
    other.load_state_dict(first.state_dict())
    assert value(first, pair.signals()).item() == value(other, pair.signals()).item()
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), other.state_dict().values(), strict=True))
    again = [value(built(pair, name), pair.signals()).item() for _ in range(2)]
    assert again[0] == again[1]


def test_outputs_computed_in_bf16_make_little_difference(name: str, pair: Pair) -> None:
    exact = value(built(pair, name), pair.signals())
    rough = value(built(pair, name), pair.signals(rounded=True))
    assert rough.item() == pytest.approx(exact.item(), rel=0.1, abs=0.05)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_any_batch_size_works(name: str, pair: Pair, count: int) -> None:
    objective = built(pair, name)
    value(objective, pair.signals())
    given = pair.signals(count=count)
    loss = value(objective, given)
    loss.backward()
    assert loss.isfinite()
    for need in objective.needs:
        assert all(one.grad is None or one.grad.isfinite().all() for one in tensors(given[need]))
    assert value(objective, pair.signals()).isfinite()


@pytest.mark.parametrize("name", [name for name in ALL if "form" in OBJECTIVES[name].options])
@pytest.mark.parametrize("networks", [("resnet8", "wrn_16_1"), *PAIRS], ids="-".join)
def test_the_authors_form_conforms_too(name: str, networks: tuple[str, str]) -> None:
    pair = Pair(*networks)
    first, other = (built(pair, name, form="authors") for _ in range(2))
    for changes in ({}, {"scale": 1e3}, {"constant": True}, {"count": 1}, {"count": 5}):
        given = pair.signals(**changes)
        loss = value(first, given)
        loss.backward()
        assert loss.isfinite(), changes
        grads = [(need, one.grad) for need in first.needs for one in tensors(given[need])]
        assert any(grad is not None for need, grad in grads if need.startswith("student")), changes
        assert all(grad is None for need, grad in grads if need.startswith("teacher")), changes
        assert all(grad.isfinite().all() for _, grad in grads if grad is not None), changes
    other.load_state_dict(first.state_dict())
    assert value(first, pair.signals()).item() == value(other, pair.signals()).item()


@pytest.mark.parametrize("networks", PAIRS, ids="-".join)
def test_other_families(name: str, networks: tuple[str, str]) -> None:
    pair = Pair(*networks)
    transformer = any(one.startswith("timm:") for one in networks)
    channels = {one.shape[1] for one in (*pair.setup.student.stages, *pair.setup.teacher.stages)}
    if (name in EQUAL_CHANNELS and len(channels) > 1) or (name in PRE_ACTIVATIONS and transformer):
        with pytest.raises(UserError, match=r"equal channels|at least 1 pair"):
            built(pair, name)
        return
    given = pair.signals()
    loss = value(built(pair, name), given)
    loss.backward()
    assert loss.isfinite()
    assert all(
        one.grad is None or one.grad.isfinite().all()
        for need, leaf in given.items()
        if need.startswith("student")
        for one in tensors(leaf)
    )


def test_every_objective_can_be_a_term(name: str, pair: Pair) -> None:
    made = weighted_sum(
        {name: {"weight": 2.0, **SMALL.get(name, {})}, **({"ce": 1} if name != "cross_entropy" else {})}
    )
    made.build(pair.setup, seed=0)
    total, terms = made(pair.signals())
    assert total.item() == pytest.approx(sum(made.weights[key] * one.item() for key, one in terms.items()), rel=1e-5)


def test_one_terms_parameters_do_not_depend_on_the_others(pair: Pair) -> None:
    alone = pair.build("icd")
    beside = weighted_sum({"crd": {"negatives_count": 4}, "icd": 1})
    beside.build(pair.setup, seed=0)
    mine, theirs = alone.objectives()["icd"].state_dict(), beside.objectives()["icd"].state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    other = pair.build("icd", seed=1).objectives()["icd"].state_dict()
    assert not torch.equal(mine["student_linear.weight"], other["student_linear.weight"])


def test_parts_are_asked_for_before_use(pair: Pair) -> None:
    with pytest.raises(UserError, match="call its `build`"):
        value(objective_class("icd")(), pair.signals())
