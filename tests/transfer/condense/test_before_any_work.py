"""What would fail, or have no effect, after hours of teaching experts is found beforehand or reported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.condense.small import Heard, context, pool, small

import limbeck as lb
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.models.classifier import Classifier
from limbeck.transfer.condense import Maker, Settings, condensation, engine
from limbeck.transfer.condense.condensation import Condensation
from limbeck.transfer.condense.judging import measured_judging
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.unread_settings import unread_settings

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")


def teacher(*classes: str) -> Classifier:
    size: Any = {"channels": 1, "input_size": 8, "width": 4}
    return lb.create("convnet_d3", num_classes=len(classes), classes=classes, **size).eval()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"method": "edf", "mask": {"network": "expert", "layer": "nowhere"}},
            r"`mask`: unknown module path 'nowhere'",
        ),
        ({"method": "edf", "mask": {"network": "nobody"}}, r"`mask.network`: unknown weights 'nobody'"),
        (
            {"method": "edf", "mask": {"network": "expert", "size": 1}},
            r"`mask.size` must be one at which convnet_d3 sees images, got 1x1 \(.*\); give another, or null",
        ),
        (
            {"method": "edf", "mask": {"network": "expert", "size": 16}},
            r"`mask.size` must be one at which convnet_d3 sees images, got 16x16 \(",
        ),
        ({"method": "mtt", "network": {"mean": [0.5] * 3, "std": [0.5] * 3}}, r"`network`: `mean` must hold one"),
        (
            {"method": "mtt", "initialise": {"maker": "generate", "method": "fast"}},
            r"`initialise`: .*`batch_size`",
        ),
        ({"method": "mtt", "choose": "validation", "budget": "1/class"}, r"by 10% .* has 9, at least 10 being needed"),
    ],
)
def test_what_comes_late_is_refused_early(said: dict[str, Any], message: str, tmp_path: Path) -> None:
    images = pool(each=3) if "choose" in said else pool()
    network = teacher("class 0", "class 1", "class 2") if "initialise" in said else None
    with pytest.raises(UserError, match=message):
        Maker().count(small(**said), context(tmp_path / "made", images, teacher=network))
    assert not (tmp_path / "made").exists()


def test_a_mask_is_looked_at_with_the_teacher_that_is_there(tmp_path: Path) -> None:
    settings = small(method="edf", mask={"network": "teacher"})
    Maker().count(settings, context(tmp_path))  # as in a recipe, whose teacher is taught later
    Maker().count(settings, context(tmp_path, teacher=teacher("class 2", "class 1", "class 0")))
    with pytest.raises(UserError, match=r"class 'class 2' of the images is none of the 3"):
        Maker().count(settings, context(tmp_path, teacher=teacher("class 0", "class 1", "cat")))


def test_images_that_another_maker_chooses_are_chosen_before_experts_are_taught(tmp_path: Path) -> None:
    uneven = small(method="mtt", initialise={"maker": "select", "criterion": "random"})

    def outcome(seed: int) -> str:
        try:
            Maker().make(uneven, context(tmp_path / str(seed), seed=seed))
        except UserError as error:
            return str(error)
        return ""

    seed, message = next((seed, refusal) for seed in range(20) if (refusal := outcome(seed)))
    assert "`initialise` must give 3 images, some of each class, got 3 of" in message
    assert not (tmp_path / str(seed) / "experts").exists()


def test_crops_that_there_are_not_are_missed_early(tmp_path: Path) -> None:
    settings = Settings.model_validate({"method": "rded", "budget": "11/class", "crops": {"crops": 1}})
    network = teacher("class 0", "class 1", "class 2")
    with pytest.raises(UserError, match=r"take 11 crops, and 'coloured' has 10 such images of 1 crops each; lower the"):
        Maker().count(settings, context(tmp_path, teacher=network))
    with pytest.raises(UserError, match=r"which it is to rate crops of; take a teacher of these classes\.$"):
        Maker().count(settings.model_copy(update={"budget": 3}), context(tmp_path, teacher=teacher("a", "b")))


@pytest.mark.parametrize("budget", ["1/class", 20])
def test_a_class_that_would_be_held_out_whole_is_named(budget: str | int, tmp_path: Path) -> None:
    settings = small(method="mtt", choose="validation", budget=budget)
    message = (
        r"^`choose: validation` holds out 10% of the training images, and classes of 'coloured' would have none left "
        r"\(class 0, class 1\); set `choose: last`, or give more images of these classes\.$"
    )
    with pytest.raises(UserError, match=message):
        Maker().count(settings, context(tmp_path, pool(classes=20, each=1)))
    assert Maker().count(settings, context(tmp_path, pool(classes=20, each=2))) == 20


def test_without_labels_nothing_else_is_amiss(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Maker().count(small(), context(tmp_path, pool().with_labels(None, ())))
    assert "\n" not in str(caught.value)


def test_one_class_teaches_nothing(tmp_path: Path) -> None:
    whole = pool()
    assert whole.labels is not None
    with pytest.raises(UserError, match=r"needs images of two classes at least, .* has those of one alone"):
        Maker().count(small(), context(tmp_path, whole.subset(whole.ids[whole.labels == 1])))


@pytest.mark.parametrize("method", ["mtt", "datm", "ncfm", "tgdd"])
def test_what_learning_takes_is_told_before_experts_are_taught(method: str, tmp_path: Path) -> None:
    values = {"distribution": {"real_batch": 4, "frequencies": 8}} if method in ("ncfm", "tgdd") else {}
    settings, shared = small(method=method, **values), tmp_path / "shared"
    heard = [Heard(), Heard()]
    for number, progress in enumerate(heard):
        Maker().make(settings, context(tmp_path / str(number), seed=number, shared=shared, progress=progress))
    first, teaching, learning = [line for line in heard[0].said if "nothing" not in line]
    assert first == f"after experts are taught, {learning}"
    assert "1 expert of" in teaching
    assert "learning takes less than a minute on a machine as idle as now, " in learning
    assert heard[1].said[-1] == learning
    assert not any("experts are taught" in line for line in heard[1].said), "they were there"


def test_judging_and_maps_are_part_of_what_learning_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condensation, "measured_judging", lambda *_: (3600.0, 5 * 2**30))
    heard = Heard()
    mask = {"network": "expert", "every": 2, "map": "grad-cam"}
    settings = small(method="edf", mask=mask, choose="last-validated", iterations=5, evaluate_every=2)
    Maker().make(settings, context(tmp_path, progress=heard))
    lines = [line for line in heard.said if "learning takes" in line]
    assert len(lines) == 2
    for line in lines:
        assert "learning takes about 4.0 h on a machine as idle as now, 5,120 MiB of memory" in line
        assert line.endswith(
            "; of that time judging 4 times about 4.0 h and maps for the mask 3 times less than a minute"
        )


def test_judging_takes_as_many_steps_as_the_set_says() -> None:
    network, validation, device = teacher("a", "b", "c"), pool(), torch.device("cpu")
    few, many = (small(use={"epochs": epochs}).use for epochs in (10, 10_000))
    seconds, memory = measured_judging(few, network, 6, validation, device)
    assert memory > 0
    assert 0 < seconds < measured_judging(many, network, 6, validation, device)[0] / 50


def test_memory_that_is_not_there_is_missed_before_experts_are_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "memory_left", lambda device: 1000)
    with pytest.raises(UserError, match=r"an iteration takes .* are free; lower `matching.batch` \(3\)"):
        Maker().make(small(method="mtt"), context(tmp_path))
    assert not list(tmp_path.rglob("expert-*"))
    Maker().make(small(method="mtt", iterations=0, labels="soft"), context(tmp_path / "unlearned"))


def test_an_average_that_is_mostly_its_beginning_is_told_before_experts_are_taught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taught(self: Condensation) -> None:
        raise Interrupted

    monkeypatch.setattr(Condensation, "experts", taught)
    with pytest.warns(UserWarning, match="`average` 0.9999 over 1000"), pytest.raises(Interrupted):
        Maker().make(small(method="ftd", iterations=1000), context(tmp_path))


def test_settings_that_nothing_reads_are_said(tmp_path: Path) -> None:
    heard = Heard()
    sentence = "`matching` is of `by: trajectories`, and nothing of it is read by `by: distribution`"
    settings = small(method="dm", matching={"drop": 0.5}, iterations=1, distribution={"real_batch": 4})
    result = Maker().make(settings, context(tmp_path / "one", progress=heard))
    assert heard.said[0] == sentence
    assert result.evidence.findings[0] == sentence
    assert unread_settings(small(method="datm", by="distribution", matching={}))[0].startswith("`matching` is of")
    for method in METHODS:
        values = {"budget": "1/class", "method": method, "network": "convnet_d3"}
        assert unread_settings(type(settings).model_validate(values)) == [], method


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"method": "dm", "experts": {"folder": "runs/typo"}}, ["`experts` changes nothing: nothing is learned, lab"]),
        ({"method": "dm", "labels": "soft", "experts": {"count": 3}}, []),
        ({"method": "rded", "experts": {"count": 3}}, ["`experts` changes nothing"]),
        ({"method": "rded", "initialise": "real"}, ["`initialise` changes nothing: `by: crops` begins with crops"]),
        ({"method": "rded", "views": None}, ["`views` changes nothing: `by: crops` learns nothing"]),
        ({"method": "rded", "keep": "float16"}, ["`keep` changes nothing: `by: crops` keeps 8 bits"]),
        ({"method": "rded", "keep": "uint8"}, []),
        (
            {"method": "dm", "distribution": {"frequencies": 8, "phase": 0.1}},
            ["`distribution.frequencies` changes nothing: `distribution.distance` is not", "`distribution.phase`"],
        ),
        ({"method": "ncfm", "distribution": {"frequencies": 8, "phase": 0.1}}, []),
        ({"method": "ncfm", "distribution": {"image_momentum": 0.9}}, ["`distribution.image_momentum` changes"]),
        ({"method": "dm", "distribution": {"calibrate": "together"}}, ["`distribution.calibrate` changes nothing"]),
        ({"method": "mtt", "use": {"temperature": 4}}, ["`use.temperature` changes nothing: no teacher is asked"]),
        ({"method": "rded", "use": {"temperature": 4}}, []),
        ({"method": "rded", "labels": "hard", "use": {"temperature": 4}}, ["`use.temperature` changes nothing"]),
    ],
)
def test_a_setting_that_another_makes_idle_is_told(said: dict[str, Any], told: list[str]) -> None:
    sentences = unread_settings(Settings.model_validate({"budget": "1/class", **said}))
    assert len(sentences) == len(told), sentences
    assert all(sentence.startswith(begin) for sentence, begin in zip(sentences, told, strict=True)), sentences


def test_a_maker_that_chooses_wants_its_teacher_at_once() -> None:
    settings = small(method="mtt", initialise={"maker": "select", "criterion": "herding"})
    assert settings.needs_teacher
    assert settings.initial is not None
    assert settings.initial.budget == "1/class"
    with pytest.raises(UserError, match=r"initialise.criterion: unknown criterion 'nosuch'. `limbeck ls criteria` l"):
        lb.condense(pool(), budget="1/class", initialise={"maker": "select", "criterion": "nosuch"})
    with pytest.raises(UserError, match=r"none is given; give one, or let images begin otherwise: the criterion"):
        lb.condense(pool(), budget="1/class", method="mtt", initialise={"maker": "select", "criterion": "herding"})


def test_a_teacher_gives_labels_by_the_names_of_classes(tmp_path: Path) -> None:
    images, permuted = pool(), teacher("class 2", "class 0", "class 1")
    settings = small(method="rded", iterations=0)
    made = Maker().make(settings, context(tmp_path / "other", images, teacher=permuted)).source.images(0)
    ordered = teacher("class 0", "class 1", "class 2")
    ordered.load_state_dict(permuted.state_dict())
    head, moved = (dict(classifier.network.named_modules())["head"] for classifier in (ordered, permuted))
    assert isinstance(head, torch.nn.Linear)
    assert isinstance(moved, torch.nn.Linear)
    with torch.no_grad():
        head.weight.copy_(moved.weight[[1, 2, 0]])
        head.bias.copy_(moved.bias[[1, 2, 0]])
    same = Maker().make(settings, context(tmp_path / "same", images, teacher=ordered)).source.images(0)
    assert made.soft_labels is not None
    assert same.soft_labels is not None
    assert torch.allclose(made.soft_labels, same.soft_labels)
    assert made.images.fingerprint == same.images.fingerprint
    with pytest.raises(UserError, match=r"'cat'"):
        Maker().count(settings, context(tmp_path, images, teacher=teacher("class 0", "class 1", "cat")))
    numbered = teacher("0", "1", "2")
    with pytest.warns(UserWarning, match=r"the teacher convnet_d3 has no names for the 3 classes"):
        Maker().make(settings, context(tmp_path / "numbers", images, teacher=numbered))
