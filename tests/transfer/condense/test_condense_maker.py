"""Condensing from pool to transfer set: what is counted, made, kept and resumed."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.transfer.condense.small import context, pool, small

import limbeck as lb
from limbeck.api.objects import name_of_network
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.objectives.sums import weighted_sum
from limbeck.training import TrainingSettings
from limbeck.transfer.condense import Maker, Settings, find_experts, learning
from limbeck.transfer.condense.condensed_set import rounding
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.history import HistoryFile
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.maker import MakerContext
from limbeck.transfer.set_evaluation.protocols import PROTOCOLS

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")
"""The experts here are taught for a few steps only."""


def made_by(settings: Any, there: MakerContext) -> TransferSet:
    return Maker().make(settings, there).source.images(0)


def same(one: TransferSet, other: TransferSet) -> bool:
    a, b = one.soft_labels, other.soft_labels
    alike = a is None and b is None if a is None or b is None else torch.equal(a, b)
    return alike and one.images.fingerprint == other.images.fingerprint and str(one.use) == str(other.use)


@pytest.mark.parametrize("method", ["mtt", "ftd", "datm", "pad", "edf", "dm", "ncfm", "tgdd"])
def test_every_method_makes_a_set_that_says_how_it_is_taught_on(method: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"mask": {"network": "expert"}} if method == "edf" else {}
    values |= {"distribution": {"real_batch": 4, "frequencies": 8}} if method in ("dm", "ncfm", "tgdd") else {}
    settings = small(method=method, budget="2/class", **values)
    assert Maker().count(settings, context(tmp_path / "one")) == 6
    result = Maker().make(settings, context(tmp_path / "one"))
    images = result.source.images(0)
    assert len(images) == 6
    assert images.images.labels is not None
    assert images.images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert (images.soft_labels is not None) == (settings.labels == "soft")
    assert images.use is not None
    assert images.use["objective"] == (
        {"kd": {"weight": 1, "temperature": 1}} if settings.labels == "soft" else {"cross_entropy": 1}
    )
    assert images.use["student"]["model"] == "convnet_d3"
    assert images.use["student"]["input_size"] == [8, 8]
    assert images.use["training"]["learning_rate"] > 0
    assert images.per_image == settings.per_image
    assert result.cost.steps >= settings.iterations
    assert result.evidence.headline.startswith("6 images of 3 classes in place of 30")
    assert same(Maker().load(settings, context(tmp_path / "one")).images(0), images)
    assert same(made_by(settings, context(tmp_path / "two")), images), "one seed, one set"


def test_another_seed_is_another_set_of_the_same_experts(tmp_path: Path) -> None:
    settings, shared = small(method="mtt"), tmp_path / "shared"
    first, second = (made_by(settings, context(tmp_path / str(seed), seed=seed, shared=shared)) for seed in (0, 1))
    assert not same(first, second)
    assert len(list((shared / "experts").iterdir())) == 1


@pytest.mark.parametrize(
    ("images", "said", "message"),
    [
        (
            pool(),
            {"budget": 4},
            "`budget` must be a multiple of the 3 classes of 'coloured', .* give 3 or 6, or images",
        ),
        (pool(), {"budget": 2}, "got 2 images; give 3, or images per class as '1/class'"),
        (
            pool(),
            {"budget": "11/class"},
            "`budget` 11/class is more than class 'class 0' .* at most 10/class, or `init",
        ),
        (
            pool(),
            {"method": "ncfm", "budget": "3/class"},
            "whose 10 images are what as many of 4 begin as; give at most 2/class",
        ),
        (
            pool(each=2),
            {"method": "ncfm"},
            "whose 2 images are what as many of 4 begin as; give `per_image: 1`, or `init",
        ),
        (pool().with_labels(None, ["a", "b", "c"]), {}, "needs labels, and 'coloured' has none"),
        (pool(), {"network": {"model": "resnet8", "options": {}}}, "without batch norm"),
        (pool(), {"experts": {"folder": "nowhere"}}, "there are no experts in 'nowhere'; `limbeck experts` makes some"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(
    images: ImageSet, said: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        Maker().count(small(**said), context(tmp_path / "made", images))
    assert not (tmp_path / "made").exists()


def test_what_can_be_is_known_without_reading_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageSet, "batches", None)
    monkeypatch.setattr(ImageSet, "gather", None)
    for network in ({}, {"whitening": True}):
        assert Maker().count(small(budget="2/class", network=network), context(tmp_path)) == 6
    with pytest.raises(UserError, match=r"whitening images of .* would take a matrix"):
        Maker().count(small(network={"whitening": True}), context(tmp_path, pool(size=136)))


def test_masks_miss_their_library_before_experts_are_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.transfer.condense.checks.find_spec", lambda _: None)
    with pytest.raises(UserError, match="`mask` needs torchcam, which is not installed"):
        Maker().count(small(mask={"network": "expert"}), context(tmp_path))


class Small(torch.nn.Sequential):
    """A user's own network."""

    def __init__(self, num_classes: int = 3, channels: int = 1) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64 * channels, num_classes))


def test_a_class_of_ones_own_is_a_network(tmp_path: Path) -> None:
    for network in (Small, {"model": Small, "options": {}}):
        settings = small()
        settings = Settings.model_validate({**settings.model_dump(mode="json"), "network": network})
        assert Maker().count(settings, context(tmp_path)) == 3


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Maker().count(small(budget=4, network={"model": "resnet8", "options": {}}), context(tmp_path))
    assert "multiple of the 3 classes" in str(caught.value)
    assert "batch norm" in str(caught.value)


def test_a_teacher_must_know_the_classes_that_it_labels(tmp_path: Path) -> None:
    other = lb.create("convnet_d3", num_classes=4, channels=1, input_size=8, width=4).eval()
    with pytest.raises(UserError, match="tells 4 classes apart, and 'coloured' has 3"):
        Maker().count(small(labels="teacher", method="mtt"), context(tmp_path, teacher=other))
    colour = lb.create("convnet_d3", num_classes=3, channels=3, input_size=8, width=4).eval()
    pair = lb.create("convnet_d3", num_classes=3, channels=2, input_size=8, width=4).eval()
    with pytest.raises(UserError, match=r"takes images of 2 channel\(s\), and those of 'coloured' have 3; load them"):
        Maker().count(small(labels="teacher", method="mtt"), context(tmp_path, pool(channels=3), teacher=pair))
    assert Maker().count(small(labels="teacher", method="mtt"), context(tmp_path, teacher=colour)) == 3


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_what_is_stopped_goes_on_to_the_same_bits(stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small(method="datm", choose="validation", iterations=4, average=0.9)
    whole = made_by(settings, context(tmp_path / "whole"))
    step = MatchingEngine.step

    def stopping(engine: MatchingEngine, iteration: int) -> Mapping[str, float]:
        if iteration == stop:
            raise Interrupted
        return step(engine, iteration)

    monkeypatch.setattr(learning, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(learning, "SHARE", 1e9)
    monkeypatch.setattr(MatchingEngine, "step", stopping)
    with pytest.raises(Interrupted):
        Maker().make(settings, context(tmp_path / "stopped"))
    monkeypatch.setattr(MatchingEngine, "step", step)
    assert same(made_by(settings, context(tmp_path / "stopped")), whole)
    for folder in ("whole", "stopped"):
        assert HistoryFile(tmp_path / folder).count == 4
    files = [
        f.relative_to(tmp_path / "whole" / "made") for f in (tmp_path / "whole" / "made").rglob("*") if f.is_file()
    ]
    assert files
    for file in files:
        assert (tmp_path / "whole" / "made" / file).read_bytes() == (tmp_path / "stopped" / "made" / file).read_bytes()


def test_a_signal_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    settings, step = small(iterations=3), MatchingEngine.step

    def asking(engine: MatchingEngine, iteration: int) -> Mapping[str, float]:
        if iteration == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(engine, iteration)

    monkeypatch.setattr(MatchingEngine, "step", asking)
    with pytest.raises(Interrupted):
        Maker().make(settings, context(tmp_path / "made"))
    done: list[int] = []

    def counting(engine: MatchingEngine, iteration: int) -> Mapping[str, float]:
        done.append(iteration)
        return step(engine, iteration)

    monkeypatch.setattr(MatchingEngine, "step", counting)
    Maker().make(settings, context(tmp_path / "made"))
    assert done == [2]


def test_validation_chooses_among_iterations_and_is_seen_by_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.1, 0.9, 0.5])
    shown: list[int] = []

    def judged(made: TransferSet, validation: ImageSet, *_: object, **__: object) -> float:
        shown.append(len(validation))
        return next(scores)

    monkeypatch.setattr("limbeck.transfer.condense.condensation.accuracy_of", judged)
    changes = {"matching": {"rate_rate": 0.1}}  # enough to be seen
    settings = small(choose="validation", iterations=4, **changes)
    result = Maker().make(settings, context(tmp_path / "made"))
    assert shown == [3, 3, 3], "a tenth of 30"
    assert "27" in result.evidence.headline
    last = made_by(small(iterations=4, **changes), context(tmp_path / "last", made_pool(settings)))
    two = made_by(small(iterations=2, **changes), context(tmp_path / "two", made_pool(settings)))
    images = result.source.images(0).images
    assert images.fingerprint == two.images.fingerprint
    assert images.fingerprint != last.images.fingerprint
    rates = [f"{kept.use['training']['learning_rate']:.3g}" for kept in (two, last) if kept.use is not None]
    assert rates[0] != rates[1]
    assert result.evidence.facts["learned rate"] == rates[0], "that of the images that are kept"


@pytest.mark.parametrize("stop", [1, 2])
def test_what_is_stopped_while_images_are_judged_keeps_them(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores: list[float | None] = []

    def judged(*_: object, **__: object) -> float:
        if (score := scores.pop(0)) is None:
            raise Interrupted
        return score

    monkeypatch.setattr("limbeck.transfer.condense.condensation.accuracy_of", judged)
    settings = small(choose="validation", iterations=4, matching={"rate_rate": 0.1})
    scores[:] = [0.1, 0.9, 0.5]
    whole = made_by(settings, context(tmp_path / "whole"))
    scores[:] = [0.1, 0.9, 0.5]
    scores.insert(stop, None)
    with pytest.raises(Interrupted):
        Maker().make(settings, context(tmp_path / "stopped"))
    step, done = MatchingEngine.step, []

    def counting(engine: MatchingEngine, iteration: int) -> Mapping[str, float]:
        done.append(iteration)
        return step(engine, iteration)

    monkeypatch.setattr(MatchingEngine, "step", counting)
    assert same(made_by(settings, context(tmp_path / "stopped")), whole)
    assert done == list(range(2 * stop, 4))
    assert scores == []
    assert HistoryFile(tmp_path / "stopped").count == 4


def test_the_last_may_be_kept_and_all_of_them_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.9, 0.5])
    monkeypatch.setattr("limbeck.transfer.condense.condensation.accuracy_of", lambda *_, **__: next(scores))
    changes = {"matching": {"rate_rate": 0.1}}
    settings = small(choose="last-validated", iterations=4, **changes)
    result = Maker().make(settings, context(tmp_path / "made"))
    last = made_by(small(iterations=4, **changes), context(tmp_path / "last", made_pool(settings)))
    assert result.source.images(0).images.fingerprint == last.images.fingerprint
    sentence = "The images after 2 iterations were better on validation images than the last (90.0 % against 50.0 %)"
    assert any(finding.startswith(sentence) for finding in result.evidence.findings), result.evidence.findings


def made_pool(settings: Any) -> ImageSet:
    from limbeck.transfer.condense.condensation import split_for

    return split_for(settings, pool())[0]


def test_runs_of_a_comparison_share_experts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    Maker().make(small(method="mtt"), context(tmp_path / "one", shared=shared))
    taught: list[str] = []
    from limbeck.transfer.condense.experts import make

    def noted(pupils: Any, *rest: Any) -> None:
        taught.extend(map(str, pupils))

    monkeypatch.setattr(make, "_teach", noted)
    Maker().make(small(method="mtt", budget="2/class", iterations=2), context(tmp_path / "two", shared=shared, seed=3))
    assert not taught
    assert not (tmp_path / "two" / "experts").exists()


def test_images_begin_as_a_set_on_disk(tmp_path: Path) -> None:
    whole = pool()
    chosen = lb.select(whole, criterion="balanced-random", budget="2/class", seed=5).transfer_set(whole)
    chosen.save(tmp_path / "ten")
    begin = {"set": str(tmp_path / "ten")}
    made = made_by(small(budget="2/class", initialise=begin, iterations=0, labels="hard"), context(tmp_path / "made"))
    assert made.images.class_counts().tolist() == [2, 2, 2]
    assert {bytes(digest) for digest in made.images.digests().numpy()} == {
        bytes(digest) for digest in chosen.images.digests().numpy()
    }
    for values, message in (
        ({"budget": "1/class", "initialise": begin}, "`initialise` must give 3 images, some of each class, got 6 of"),
        ({"initialise": {"set": str(tmp_path / "nowhere")}}, "^`initialise`: there is no folder '.*nowhere'"),
    ):
        with pytest.raises(UserError, match=message):
            Maker().count(small(**values), context(tmp_path))
    with pytest.raises(UserError, match=r"must give images \[C, H, W\] of \[1, 9, 9\], got \[1, 8, 8\]"):
        Maker().count(small(budget="2/class", initialise=begin), context(tmp_path, pool(size=9)))
    with pytest.raises(ValueError, match="must be its folder alone"):
        small(initialise={**begin, "criterion": "random"})
    with pytest.raises(ValueError, match=r"is `\{set: runs/ten\}`, with a space after"):
        small(initialise={"set:runs/ten": None})


def test_images_begin_as_the_floats_of_a_set(tmp_path: Path) -> None:
    whole = pool()
    chosen = lb.select(whole, criterion="balanced-random", budget="2/class", seed=5).transfer_set(whole).images
    floats = (chosen.tensor().float() / 255 * 3 - 1).half()
    beyond = ImageSet.of_floats(floats, chosen.labels, classes=chosen.classes)
    lb.TransferSet(beyond).save(tmp_path / "ten")
    values = {"budget": "2/class", "initialise": {"set": str(tmp_path / "ten")}, "labels": "hard"}
    made = made_by(small(**values, iterations=0, keep="float16"), context(tmp_path / "made")).images
    assert chosen.labels is not None
    assert torch.allclose(made.floats().float(), floats.float()[chosen.labels.argsort(stable=True)], atol=2e-3)
    lb.TransferSet(beyond, per_image=4).save(tmp_path / "mosaics")
    mosaics = small(iterations=0, **{**values, "initialise": {"set": str(tmp_path / "mosaics")}})
    with pytest.raises(UserError, match=r"got those of '.*mosaics', each of which is cut into 4; give a set of"):
        Maker().make(mosaics, context(tmp_path / "refused"))


def test_images_that_nothing_is_learned_of_need_no_experts(tmp_path: Path) -> None:
    result = Maker().make(small(method="mtt", iterations=0), context(tmp_path))
    assert not (tmp_path / "experts").exists()
    images = result.source.images(0)
    ids = torch.tensor(list(images.provenance["source_id"]))
    assert torch.equal(pool().subset(ids).tensor(), images.images.tensor())
    assert result.cost.steps == 0


def test_random_images_have_the_same_soft_labels_as_learned_ones_begin_with(tmp_path: Path) -> None:
    settings = small(method="datm")
    control = settings.controls_beside(settings.model_dump(mode="json", exclude={"budget"}))["condense-random-soft"]
    random = type(settings).model_validate({"budget": settings.budget, **control.changes})
    made = made_by(random, context(tmp_path / "random", shared=tmp_path / "shared"))
    assert made.soft_labels is not None
    assert made.use is not None
    assert made.use["training"]["learning_rate"] == settings.use.learning_rate
    made_by(settings, context(tmp_path / "learned", shared=tmp_path / "shared"))
    assert len(list((tmp_path / "shared" / "experts").iterdir())) == 1


def test_what_a_mask_looks_at_is_counted(tmp_path: Path) -> None:
    values: dict[str, Any] = {"method": "edf", "iterations": 3, "labels": "hard", "initialise": "real"}
    values["matching"] = {"label_rate": 0, "drop": 0}
    plain, masked = (
        Maker().make(small(**values, mask=mask), context(tmp_path / name)).cost.teacher_passes
        for name, mask in (("plain", None), ("masked", {"network": "expert", "every": 2, "map": "grad-cam"}))
    )
    assert masked == plain + 2 * 3, "maps of three images at iterations 0 and 2"


@pytest.mark.parametrize("activation", ["leaky_relu", "sigmoid"])
def test_images_are_learned_on_the_networks_of_published_ablations(activation: str, tmp_path: Path) -> None:
    network = {"model": "convnet_d1", "options": {"width": 2, "norm": "layer", "activation": activation}}
    images, use = (made := made_by(small(method="mtt", network=network), context(tmp_path))).images, made.use
    assert len(images) == 3
    assert use is not None
    assert use["student"]["options"]["activation"] == activation


def test_crops_are_put_together_of_what_a_teacher_is_sure_of(tmp_path: Path) -> None:
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    settings = small(method="rded", iterations=0, crops={"candidates": 5, "crops": 2}, budget=6)
    result = Maker().make(settings, context(tmp_path, teacher=teacher))
    images = result.source.images(0)
    assert len(images) == 6
    assert images.soft_labels is not None
    assert result.cost.teacher_passes == 3 * 5 * 2 + 6
    assert result.cost.images_read == 3 * 5
    assert result.cost.seconds > 0
    assert not settings.own_labels
    assert images.use is not None
    assert images.use["teacher"] == {"weights": name_of_network(teacher)}
    assert same(Maker().load(settings, context(tmp_path, teacher=teacher)).images(0), images)


def test_crops_name_a_teacher_here_so_that_it_is_found_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("myteacher").mkdir()
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    settings = small(method="rded", iterations=0, crops={"candidates": 5, "crops": 2})
    for named, kept in (("myteacher", str(tmp_path / "myteacher")), ("cifar10-resnet20", "cifar10-resnet20")):
        use = made_by(settings, context(tmp_path / named, teacher=teacher, teacher_named={"weights": named})).use
        assert use is not None
        assert use["teacher"] == {"weights": kept}


@pytest.mark.parametrize(("labels", "each"), [("teacher", 1), ("hard", 10)])
def test_crops_say_how_they_are_published_to_be_taught_on(labels: str, each: int, tmp_path: Path) -> None:
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    maker_context = context(tmp_path, pool(each=20), teacher=teacher, teacher_named={"weights": "runs/teacher"})
    settings = Settings.model_validate({"method": "rded", "labels": labels, "budget": f"{each}/class"})
    use = made_by(settings, maker_context).use
    assert use is not None
    published = PROTOCOLS["rded"].training(3 * each, 3, 8)
    batch_size = min(published["batch_size"], 3 * each)  # three images do not fill a larger batch
    training = TrainingSettings(**{**published, "batch_size": batch_size})
    assert TrainingSettings(**use["training"]) == training
    assert use.get("teacher") == ({"weights": "runs/teacher"} if labels == "teacher" else None)
    distillation = {"kd": {"weight": 20**-2, "temperature": 20}}
    assert use["objective"] == (distillation if labels == "teacher" else {"cross_entropy": 1})
    assert weighted_sum(use["objective"]).outputs_needed("teacher") == ({"logits"} if labels == "teacher" else set())


@pytest.mark.parametrize("said", [{"method": "rded"}, {"method": "mtt", "initialise": "real"}], ids=["crops", "random"])
def test_students_of_what_is_not_learned_may_have_batch_norm(said: dict[str, Any], tmp_path: Path) -> None:
    network = {"options": {"width": 4, "norm": "batch"}}
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    use = made_by(small(**said, iterations=0, network=network), context(tmp_path, teacher=teacher)).use
    assert use is not None
    assert use["student"]["options"] == network["options"]


def test_crops_of_large_images_are_shuffled(tmp_path: Path) -> None:
    teacher = lb.create("convnet_d5", num_classes=2, channels=1, input_size=128, width=4).eval()
    settings = Settings.model_validate({"method": "rded", "budget": 2, "crops": {"candidates": 4, "crops": 1}})
    use = made_by(settings, context(tmp_path, pool(classes=2, each=4, size=128), teacher=teacher)).use
    assert use is not None
    assert use["training"]["views"] == PROTOCOLS["rded"].training(2, 2, 128)["views"]
    assert use["training"]["views"][0] == {"shuffled-patches": {"factor": 2}}


def test_images_of_tgdd_are_taught_on_with_its_views(tmp_path: Path) -> None:
    published = Settings.model_validate({"method": "tgdd", "budget": "1/class"}).use
    assert (published.epochs, published.batch_size) == (1500, 64)
    use = {"views": published.views}
    settings = small(method="tgdd", distribution={"real_batch": 4}, use=use, iterations=1)
    made = made_by(settings, context(tmp_path))
    assert made.use is not None
    training = TrainingSettings(**made.use["training"])
    sgd = training.optimizer, training.learning_rate, training.momentum, training.weight_decay
    assert sgd == ("sgd", 0.01, 0.9, 5e-4)
    assert (training.milestones, training.decay) == ([0.6667, 0.8333], 0.2)
    assert training.views == {"cutmix": {"share": 0.5}}
    first, then = training.normalised_views
    assert first == {"dsa": {"operations": ["flip", "colour"], "mode": "all"}}
    assert then == {"dsa": {"operations": ["crop", "scale", "rotate"]}}
    (evaluation,) = lb.evaluate_set(made, pool(), seeds=1, training={"steps": 2})
    assert evaluation.steps == 2


def test_images_of_ncfm_are_taught_on_with_its_optimiser(tmp_path: Path) -> None:
    settings = small(method="ncfm", distribution={"real_batch": 4, "frequencies": 8}, iterations=1)
    use = made_by(settings, context(tmp_path)).use
    assert use is not None
    training = TrainingSettings(**use["training"])
    assert (training.optimizer, training.learning_rate, training.epochs) == ("adamw", 0.001, 2)
    assert (training.milestones, training.decay) == ([0.2, 0.4, 0.6, 0.8], 0.5)
    published = Settings.model_validate({"method": "ncfm", "budget": "1/class"}).use
    assert (published.epochs, published.batch_size, published.weight_decay) == (2000, 128, 0.01)
    assert Settings.model_validate(settings.model_dump(mode="json")).use == settings.use


@pytest.mark.parametrize(
    ("keep", "whitening", "floats"),
    [("auto", False, False), ("auto", True, True), ("uint8", True, False), ("float16", False, True)],
)
def test_what_8_bits_change_is_said_and_whitened_images_are_kept_as_floats(
    keep: str, whitening: bool, floats: bool, tmp_path: Path
) -> None:
    settings = small(keep=keep, network={"whitening": whitening}, method="mtt", matching={"image_rate": 1e-3})
    result = Maker().make(settings, context(tmp_path))
    images = result.source.images(0)
    assert (images.floats is not None) == floats
    assert ("rounding" in images.about) == (not floats)
    assert ("stored in 8 bits" in result.evidence.facts) == (not floats)
    assert images.use is not None
    assert ("whitening" in images.use["student"]) == whitening


def test_images_far_out_of_range_are_kept_as_floats(tmp_path: Path) -> None:
    assert rounding(torch.tensor([[[[0.5, -1.0]]]]))["clipped"] == 0.5
    images = made_by(small(method="mtt", matching={"image_rate": 100}), context(tmp_path / "far"))
    assert images.floats is not None
    with pytest.warns(UserWarning, match=r"beyond 65,504 times white, .* Lower the rate of pixels"):
        images = made_by(small(method="mtt", matching={"image_rate": 1e9}, iterations=1), context(tmp_path / "away"))
    assert images.floats is not None
    assert images.floats.isfinite().all()


def test_a_set_that_was_saved_before_the_run_knew_of_it_is_made_again(tmp_path: Path) -> None:
    """As when a call is killed after the set is written and before `making.json` is."""
    first = Maker().make(small(), context(tmp_path)).source.images(0)
    again = Maker().make(small(), context(tmp_path)).source.images(0)
    assert same(again, first)
    assert same(Maker().load(small(), context(tmp_path)).images(0), first)


def test_a_damaged_set_is_said_with_what_to_do(tmp_path: Path) -> None:
    settings = small(method="mtt", iterations=0)
    made_by(settings, context(tmp_path / "made"))
    (tmp_path / "made" / "made" / "transfer_set.json").write_text("{")
    with pytest.raises(UserError, match=r"damaged.* Remove the folder .*made', so that it is made again"):
        Maker().load(settings, context(tmp_path / "made"))


def test_a_standstill_from_the_first_iteration_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`matching\.skip_above` must be above the first loss"):
        Maker().make(small(matching={"skip_above": 1e-6}), context(tmp_path))


def test_experts_that_are_there_are_used_if_they_fit(tmp_path: Path) -> None:
    settings = small(method="mtt")
    first = made_by(settings, context(tmp_path / "one"))
    (folder,) = (tmp_path / "one" / "experts").iterdir()
    with_folder = settings.model_copy(update={"experts": settings.experts.model_copy(update={"folder": str(folder)})})
    result = Maker().make(with_folder, context(tmp_path / "two"))
    assert same(result.source.images(0), first)
    store = find_experts.open_experts(with_folder, pool(), FreshNetworks.of(with_folder.network, pool()))
    assert store is not None
    assert store.cost().steps > 0
    assert result.cost.steps == store.cost().steps + with_folder.iterations, (
        "experts cost what they did when they were made"
    )
    assert result.cost.seconds > store.cost().seconds > 0
    assert result.evidence.facts["experts"].startswith(f"1 of {str(folder)!r}, which took ")
    longer = with_folder.model_copy(update={"matching": with_folder.matching.model_copy(update={"start_to": 5})})
    with pytest.raises(UserError, match=r"must hold snapshots up to number 6, got up to 2; `limbeck experts`"):
        Maker().count(longer, context(tmp_path / "three"))
    wider = replace(context(tmp_path / "three"), pool=pool(each=12))
    with pytest.raises(UserError, match=r"holds experts of other images than 'coloured'"):
        Maker().count(with_folder, wider)
    images = pool()
    assert images.labels is not None
    turned = ImageSet(images.tensor(), 2 - images.labels, classes=images.classes[::-1], name="coloured")
    with pytest.raises(UserError, match=r"holds experts that number the classes class 0, .* numbered class 2, class 1"):
        Maker().count(with_folder, replace(context(tmp_path / "three"), pool=turned, classes=turned.classes))
