"""A maker that is registered by one line: its runs are taught, killed, resumed, compared and reported."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run, training
from tests.training.tiny import stripes
from tests.transfer import solid as solid_package
from tests.transfer.solid import Maker, Settings
from tests.transfer.solid.maker import SolidSource

import limbeck
from limbeck.cost import RunCost
from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.plugins import register, unregister
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import RunResult
from limbeck.report import write_comparison_report, write_run_report
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.catalogue import find_maker, settings_of
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.maker import MakerContext

SOURCE = Path(limbeck.__file__).parent
SOLID = {"maker": "solid", "budget": 5, "steps_per_round": 3}


@pytest.fixture(autouse=True, scope="module")
def _catalogued() -> Iterator[None]:
    """The one line that registers it."""
    register("makers", "solid", solid_package, summary="images of one colour")
    yield
    unregister("makers", "solid")


def solid(**changes: Any) -> dict[str, Any]:
    """Twelve steps in four rounds, without any images of one's own but those to judge on."""
    content = one_run(transfer={**SOLID, **changes}, objective={"kd": 1.0})
    del content["select"]
    return content


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a trained run."""
    content = one_run(objective={"cross_entropy": 1.0}, name="teacher")
    del content["teacher"], content["select"]
    folder = tmp_path_factory.mktemp("teacher") / "run"
    run(read_recipe(content), folder)
    return str(folder)


def without_images(teacher: str, **changes: Any) -> dict[str, Any]:
    content = solid(**changes)
    return {**content, "teacher": teacher, "data": {"test": content["data"]["test"]}}


def go(content: dict[str, Any], folder: Path, *, resume: bool = False) -> RunResult:
    return run(read_recipe(content), folder, resume=resume)


def same(one: RunResult, other: RunResult) -> bool:
    mine, others = one.student.state_dict(), other.student.state_dict()
    return mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)


def test_nothing_else_names_it() -> None:
    files = [
        str(file)
        for file in SOURCE.rglob("*")
        if file.suffix in (".py", ".yaml", ".j2") and "solid" in file.read_text()
    ]
    assert not files
    assert settings_of("solid") is Settings
    assert isinstance(find_maker("solid"), Maker)


def test_it_is_taught_on_in_rounds_without_images_of_ones_own(tmp_path: Path, teacher: str) -> None:
    result = go(without_images(teacher), tmp_path / "run")
    assert result.evaluation is not None
    assert result.evaluation.n == 107
    cost = RunCost.from_dict(result.cost)
    assert result.cost["images"] == 4
    assert cost.making is not None
    assert (cost.making.steps, cost.making.images_read) == (3, 4)  # of `make`, and an image each round
    assert cost.making.seconds >= 0.5 + 4 * 0.25
    assert (cost.teaching.steps, cost.teaching.teacher_passes) == (12, 12 * 16)
    assert cost.teacher is not None
    assert cost.teacher.steps == 12
    assert cost.total.steps == 15
    summary = json.loads((tmp_path / "run" / "evidence" / "summary.json").read_text())
    assert summary["headline"] == "4 colours of at most 5"
    assert "4 colours of at most 5" in write_run_report(tmp_path / "run").read_text()


class PowerCut(BaseException):
    pass


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step, and the end before the one after `step`."""
    from limbeck.training import log

    real = log.TrainingLog.add

    def add(self: Any, at: int, *rest: Any, **more: Any) -> None:
        if at == step:
            raise PowerCut
        real(self, at, *rest, **more)

    monkeypatch.setattr(log.TrainingLog, "add", add)


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_it_is_gone_on_with_to_the_bit(
    tmp_path: Path, teacher: str, whole: RunResult, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    content = without_images(teacher)
    content["training"] |= {"checkpoint_seconds": 0}
    with monkeypatch.context() as patch:
        stop_at(step, patch)
        with pytest.raises(PowerCut):
            go(content, tmp_path / "run")
    rounds: list[int] = []
    real = SolidSource.refresh

    def refresh(self: SolidSource, round: int, student: torch.nn.Module) -> Any:
        rounds.append(round)
        return real(self, round, student)

    monkeypatch.setattr(SolidSource, "refresh", refresh)
    result = go(content, tmp_path / "run", resume=True)
    assert same(result, whole)
    assert (tmp_path / "run" / "making" / "made.txt").read_text() == "made\n"
    last = max((row["step"] for row in RunFolder(tmp_path / "run").metrics() if row["step"] <= step), default=0)
    assert rounds[-1:] == [3] or last >= 9
    assert result.cost["images"] == 4
    making = RunCost.from_dict(result.cost).making
    assert making is not None
    assert making.images_read == 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, teacher: str) -> RunResult:
    """The run that nobody stopped."""
    content = without_images(teacher)
    content["training"] |= {"checkpoint_seconds": 0}
    return go(content, tmp_path_factory.mktemp("whole") / "run")


def test_what_was_made_is_on_disk_before_the_first_step(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.recipes.run.fit", None)
    with pytest.raises(TypeError):
        go(without_images(teacher), tmp_path / "run")
    run_folder = RunFolder(tmp_path / "run")
    assert run_folder.read("making.json")["cost"]["steps"] == 3
    assert run_folder.read("inputs.json")["teacher"]["fingerprint"]
    assert (tmp_path / "run" / "evidence" / "summary.json").exists()
    assert (tmp_path / "run" / "making" / "made.txt").exists()


def stopped_before_teaching(content: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.run.fit", None)
        with pytest.raises(TypeError):
            go(content, folder)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"maker": "select", "cost": {"seconds": "long"}}'])
def test_what_was_made_may_be_damaged_and_is_made_again_as_the_message_says(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    content, folder = {**one_run(), "teacher": teacher}, tmp_path / "run"
    stopped_before_teaching(content, folder, monkeypatch)
    (folder / "making.json").write_text(text)
    with pytest.raises(UserError, match=r"making.json' is damaged \(.*\); remove it, so that it is made again"):
        go(content, folder, resume=True)
    (folder / "making.json").unlink()
    (folder / "making" / "chosen.parquet").unlink()
    stopped_before_teaching(content, tmp_path / "other", monkeypatch)
    (tmp_path / "other" / "making" / "chosen.parquet").write_text(text)
    with pytest.raises(UserError, match=r"chosen.parquet' is damaged \(.*\); remove the folder"):
        go(content, tmp_path / "other", resume=True)
    shutil.rmtree(tmp_path / "other" / "making")
    assert same(go(content, folder, resume=True), go(content, tmp_path / "other", resume=True))


def test_a_making_of_another_maker_is_no_cost_of_this_one(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {**one_run(), "teacher": teacher}
    stopped_before_teaching(content, tmp_path / "run", monkeypatch)
    (tmp_path / "run" / "making.json").write_text('{"maker": "solid", "cost": {}}')
    with pytest.raises(UserError, match="it is of maker 'solid'"):
        go(content, tmp_path / "run", resume=True)


def test_making_that_is_interrupted_goes_on_and_its_time_adds_up(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def interrupted(*_: Any) -> None:
            raise Interrupted("stopped")

        patch.setattr(Maker, "make", interrupted)
        with pytest.raises(Interrupted):
            go(without_images(teacher), tmp_path / "run")
    before = RunFolder(tmp_path / "run").read("making-energy.json")["seconds"]
    with pytest.raises(UserError, match="holds a run already"):
        go(without_images(teacher), tmp_path / "run")
    go(without_images(teacher), tmp_path / "run", resume=True)
    assert RunFolder(tmp_path / "run").read("making-energy.json")["seconds"] > before


def test_it_is_compared_beside_its_own_controls_and_those_of_another_maker(tmp_path: Path) -> None:
    arms = {"colours": {"transfer": {"maker": "solid", "steps_per_round": 3}}, "entropy": {}}
    recipe = read_recipe({**comparison(arms=arms, seeds=[0, 1], budgets=[9]), "objective": {"kd": 1.0}})
    results = compare(recipe, tmp_path / "compared")
    assert {row["state"] for row in results["runs"]} == {"finished"}
    arm_names = list(dict.fromkeys(row["arm"] for row in results["runs"]))
    controls = ["gray-solid", "random", "balanced-random", "no-teacher", "full", "full-no-teacher"]
    assert arm_names == ["colours", "entropy", *controls]
    assert [row["name"] for row in results["controls"]] == [
        *("balanced-random", "gray-solid", "random"),
        *("no-teacher", "full", "full-no-teacher"),
    ]
    against = {row["against"] for row in results["differences"] if row["arm"] == "colours"}
    assert against == {"gray-solid", "no-teacher", "full"}
    rows = {row["arm"]: row for row in results["table"]}
    assert rows["colours"]["making"]["steps"] == 3
    assert rows["colours"]["seconds"] >= rows["colours"]["making"]["seconds"] >= 1.5
    page = write_comparison_report(tmp_path / "compared").read_text()
    assert "gray colours" in page
    assert "4 colours of at most 9" in page


def test_alone_it_is_compared_without_any_images_of_ones_own(tmp_path: Path, teacher: str) -> None:
    arms = {"colours": {"transfer": {"maker": "solid"}}}
    content = {**comparison(arms=arms, seeds=[0], budgets=[4, 2]), "objective": {"kd": 1.0}, "teacher": teacher}
    content["data"] = {"test": content["data"]["test"]}
    results = compare(read_recipe(content), tmp_path / "compared")
    assert [row["arm"] for row in results["runs"]] == ["colours", "gray-solid"] * 2
    assert not [note for note in results["notes"] if "have no labels" in note], "there are no training images"
    assert {row["state"] for row in results["runs"]} == {"finished"}


def test_makers_get_the_teacher_in_evaluation_mode_and_the_folder_that_runs_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the one that was trained a moment ago, and after the last round; and they compute as the recipe says."""
    calls: list[tuple[bool | None, Path | None, str]] = []

    def note(call: Any) -> Any:
        def noting(self: Maker, settings: Settings, context: MakerContext, *rest: Any) -> Any:
            training = None if context.teacher is None else context.teacher.training
            calls.append((training, context.shared, context.precision))
            return call(self, settings, context, *rest)

        return noting

    for name in ("make", "evidence"):
        monkeypatch.setattr(Maker, name, note(getattr(Maker, name)))
    for precision in ("auto", "fp32"):
        calls.clear()
        recipe = read_recipe(solid(), [f"training.precision={precision}"])
        run(recipe, tmp_path / precision, shared=tmp_path / "shared")
        assert len(calls) == 3
        assert set(calls) == {(False, tmp_path / "shared", precision)}


class Answered(SolidSource):
    """Its colours come with soft labels of their own."""

    def images(self, round: int) -> TransferSet:
        images = super().images(round).images
        return TransferSet(images, torch.full((len(images), 3), 9.0), soft_label_kind="logits")


def test_soft_labels_that_a_maker_keeps_are_left_aside_where_its_teacher_is_asked(
    tmp_path: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = go(without_images(teacher), tmp_path / "plain")

    def load(self: Maker, settings: Settings, context: MakerContext) -> Answered:
        return Answered(settings, context, self.count(settings, context))

    monkeypatch.setattr(Maker, "load", load)
    assert same(plain, go(without_images(teacher), tmp_path / "answered"))


def test_made_images_do_not_get_the_soft_labels_of_those_whose_ids_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = stripes(40)
    TransferSet(pool, torch.full((40, 2), 0.5)).save(tmp_path / "set")
    taken = [pool.subset([3, 1])]
    monkeypatch.setattr(Maker, "load", lambda *_: FixedSource(taken[0]))
    monkeypatch.setattr(Maker, "evidence", lambda *_: Evidence(headline="some"))
    changes = {"student": {"model": "convnet_d3", "options": {"width": 4}}, "objective": {"kd": 1}, "transfer": SOLID}
    content = training(**changes, data={"train": str(tmp_path / "set")})
    assert go(content, tmp_path / "taken").cost["images"] == 2
    for name, images in {"turned": pool.tensor()[[1, 3]], "smaller": pool.tensor()[[3, 1], :, :7]}.items():
        taken[0] = ImageSet(images, ids=torch.tensor([3, 1]), classes=pool.classes)
        with pytest.raises(UserError, match="the objective kd needs a teacher, and there is none"):
            go(content, tmp_path / name)
    taken[0] = ImageSet(pool.tensor()[[3, 1]], ids=torch.tensor([3, 41]), classes=pool.classes)
    with pytest.raises(UserError, match="the objective kd needs a teacher, and there is none"):
        go(content, tmp_path / "more")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transfer": {**SOLID, "maker": "sold"}}, "transfer: unknown maker 'sold'; did you mean 'solid'"),
        (
            {"transfer": {"budget": 3}},
            "transfer: `maker` must be given, one of select, borrow, generate, condense, solid",
        ),
        (
            {"transfer": {**SOLID, "maker": 3}},
            "transfer: `maker` must be one of select, borrow, generate, condense, solid, got 3",
        ),
        ({"transfer": {**SOLID, "fist": 3}}, "transfer.fist: unknown key; did you mean 'first'"),
        ({"transfer": {**SOLID, "first": 0}}, "transfer.first: must be >= 1, got 0"),
        ({"transfer": {**SOLID, "first": True}}, "transfer.first: must be a number, got True"),
        ({"transfer": {"maker": "solid"}}, "transfer.budget: must be given"),
        ({"transfer": {**SOLID, "budget": -1}}, "transfer.budget: `budget` must be > 0, got -1"),
        ({"transfer": 3}, "transfer: must be a mapping of keys to values, got 3"),
        ({"select": {"budget": 3}}, "`select` is short for `transfer: {maker: select, ...}`; give one of the two"),
        ({"data": {"test": "digits", "validation": 10}}, "`data.validation` must be images of their own"),
        ({"teacher": None}, "`teacher` must be given, which knows the classes"),
        ({"transfer": None}, "`data.train` must be given, the images to learn from, or a `transfer`"),
        ({"transfer": {"maker": "select", "budget": 3}}, "`data.train` must be given, from which images are taken"),
    ],
)
def test_wrong_recipes(teacher: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_recipe({**without_images(teacher), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 3, "first": 4}, "`first` must be at most the 3 images of the budget, got 4"),
        ({"budget": "10%"}, "`budget` of maker 'solid' must be a count of images, got 10 %"),
    ],
)
def test_what_cannot_be_made_is_said_before_any_work(
    tmp_path: Path, teacher: str, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        go(without_images(teacher, **change), tmp_path / "run")
    assert not (tmp_path / "run" / "making").exists()


def test_overrides_find_the_transfer_set_in_either_form(teacher: str) -> None:
    recipe = read_recipe(without_images(teacher), ["transfer.budget=7"])
    assert recipe.transfer is not None
    assert recipe.transfer.budget == 7
    for override in ("select.budget=7", "transfer.budget=7"):
        recipe = read_recipe(one_run(), [override])
        assert recipe.transfer is not None
        assert recipe.transfer.model_dump() == {"maker": "select", "budget": 7, "criterion": "entropy", "dedupe": False}
    arms = {"one": "margin", "two": {"transfer": {"maker": "select", "criterion": "variance"}}}
    changed = ["compare.arms.one.transfer.dedupe=true", "compare.arms.two.select=margin"]
    settings = read_recipe(comparison(arms=arms), changed).compare
    assert settings is not None
    assert settings.arms["one"].transfer == {"maker": "select", "criterion": "margin", "dedupe": True}
    assert settings.arms["two"].transfer == {"maker": "select", "criterion": "margin", "dedupe": False}


def test_an_override_of_the_short_form_takes_the_place_of_another_maker(teacher: str) -> None:
    content = {**one_run(), "transfer": SOLID}
    del content["select"]
    whole, part = ["select={criterion: margin, budget: 50}"], ["select.criterion=margin", "select.budget=50"]
    for overrides in (whole, part, ["transfer.first=2", *whole], ["transfer=null", *part]):
        recipe = read_recipe(content, overrides)
        assert recipe.transfer is not None
        assert recipe.transfer.model_dump() == {"maker": "select", "budget": 50, "criterion": "margin", "dedupe": False}
    assert read_recipe(content, ["select=null"]).transfer is None
    arms = {"one": {"transfer": {"maker": "solid", "first": 2}}}
    settings = read_recipe(comparison(arms=arms), ["compare.arms.one.select=margin"]).compare
    assert settings is not None
    assert settings.arms["one"].transfer == {"maker": "select", "criterion": "margin", "dedupe": False}


@pytest.mark.parametrize(
    ("change", "override", "message"),
    [
        ({"select": "margin"}, "transfer.budget=5", "give one of the two"),
        ({"select": ["margin"]}, "transfer.budget=5", "give one of the two"),
        ({"compare": [1]}, "compare.arms.a.select=margin", "reaches into `compare`, which holds [1]"),
        ({"compare": "x"}, "compare.arms.a.transfer.dedupe=true", "reaches into `compare`, which holds 'x'"),
        (
            {"compare": {"arms": ["a"]}},
            "compare.arms.a.select=margin",
            "reaches into `compare.arms`, which holds ['a']",
        ),
        (
            {"compare": {"arms": {"a": 3}}},
            "compare.arms.a.select=margin",
            "reaches into `compare.arms.a`, which holds 3",
        ),
    ],
)
def test_overrides_of_what_is_wrong_already(change: dict[str, Any], override: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        read_recipe({**one_run(), **change}, [override])


def test_a_run_of_the_short_form_is_gone_on_with_in_the_long_one(tmp_path: Path) -> None:
    content = one_run()
    first = go(content, tmp_path / "run")
    long_form = {**content, "transfer": {"maker": "select", **content["select"]}}
    del long_form["select"]
    again = go(long_form, tmp_path / "run", resume=True)
    assert same(first, again)
    path = tmp_path / "run" / "recipe.yaml"
    assert "transfer:" in path.read_text()
    assert "select:" not in path.read_text()
