"""The loop: it learns, repeats itself bit for bit, does not change the teacher, and reports errors."""

import math

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import named, network, same, settings, stripes, turned, weights

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation import predict
from limbeck.objectives import Objective, weighted_sum
from limbeck.objectives.sums import WeightedSum
from limbeck.training import RunFolder

EASY = settings(steps=80, learning_rate=0.02)
"""Far more steps than needed: a network of width 8 needs at most 25, over seeds, processors and precisions."""


def test_it_learns(teach: Run, tmp_path) -> None:
    result = teach(student=network(width=8), settings=EASY, teacher=None, objective=weighted_sum("cross_entropy"))
    assert result.best is not None
    assert result.best.top1 == 1.0
    losses = [entry["loss"] for entry in RunFolder(tmp_path / "run").metrics() if entry["kind"] == "train"]
    assert losses[-1] < 0.2 * losses[0]


def test_same_seed_same_student_bit_for_bit(teach: Run) -> None:
    first, again = teach("a"), teach("b")
    assert same(weights(first.student), weights(again.student))
    assert not same(weights(first.student), weights(teach("c", seed=1).student))


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "learning_rate": 0.01}], ids=["sgd", "adamw"])
def test_a_distilled_student_follows_its_teacher(teach: Run, validation: ImageSet, changes: dict) -> None:
    """The teacher takes rows for columns: a student that follows it is wrong on every image, never by chance."""
    turned = ImageSet(stripes(40).tensor(), 1 - stripes(40).labels, classes=("rows", "columns"))
    labels = {"source": turned, "teacher": None, "objective": weighted_sum("ce")}
    teacher = teach("t", student=network(9, width=8), settings=EASY, **labels).student
    easy = EASY.model_copy(update=changes)
    result = teach("s", student=network(width=8), settings=easy, teacher=teacher, objective=weighted_sum("kd"))
    assert predict(result.student, validation).argmax(1).eq(validation.labels).float().mean() == 0.0
    assert result.teacher_passes == EASY.steps * 8


def test_teacher_is_left_as_it_was(teach: Run) -> None:
    teacher = network(9).train()
    before = weights(teacher)
    teach(teacher=teacher)
    assert same(before, weights(teacher))
    assert teacher.training
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_global_random_state_is_left_as_it_was(teach: Run) -> None:
    before = torch.get_rng_state()
    teach()
    assert torch.equal(before, torch.get_rng_state())


def test_no_teacher_is_asked_where_no_term_reads_it(teach: Run) -> None:
    assert teach(objective=weighted_sum("cross_entropy")).teacher_passes == 0


def test_soft_labels_stand_in_for_a_teacher(teach: Run, images: ImageSet) -> None:
    teacher = network(9).eval()
    with torch.no_grad():
        soft_labels = teacher(images.tensor()).logits.softmax(1)
    plain = {"settings": settings(views="none", precision="fp32"), "objective": weighted_sum("kd")}
    by_teacher = teach("asked", teacher=teacher, **plain)
    by_logits = teach("told", teacher=None, source=TransferSet(images, soft_labels), **plain)
    for name, value in by_teacher.student.state_dict().items():
        torch.testing.assert_close(by_logits.student.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_sets_smaller_than_a_batch_work(teach: Run) -> None:
    assert teach(source=stripes(3)).steps == 12


def test_epochs_count_images(teach: Run) -> None:
    assert teach(settings=settings(steps=None, epochs=1.5)).steps == math.ceil(1.5 * 40 / 8)


def test_chosen_student_is_the_earliest_best(teach: Run, tmp_path) -> None:
    result = teach()
    scores = {e["step"]: e["top1"] for e in RunFolder(tmp_path / "run").metrics() if e["kind"] == "validation"}
    assert sorted(scores) == [4, 8, 12]
    assert result.best is not None
    assert result.best.top1 == max(scores.values())
    assert result.best.step == min(step for step, top1 in scores.items() if top1 == result.best.top1)


class Exploding(Objective):
    """A loss that is finite until its seventh call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, student_logits: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return student_logits.mean() * (math.nan if self.calls == 7 else 1)


def test_loss_that_is_not_finite_names_step_term_and_checkpoint(teach: Run, tmp_path) -> None:
    objective = WeightedSum({"kd": weighted_sum("kd").objectives()["kd"], "odd": Exploding()}, {"kd": 1, "odd": 1})
    with pytest.raises(
        UserError, match=r"not finite at step 7: odd became nan\. The last good checkpoint is that of step 6"
    ):
        teach(objective=objective)
    assert RunFolder(tmp_path / "run").read("status.json")["state"] == "failed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": network(classes=3)}, "teacher and student must have the same classes, got 3 .* and 2"),
        ({"student": network(classes=3), "teacher": None, "objective": weighted_sum("ce")}, "`student.num_classes: 2`"),
        ({"teacher": None}, "objective kd needs a teacher, and there is none"),
        ({"source": ImageSet(stripes(9).tensor())}, "cross_entropy needs labels, and images has none"),
        (
            {"source": TransferSet(ImageSet(stripes(9).tensor()), torch.full((9, 3), 1 / 3)), "teacher": None},
            r"`soft_labels` must be \[9, 2\], got \[9, 3\]",
        ),
        ({"validation": ImageSet(stripes(9).tensor()), "teacher": None}, "validation images must be labelled"),
        (
            {"source": TransferSet(stripes(40), torch.full((40, 2), 0.5))},
            "`soft_labels` stand in for a teacher, and convnet_d3 is one",
        ),
        (
            {"source": turned(40)},
            r"the images \(images\) have the classes columns, rows, the student .* rows, columns;",
        ),
        ({"teacher": named("columns", "rows")}, "the teacher convnet_d3 has the classes columns, rows, the student"),
        ({"validation": turned(9)}, r"the images \(images\) have the classes columns, rows, .*; number them alike"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_training(teach: Run, changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        teach(**changes)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_logits_in_place_of_a_teacher_teach_as_it_does(teach: Run, images: ImageSet, temperature: float) -> None:
    teacher = network(9)
    with torch.inference_mode():
        logits = teacher(images.tensor()).logits.clone() * 10
    plain = {"settings": settings(views="none", cache=False, precision="fp32"), "objective": weighted_sum("kd")}
    soft = TransferSet(images, (logits / temperature).softmax(1), soft_label_temperature=temperature)
    scaled = TransferSet(images, logits / temperature, soft_label_kind="logits", soft_label_temperature=temperature)
    by_set = teach("told", teacher=None, source=scaled, **plain)
    other = teach("other", teacher=None, source=soft, **plain)
    for name, value in weights(by_set.student).items():
        assert torch.allclose(value.float(), weights(other.student)[name].float(), atol=1e-3), name


@pytest.mark.parametrize("who", ["teacher", "student"])
def test_nan_in_weights_is_refused(teach: Run, who: str) -> None:
    broken = network()
    next(broken.parameters()).data[0] = math.nan
    with pytest.raises(UserError, match=f"the {who}'s weights hold NaN or infinity in network"):
        teach(**{who: broken})
