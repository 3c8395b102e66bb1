"""Recipes, comparisons and verbs that borrow."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from tests.recipes.tiny_recipes import comparison, one_run

import limbeck as lb
from limbeck.cost import RunCost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.recipes import compare as compare_module
from limbeck.recipes.borrowing import save_borrowed, settings_from_options
from limbeck.recipes.compare import compare
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.transfer.borrow import maker as maker_module

POOL = {"name": "digits", "exclude": ["0", "1", "2"], "images": 300}
BORROW = {"maker": "borrow", "pools": [POOL], "by": "margin"}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run folder, of a network that tells three digits apart."""
    content = one_run(objective={"cross_entropy": 1.0}, name="teacher")
    content["training"]["steps"] = 40
    del content["teacher"], content["select"]
    folder = tmp_path_factory.mktemp("teacher") / "run"
    run(read_recipe(content), folder)
    return str(folder)


def borrowing(teacher: str, **changes: Any) -> dict[str, Any]:
    """One run that sees no image of the task but those it is judged on."""
    content = one_run(transfer={**BORROW, "budget": 30, **changes}, teacher=teacher)
    del content["select"]
    return {**content, "data": {"test": content["data"]["test"]}}


def arms(teacher: str, **data: Any) -> dict[str, Any]:
    content = comparison(
        arms={"margin": {"transfer": BORROW}, "surest": {"transfer": {**BORROW, "by": "confidence"}}},
        budgets=[12],
        seeds=[0],
    )
    test = content["data"]["test"]
    return {**content, "teacher": teacher, "data": {"test": test, **data}}


def test_a_student_is_taught_on_images_of_other_classes(tmp_path: Path, teacher: str) -> None:
    result = run(read_recipe(borrowing(teacher)), tmp_path / "run")
    assert result.evaluation is not None
    cost = RunCost.from_dict(result.cost)
    assert cost.images == 30
    assert cost.making is not None
    assert cost.making.images_read == cost.making.teacher_passes == 300, "three classes are left out of the scores"
    assert (tmp_path / "run" / "evidence" / "summary.json").exists()
    again = run(read_recipe(borrowing(teacher)), tmp_path / "again")
    states = [run_result.student.state_dict() for run_result in (result, again)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_run_that_was_stopped_goes_on_with_what_it_had_scored(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(read_recipe(borrowing(teacher)), tmp_path / "whole")

    def stopped(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(maker_module, "choose", stopped)
        with pytest.raises(Interrupted):
            run(read_recipe(borrowing(teacher)), tmp_path / "run")
    calls: list[int] = []
    with monkeypatch.context() as patch:
        real = maker_module.transfer_set_of
        patch.setattr(maker_module, "transfer_set_of", lambda *args: calls.append(1) or real(*args))
        result = run(read_recipe(borrowing(teacher)), tmp_path / "run", resume=True)
    assert calls == [1]
    states = [run_result.student.state_dict() for run_result in (result, whole)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert RunCost.from_dict(result.cost).making is not None


def test_what_the_student_is_judged_on_is_not_borrowed(tmp_path: Path, teacher: str) -> None:
    changes = {"pools": [{"name": "digits", "split": "test"}]}
    with pytest.raises(UserError, match=r"pool 'digits' holds \d+ pictures .* that the student is judged on"):
        run(read_recipe(borrowing(teacher, **changes)), tmp_path / "run")


def test_a_comparison_without_training_images_has_the_controls_of_borrowing_alone(tmp_path: Path, teacher: str) -> None:
    results = compare(read_recipe(arms(teacher)), tmp_path / "all")
    assert {(row["arm"], row["images"]) for row in results["table"]} == {
        (name, 12) for name in ("margin", "surest", "borrowed-random", "borrowed-balanced-random")
    }
    controls = {control["name"]: control for control in results["controls"]}
    assert controls["borrowed-balanced-random"]["strict"] == 2
    assert {row["arm"]: row["real_images"] for row in results["table"]}["margin"] == 0
    passes = {row["arm"]: row["making"]["teacher_passes"] for row in results["table"]}
    assert len(set(passes.values())) == 1
    saved = [row["making"]["passes_saved"] for row in results["table"]]
    assert sum(count == 0 for count in saved) == 1, "the table of the pools is made once"
    page = (tmp_path / "all" / "report.html").read_text()
    assert "balanced random of the same pools" in page
    assert "There are no training images, so the controls that learn from them are left out" in page


def test_verdicts_tell_of_arms_that_ended_with_fewer_images(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = arms(teacher)
    few = {**BORROW, "short": "leave", "threshold": {"share": 0.02}}
    content["compare"] |= {"arms": {"sure": {"transfer": few}}, "budgets": [60]}
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    results = compare(read_recipe(content), tmp_path / "all")
    images = {row["arm"]: row["images"] for row in results["table"]}
    assert images["sure"] < images["borrowed-balanced-random"] <= images["borrowed-random"] == 60
    against = {row["against"]: row["images_against"] for row in results["differences"]}
    assert against == {name: count for name, count in images.items() if name != "sure"}
    csv_rows = csv.DictReader((tmp_path / "all" / "results.csv").read_text().splitlines())
    assert {row["arm"]: int(row["images"]) for row in csv_rows} == images


def test_arms_with_pools_of_their_own_have_controls_of_their_own(tmp_path: Path, teacher: str) -> None:
    content = arms(teacher)
    overlapping = {**BORROW, "pools": [{**POOL, "split": "test"}], "overlap": "leave-out"}
    few = {**BORROW, "pools": [{**POOL, "images": 100}]}
    assert isinstance(content["compare"], dict)
    content["compare"]["arms"] |= {"few": {"transfer": few}, "few-surest": {"transfer": {**few, "by": "confidence"}}}
    results = compare(read_recipe(content), tmp_path / "all")
    names = ["borrowed-random", "borrowed-balanced-random", "borrowed-random-of-few", "borrowed-balanced-random-of-few"]
    assert {row["arm"] for row in results["table"]} == {"margin", "surest", "few", "few-surest", *names}
    labels = {control["name"]: (control["label"], control["arms"]) for control in results["controls"]}
    assert labels["borrowed-random"] == ("random of the same pools (margin, surest)", ["margin", "surest"])
    assert labels[names[3]] == ("balanced random of the same pools (few, few-surest)", ["few", "few-surest"])
    against = {(row["arm"], row["against"]) for row in results["differences"]}
    assert against == {(arm, name) for arm in ("margin", "surest") for name in names[:2]} | {
        (arm, name) for arm in ("few", "few-surest") for name in names[2:]
    }
    assert {row["making"]["images_read"] for row in results["table"] if "few" in row["arm"]} == {100}
    page = (tmp_path / "all" / "report.html").read_text()
    assert "balanced random of the same pools (few, few-surest)" in page

    content["compare"]["arms"]["third"] = {"transfer": overlapping}
    assert set(names) < {cell.arm for cell in plan(read_recipe(content))}, "what is added later renames nothing"
    content["compare"]["arms"]["borrowed-random-of-few"] = {"transfer": BORROW}
    with pytest.raises(
        UserError, match="the control 'borrowed-random-of-few' is added by itself; give the arm another"
    ):
        read_recipe(content)


def test_beside_the_full_data_and_select(tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = {"name": "digits", "classes": [0, 1, 2]}
    content = arms(teacher, train=digits, validation=30)
    content["compare"]["arms"] = {"entropy": "entropy", "margin": {"transfer": BORROW}}
    monkeypatch.setattr(compare_module, "write_comparison_report", Path)
    results = compare(read_recipe(content), tmp_path / "all")
    assert {row["arm"] for row in results["table"]} == {
        *("entropy", "margin", "random", "balanced-random", "no-teacher", "full", "full-no-teacher"),
        *("borrowed-random", "borrowed-balanced-random"),
    }


def test_a_share_of_one_pool_is_not_compared_with_that_of_another(teacher: str) -> None:
    content = arms(teacher, train={"name": "digits", "classes": [0, 1, 2]})
    content["compare"] |= {"budgets": ["10%", 12], "arms": {"entropy": "entropy", "margin": {"transfer": BORROW}}}
    with pytest.raises(UserError, match=r"`budgets` must be counts .*, as 'entropy' and 'margin' do: .*; got 10 %"):
        read_recipe(content)
    del content["compare"]["arms"]["entropy"]
    assert read_recipe(content).compare is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pools": []}, "transfer.pools: must hold at least 1"),
        ({"by": "margn"}, r"transfer.by: unknown criterion to borrow `by`: 'margn'; did you mean 'margin'"),
        ({"by": {"margin": 0.5}}, r"transfer.by: the shares of `by` must sum to 1, got 0.5"),
        (
            {"by": "random", "threshold": {"share": 0.1}},
            "`threshold` says how sure the teacher must be, and `by` 'random'",
        ),
        ({"by": "random", "fill": "first-come"}, "`fill: first-come` takes images in the order of the pools, and `by`"),
        ({"threshold": {"of": "mean"}}, "`threshold` of 'mean' needs `calibration` images of the target task"),
        ({"threshold": {"fixed_count": 9}}, "`fixed_count` is for `of: best-share`, got 'quantile'; leave it out"),
        ({"budget": 9999}, r"`budget` must be at most the \d+ images of the pools \(digits \d+\), got 9999 images"),
        ({"short": "stretch"}, "transfer.short: must be 'spread', 'repeat' or 'leave', got 'stretch'"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_said_before_anything_is_made(
    tmp_path: Path, teacher: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        run(read_recipe(borrowing(teacher, **changes)), tmp_path / "run")
    assert not (tmp_path / "run" / "making").exists()


def save(target: Path | None, teacher: str, given: dict[str, Any] | None = None, **more: Any) -> str:
    settings = {"pools": ["{name: digits, images: 300, exclude: ['0', '1', '2']}"], "budget": "30", **(given or {})}
    return save_borrowed(settings, target, teacher=teacher, size=8, **more)


def test_the_verb_saves_what_distilling_takes(tmp_path: Path, teacher: str) -> None:
    summary = save(tmp_path / "set", teacher, {"by": ["margin"]}, test="digits")
    assert "30 images -> " in summary
    assert "borrowed by 'margin'" in summary
    assert "No image is of a class whose name the teacher knows" in summary  # what the page's head says, too
    saved = TransferSet.load(tmp_path / "set")
    assert saved.images.labels is None
    assert set(saved.provenance["source"]) == {"digits"}
    assert {"source_id", "score", "criterion", "predicted_class", "confidence", "native_class"} <= set(saved.provenance)
    assert not {"0", "1", "2"} & set(saved.provenance["native_class"])
    assert saved.about["by"] == {"margin": 1.0}
    assert json.loads((tmp_path / "set" / "cost.json").read_text())["teacher_passes"] > 180
    assert "native_class" in (tmp_path / "set" / "README.md").read_text()
    assert (tmp_path / "set" / "report.html").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    result = lb.distill(
        teacher,
        "convnet_d3",
        tmp_path / "set",
        out=tmp_path / "run",
        test=lb.load("digits", "test", classes=[0, 1, 2]),
        steps=3,
        views="none",
    )
    assert result.evaluation is not None
    with pytest.raises(UserError, match="exists already and is never overwritten; choose another --out"):
        save(tmp_path / "set", teacher)


def test_the_verb_goes_on_as_it_was_begun_or_not_at_all(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(maker_module, "choose", stopped)
        with pytest.raises(Interrupted):
            save(tmp_path / "set", teacher)
    for settings, options, difference in (
        ({"budget": "40"}, {}, r"other settings \(`budget` '30' then, '40' now\)"),
        ({}, {"seed": 1}, "other seed"),
        ({}, {"test": "digits"}, "other images to be judged on"),
    ):
        with pytest.raises(
            UserError, match=f"holds what was begun with {difference}; go on with what it was begun with, rem"
        ):
            save(tmp_path / "set", teacher, settings, **options)
    save(tmp_path / "set", teacher)
    save(tmp_path / "other", teacher)
    sets = [TransferSet.load(tmp_path / name).images.fingerprint for name in ("set", "other")]
    assert sets[0] == sets[1]


def test_unreadable_images_are_named_or_left_out(tmp_path: Path, teacher: str) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, image in enumerate(odd("odd", 0).tensor()[:20]):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:02d}.png")
    (folder / "07.png").write_bytes(b"none")
    settings = {"pools": [str(folder)], "budget": "15", "by": ["random"]}
    with pytest.raises(UserError, match=r"07.png"):
        save(tmp_path / "set", teacher, settings)
    save(tmp_path / "set", teacher, settings, of_every_pool={"skip_unreadable": True})
    assert len(TransferSet.load(tmp_path / "set")) == 15
    assert TransferSet.load(tmp_path / "set").provenance["native_class"] == [None] * 15


def test_what_a_command_line_says_becomes_settings() -> None:
    options = {
        "pools": ["cifar100", "{name: tiny-imagenet, split: test}"],
        "by": ["margin"],
        "threshold": "mean",
        "calibration": "cifar10",
        "exclude": ["known"],
        "short": None,
    }
    assert settings_from_options(options, {"split": "valid"}) == {
        "pools": [{"split": "valid", "name": "cifar100"}, {"split": "test", "name": "tiny-imagenet"}],
        "by": "margin",
        "threshold": {"of": "mean", "calibration": "cifar10"},
        "exclude": "known",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"by": ["margin", "random"]},
            "`--by` of a mixture must be CRITERION=SHARE each time, as margin=0.5, got 'margin'",
        ),
        ({"by": ["margin=0.5", "margin=0.5"]}, "`--by` names a criterion twice, got margin=0.5, margin=0.5; give each"),
        (
            {"by": ["margin=lots"]},
            "`--by` of a mixture must be CRITERION=SHARE each time, as margin=0.5, got 'margin=l",
        ),
        ({"share": 0.1}, "`--share` belongs to a threshold; give --threshold mean, best-share or quantile"),
        ({"pools": ["{cifar100}"]}, "the settings of maker 'borrow':"),
        ({"pools": ["digits"], "budget": "1%%"}, "budget: `budget` must be a count of images"),
        ({"pools": ["{name: digits, color: 3}"]}, "pools.0.color: unknown key"),
    ],
)
def test_what_a_command_line_cannot_say(tmp_path: Path, teacher: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        save(tmp_path / "set", teacher, given)
    assert not list(tmp_path.iterdir())


def odd(name: str, seed: int) -> ImageSet:
    """Of another size than the digits."""
    source = torch.Generator().manual_seed(seed)
    return ImageSet(torch.randint(0, 256, (50, 3, 12, 10), generator=source, dtype=torch.uint8), name=name)


def test_objects_from_python(tmp_path: Path, teacher: str) -> None:
    network = lb.load_model(f"{teacher}/student")
    test = lb.load("digits", "test", classes=[0, 1, 2])
    pools = [odd("odd", 0), {"name": "digits", "images": 200}, {"name": odd("odds", 1), "images": 20}]
    borrowed = lb.borrow(
        network, pools, budget=40, by="balanced-random", short="leave", test=test, scores=tmp_path / "s"
    )
    assert borrowed.images.shape == test.shape
    assert set(borrowed.provenance["source"]) == {"odd", "odds", "digits"}
    again = lb.borrow(
        network,
        pools,
        budget=40,
        by="balanced-random",
        short="leave",
        test=test,
        scores=tmp_path / "s",
        out=tmp_path / "set",
    )
    assert again.images.fingerprint == borrowed.images.fingerprint
    assert json.loads((tmp_path / "set" / "cost.json").read_text())["passes_saved"] > 0
    student = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4)
    result = lb.distill(network, student, borrowed, test=test, out=tmp_path / "run", steps=2, views="none")
    assert result.evaluation is not None


def test_python_is_told_what_is_wrong(tmp_path: Path, teacher: str) -> None:
    network = lb.load_model(f"{teacher}/student")
    for pools, more, message in (
        (3, {}, "`pools` must be images as `lb.load` gives them, or a data set's name, got int"),
        (
            [odd("odd", 0)],
            {"size": 0},
            r"`size` must be a number of pixels or \(height, width\), each at least 1, got 0",
        ),
        ([odd("odd", 0)], {"size": 8.0}, r"`size` must be a number of pixels .*, each at least 1, got 8.0"),
        ([odd("odd", 0)], {"size": True}, r"`size` must be a number of pixels .*, each at least 1, got True"),
        ([odd("odd", 0)], {"size": 8, "workers": 0}, "`workers` must be at least 1, got 0"),
        ([odd("odd", 0)], {"size": 8, "workers": 1.5}, "`workers` must be a whole number, got 1.5"),
        ([odd("odd", 0)], {"size": 8, "out": 3}, "`out` must be the path of a folder, got 3"),
        ([odd("odd", 0)], {"size": 8, "scores": 3}, "`scores` must be the path of a folder, got 3"),
        ([odd("odd", 0)], {"size": 8, "by": ["margin"]}, r"`by` must be a criterion, or the share of each .*, got \['"),
        ([odd("odd", 0)], {"size": 8, "threshold": "best"}, "threshold.of: must be 'mean', 'best-share' or 'quantile'"),
        (
            [odd("odd", 0)],
            {"size": 8, "exclude": ["known", "0"]},
            r"`exclude` must be names of classes, or 'known' alone, got \['known', '0'\]; name others in the `exclude`",
        ),
        (
            [{"name": odd("odd", 0), "split": "test"}],
            {"size": 8},
            "`split` of pool 'odd' must be left out, since its images were handed over",
        ),
        (
            ["digits", {"name": "digits", "seed": 3}],
            {"size": 8},
            "`seed` is for procedural images, .* 'digits' are none",
        ),
        ([odd("odd", 0)], {"size": 8, "test": 3}, "`test` must be images as `lb.load` gives them"),
        ([odd("odd", 0)], {"size": 8, "precision": "fp8"}, "unknown precision 'fp8'"),
        ([odd("odd", 0)], {"size": 8, "seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ([], {"size": 8}, "pools: must hold at least 1"),
    ):
        with pytest.raises(UserError, match=message):
            lb.borrow(network, pools, **{"budget": 10, "by": "random", **more})
    with pytest.raises(UserError, match="`teacher` must be a Classifier, or weights by name or path, got a NoneType"):
        lb.borrow(None, [odd("odd", 0)], budget=10)
    any_size = lb.create("resnet8", num_classes=3, channels=1)
    with pytest.raises(UserError, match="`size` must be given, the pixels a side of the images to borrow, or `test`"):
        lb.borrow(any_size, [odd("odd", 0)], budget=10)


def test_short_forms_are_the_long_ones(teacher: str) -> None:
    network, options = lb.load_model(f"{teacher}/student"), {"budget": 30, "size": 8, "test": lb.load("digits", "test")}
    short = lb.borrow(network, "digits", **options, threshold="quantile", exclude=["known"], short="leave")
    long = {"threshold": {"of": "quantile", "share": 0.1}, "exclude": "known", "short": "leave"}
    assert lb.borrow(network, "digits", **options, **long).images.fingerprint == short.images.fingerprint
    assert short.about["exclude"] == "known"


@pytest.mark.slow
def test_workers_racing_and_resuming_change_nothing(tmp_path: Path, teacher: str) -> None:
    content = arms(teacher, validation={"name": "digits", "split": "train", "classes": [0, 1, 2]})
    content["compare"] |= {"seeds": [0, 1], "budgets": [12, 30], "racing": {"by": "budgets"}}
    serial = compare(read_recipe(content), tmp_path / "one")
    parallel = compare(read_recipe(content), tmp_path / "two", workers=2)
    resumed = compare(read_recipe(content), tmp_path / "one", resume=True)
    outcomes = [
        {row["folder"]: (row["last"], row["state"]) for row in results["runs"]}
        for results in (serial, parallel, resumed)
    ]
    assert outcomes[0] == outcomes[1] == outcomes[2]
