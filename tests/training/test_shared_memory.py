"""Students whose tensors share memory train and resume correctly; those that cannot be trained or saved are refused."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tests.training.conftest import Run
from tests.training.tiny import network, same, settings, stripes, weights
from torch import Tensor, nn

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.models.shared_memory import is_dense, keeping_shared
from limbeck.models.weights.adapt import load_state
from limbeck.objectives import weighted_sum
from limbeck.recipes.run_result import read_run
from limbeck.training import Interrupted, RunFolder
from limbeck.training.checkpoint import Checkpoint


class Body(nn.Module):
    """A network of linear layers, whose second layer the tests change."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second, self.head = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.flatten(1)).relu()
        return self.head(self.second(hidden).relu())


def wrapped(body: nn.Module) -> Classifier:
    return lb.wrap(body, num_classes=2, input_size=8, channels=1, mean=[0.5], std=[0.25], classes=("rows", "columns"))


def tied() -> Body:
    body = Body()
    body.third = copy.deepcopy(body.second)
    body.third.weight = body.second.weight
    return body


def views() -> Body:
    """One buffer is a slice of another and one its transpose; `forward` writes into the whole."""

    class Counting(Body):
        def forward(self, images: Tensor) -> Tensor:
            if self.training:
                self.whole += 1
            return super().forward(images) + self.part.mean()

    body = Counting()
    whole = torch.zeros(2, 3, 4, 4)
    body.register_buffer("whole", whole)
    body.register_buffer("part", whole[:1])
    body.register_buffer("turned", whole.transpose(0, 1))
    return body


def expanded() -> Body:
    body = Body()
    body.register_buffer("scale", torch.ones(1).expand(4))
    body.register_buffer("grid", torch.arange(3.0).view(3, 1).expand(3, 4))
    return body


def of_parameters() -> Body:
    """A buffer is a view of a trained weight, and two parameters are halves of one tensor."""
    body = Body()
    body.register_buffer("seen", body.second.weight.data[:2])
    both = torch.randn(2, 2, 16, generator=torch.Generator().manual_seed(0))
    body.head.weight = nn.Parameter(both[0])
    body.spare = nn.Parameter(both[1], requires_grad=False)
    return body


def strided() -> Body:
    body = Body()
    body.second.weight = nn.Parameter(torch.randn(16, 32, generator=torch.Generator().manual_seed(0))[:, ::2])
    body.head.weight = nn.Parameter(torch.randn(16, 2, generator=torch.Generator().manual_seed(0)).t())
    return body


def odd_kinds() -> Body:
    body = Body()
    body.register_buffer("narrow", torch.ones(3, dtype=torch.bfloat16))
    body.register_buffer("scalar", torch.tensor(2.0))
    body.register_buffer("small", torch.ones(2).to(torch.float8_e4m3fn))
    body.register_buffer("none", torch.zeros(0, 3))
    body.register_buffer("nothing", torch.zeros(0, 3))
    body.index = nn.Parameter(torch.arange(3), requires_grad=False)
    body.temperature = nn.Parameter(torch.tensor(1.0))
    return body


def buffer_of_two_names() -> Body:
    body = tied()
    mask = torch.ones(1, 1, 2, 2)
    body.first.register_buffer("mask", mask)
    body.second.register_buffer("mask", mask)
    return body


KINDS = [tied, views, expanded, of_parameters, strided, odd_kinds, buffer_of_two_names]


def storages(module: nn.Module) -> list[list[str]]:
    """Names of tensors that share memory, in groups."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if tensor.numel():
            names_of.setdefault(tensor.untyped_storage().data_ptr(), []).append(name)
    return sorted(sorted(group) for group in names_of.values() if len(group) > 1)


def stopping(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = RunFolder.append_metrics

    def interrupt(run_folder: RunFolder, **entry: Any) -> None:
        original(run_folder, **entry)
        if entry["step"] == step and entry["kind"] == "train":
            raise Interrupted("stopped")

    monkeypatch.setattr(RunFolder, "append_metrics", interrupt)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("make", KINDS)
def test_what_is_shared_is_taught_and_resumed(
    teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[[], Body], optimizer: str
) -> None:
    rate = {"settings": settings(optimizer=optimizer, learning_rate=0.01)}
    whole = teach("whole", student=wrapped(make()), **rate)
    with monkeypatch.context() as patch:
        stopping(patch, 7)
        with pytest.raises(Interrupted):
            teach("run", student=wrapped(make()), **rate)
    assert Checkpoint.load(tmp_path / "run" / "checkpoint.safetensors").step == 6
    resumed = teach("run", student=wrapped(make()), resume=True, **rate)
    assert same(weights(resumed.student), weights(whole.student))
    assert storages(resumed.student) == storages(whole.student) == storages(wrapped(make()))
    before = weights(wrapped(make()))
    assert not torch.equal(resumed.student.state_dict()["network.second.weight"], before["network.second.weight"])


def test_tied_weights_learn_as_one(teach: Run) -> None:
    class Twice(Body):
        def forward(self, images: Tensor) -> Tensor:
            hidden = self.first(images.flatten(1)).relu()
            return self.head(self.third(self.second(hidden).relu()).relu())

    def made() -> Body:
        body = Twice()
        body.third = nn.Linear(16, 16)
        body.third.load_state_dict(body.second.state_dict())
        return body

    joined = made()
    joined.third.weight = joined.second.weight
    apart, together = (teach(f"{number}", student=wrapped(body)) for number, body in enumerate((made(), joined)))
    state = together.student.state_dict()
    assert torch.equal(state["network.second.weight"], state["network.third.weight"])
    other = apart.student.state_dict()
    assert not torch.equal(other["network.second.weight"], other["network.third.weight"])


def test_every_element_of_a_strided_weight_learns_and_none_beside_it(teach: Run) -> None:
    behind = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    untouched = behind[:, 1::2].clone()
    dense, body = Body(), Body()
    body.second.weight = nn.Parameter(behind[:, ::2])
    dense.second.weight = nn.Parameter(behind[:, ::2].clone())
    plain = {"settings": settings(precision="fp32")}
    result, expected = (teach(name, student=wrapped(module), **plain) for name, module in (("s", body), ("d", dense)))
    assert torch.equal(behind[:, 1::2], untouched)
    for name, value in expected.student.state_dict().items():
        torch.testing.assert_close(result.student.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_some_frozen_parameters_stay_as_they_are(teach: Run) -> None:
    body = Body()
    body.first.requires_grad_(False)
    before = weights(wrapped(body))
    after = teach(student=wrapped(body), settings=settings(weight_decay=0.1)).student.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert moved == {f"network.{layer}.{part}" for layer in ("second", "head") for part in ("weight", "bias")}


def changed(change: Callable[[Body], Any]) -> Body:
    body = Body()
    change(body)
    return body


class Scaled(nn.Linear):
    """Like copies of scripted modules, it has parameters that are computed from others."""

    def __init__(self) -> None:
        super().__init__(16, 16)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Scaled":
        copied = Scaled()
        copied._parameters["weight"] = self.weight.clone()  # pyright: ignore[reportArgumentType]
        return copied


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "half": (lambda: Body().half(), r"parameters must be float32, got torch.float16; call `.float\(\)`"),
    "double": (lambda: Body().double(), r"parameters must be float32, got torch.float64; call `.float\(\)`"),
    "frozen": (
        lambda: changed(lambda b: b.requires_grad_(False)),
        r"must have a parameter that learns, got 6 .*frozen",
    ),
    "nothing": (
        lambda: nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(2)),
        "must have parameters to learn, got none",
    ),
    "lazy": (
        lambda: changed(lambda b: setattr(b, "head", nn.LazyLinear(2))),
        r"the student's network\.head\.weight, network\.head\.bias must have a shape, got lazy parameters",
    ),
    "lazy norm": (
        lambda: changed(lambda b: setattr(b, "norm", nn.LazyBatchNorm1d())),
        r"network\.norm\.weight, network\.norm\.bias, network\.norm\.running_mean and 1 more must have a shape",
    ),
    "meta": (
        lambda: changed(lambda b: setattr(b, "head", nn.Linear(16, 2, device="meta"))),
        "must have values, got tensors on the meta device",
    ),
    "expanded": (
        lambda: changed(lambda b: setattr(b.head, "weight", nn.Parameter(torch.ones(1, 16).expand(2, 16)))),
        r"the student's network\.head\.weight must have memory for each element to learn, got expanded tensors",
    ),
    "sparse": (
        lambda: changed(lambda b: b.register_buffer("graph", torch.eye(3).to_sparse())),
        r"must be plain tensors that safetensors can hold, got network\.graph \(sparse_coo\)",
    ),
    "complex": (
        lambda: changed(lambda b: b.register_buffer("waves", torch.zeros(3, dtype=torch.complex128))),
        r"got network\.waves \(complex128\)",
    ),
    "extra state": (
        lambda: changed(lambda b: setattr(b, "extra", Extra())),
        r"got network\.extra\._extra_state \(dict\)",
    ),
}


class Extra(nn.Module):
    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: Any) -> None:
        pass


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_learn_or_be_kept_is_refused_before_the_first_step(teach: Run, tmp_path: Path, kind: str) -> None:
    make, message = REFUSED[kind]
    with pytest.raises(UserError, match=message):
        teach(student=wrapped(make()))
    assert not RunFolder(tmp_path / "run").metrics()
    with pytest.raises(UserError, match=message):
        lb.distill(network(9), wrapped(make()), stripes(40), out=tmp_path / "api", validation=0, steps=2)


def test_a_copy_with_parameters_that_are_results_of_others_is_refused(tmp_path: Path) -> None:
    student = wrapped(changed(lambda b: setattr(b, "second", Scaled())))
    with pytest.raises(UserError, match=r"network.second.weight must be leaves .*; give the module that was scripted"):
        lb.distill(network(9), student, stripes(40), out=tmp_path / "run", validation=0, steps=2)


def test_a_loss_that_reaches_nothing_that_learns_is_refused(teach: Run) -> None:
    student = network()
    student.requires_grad_(False)
    head = student.network.get_submodule(student.taps.embedding or "")
    head.requires_grad_(True)
    with pytest.raises(
        UserError, match=r"no parameter that learns shapes the loss at step 1 \(sp\); is it detached, or are"
    ):
        teach(student=student, objective=weighted_sum("sp"))


def test_modules_in_common_with_the_teacher_are_refused(teach: Run) -> None:
    body, other = Body(), Body()
    other.first = body.first
    with pytest.raises(
        UserError, match=r"share nothing with the teacher.* got network\.first\.weight, network\.first\.b"
    ):
        teach(student=wrapped(other), teacher=wrapped(body))
    teacher = network(9)
    with pytest.raises(UserError, match="share nothing with the teacher"):
        teach(student=teacher, teacher=teacher)


def test_a_function_may_give_parts_of_the_teacher_or_the_same_network_again(tmp_path: Path) -> None:
    body, other = Body(), Body()
    other.first = body.first
    teacher, student = wrapped(body), wrapped(other)
    before = weights(teacher)
    arguments = {"validation": 10, "steps": 4, "batch_size": 8, "views": "none", "test": stripes(20, seed=1)}
    first = lb.distill(teacher, lambda seed: student, stripes(40), out=tmp_path / "one", **arguments)
    second = lb.distill(teacher, lambda seed: student, stripes(40), out=tmp_path / "two", **arguments)
    assert same(weights(teacher), before)
    assert same(weights(first.student), weights(second.student))
    assert not same(weights(first.student), weights(wrapped(copy.deepcopy(other))))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_networks_that_cannot_be_copied_are_refused_before_the_first_step(teach: Run, tmp_path: Path) -> None:
    classifier = wrapped(changed(lambda b: nn.utils.weight_norm(b.second)))
    with pytest.raises(
        UserError, match=r"the student must be a module that `copy\.deepcopy` can copy .*parametrizations"
    ):
        lb.distill(network(9), classifier, stripes(40), out=tmp_path / "api", validation=0, steps=2)
    with pytest.raises(UserError, match="the teacher must be a module that"):
        teach(teacher=classifier)
    renewed = wrapped(changed(lambda b: nn.utils.parametrizations.weight_norm(b.second)))
    assert (
        lb.distill(network(9), renewed, stripes(40), out=tmp_path / "new", validation=0, steps=2).cost["images"] == 40
    )


@pytest.mark.parametrize("make", KINDS)
def test_the_saved_student_and_the_chosen_one_keep_what_is_shared(tmp_path: Path, make: Callable[[], Body]) -> None:
    result = lb.distill(
        network(9),
        wrapped(make()),
        stripes(40),
        out=tmp_path / "run",
        test=stripes(20, seed=1),
        validation=10,
        steps=6,
        validations=2,
    )
    assert result.chosen is not None
    assert storages(result.chosen) == storages(wrapped(make()))
    again = read_run(tmp_path / "run", lambda seed: wrapped(make()))
    assert same(weights(again.student), weights(result.student))
    assert again.chosen is not None
    assert same(weights(again.chosen), weights(result.chosen))
    assert storages(again.student) == storages(wrapped(make()))


def test_files_that_hold_tied_weights_once_load(tmp_path: Path) -> None:
    body = tied()
    safetensors.torch.save_model(body, tmp_path / "tied.safetensors")
    assert len(safetensors.torch.load_file(tmp_path / "tied.safetensors")) == len(body.state_dict()) - 1
    fresh = tied()
    for parameter in fresh.parameters():
        nn.init.zeros_(parameter)
    load_state(fresh, tmp_path / "tied.safetensors")
    assert same(body.state_dict(), fresh.state_dict())
    assert fresh.third.weight is fresh.second.weight
    apart = tied()
    apart.third = nn.Linear(16, 16)
    with pytest.raises(UserError, match=r"1 missing: (second|third)\.weight"):
        load_state(apart, tmp_path / "tied.safetensors")


def test_moves_keep_what_is_shared() -> None:
    body = views()
    body.register_buffer("alias", body.whole)
    before = storages(body)
    with keeping_shared(body):
        body.to(memory_format=torch.channels_last)
        assert storages(body) != before
    assert storages(body) == before
    body.whole += 1
    assert body.part.min() == 1
    assert body.alias is body.whole


def test_dense() -> None:
    whole = torch.zeros(4, 6)
    assert all(
        is_dense(tensor) for tensor in (whole, whole.t(), whole[1:], torch.zeros(2, 3, 4, 4).permute(0, 3, 1, 2))
    )
    assert not any(is_dense(tensor) for tensor in (whole[:, ::2], whole[:, 1:], torch.zeros(1).expand(3)))
