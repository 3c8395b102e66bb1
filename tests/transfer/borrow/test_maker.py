"""`borrow` as a maker: what it writes, loads again, shares, counts and refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.transfer.conftest import natural

from limbeck.data.image_set import ImageSet
from limbeck.data.joined import content_ids
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.models.fingerprint import fingerprint
from limbeck.transfer.borrow import Settings
from limbeck.transfer.borrow.settings import CRITERIA, PoolSettings
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.maker import Made, MakerContext

MAKER = find_maker("borrow")


def named(name: str, n: int, seed: int) -> ImageSet:
    images = natural(n, seed=seed, size=8)
    return ImageSet(images.tensor(), images.labels, ids=images.ids, classes=images.classes, name=name)


POOLS = {"python:blots": named("blots", 60, 1), "python:spots": named("spots", 40, 2)}
TASK = {"python:task": named("task", 80, 9)}


@pytest.fixture(scope="module")
def teacher() -> Classifier:
    """Untrained, but centred so that it gives every class some of the images."""
    classifier = create("convnet_d3", num_classes=4, channels=1, seed=1, input_size=8, width=8).eval()
    head = classifier.network.get_submodule(str(classifier.taps.embedding))
    with torch.no_grad():
        logits = torch.cat([classifier(images.tensor()).logits for images in POOLS.values()])
        head.weight.div_(logits.std(0)[:, None])
        head.bias.sub_(logits.mean(0)).div_(logits.std(0))
    classifier.classes = ("ant", "bee", "cat", "dog")
    return classifier


def context(folder: Path, teacher: Classifier | None, **more: Any) -> MakerContext:
    options = {"pool": None, "classes": ("ant", "bee", "cat", "dog"), "shape": (1, 8, 8), "handed": POOLS, **more}
    return MakerContext(folder=folder, teacher=teacher, **options)


def settings(**more: Any) -> Settings:
    return Settings.model_validate({"pools": list(POOLS), "by": "margin", "budget": 24, **more})


def make(folder: Path, teacher: Classifier, said: dict[str, Any] | None = None, **more: Any) -> Made:
    return MAKER.make(settings(**(said or {})), context(folder, teacher, **more))


def columns(transfer_set: TransferSet) -> dict[str, list[Any]]:
    return {name: list(map(_plain, column)) for name, column in transfer_set.provenance.items()}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value


def pool_of(source: str) -> ImageSet:
    return POOLS[f"python:{source}"]


@pytest.mark.parametrize("by", [*CRITERIA, {"margin": 0.5, "random": 0.25, "k-centre": 0.25}], ids=str)
def test_it_makes_what_it_counts_and_loads_it_again(tmp_path: Path, teacher: Classifier, by: Any) -> None:
    options = {"by": by}
    ctx = context(tmp_path, teacher, seed=3, precision="fp32")  # as the teacher answers below
    assert MAKER.count(settings(**options), ctx) == 24
    made = MAKER.make(settings(**options), ctx)
    transfer_set = made.source.images(0)
    assert len(transfer_set) == 24
    assert transfer_set.images.labels is None
    assert transfer_set.images.classes == ctx.classes
    assert torch.equal(transfer_set.images.ids, content_ids(transfer_set.images.digests()))
    assert torch.equal(transfer_set.images.ids, transfer_set.images.ids.sort().values)
    rows = columns(transfer_set)
    for row, (source, source_id) in enumerate(zip(rows["source"], rows["source_id"], strict=True)):
        pixels = pool_of(source).gather(pool_of(source).positions([source_id]))[0]
        assert torch.equal(transfer_set.images.gather(torch.tensor([row]))[0], pixels)
        label = pool_of(source).labels[pool_of(source).positions([source_id])]
        assert rows["native_class"][row] == pool_of(source).classes[int(label)]
        with torch.no_grad():
            answer = teacher(pixels[None]).logits.double().softmax(1)[0]
        assert rows["predicted_class"][row] == teacher.classes[int(answer.argmax())]
        assert rows["confidence"][row] == pytest.approx(float(answer.max()), rel=0.02)
    assert set(rows["criterion"]) == ({by} if isinstance(by, str) else set(by))
    loaded = MAKER.load(settings(**options), ctx).images(0)
    assert loaded.images.fingerprint == transfer_set.images.fingerprint
    assert columns(loaded) == rows
    assert loaded.about == transfer_set.about
    loaded.save(tmp_path / "saved")
    saved = TransferSet.load(tmp_path / "saved")
    assert columns(saved) == rows
    assert saved.images.fingerprint == transfer_set.images.fingerprint


def test_classes_get_equal_shares_and_the_order_of_pools_does_not_matter(tmp_path: Path, teacher: Classifier) -> None:
    transfer_set = make(tmp_path / "one", teacher).source.images(0)
    assert {transfer_set.provenance["predicted_class"].count(name) for name in teacher.classes} == {6}
    other = make(tmp_path / "two", teacher, {"pools": list(POOLS)[::-1]}).source.images(0)
    assert other.images.fingerprint == transfer_set.images.fingerprint


def test_the_saved_set_names_teacher_and_pools(tmp_path: Path, teacher: Classifier) -> None:
    noise = [{"name": "noise:white", "seed": seed, "images": 9} for seed in (7, 0)]
    pools = [{"name": "python:blots", "images": 50, "exclude": ["0"]}, "python:spots", *noise]
    transfer_set = make(tmp_path, teacher, {"pools": pools, "overlap": "leave-out", "by": "random"}).source.images(0)
    assert transfer_set.about["teacher"] == {"name": teacher.name, "fingerprint": fingerprint(teacher)}
    assert transfer_set.about["overlap"] == "leave-out"
    blots = POOLS["python:blots"].subset(POOLS["python:blots"].ids[:50])
    prints = transfer_set.about["pools"]
    assert prints["blots"]["fingerprint"] == blots.subset(blots.ids[blots.labels != 0]).fingerprint
    assert prints["spots"]["fingerprint"] == POOLS["python:spots"].fingerprint
    assert {
        name: {key: value for key, value in entry.items() if key != "fingerprint"} for name, entry in prints.items()
    } == {
        "blots": {"name": "python:blots", "split": "train", "images": 50, "exclude": ["0"]},
        "spots": {"name": "python:spots", "split": "train"},
        "noise:white/train (1)": {"name": "noise:white", "images": 9, "seed": 0},
        "noise:white/train (2)": {"name": "noise:white", "images": 9, "seed": 7},
    }
    assert set(transfer_set.provenance["source"]) <= set(prints)
    transfer_set.save(tmp_path / "saved")
    assert TransferSet.load(tmp_path / "saved").about == transfer_set.about
    card = (tmp_path / "saved" / "README.md").read_text()
    assert "| `id` | its id in this set, distinct |" in card
    assert fingerprint(teacher) in card


def test_the_first_that_come_are_not_said_to_be_borrowed_by_a_criterion(tmp_path: Path, teacher: Classifier) -> None:
    made = make(tmp_path / "none", teacher, {"by": "none"})
    assert made.evidence.headline == "24 images of 100 of blots and spots, the first that come, pools in their order"
    other = make(tmp_path / "first", teacher, {"by": "margin", "fill": "first-come"})
    assert other.evidence.headline == made.evidence.headline
    transfer_set = other.source.images(0)
    assert transfer_set.images.fingerprint == made.source.images(0).images.fingerprint
    assert set(transfer_set.provenance["criterion"]) == {"none"}
    assert set(transfer_set.provenance["score"]) == {None}


@pytest.mark.filterwarnings("ignore:the budget takes all")
def test_classes_left_short_have_their_share_of_the_whole_budget(tmp_path: Path, teacher: Classifier) -> None:
    options = {"short": "leave", "budget": 1000}
    for by in ("margin", "balanced-random", {"margin": 0.5, "boundary": 0.5}, "random"):
        made = make(tmp_path / str(by), teacher, {**options, "by": by})
        assert len(made.source.images(0)) == 100, "no class has more than 250 images, nor are there more of all"
    lone = {"python:lone": POOLS["python:spots"].subset(POOLS["python:spots"].ids[:1])}
    with pytest.warns(UserWarning, match="takes no image of the pools for .* and the set is smaller for it"):
        made = make(tmp_path / "lone", teacher, {**options, "pools": ["python:lone"], "budget": 10}, handed=lone)
    assert len(made.source.images(0)) == 1


def test_a_criterion_has_something_to_choose_from_procedural_images(tmp_path: Path, teacher: Classifier) -> None:
    images_read = {}
    for by in ("margin", "random"):
        made = make(tmp_path / by, teacher, {"pools": ["noise"], "by": by, "budget": 12})
        images_read[by] = made.cost.images_read
        assert not any("nothing to choose" in finding for finding in made.evidence.findings)
    assert images_read == {"margin": 120, "random": 12}
    with pytest.warns(
        UserWarning, match="takes all 100 distinct images of the pools, so 'margin' had nothing to choose"
    ):
        made = make(tmp_path / "all", teacher, {"budget": 100})
    assert any("nothing to choose" in finding for finding in made.evidence.findings)


@pytest.mark.filterwarnings("ignore:the budget takes all")
def test_images_shown_again_have_ids_of_their_own(tmp_path: Path, teacher: Classifier) -> None:
    options = {"budget": 160, "short": "repeat"}
    ctx = context(tmp_path, teacher)
    transfer_set = MAKER.make(settings(**options), ctx).source.images(0)
    assert len(transfer_set) == 160
    assert len(transfer_set.images.ids.unique()) == 160
    rows = columns(transfer_set)
    assert sorted(set(rows["copy"]))[:2] == [0, 1]
    assert {rows["predicted_class"].count(name) for name in teacher.classes} == {40}
    shown = {(source, id_) for source, id_ in zip(rows["source"], rows["source_id"], strict=True)}
    assert len(shown) == rows["copy"].count(0)
    loaded = MAKER.load(settings(**options), ctx).images(0)
    assert loaded.images.fingerprint == transfer_set.images.fingerprint


def test_runs_of_a_comparison_share_the_table_and_count_what_it_saved(tmp_path: Path, teacher: Classifier) -> None:
    alone = make(tmp_path / "alone", teacher)
    assert (alone.cost.images_read, alone.cost.teacher_passes, alone.cost.passes_saved) == (100, 100, 0)
    again = make(tmp_path / "alone", teacher)
    assert again.cost.passes_saved == 0, "its own work saves it nothing"
    shared = tmp_path / "shared"
    first = make(tmp_path / "first", teacher, shared=shared)
    second = make(tmp_path / "second", teacher, {"by": "entropy", "budget": 12}, shared=shared, seed=4)
    assert (first.cost.passes_saved, second.cost.passes_saved) == (0, 100)
    assert second.cost.teacher_passes == 100
    diverse = make(tmp_path / "third", teacher, {"by": "k-centre"}, shared=shared)
    assert (diverse.cost.teacher_passes, diverse.cost.passes_saved) == (200, 100)
    assert first.source.images(0).images.fingerprint == alone.source.images(0).images.fingerprint


def test_thresholds_are_of_the_pool_or_of_a_calibration_set(tmp_path: Path, teacher: Classifier) -> None:
    sure = make(tmp_path / "one", teacher, {"threshold": {"share": 0.4}, "short": "leave", "by": "balanced-random"})
    unsure = make(tmp_path / "two", teacher, {"by": "balanced-random"})
    means = [np.mean(columns(made.source.images(0))["confidence"]) for made in (sure, unsure)]
    assert means[0] > means[1]
    sets = {**POOLS, **TASK}
    threshold = {"of": "mean", "calibration": "python:task"}
    calibrated = make(tmp_path / "three", teacher, {"threshold": threshold, "budget": 8}, handed=sets)
    assert calibrated.cost.teacher_passes == 180
    part = {"of": "mean", "calibration": {"name": "python:task", "images": 20}}
    fewer = make(tmp_path / "few", teacher, {"threshold": part, "budget": 8}, handed=sets)
    assert fewer.cost.teacher_passes == 180 - len(TASK["python:task"]) + 20
    with pytest.raises(UserError, match=r"of which \d+ can be chosen by 'margin' with this `threshold`, got 99"):
        make(tmp_path / "four", teacher, {"threshold": threshold, "budget": 99}, handed=sets)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"budget": 101},
            r"`budget` must be at most the 100 images of the pools \(blots 60, spots 40\), got 101 images; low",
        ),
        ({"budget": "26/class"}, r"the 100 images of the pools .*, got 26/class = 104; lower it, name more pools"),
        (
            {"budget": 3},
            "`budget` must give each of the 4 classes of the teacher an image, got 3 images, of which 3 by",
        ),
        (
            {"budget": 9, "by": {"margin": 0.2, "random": 0.8}},
            "got 9 images, of which 2 by 'margin'; raise it, or borrow",
        ),
        ({"pools": ["python:gone"]}, "the images 'python:gone' were handed over in Python; hand them over again"),
        ({"pools": ["cifra100"]}, "unknown dataset 'cifra100'; did you mean 'cifar100'"),
        (
            {"threshold": {"of": "mean", "calibration": "cifra10"}},
            "unknown dataset 'cifra10'; did you mean 'cifar10'",
        ),
    ],
)
def test_what_cannot_be_made_is_said_before_any_work(
    tmp_path: Path, teacher: Classifier, said: dict[str, Any], message: str
) -> None:
    for network in (teacher, None):
        with pytest.raises(UserError, match=message):
            MAKER.count(settings(**said), context(tmp_path / "made", network))
    assert not (tmp_path / "made").exists()


def test_budgets_are_shares_of_all_images_or_times_the_classes(tmp_path: Path, teacher: Classifier) -> None:
    counted = {
        budget: MAKER.count(settings(budget=budget), context(tmp_path, teacher))
        for budget in ("10%", 0.5, "5/class", 30)
    }
    assert list(counted.values()) == [10, 50, 20, 30]
    assert MAKER.count(settings(budget=500, short="repeat"), context(tmp_path, teacher)) == 500
    assert MAKER.count(settings(budget=500, short="leave"), context(tmp_path, teacher)) == 500
    assert MAKER.count(settings(budget=500, short="leave", by="random"), context(tmp_path, teacher)) == 100
    assert MAKER.count(settings(budget=1, by="random"), context(tmp_path, teacher)) == 1


def test_a_share_is_one_of_the_distinct_images(tmp_path: Path, teacher: Classifier) -> None:
    blots = POOLS["python:blots"]
    twice = ImageSet(torch.cat([blots.tensor(), blots.tensor()[:1]]), classes=blots.classes, name="twice")
    options = {"pools": ["python:twice"], "by": "random"}
    for budget, count in (("100%", 60), (0.5, 30)):
        made = make(tmp_path / str(budget), teacher, {**options, "budget": budget}, handed={"python:twice": twice})
        assert len(made.source.images(0)) == count
    test = blots.subset(blots.ids[:10])
    made = make(tmp_path / "left", teacher, {"budget": "100%", "overlap": "leave-out", "by": "random"}, held_out=[test])
    assert len(made.source.images(0)) == 90


def test_infinite_logits_stop_those_alone_that_go_by_them(tmp_path: Path, teacher: Classifier) -> None:
    class Endless(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            means = x.flatten(1).mean(1, keepdim=True)
            logits = torch.cat([means, -means, 2 * means, means - 1], 1)
            return logits.masked_fill((means > 0) & (torch.arange(4) == 2), float("inf"))

    endless = Classifier(Endless(), num_classes=4, channels=1, input_size=8).eval()
    made = make(tmp_path, endless, {"by": "random", "budget": 40})
    assert len(made.source.images(0)) == 40
    with pytest.raises(UserError, match=r"column 'margin:teacher-logits' of .* is not finite for id .* choose"):
        make(tmp_path, endless, {"by": "margin", "budget": 40, "short": "leave"})


def test_too_few_images_are_told_by_class_where_classes_have_shares(tmp_path: Path, teacher: Classifier) -> None:
    lone = {"python:lone": POOLS["python:spots"].subset(POOLS["python:spots"].ids[:1])}
    options = {"pools": ["python:lone"], "by": "random", "budget": 3, "short": "repeat"}
    evidence = make(tmp_path / "lone", teacher, options, handed=lone).evidence
    assert evidence.findings[1:] == ["The pools hold fewer distinct images than the budget: 2 were shown again"]
    options = {"budget": 160, "short": "leave"}
    with pytest.warns(UserWarning, match="the budget takes all"):
        left = make(tmp_path / "left", teacher, options).evidence
    assert (
        left.findings[1] == "4 of 4 classes had fewer images than their share (ant, bee, cat and dog): 60 are lacking"
    )


def test_teachers_that_cannot_be_asked_so_are_refused(tmp_path: Path, teacher: Classifier) -> None:
    headless = create("convnet_d3", num_classes=4, channels=1, seed=1, input_size=8, width=8).eval()
    headless.taps = type(headless.taps)(stages=headless.taps.stages)
    with pytest.raises(
        UserError, match=r"score 'minimal-margin' reads the weights of a linear last layer, got .*'margin'"
    ):
        MAKER.count(settings(by="minimal-margin"), context(tmp_path, headless))
    with pytest.raises(
        UserError, match="`by` 'k-centre' measures distances in the teacher's embedding, and where that"
    ):
        MAKER.count(settings(by="k-centre"), context(tmp_path, headless))
    assert MAKER.count(settings(by="margin"), context(tmp_path, headless)) == 24
    single = create("convnet_d3", num_classes=1, channels=1, seed=1, input_size=8, width=8).eval()
    with pytest.raises(UserError, match="`teacher` must tell at least 2 classes apart to be sure of one, got 1"):
        MAKER.count(settings(), context(tmp_path, single))
    odd = create("convnet_d3", num_classes=4, channels=4, seed=1, input_size=8, width=8).eval()
    with pytest.raises(
        UserError, match=r"takes images of 4 channel\(s\), and the student's, of 3, cannot be made such"
    ):
        MAKER.count(settings(), context(tmp_path, odd, shape=(3, 8, 8)))
    larger = create("convnet_d3", num_classes=4, channels=3, seed=1, input_size=16, width=8).eval()
    assert MAKER.count(settings(), context(tmp_path, larger)) == 24


def test_pools_that_hold_judged_images_are_refused_or_left_out(tmp_path: Path, teacher: Classifier) -> None:
    test = POOLS["python:spots"].subset(POOLS["python:spots"].ids[:5])
    with pytest.raises(UserError, match=r"pool 'spots' holds 5 pictures .* that the student is judged on"):
        make(tmp_path / "one", teacher, held_out=[test])
    transfer_set = make(
        tmp_path / "two", teacher, {"overlap": "leave-out", "budget": 60}, held_out=[test]
    ).source.images(0)
    assert not torch.isin(transfer_set.images.ids, content_ids(test.digests())).any()


@pytest.mark.parametrize(
    ("threshold", "told"),
    [
        ({"of": "mean", "calibration": {"name": "cifar10", "split": "test"}, "split": "train"}, "is a lone name"),
        (
            {"of": "mean", "share": 0.3, "calibration": "digits"},
            "`share` would change nothing, got 0.3: `of` is 'mean'",
        ),
        ({"of": "quantile", "split": "test"}, "is of `calibration` images, and there are none, got 'test'"),
        ({"of": "mean", "calibration": {"name": "cifar10", "imags": 3}}, "threshold.calibration.imags"),
    ],
)
def test_a_split_of_calibration_images_is_said_once(threshold: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        settings(threshold=threshold)


def test_a_split_is_written_down_with_its_calibration_images() -> None:
    parsed = settings(threshold={"of": "mean", "calibration": "cifar10", "split": "test"})
    assert parsed.threshold is not None
    assert parsed.threshold.calibration == PoolSettings(name="cifar10", split="test")
    assert settings(**parsed.model_dump(mode="json")) == parsed


def test_calibration_images_that_are_judged_on_are_left_out(tmp_path: Path, teacher: Classifier) -> None:
    sets = {**POOLS, **TASK}
    options = {"threshold": {"of": "mean", "calibration": "python:task"}, "budget": 8}
    with pytest.raises(UserError, match=r"none of the \d+ images of .* is left: the student is judged on"):
        make(tmp_path / "one", teacher, options, handed=sets, held_out=[sets["python:task"]])


def test_a_pool_of_one_image_and_one_named_twice(tmp_path: Path, teacher: Classifier) -> None:
    single = POOLS["python:spots"].subset(POOLS["python:spots"].ids[:1])
    sets = {"python:lone": single, **POOLS}
    made = make(tmp_path / "one", teacher, {"pools": ["python:lone"], "by": "random", "budget": 1}, handed=sets)
    assert len(made.source.images(0)) == 1
    assert made.evidence.headline == "1 image of 1 of spots, borrowed by 'random'"
    twice = make(tmp_path / "two", teacher, {"pools": ["python:blots", "python:blots"], "by": "random", "budget": 60})
    assert len(twice.source.images(0)) == 60
    with pytest.raises(UserError, match=r"60 distinct images, got 61"):
        make(tmp_path / "two", teacher, {"pools": ["python:blots", "python:blots"], "by": "random", "budget": 61})


def test_what_was_made_is_found_again_or_said_to_be_gone(tmp_path: Path, teacher: Classifier) -> None:
    make(tmp_path / "made", teacher)
    ctx = context(tmp_path / "made", teacher)
    pixels = {name: natural(len(images), seed=7, size=8).tensor() for name, images in POOLS.items()}
    other = {name: ImageSet(pixels[name], ids=images.ids, name=images.name) for name, images in POOLS.items()}
    with pytest.raises(
        UserError, match=r"was chosen when the pool '\w+' held other images than now; bring them back, or"
    ):
        MAKER.load(settings(), context(tmp_path / "made", teacher, handed=other))
    fewer = {name: images.subset(images.ids[:10]) for name, images in POOLS.items()}
    with pytest.raises(UserError, match=r"names images that its pool has no more \(.*; remove the folder"):
        MAKER.load(settings(), context(tmp_path / "made", teacher, handed=fewer))
    with pytest.raises(UserError, match=r"names the pool 'blots', and there is none of that name; remove the folder"):
        MAKER.load(settings(pools=["python:spots"]), ctx)
    path = tmp_path / "made" / "chosen.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"is damaged \(.*; remove the folder"):
        MAKER.load(settings(), ctx)
    path.unlink()
    with pytest.raises(
        UserError, match=r"there is no '.*chosen.parquet', the images that were chosen; remove the folder"
    ):
        MAKER.load(settings(), ctx)
