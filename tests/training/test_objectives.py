"""Every objective in the loop: built before the first step, resumed bit for bit, two-phase methods phase by phase."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.conftest import Run
from tests.training.stopping import stop_at
from tests.training.tiny import network, same, settings, stripes, weights

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import create
from limbeck.objectives import weighted_sum
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.training import Interrupted, RunFolder
from limbeck.training.checkpoint import Checkpoint

SMALL = {"crd": {"negatives_count": 12}, "rrd": {"negatives_count": 12}}
EQUAL_CHANNELS = {"fsp", "kdsvd"}
TWO_PHASES = ["ab", "fsp", "ft"]
BRIEF = settings(steps=6, checkpoint_seconds=1000, validations=0, learning_rate=0.01)


def combined(name: str) -> dict[str, Any]:
    """The objective beside three others."""
    spec: dict[str, Any] = {"cross_entropy": 1, "kd": 1, "rrd": {"weight": 1, **SMALL["rrd"]}}
    spec[name] = {"weight": 0.01, **SMALL.get(name, {})}
    if "preparing" in OBJECTIVES[name].options:
        spec[name]["preparing"] = 0.4
    return spec


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_interrupted_run_resumes_to_the_same_bits(
    name: str, step: int, teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    teacher = network(9, width=4 if name in EQUAL_CHANNELS else 6)
    if name == "simkd":  # needs a teacher that pools before its head
        teacher = create("resnet8", num_classes=2, channels=1)
    whole = teach("whole", objective=weighted_sum(combined(name)), settings=BRIEF, teacher=teacher)
    stop_at(step, monkeypatch)
    with pytest.raises(Interrupted):
        teach(objective=weighted_sum(combined(name)), settings=BRIEF, teacher=teacher)
    monkeypatch.undo()
    resumed = teach(resume=True, objective=weighted_sum(combined(name)), settings=BRIEF, teacher=teacher)
    assert same(weights(resumed.student), weights(whole.student))
    first, second = (Checkpoint.load(tmp_path / folder / "checkpoint.safetensors") for folder in ("whole", "run"))
    assert same(first.tensors, second.tensors)
    assert resumed.teacher_passes == whole.teacher_passes


@pytest.mark.parametrize("name", TWO_PHASES)
def test_phases(name: str, teach: Run, tmp_path: Path) -> None:
    objective = weighted_sum({"cross_entropy": 1, name: {"preparing": 0.4}})
    teach(objective=objective, settings=settings(steps=10, validations=0, schedule="constant", learning_rate=0.02))
    entries = [entry for entry in RunFolder(tmp_path / "run").metrics() if entry["kind"] == "train"]
    terms = [set(entry["terms"]) for entry in entries]
    assert terms[:4] == [{name}] * 4
    assert terms[4:] == [{"cross_entropy", "ft"} if name == "ft" else {"cross_entropy"}] * 6
    rates = [entry["learning_rate"] for entry in entries]
    assert rates == pytest.approx([0.02 * (0.2 if name == "ft" else 1)] * 4 + [0.02] * 6)


def test_what_learns_in_which_phase(teach: Run) -> None:
    """First the paraphraser learns and the student stays; then the student and the translator learn and it stays."""
    student, objective = network(), weighted_sum({"cross_entropy": 1, "ft": {"preparing": 0.75}})
    before = {key: value.detach().clone() for key, value in student.named_parameters()}
    states: list[dict[str, torch.Tensor]] = []

    def spy(module: torch.nn.Module, *_: Any) -> None:
        states.append(
            {
                **{f"s.{k}": v for k, v in weights(student).items()},
                **{k: v.clone() for k, v in module.state_dict().items()},
            }
        )

    objective.register_forward_pre_hook(spy)
    teach(student=student, objective=objective, settings=settings(steps=4, validations=0))
    assert [states[3][f"s.{key}"].equal(value) for key, value in before.items()] == [True] * len(before)
    paraphraser = [key for key in states[0] if ".paraphraser." in key]
    assert paraphraser
    assert not any(torch.equal(states[0][key], states[3][key]) for key in paraphraser)
    last = objective.state_dict()
    assert all(torch.equal(states[3][key], last[key]) for key in paraphraser)
    assert not any(torch.equal(value, student.state_dict()[key]) for key, value in before.items() if "weight" in key)


def test_preparing_teaches_stages_and_leaves_the_head(teach: Run) -> None:
    student = network()
    before = weights(student)
    objective = weighted_sum({"cross_entropy": 1, "ab": {"preparing": 0.99}})
    teach(
        student=student, objective=objective, settings=settings(steps=2, validations=0, warmup=0.9, learning_rate=0.01)
    )
    changed = {key: not torch.equal(value, student.state_dict()[key]) for key, value in before.items()}
    assert changed["network.layers.1.0.weight"]


def test_teacher_is_not_asked_when_no_term_needs_it_any_more(teach: Run) -> None:
    result = teach(objective=weighted_sum({"ce": 1, "fsp": {"preparing": 0.25}}), settings=settings(steps=8))
    assert result.teacher_passes == 2 * 8


def test_two_phase_method_needs_something_to_do_afterwards() -> None:
    with pytest.raises(UserError, match="above 0 after its preparing phase"):
        weighted_sum("fsp")
    weighted_sum({"fsp": {"preparing": 0}})


@pytest.mark.parametrize("share", [-0.1, 1])
def test_preparing_is_a_share(share: float) -> None:
    with pytest.raises(UserError, match=r"`preparing` must be a share of the run, at least 0 and below 1, got"):
        weighted_sum({"ce": 1, "ab": {"preparing": share}})


def test_misfits_of_all_terms_come_before_training_in_one_message(teach: Run, tmp_path: Path) -> None:
    spec = {"cross_entropy": 1, "fsp": 1, "kdsvd": 1, "fitnet": {"stage": 7}}
    with pytest.raises(UserError) as error:
        teach(objective=weighted_sum(spec), teacher=network(9, width=6))
    text = str(error.value)
    assert "stage 0 of the student [4x32x32] and stage 0 of the teacher [6x32x32]" in text
    assert "stage 2 of the student" in text
    assert "`kdsvd` compares stages of equal channels" in text
    assert "`objective.fitnet.stage` must be between -3 and 2, as the student has 3 stages, got 7" in text
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize("name", ["crd", "rrd"])
def test_momentum_memory_works_on_a_subset_by_id(name: str, teach: Run, images: ImageSet) -> None:
    spec = {"ce": 1, name: {"memory": "momentum", "negatives_count": 5}}
    subset = images.subset(torch.tensor([31, 2, 17, 8, 25, 4, 39]))
    objective = weighted_sum(spec)
    teach(source=subset, objective=objective, settings=settings(steps=4, validations=0))
    assert objective.state_dict()[f"terms.{name}.memory.ids"].tolist() == [2, 4, 8, 17, 25, 31, 39]


def test_unlabelled_images_need_other_negatives(teach: Run) -> None:
    unlabelled = ImageSet(stripes(12).tensor())
    with pytest.raises(UserError, match="set `negatives: any`"):
        teach(source=unlabelled, objective=weighted_sum({"kd": 1, "crd": {"negatives_count": 4}}))
    spec = {"kd": 1, "crd": {"negatives_count": 4, "negatives": "any"}}
    teach("again", source=unlabelled, objective=weighted_sum(spec), settings=settings(steps=2, validations=0))


def test_head_that_is_not_linear_is_named(teach: Run) -> None:
    teacher = network(9)
    head = teacher.network.get_submodule("head")
    teacher.network.add_module("head", torch.nn.Sequential(head))
    with pytest.raises(
        UserError, match="`srrl` reuses the teacher's classifier head, which must be a linear layer of 64"
    ):
        teach(teacher=teacher, objective=weighted_sum({"ce": 1, "srrl": 1}))
