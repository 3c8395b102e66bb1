import json

import pytest
import torch

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation import Evaluation, evaluate, judge, predict

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0], [4.0, 3.0, 0.0]])


def test_without_teacher(make_classifier, images):
    result = evaluate(make_classifier(), images)
    assert result.n == 30
    assert result.fidelity is None
    assert [row["class"] for row in result.per_class] == list("abcdef")
    assert sum(row["n"] * row["top1"] for row in result.per_class) / 30 == pytest.approx(result.top1)
    assert [sum(row) for row in result.confusion] == [5] * 6
    assert 0 <= result.ece <= 1


def test_teacher_and_its_logits_say_the_same(make_classifier, images):
    student, teacher = make_classifier(seed=0), make_classifier(seed=1)
    by_teacher = evaluate(student, images, teacher=teacher)
    by_logits = evaluate(student, images, teacher_logits=predict(teacher, images))
    assert by_teacher == by_logits
    assert by_teacher.fidelity is not None
    assert by_teacher.fidelity["teacher_top1"] == evaluate(teacher, images).top1


def test_teacher_state_is_untouched(make_classifier, images):
    teacher = make_classifier(seed=1).train()
    state = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    evaluate(make_classifier(), images, teacher=teacher)
    assert teacher.training
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_a_student_is_its_own_best_teacher(make_classifier, images):
    student = make_classifier()
    fidelity = evaluate(student, images, teacher=student).fidelity
    assert fidelity is not None
    assert (fidelity["agreement"], fidelity["divergence"]) == (1.0, 0.0)
    assert {row["agreement"] for row in fidelity["per_class"]} == {1.0}


def test_survives_json(make_classifier, images):
    result = evaluate(make_classifier(), images, teacher=make_classifier(seed=1))
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert Evaluation.from_dict(json.loads(text)) == result


def test_from_dict_names_what_is_wrong(make_classifier, images):
    record = evaluate(make_classifier(), images).to_dict()
    record["top2"] = record.pop("top1")
    with pytest.raises(UserError, match=r"lacks \['top1'\] and has unknown \['top2'\]"):
        Evaluation.from_dict(record)


def test_few_classes_and_one_without_images():
    result = judge(LOGITS, torch.tensor([0, 0, 2, 2]), ("cat", "dog", "eel"), LOGITS)
    assert result.top5 is None
    assert result.per_class[1] == {"class": "dog", "n": 0, "top1": None}
    assert result.fidelity is not None
    assert result.fidelity["per_class"][1] == {"class": "dog", "agreement": None, "divergence": None}
    json.dumps(result.to_dict(), allow_nan=False)


def test_class_counts_must_match(make_classifier, images):
    with pytest.raises(UserError, match="`student` tells 5 classes apart, but 'tiny' has 6"):
        evaluate(make_classifier(5), images)
    with pytest.raises(UserError, match="`teacher` tells 7 classes apart, but 'tiny' has 6"):
        evaluate(make_classifier(), images, teacher=make_classifier(7))


def test_images_must_be_labelled(make_classifier, images):
    with pytest.raises(UserError, match="`images` must be labelled"):
        evaluate(make_classifier(), ImageSet(images.tensor()))


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        (torch.zeros(29, 6), r"`teacher_logits` must have shape \(30, 6\).*got \(29, 6\)"),
        (torch.full((30, 6), float("inf")), "`teacher_logits` must be finite"),
    ],
)
def test_wrong_teacher_logits(make_classifier, images, logits, message):
    with pytest.raises(UserError, match=message):
        evaluate(make_classifier(), images, teacher_logits=logits)


def test_only_one_kind_of_teacher(make_classifier, images):
    with pytest.raises(UserError, match="give one of them"):
        evaluate(make_classifier(), images, teacher=make_classifier(), teacher_logits=torch.zeros(30, 6))
