"""What every registered objective must do; a new one is covered by being registered."""

import pytest
import torch
from tests.objectives.pairs import ALL, SMALL, Pair, tensors, value_of

from limbeck.errors import UserError
from limbeck.objectives import weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES, objective_class
from limbeck.testing import Check, checks_for
from limbeck.testing.objectives import NETWORKS, works_with

EQUAL_CHANNELS = {"fsp", "kdsvd"}
PRE_ACTIVATIONS = {"ab"}
FIRST_STAGES = {"semckd": {"stages": "1:3"}}  # its layers for a ResNet-50's last stage alone have 600 MB
DETACHED = {"gradient descends": "images weigh by what the student knows, which is no part of the gradient"}
ORDER = "order of a batch makes no difference"
BUT = {
    "wsld": DETACHED,
    "ea_kd": DETACHED,
    "cc": {ORDER: "each image is compared with the next, as the authors' code does"},
    "crd": {ORDER: "negatives are drawn for places in the batch"},
    "rrd": {ORDER: "negatives are drawn for places in the batch"},
}
FAMILIES = {f"from {teacher} to {student}": "see `test_other_families`" for student, teacher in NETWORKS}


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def pair() -> Pair:
    return Pair()


CHECKS = [
    check
    for name in ALL
    for check in checks_for("objectives", name, SMALL.get(name), but={**FAMILIES, **BUT.get(name, {})})
]


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_conforms(check: Check) -> None:
    check()


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


@pytest.mark.parametrize("name", [name for name in ALL if "form" in OBJECTIVES[name].options])
@pytest.mark.parametrize("networks", [("resnet8", "wrn_16_1"), *NETWORKS], ids="-".join)
def test_the_authors_form_conforms_too(name: str, networks: tuple[str, str]) -> None:
    pair = Pair(*networks)
    first, other = (pair.objective(name, form="authors") for _ in range(2))
    for changes in ({}, {"scale": 1e3}, {"constant": True}, {"count": 1}, {"count": 5}):
        signals = pair.signals(**changes)
        loss = value_of(first, signals)
        loss.backward()
        assert loss.isfinite(), changes
        grads = [(need, tensor.grad) for need in first.needs for tensor in tensors(signals[need])]
        assert any(grad is not None for need, grad in grads if need.startswith("student")), changes
        assert all(grad is None for need, grad in grads if need.startswith("teacher")), changes
        assert all(grad.isfinite().all() for _, grad in grads if grad is not None), changes
    other.load_state_dict(first.state_dict())
    assert value_of(first, pair.signals()).item() == value_of(other, pair.signals()).item()


@pytest.mark.parametrize("networks", NETWORKS, ids="-".join)
def test_other_families(name: str, networks: tuple[str, str]) -> None:
    pair = Pair(*networks)
    transformer = any(network.startswith("timm:") for network in networks)
    channels = {stage.shape[1] for stage in (*pair.setup.student.stages, *pair.setup.teacher.stages)}
    options = {**SMALL.get(name, {}), **FIRST_STAGES.get(name, {})}
    if (name in EQUAL_CHANNELS and len(channels) > 1) or (name in PRE_ACTIVATIONS and transformer):
        with pytest.raises(UserError, match=r"equal channels|at least 1 pair"):
            works_with(name, options, networks)
        return
    works_with(name, options, networks)


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
        value_of(objective_class("icd")(), pair.signals())
