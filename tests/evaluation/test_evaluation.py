import json

import pytest
import torch

import limbeck as lb
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.evaluation import Evaluation, evaluate, evaluate_logits, predict
from limbeck.models.weights import load, save
from limbeck.models.zoo import create

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


def test_networks_by_path_are_loaded(make_classifier, images, tmp_path):
    student, teacher = make_classifier(seed=0), make_classifier(seed=1)
    save(create("lenet5", num_classes=6, classes=images.classes), tmp_path / "named")
    by_path = lb.evaluate(tmp_path / "named", images, teacher=str(tmp_path / "named"))
    assert by_path.fidelity is not None
    assert by_path.fidelity["agreement"] == 1
    with pytest.raises(UserError, match=r"`student` must be a Classifier or weights by name or path, got a bare"):
        lb.evaluate(student.network, images)
    with pytest.raises(UserError, match=r"`teacher` must be a Classifier, or weights by name or path, got a int"):
        lb.evaluate(student, images, teacher=5)
    with pytest.raises(UserError, match=r"`source` must be weights by name or path, got a Classifier, which is a netw"):
        load(teacher)
    with pytest.raises(UserError, match=r"`source` must be weights by name or path, got a int\. A network is a run"):
        load(5)


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
    result = evaluate_logits(LOGITS, torch.tensor([0, 0, 2, 2]), ("cat", "dog", "eel"), LOGITS)
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


def renamed(images, *names):
    return images.with_labels(images.labels, names)


def test_classes_are_found_by_name(make_classifier, images):
    student, teacher = make_classifier(), make_classifier(seed=1)
    plain = evaluate(student, images, teacher=teacher)
    turned = images.with_labels(5 - images.labels, tuple("fedcba"))
    assert evaluate(student, turned, teacher=teacher) == plain
    head = teacher.network[-1]
    with torch.no_grad():
        head.weight.copy_(head.weight.flip(0))
        head.bias.copy_(head.bias.flip(0))
    teacher.classes = tuple("fedcba")
    for shown in (images, turned):
        fidelity = evaluate(student, shown, teacher=teacher).fidelity
        assert fidelity["divergence"] == pytest.approx(plain.fidelity["divergence"])
        assert (fidelity["agreement"], fidelity["teacher_top1"]) == (
            plain.fidelity["agreement"],
            plain.fidelity["teacher_top1"],
        )


def test_images_of_some_of_the_classes(make_classifier, images):
    student = make_classifier()
    places = (images.labels % 6 >= 4).nonzero().flatten()  # e and f alone
    part = images.subset(images.ids[places])
    alone = part.with_labels(5 - part.labels, ("f", "e"))
    result = evaluate(student, alone)
    assert [(row["class"], row["n"]) for row in result.per_class][3:] == [("d", 0), ("e", 5), ("f", 5)]
    assert result.top1 == evaluate(student, part).top1


def test_other_classes_are_refused_and_numbers_said(make_classifier, images):
    student = make_classifier()
    with pytest.raises(UserError, match="'tiny' has other classes: 'g' is none of the 6 of `student`"):
        evaluate(student, renamed(images, *"abcdeg"))
    with pytest.raises(UserError, match="'A' is written otherwise than 'a' of `student`"):
        evaluate(student, renamed(images, *"Abcdef"))
    other = make_classifier(seed=1)
    other.classes = tuple("uvwxyz")
    with pytest.raises(UserError, match=r"'tiny' has other classes: 'a', 'b', 'c', .* are none of the 6 of `teacher`"):
        evaluate(student, images, teacher=other)
    other.classes = ()
    with pytest.warns(UserWarning, match="`student` has no names for the 6 classes, so those of 'tiny' are taken"):
        unnamed = evaluate(other, images)
    assert [row["class"] for row in unnamed.per_class] == list("abcdef")
    with pytest.warns(UserWarning, match="`teacher` has no names for the 6 classes"):
        evaluate(student, images, teacher=other)
    with pytest.warns(UserWarning, match="'tiny' has no names .* '0' for 'a'"):
        evaluate(student, renamed(images, *"012345"))
    assert evaluate(other, renamed(images, *"012345")).n == 30  # numbers on both sides


def test_images_must_be_labelled(make_classifier, images):
    with pytest.raises(
        UserError, match=r"`images` must be labelled .* without labels; choose others, or another split"
    ):
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logits": torch.full((4, 3), torch.nan)}, "`logits` must be finite, got NaN or infinity"),
        ({"teacher_logits": torch.full((4, 3), torch.nan)}, "`teacher_logits` must be finite, got NaN or infinity"),
        ({"teacher_logits": torch.zeros(4, 2)}, r"`teacher_logits` must be \[4, 3\], as `logits`, got \[4, 2\]"),
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            r"`labels` must be \[4\], one for each row of logits, got \[3\]",
        ),
        ({"labels": torch.tensor([0, 1, 2, 3])}, "`labels` must be 0 to 2, the columns of logits, got 0 to 3"),
        ({"classes": ("a", "b")}, "`classes` must be 3 names, as logits have columns, got 2"),
    ],
)
def test_wrong_logits_and_labels(changes, message):
    arguments = {"logits": LOGITS, "labels": torch.tensor([0, 1, 2, 0]), "classes": ("a", "b", "c"), **changes}
    with pytest.raises(UserError, match=message):
        evaluate_logits(**arguments)


def test_only_one_kind_of_teacher(make_classifier, images):
    with pytest.raises(UserError, match="give one of them"):
        evaluate(make_classifier(), images, teacher=make_classifier(), teacher_logits=torch.zeros(30, 6))
