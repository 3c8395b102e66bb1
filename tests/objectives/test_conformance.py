"""What every registered objective must do; a new one is covered by being registered."""

from collections.abc import Iterator

import pytest
import torch

from limbeck.models import create
from limbeck.objectives import Objective, weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.sums import BUILDERS

CLASSES = 10


@pytest.fixture(params=sorted(OBJECTIVES))
def objective(request: pytest.FixtureRequest) -> Iterator[Objective]:
    return BUILDERS[request.param]()


def signals(scale: float = 1.0, *, constant: bool = False, dtype: torch.dtype = torch.float32) -> dict[str, object]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, 32, 32, generator=generator)
    made: dict[str, object] = {"labels": torch.arange(6) % CLASSES, "ids": torch.arange(6)}
    for who, name in (("student", "resnet8"), ("teacher", "wrn_16_1")):
        outputs = create(name, num_classes=CLASSES)(images, want=("logits", "embedding", "stages"))
        for field, value in outputs._asdict().items():
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            leaves = tuple(
                (torch.zeros_like(v) if constant else v.detach() * scale).to(dtype).requires_grad_() for v in values
            )
            made[f"{who}_{field}"] = leaves if isinstance(value, tuple) else (leaves[0] if leaves else None)
    return made


def value(objective: Objective, given: dict[str, object]) -> torch.Tensor:
    return objective(**{need: given[need] for need in objective.needs})


def test_catalogue_and_builders_agree() -> None:
    assert set(OBJECTIVES) == set(BUILDERS)
    for name, entry in OBJECTIVES.items():
        assert set(BUILDERS[name]().needs) == set(entry.needs)
        BUILDERS[name](**entry.options)


@pytest.mark.parametrize(("scale", "constant"), [(1.0, False), (1e3, False), (1.0, True)])
def test_value_and_gradient_are_finite(objective: Objective, scale: float, constant: bool) -> None:
    given = signals(scale, constant=constant)
    loss = value(objective, given)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    for need in objective.needs:
        tensors = given[need] if isinstance(given[need], tuple) else (given[need],)
        for one in tensors:  # pyright: ignore[reportGeneralTypeIssues]
            if isinstance(one, torch.Tensor) and one.is_floating_point() and need.startswith("student"):
                assert one.grad is not None
                assert one.grad.isfinite().all()


def test_gradient_never_reaches_the_teacher(objective: Objective) -> None:
    given = signals()
    value(objective, given).backward()
    for need in objective.needs:
        if need.startswith("teacher"):
            one = given[need]
            assert isinstance(one, torch.Tensor)
            assert one.grad is None


def test_same_inputs_same_value_and_state_round_trip(objective: Objective) -> None:
    first = value(objective, signals())
    again = type(objective)()
    again.load_state_dict(objective.state_dict())
    assert value(again, signals()) == first


def test_bf16_is_close_to_float32(objective: Objective) -> None:
    exact, rough = value(objective, signals()), value(objective, signals(dtype=torch.bfloat16))
    assert rough.float().item() == pytest.approx(exact.item(), rel=0.05, abs=0.05)


def test_single_image_batches_work(objective: Objective) -> None:
    given = {key: one[:1] if isinstance(one, torch.Tensor) else one for key, one in signals().items()}
    assert value(objective, given).isfinite()


def test_every_objective_can_be_a_term(objective: Objective) -> None:
    name = next(name for name, builder in BUILDERS.items() if type(objective) is builder)
    total, terms = weighted_sum({name: 2.0})(signals())
    assert total.item() == pytest.approx(2 * terms[name].item(), rel=1e-6)
