"""Fresh networks on a transfer set: taught as it says, judged once, and chosen by validation images alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

import limbeck as lb
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.models.whitening import Whitening
from limbeck.objectives.sums import weighted_sum
from limbeck.transfer.set_evaluation import accuracies, runs
from limbeck.transfer.set_evaluation.accuracies import NetworkAccuracy, evaluate_set
from limbeck.transfer.set_evaluation.protocols import PROTOCOLS
from limbeck.transfer.set_evaluation.teaching import fresh, network_on, teaching_on

OWN = {"model": "convnet_d3", "options": {"width": 4}}
USE = {"student": OWN, "training": {"epochs": 4, "batch_size": 5, "learning_rate": 0.05, "views": "none"}}


def first_images(each: int) -> lb.ImageSet:
    digits = lb.load("digits")
    labels = digits.labels
    assert labels is not None
    rows = torch.cat([(labels == label).nonzero().flatten()[:each] for label in range(10)])
    return digits.subset(digits.ids[rows])


@pytest.fixture(scope="module")
def test() -> lb.ImageSet:
    images = lb.load("digits", "test")
    return images.subset(images.ids[:100])


@pytest.fixture(scope="module")
def held_out() -> lb.ImageSet:
    images = lb.load("digits")
    return images.subset(images.ids[-100:])


@pytest.fixture(scope="module")
def plain() -> lb.TransferSet:
    return lb.TransferSet(first_images(1), use=USE)


@pytest.fixture(scope="module")
def soft(plain: lb.TransferSet) -> lb.TransferSet:
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    return replace(plain, soft_labels=logits, soft_label_kind="logits")


@pytest.fixture(scope="module")
def teacher() -> lb.Classifier:
    digits = lb.load("digits")
    return lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, width=4, classes=digits.classes).eval()


def test_a_seed_gives_the_student_of_distill(plain: lb.TransferSet, test: lb.ImageSet, tmp_path: Path) -> None:
    (accuracy,) = evaluate_set(plain, test, seeds=[3])
    options = {"num_classes": 10, "channels": 1, "input_size": 8, "classes": plain.images.classes, "width": 4}

    def student(seed: int) -> lb.Classifier:
        return lb.create("convnet_d3", seed=seed, **options)

    keywords: dict[str, Any] = {**USE["training"], "objective": "cross_entropy", "validation": 0}
    for seed, top1 in zip(accuracy.seeds, accuracy.top1, strict=True):
        run = lb.distill(None, student, plain.images, test=test, out=tmp_path / str(seed), seed=seed, **keywords)
        assert run.evaluation is not None
        assert top1 == run.evaluation.top1
    assert (accuracy.steps, accuracy.learning_rate, accuracy.tried) == (8, 0.05, {})
    assert accuracy.half_width is None


def test_what_is_said_comes_on_top_of_what_the_set_says(plain: lb.TransferSet) -> None:
    assert teaching_on(plain)[1].settings.total_steps(10) == 8
    assert teaching_on(plain, training={"steps": 7})[1].settings.steps == 7
    longer = teaching_on(plain, training={"epochs": 8, "weight_decay": 0.0})[1].settings
    assert (longer.total_steps(10), longer.weight_decay, longer.learning_rate) == (16, 0.0, 0.05)
    stepped = lb.TransferSet(plain.images, use={"training": {"steps": 9}})
    assert teaching_on(stepped, training={"epochs": 2})[1].settings.steps is None


@pytest.mark.parametrize(("asked", "per_image", "got"), [(3, 1, 3), (128, 1, 10), (128, 4, 40), (None, 4, 40)])
def test_a_batch_never_holds_an_image_twice(plain: lb.TransferSet, asked: int | None, per_image: int, got: int) -> None:
    training = {"epochs": 2} if asked is None else {"epochs": 2, "batch_size": asked}
    chosen = lb.TransferSet(plain.images, use={"training": training}, per_image=per_image)
    assert teaching_on(chosen)[1].settings.batch_size == got


def test_the_learned_rate_is_the_one_that_the_set_carries(plain: lb.TransferSet) -> None:
    assert teaching_on(plain, training={"learning_rate": "learned"})[1].settings.learning_rate == 0.05
    bare = lb.TransferSet(plain.images)
    assert teaching_on(bare, training={"epochs": 1, "learning_rate": "learned"})[1].settings.learning_rate == 0.01


def test_networks_are_named_by_what_is_unusual_about_them(plain: lb.TransferSet) -> None:
    spec = {"model": "convnet_d3", "options": {"width": 128, "pooling": "max", "norm": "none"}}
    assert network_on(plain, spec).name == "convnet_d3 (norm none, pooling max)"
    assert network_on(plain, "convnet_d3").name == "convnet_d3 (width 4)", "the set's own has its options"
    assert network_on(plain, {"model": "convnet_d3"}).name == "convnet_d3"


def test_a_set_that_says_nothing_needs_to_be_told_how_long_and_on_what(plain: lb.TransferSet) -> None:
    bare = lb.TransferSet(plain.images)
    with pytest.raises(UserError, match=r"does not say how a student is taught on it; say for how long, as `training="):
        teaching_on(bare)
    with pytest.raises(UserError, match=r"does not say which network it is made for; name one"):
        network_on(bare, None)
    assert teaching_on(bare, training={"epochs": 3})[1].objective == {"cross_entropy": 1.0}


def test_kept_labels_are_those_of_the_set(plain: lb.TransferSet, soft: lb.TransferSet) -> None:
    assert teaching_on(plain)[1].objective == {"cross_entropy": 1.0}
    assert teaching_on(soft)[1].objective == {"kd": {"weight": 1.0, "temperature": 1.0}}
    mixed = replace(soft, use={**USE, "objective": {"cross_entropy": 0.5, "kd": 0.5}})
    assert teaching_on(mixed)[1].objective == {"cross_entropy": 0.5, "kd": 0.5}
    assert teaching_on(mixed, labels="soft")[1].objective == {"kd": {"weight": 1.0, "temperature": 1.0}}


def test_hard_labels_are_classes_or_the_most_probable_ones(soft: lb.TransferSet) -> None:
    hard, teaching = teaching_on(soft, labels="hard")
    assert hard.soft_labels is None
    assert teaching.objective == {"cross_entropy": 1.0}
    assert hard.images.labels is not None
    assert torch.equal(hard.images.labels, torch.arange(10))
    nameless = replace(soft, images=soft.images.with_labels(None, soft.images.classes))
    guessed = teaching_on(nameless, labels="hard")[0].images.labels
    assert soft.soft_labels is not None
    assert guessed is not None
    assert torch.equal(guessed, soft.soft_labels.argmax(1))


@pytest.mark.parametrize(
    ("protocol", "temperature", "got"), [("kept", None, 20), ("sre2l-small", None, 30), ("rded", 5, 5)]
)
def test_a_teacher_is_asked_without_the_square_of_the_temperature(
    soft: lb.TransferSet, protocol: str, temperature: float | None, got: int
) -> None:
    labels: Any = "teacher" if protocol == "kept" else "kept"
    taught, teaching = teaching_on(soft, labels=labels, protocol=protocol, temperature=temperature)
    assert taught.soft_labels is None
    assert teaching.asks_teacher
    student, answers = torch.randn(2, 6, 10, dtype=torch.float64)
    student.requires_grad_()
    loss, _ = weighted_sum(teaching.objective)({"student_logits": student, "teacher_logits": answers})
    expected = F.kl_div((student / got).log_softmax(1), (answers / got).softmax(1), reduction="batchmean")
    gradients = [torch.autograd.grad(value, student, retain_graph=True)[0] for value in (loss, expected)]
    assert torch.allclose(loss, expected, rtol=1e-6)
    assert torch.allclose(*gradients, rtol=1e-5)


def test_a_set_that_asks_its_own_teacher_does_so_at_the_temperature_that_is_wanted(plain: lb.TransferSet) -> None:
    own = {"kd": {"weight": 20.0**-2, "temperature": 20.0}}
    asking = replace(plain, use={**USE, "objective": own, "teacher": {"weights": "teacher.safetensors"}})
    assert teaching_on(asking)[1].objective == own
    assert teaching_on(asking, temperature=4)[1].objective == {"kd": {"weight": 1 / 16, "temperature": 4.0}}
    with pytest.raises(UserError, match=r"`temperature` is of a teacher's answers to every view, and none is asked"):
        teaching_on(asking, labels="hard", temperature=4)
    mixed = replace(asking, use={**(asking.use or {}), "objective": {"cross_entropy": 0.1, **own}})
    with pytest.raises(UserError, match=r"`temperature` must go with a teacher's answers alone \(`kd`\), and the set"):
        teaching_on(mixed, temperature=4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_protocols_are_settings_of_training(plain: lb.TransferSet, protocol: str) -> None:
    settings = teaching_on(plain, protocol=protocol)[1].settings
    assert (settings.optimizer, settings.learning_rate, settings.batch_size) == ("adamw", 1e-3, 10)


@pytest.mark.parametrize(
    ("images", "classes", "side", "batch", "area"),
    [
        (100, 10, 32, 50, 1.0),
        (100, 100, 224, 20, 0.5),
        (500, 10, 64, 100, 1.0),
        (200, 200, 64, 100, 1.0),
        (10_000, 200, 64, 100, 1.0),
        (1200, 120, 224, 50, 0.5),
        (50_000, 1000, 224, 200, 0.5),
    ],
)
def test_batches_and_crops_of_rded(images: int, classes: int, side: int, batch: int, area: float) -> None:
    training = PROTOCOLS["rded"].training(images, classes, side)
    assert training["batch_size"] == batch
    assert training["views"][-2]["resized-crop-flip"]["area"][0] == area
    assert (training["views"][0] == {"shuffled-patches": {"factor": 2}}) == (side >= 128)
    assert augmentation(training["views"]).others


def test_images_of_one_crop_are_seen_whole_by_rded() -> None:
    views = augmentation(PROTOCOLS["rded"].training(10, 10, 32)["views"][:1])
    images = torch.randint(256, (40, 3, 32, 32), dtype=torch.uint8)
    shown = views.render(images, views.draw(torch.arange(40), seed=0, view=0))
    mirrored = shown.eq(images.flip(3)).flatten(1).all(1)
    assert (shown.eq(images).flatten(1).all(1) | mirrored).all()
    assert 0 < mirrored.sum() < 40


def test_every_way_of_labels_teaches(soft: lb.TransferSet, teacher: lb.Classifier, test: lb.ImageSet) -> None:
    top1 = {}
    for labels in ("kept", "hard", "soft", "teacher"):
        labeller = teacher if labels == "teacher" else None
        (accuracy,) = evaluate_set(soft, test, seeds=1, labels=labels, teacher=labeller, training={"steps": 3})
        top1[labels] = accuracy.top1
        assert (accuracy.labels, accuracy.steps, accuracy.half_width) == (labels, 3, None)
    assert top1["kept"] == top1["soft"]
    (accuracy,) = evaluate_set(soft, test, seeds=1, protocol="sre2l-small", teacher=teacher, training={"steps": 2})
    assert accuracy.protocol == "sre2l-small"


def test_a_table_of_several_networks(plain: lb.TransferSet, test: lb.ImageSet) -> None:
    def made(seed: int) -> lb.Classifier:
        return lb.create("lenet5", num_classes=10, channels=1, seed=seed, classes=plain.images.classes)

    table = evaluate_set(plain, test, networks=[None, "lenet5", made], seeds=1, training={"steps": 2})
    assert [row.network for row in table] == ["convnet_d3 (width 4)", "lenet5", "made"]
    assert table[1].top1 == table[2].top1
    again = [NetworkAccuracy.from_dict(row.to_dict()) for row in table]
    assert again == table


def test_validation_images_choose_the_rate_and_test_images_do_not(
    plain: lb.TransferSet, test: lb.ImageSet, held_out: lb.ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, float]] = []
    before = runs.evaluate

    def watched(student: lb.Classifier, images: lb.ImageSet) -> Any:
        seen.append((images.fingerprint, 0.0))
        return before(student, images)

    monkeypatch.setattr(runs, "evaluate", watched)
    (searched,) = evaluate_set(
        plain, test, seeds=2, rate="search", rates=(1e-9, 1e-8, 0.1), validation=held_out, training={"steps": 30}
    )
    assert searched.learning_rate == 0.1 == max(searched.tried, key=lambda rate: searched.tried[rate])
    assert list(searched.tried) == [1e-9, 1e-8, 0.1]
    assert searched.at_an_end
    assert [fingerprint for fingerprint, _ in seen] == [held_out.fingerprint] * 3 + [test.fingerprint] * 2
    (fixed,) = evaluate_set(plain, test, seeds=2, rate=0.1, training={"steps": 30})
    assert fixed.top1 == searched.top1
    assert not fixed.at_an_end


def test_classes_are_found_by_name(plain: lb.TransferSet, test: lb.ImageSet) -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    assert test.labels is not None
    names = [test.classes[int(place)] for place in order]
    other = test.with_labels(order.argsort()[test.labels], names)
    assert evaluate_set(plain, other, seeds=1)[0].top1 == evaluate_set(plain, test, seeds=1)[0].top1


def test_soft_labels_without_classes_take_those_of_the_test_images(soft: lb.TransferSet, test: lb.ImageSet) -> None:
    nameless = replace(soft, images=soft.images.with_labels(None, ()))
    assert evaluate_set(nameless, test, seeds=1)[0].top1 == evaluate_set(soft, test, seeds=1)[0].top1
    assert test.labels is not None
    three = test.subset(test.ids[test.labels < 3]).with_labels(test.labels[test.labels < 3], ("a", "b", "c"))
    with pytest.raises(UserError, match=r"`test` must have the 10 classes of the soft labels, got 3"):
        evaluate_set(nameless, three, seeds=1)


@pytest.mark.parametrize("model", ["convnet_d3", "alexnet", "vgg8_w2"])
def test_networks_are_built_for_the_size_and_space_of_the_set(plain: lb.TransferSet, model: str) -> None:
    own = {**OWN, "mean": [0.25], "std": [2.0]}
    chosen = replace(plain, use={**USE, "student": own})
    classifier = fresh(network_on(chosen, model), chosen, seed=0).eval()
    assert classifier.input_size == (8, 8)
    assert classifier.normalisation == ((0.25,), (2.0,))
    assert classifier(torch.rand(1, 1, 24, 17)).logits.shape == (1, 10)
    assert classifier.classes == plain.images.classes


def test_whitened_sets_are_used_whitened(plain: lb.TransferSet, test: lb.ImageSet) -> None:
    whitening = Whitening.fit(test)
    chosen = replace(plain, use={**USE, "student": {**OWN, "whitening": whitening.tensors()}})
    classifier = fresh(network_on(chosen, "alexnet"), chosen, seed=0)
    assert torch.equal(classifier.prepare(test.tensor()), whitening(test.floats()))
    assert evaluate_set(chosen, test, seeds=1, training={"steps": 2})[0].steps == 2


def test_runs_are_kept_and_gone_on_with(
    plain: lb.TransferSet, test: lb.ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate_set(plain, test, seeds=3)
    calls = []
    fit = runs.fit

    def interrupted(*args: Any, **options: Any) -> Any:
        calls.append(options["seed"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **options)

    monkeypatch.setattr(runs, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate_set(plain, test, seeds=3, folder=tmp_path / "kept")
    resumed = evaluate_set(plain, test, seeds=3, folder=tmp_path / "kept")
    assert calls == [0, 1, 1, 2]
    assert resumed[0].top1 == whole[0].top1
    assert not list((tmp_path / "kept").rglob("checkpoint.safetensors"))
    with pytest.raises(UserError, match=r"was started from another recipe; it differs in `training.weight_decay`"):
        evaluate_set(plain, test, seeds=3, folder=tmp_path / "kept", training={"weight_decay": 0.1})
    darker = replace(plain, use={**USE, "student": {**OWN, "mean": [0.1], "std": [0.5]}})
    with pytest.raises(UserError, match=r"was started from another recipe; it differs in `student`"):
        evaluate_set(darker, test, seeds=3, folder=tmp_path / "kept")
    cut = replace(plain, per_image=4)
    with pytest.raises(UserError, match=r"was started from another recipe; it differs in `per_image`"):
        evaluate_set(cut, test, seeds=3, folder=tmp_path / "kept")


def test_what_cannot_be_is_refused_before_any_training(
    plain: lb.TransferSet,
    test: lb.ImageSet,
    held_out: lb.ImageSet,
    teacher: lb.Classifier,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accuracies, "run_shards", lambda *args, **options: pytest.fail("training began"))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"labels": "sof"}, r"unknown `labels` 'sof'; did you mean 'soft'\?"),
        ({"labels": "soft"}, r"`labels` 'soft' must be in the set, and .* has none; `labels` 'teacher' asks one"),
        ({"labels": "teacher"}, r"`labels` 'teacher' asks a teacher about every view; give a `teacher`"),
        ({"protocol": "rdet", "teacher": teacher}, r"unknown protocol 'rdet'; did you mean 'rded'\?"),
        ({"protocol": "rded"}, r"`protocol` 'rded' asks a teacher about every view; give a `teacher`"),
        ({"protocol": "rded", "labels": "hard", "teacher": teacher}, r"leave `labels` out, got 'hard'"),
        ({"teacher": teacher}, r"`teacher` is asked with `labels` 'teacher' or with a `protocol`"),
        ({"labels": "teacher", "teacher": teacher, "temperature": 0}, r"`temperature` must be > 0, got 0"),
        ({"labels": "hard", "temperature": -1}, r"`temperature` must be > 0, got -1"),
        ({"temperature": 4}, r"`temperature` is of a teacher's answers to every view, and none is asked, got 4; leave"),
        ({"seeds": 0}, r"`seeds` must be at least 1, or a list of seeds, got 0"),
        ({"seeds": [1, 1]}, r"`seeds` must be distinct, at least one, got \[1, 1\]"),
        ({"seeds": []}, r"`seeds` must be distinct, at least one, got \[\]"),
        ({"networks": []}, r"`networks` must name at least one, got none"),
        ({"networks": [None, OWN]}, r"`networks` must be distinct, got convnet_d3 \(width 4\) twice"),
        ({"networks": ["convnet_d33"]}, r"unknown model 'convnet_d33'; did you mean 'convnet_d3'"),
        ({"networks": [{"name": "lenet5"}]}, r"must be a name or a mapping of model and options, got"),
        ({"networks": [3]}, r"must be a name, a mapping or a function from a seed to a classifier, got int"),
        ({"rate": "search"}, r"`rate` 'search' needs `validation` images \(--validation\); test images choose nothing"),
        (
            {"rate": "search", "validation": test.subset(test.ids[:50])},
            r"must be others than `test`, .* got 100 % that",
        ),
        ({"rate": "search", "validation": held_out, "rates": []}, r"`rates` must be distinct and > 0, at least one"),
        ({"rate": "search", "validation": held_out, "rates": [0.1, 0]}, r"`rates` must be distinct and > 0"),
        ({"validation": held_out}, r"`validation` images choose a rate, and none is chosen; add `rate='search'`"),
        ({"rates": [0.1]}, r"`rates` are searched among, and none is searched, got \[0.1\]; add `rate='search'` and"),
        ({"rate": 0.1, "rates": [0.1, 0.2]}, r"`rates` are searched among, and none is searched, got \[0.1, 0.2\]"),
        ({"rate": 0}, r"`rate` must be > 0, 'search', or left out for the set's own, got 0"),
        ({"rate": "lerned"}, r"`rate` must be > 0, 'search', or left out for the set's own, got 'lerned'"),
        ({"training": {"epoch": 3}}, r"training.epoch: unknown key; did you mean 'epochs'"),
        ({"training": {"epochs": 0}}, r"training.epochs: must be > 0, got 0"),
        ({"training": {"epochs": 2, "steps": 2}}, r"exactly one of `steps` and `epochs` must be given, got both"),
        ({"workers": 0}, r"`workers` must be at least 1, got 0"),
    ]
    for options, message in wrong:
        with pytest.raises(UserError, match=message):
            evaluate_set(plain, test, **options)
    bare = test.with_labels(None, test.classes)
    with pytest.raises(UserError, match=r"`test` must be labelled to judge on, got 'digits/test' without labels"):
        evaluate_set(plain, bare)
    nothing = lb.TransferSet(plain.images.with_labels(None, ()), use=USE)
    with pytest.raises(UserError, match=r"`labels` 'hard' must be in the set, and .* has none at all"):
        evaluate_set(nothing, test, labels="hard")


def test_protocols_are_not_of_images_that_are_cut_out_of_others(
    plain: lb.TransferSet, test: lb.ImageSet, teacher: lb.Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that are cut are floats, though the set keeps 8 bits: their views would be refused while training."""
    parts = replace(plain, per_image=4)
    (accuracy,) = evaluate_set(parts, test, seeds=1, labels="teacher", teacher=teacher, training={"steps": 1})
    assert accuracy.labels == "teacher"
    monkeypatch.setattr(accuracies, "run_shards", lambda *args, **options: pytest.fail("training began"))
    for protocol in PROTOCOLS:
        with pytest.raises(
            UserError,
            match=rf"`protocol` '{protocol}' augments 8-bit images, and each of .* holds 4 .* leave `protocol` out",
        ):
            evaluate_set(parts, test, seeds=1, protocol=protocol, teacher=teacher)


def test_a_function_that_makes_no_classifier_is_refused(plain: lb.TransferSet, test: lb.ImageSet) -> None:
    with pytest.raises(UserError, match=r"bare must make a Classifier out of a seed, got a Linear"):
        evaluate_set(plain, test, networks=[bare], seeds=1)


def bare(seed: int) -> Any:
    return torch.nn.Linear(1, 1)


@pytest.mark.slow
def test_runs_go_on_side_by_side(plain: lb.TransferSet, test: lb.ImageSet, tmp_path: Path) -> None:
    (alone,) = evaluate_set(plain, test, seeds=4)
    (beside,) = evaluate_set(plain, test, seeds=4, folder=tmp_path, workers=2)
    assert beside.top1 == alone.top1
