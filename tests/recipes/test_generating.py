"""The verb `generate`, from Python and the command line, with a student and without."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.photos import write_photos
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.cost import Cost
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.evaluation.prediction import predict
from limbeck.models.fingerprint import fingerprint
from limbeck.models.forward import resolve_computing, whole_outputs
from limbeck.models.weights.folder import load as load_model
from limbeck.models.weights.folder import save as save_model
from limbeck.plugins import register, unregister
from limbeck.progress import Silent
from limbeck.recipes.compare import compare
from limbeck.recipes.fields import FROM_PYTHON
from limbeck.recipes.generating import settings_to_generate
from limbeck.recipes.held_out import _without_student
from limbeck.recipes.making_alone import save_made
from limbeck.recipes.opening import open_recipe
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.generate.maker import GenerateMaker
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.generate.teacher_logits import with_teacher_logits
from limbeck.transfer.maker import MakerContext

QUICK: dict[str, Any] = {
    "method": "fast",
    "budget": 20,
    "batch_size": 8,
    "inner_steps": 2,
    "warmup_rounds": 0,
    "generator": {"width": 4, "latents": 8, "renew_once": None},
    "views": {"pad-crop": {"padding": 1}},
}
STUDENT = {"model": "convnet_d3", "input_size": 8, "options": {"width": 4, "norm": "batch"}}


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages take seconds each, and have tests of their own."""

    def write(folder: Path) -> Path:
        (folder / "report.html").write_text("")
        return folder / "report.html"

    monkeypatch.setattr("limbeck.recipes.making_alone.write_selection_report", write)
    monkeypatch.setattr("limbeck.recipes.generating.write_run_report", write)


def network(**changes: Any) -> lb.Classifier:
    options = {"num_classes": 3, "channels": 1, "input_size": 8, "classes": ["a", "b", "c"], "norm": "batch"}
    return lb.create("convnet_d3", **{"width": 4, "seed": 7, **options, **changes}).eval()


def check_set(made: TransferSet, teacher: lb.Classifier, count: int = 20) -> None:
    assert len(made) == count
    assert len(made.images.ids.unique()) == count
    assert made.images.shape == (1, 8, 8)
    assert made.images.classes == ("a", "b", "c")
    assert made.soft_labels is not None
    assert made.soft_label_kind == "logits"
    assert torch.allclose(made.soft_labels, predict(teacher, made.images), atol=1e-5)
    assert made.about["maker"] == "generate"
    assert {"round", "wanted_label", "confidence"} <= set(made.provenance)


def test_without_a_student_all_is_made_at_once(tmp_path: Path) -> None:
    teacher = network()
    generated = lb.generate(teacher, **QUICK)
    check_set(generated, teacher)
    saved = lb.generate(teacher, **QUICK, out=tmp_path / "set")
    assert torch.equal(generated.images.tensor(), saved.images.tensor())
    loaded = TransferSet.load(tmp_path / "set")
    check_set(loaded, teacher)
    assert torch.equal(loaded.images.tensor(), generated.images.tensor())
    assert {"cost.json", "evidence", "report.html"} <= {path.name for path in (tmp_path / "set").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_student_of_the_saved_set_reads_what_the_teacher_said_of_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    for module in ("transfer.generate.synthesis.synthesiser", "training.view_cache.known"):
        monkeypatch.setattr(f"limbeck.{module}.resolve_computing", _float32)
    teacher, count = network(), 96
    generated = lb.generate(teacher, **{**QUICK, "budget": count, "batch_size": 32}, out=tmp_path / "set")
    generated = replace(generated, soft_labels=None)  # these are not read where a teacher is asked
    options: dict[str, Any] = {"steps": 6, "batch_size": 32, "precision": "fp32"}
    whole = lb.distill(teacher, network(seed=1), generated, **options, views="none", out=tmp_path / "whole")
    assert whole.cost["teaching"]["passes_saved"] == 6 * 32
    with_views = lb.distill(
        teacher, network(seed=1), generated, **options, views=QUICK["views"], out=tmp_path / "shown"
    )
    assert 0 < with_views.cost["teaching"]["passes_saved"] < 6 * 32
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "empty"))
    asked = lb.distill(teacher, network(seed=1), generated, **options, views="none", out=tmp_path / "asked")
    weights = whole.student.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in asked.student.state_dict().items())


def test_soft_labels_of_images_made_without_views_are_what_the_teacher_said_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("limbeck.transfer.generate.synthesis.synthesiser.resolve_computing", _float32)
    teacher, costs = network(), list[Cost]()

    def noted(*arguments: Any) -> tuple[TransferSet, Cost]:
        labelled, cost = with_teacher_logits(*arguments)
        costs.append(cost)
        return labelled, cost

    monkeypatch.setattr("limbeck.transfer.generate.maker.with_teacher_logits", noted)
    generated = lb.generate(teacher, **{**QUICK, "budget": 96, "batch_size": 32, "views": "none"})
    assert generated.soft_labels is not None
    assert torch.equal(generated.soft_labels, whole_outputs(teacher, generated.images).logits)
    assert (costs[0].teacher_passes, costs[0].passes_saved) == (96, 64)


def _float32(device: Any = "auto", precision: str = "auto") -> Any:
    del precision
    return resolve_computing(device, "fp32")


def test_with_a_student_it_is_taught_meanwhile_and_lies_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.generating._in_memory", None)  # it is saved from the files that it was made in
    teacher, out = network(), tmp_path / "set"
    generated = lb.generate(teacher, **{**QUICK, "steps_per_round": 3}, student=STUDENT, out=out)
    check_set(generated, teacher)
    check_set(TransferSet.load(out), teacher)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set-student"]
    student = load_model(tmp_path / "set-student" / "student")
    assert student.num_classes == 3
    with pytest.warns(UserWarning, match="soft labels of 'generated' are not read, because the teacher"):
        again = lb.distill(teacher, STUDENT["model"], out, out=tmp_path / "second", steps=2, views="none")
    assert again.cost["images"] == 20  # a second student of the same images, none of them made again


@pytest.mark.parametrize(
    ("killed_in", "there"),
    [
        ("making_alone.write_selection_report", ["set.making"]),
        ("generating._put_in_place", ["set-student", "set.making"]),
        ("generating.write_run_report", ["set-student", "set.making"]),
    ],
)
def test_killed_while_all_is_saved_the_same_call_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str, there: list[str]
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    settings: dict[str, Any] = {**QUICK, "steps_per_round": 3, "student": STUDENT, "validation": 8}
    with monkeypatch.context() as patch:
        patch.setattr(f"limbeck.recipes.{killed_in}", killed)
        with pytest.raises(KeyboardInterrupt):
            lb.generate(network(), **settings, out=tmp_path / "set")
    assert sorted(path.name for path in tmp_path.iterdir()) == there
    if "set-student" in there:
        with pytest.raises(UserError, match=r"inner_steps"):
            lb.generate(network(), **{**settings, "inner_steps": 1, "validation": 0}, out=tmp_path / "set")
    check_set(lb.generate(network(), **settings, out=tmp_path / "set"), network())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set-student"]
    assert {"cost.json", "evidence", "report.html"} <= {path.name for path in (tmp_path / "set").iterdir()}
    assert not (tmp_path / "set-student" / "making").exists()


def test_warm_up_leaves_rounds_for_what_comes_after_it(tmp_path: Path) -> None:
    tiny = {**QUICK, "method": "bsr", "budget": 64, "student": STUDENT, "training": {"batch_size": 4}}
    tiny |= {"steps_per_round": 1, "generator": {"width": 4, "latents": 8}}
    del tiny["warmup_rounds"]
    generated = lb.generate(network(), **tiny, out=tmp_path / "set")
    assert generated.about["warmup_rounds"] == 1, "of 8 rounds"
    recipe = (tmp_path / "set-student" / "recipe.yaml").read_text()
    assert "warmup_rounds: 1\n" in recipe
    assert "renew_once: 121\n" in recipe
    rounds, losses = (torch.as_tensor(generated.provenance[name]) for name in ("round", "loss_adversarial"))
    assert torch.equal(losses.isnan(), rounds == 0), "the adversary comes after it"
    with pytest.raises(UserError, match="`warmup_rounds` must be fewer than all rounds, got 8, and 8 of 8 images make"):
        lb.generate(network(), **tiny, warmup_rounds=8, out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_student_of_another_seed_gets_other_images_and_the_same_seed_the_same(tmp_path: Path) -> None:
    settings = {**QUICK, "steps_per_round": 2, "student": STUDENT, "training": {"batch_size": 4}}
    sets = [
        lb.generate(network(), **settings, seed=seed, out=tmp_path / name).images.tensor()
        for name, seed in (("one", 0), ("two", 0), ("three", 1))
    ]
    assert torch.equal(sets[0], sets[1])
    assert not torch.equal(sets[0], sets[2])


def test_images_that_are_not_taught_on_may_choose_among_the_states_of_the_student(tmp_path: Path) -> None:
    teacher = network()
    settings = {**QUICK, "steps_per_round": 3, "student": STUDENT}
    plain = lb.generate(teacher, **settings, out=tmp_path / "plain")
    generated = lb.generate(teacher, **settings, validation=12, out=tmp_path / "chosen")
    assert torch.equal(generated.images.tensor(), plain.images.tensor())
    assert not (tmp_path / "plain-student" / "student-chosen").exists()
    folder = tmp_path / "chosen-student"
    assert (folder / "student-chosen").is_dir()
    rows = [row for row in RunFolder(folder).metrics() if row["kind"] == "validation"]
    assert rows
    assert all(0 <= row["agreement"] <= 1 for row in rows), "by agreement with the teacher"
    assert f"{FROM_PYTHON}generated" in (folder / "recipe.yaml").read_text()
    last, other = (load_model(tmp_path / f"{name}-student" / "student") for name in ("plain", "chosen"))
    assert fingerprint(last) == fingerprint(other), "what counts is the last state"
    costs = [json.loads((tmp_path / name / "cost.json").read_text()) for name in ("plain", "chosen")]
    assert costs[1]["teacher_passes"] > costs[0]["teacher_passes"], "those images are paid for"
    expected = settings_to_generate({**QUICK, "steps_per_round": 3}, alone=False).passes(3, None)
    assert costs[0]["teacher_passes"] == expected + 20, "and those of the soft labels"
    reused = lb.generate(teacher, **settings, validation=generated.images, out=tmp_path / "own")
    assert torch.equal(reused.images.tensor(), plain.images.tensor())


def test_images_that_choose_are_gone_on_with_as_they_were_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {**QUICK, "steps_per_round": 3, "student": STUDENT, "out": tmp_path / "set"}

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("limbeck.recipes.generating.gather_inputs", stop)
        with pytest.raises(KeyboardInterrupt):
            lb.generate(network(), **settings, validation=8)
    for changes, message in (
        ({"validation": 12}, r"other settings \(`budget` 8 then, 12 now\)"),
        ({"validation": 8, "inner_steps": 1}, r"other settings \(`inner_steps` 2 then, 1 now\)"),
        ({"validation": 8, "seed": 1}, "other seed;"),
    ):
        with pytest.raises(UserError, match=f"held-out-making' holds what was begun with {message}"):
            lb.generate(network(), **{**settings, **changes})
    with pytest.raises(UserError, match="begun with other teacher;"):
        lb.generate(network(seed=1), **settings, validation=8)
    assert len(lb.generate(network(), **settings, validation=8)) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "set-student"]


def test_the_teacher_is_no_student_of_its_own(tmp_path: Path) -> None:
    teacher, settings = network(), {**QUICK, "steps_per_round": 3, "out": tmp_path / "set"}
    save_model(teacher, tmp_path / "teacher")
    others: list[Any] = [teacher, network(), lambda seed: network(), {"weights": str(tmp_path / "teacher")}]
    for student in others:
        with pytest.raises(UserError, match=r"`student` must be another network than .* constantly zero"):
            lb.generate(teacher, **settings, student=student)
    other: dict[str, Any] = {**settings, "student": network(seed=1), "out": tmp_path / "other"}
    assert len(lb.generate(teacher, **other)) == 20


def own_teacher(folder: Path) -> dict[str, Any]:
    """A recipe whose student has the weights of the teacher, which knows the digits 0, 1 and 2."""
    save_model(network(classes=["0", "1", "2"]), folder / "teacher")
    return {
        "name": "mine",
        "data": {"test": {"name": "digits", "classes": [0, 1, 2]}},
        "teacher": str(folder / "teacher"),
        "student": {"weights": str(folder / "teacher")},
        "training": {"steps": 9, "batch_size": 8, "views": "none"},
        "transfer": {"maker": "generate", **QUICK, "steps_per_round": 3},
    }


def compared_with_own_teacher(folder: Path) -> dict[str, Any]:
    """A comparison with such a student in two arms; where images are made at once, without an adversary, it may be."""
    content = own_teacher(folder)
    transfer, own = {**content.pop("transfer"), "steps_per_round": 3}, content.pop("student")
    del transfer["budget"]
    at_once = {**transfer, "steps_per_round": None, "losses": {"adversarial": 0}}
    arms = {"fresh": {"transfer": transfer}, "at-once": {"transfer": at_once, "student": own}}
    content["compare"] = {
        "seeds": [0],
        "budgets": [20],
        "arms": {**arms, "own": {"transfer": transfer, "student": own}},
    }
    return {**content, "student": STUDENT}


@pytest.mark.parametrize("recipe", [own_teacher, compared_with_own_teacher])
def test_recipes_refuse_the_teacher_as_student_before_any_work(
    tmp_path: Path, recipe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, message = recipe(tmp_path), "`student` must be another network than the teacher"
    findings = open_recipe(read_recipe(content), tmp_path / "run")
    assert [message in problem for problem in findings.problems] == [True]
    monkeypatch.setattr("limbeck.recipes.run.make_source", None)  # nothing after the check is begun
    with pytest.raises(UserError, match=message):
        (run if "transfer" in content else compare)(read_recipe(content), tmp_path / "run")
    if "compare" in content:
        del content["compare"]["arms"]["own"]
        assert not open_recipe(read_recipe(content), tmp_path / "run").problems


def test_settings_that_others_make_idle_may_be_published_or_usual() -> None:
    idle = {"budget": 100, "method": "fast", "optimise": "generator"}
    for changes in (
        {},
        {"inner_steps": 2, "learning_rate": 0.001},
        {"inner_steps": 2},
        {"losses": {"batch_norm": 0}, "momentum": 0},
    ):
        GenerateSettings.model_validate({**idle, **changes})


def test_images_that_were_made_before_the_run_knew_of_them_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a call was killed while the teacher was asked for labels, or after everything was on disk."""
    teacher = network().eval()
    settings = GenerateSettings.model_validate({**QUICK, **GenerateSettings.alone(QUICK)})
    context = MakerContext(
        folder=tmp_path / "made", pool=None, classes=teacher.classes, shape=(1, 8, 8), teacher=teacher
    )

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("limbeck.transfer.generate.maker.with_teacher_logits", killed)
        with pytest.raises(KeyboardInterrupt):
            GenerateMaker().make(settings, context)
    monkeypatch.setattr("limbeck.transfer.generate.engine.Engine.make_round", killed)
    made = GenerateMaker().make(settings, context)
    assert made.cost.steps > 0
    again = GenerateMaker().make(settings, context)
    assert again.cost == made.cost
    assert torch.equal(again.source.images(0).images.tensor(), made.source.images(0).images.tensor())
    assert not (tmp_path / "made" / "partial.safetensors").exists()


def test_choosing_wants_a_student_and_images(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"`validation` chooses among the states of a `student`, and there is none"):
        lb.generate(network(), **QUICK, validation=8)
    settings = {**QUICK, "steps_per_round": 3, "student": STUDENT, "out": tmp_path / "set"}
    with pytest.raises(UserError, match=r"`validation` must be images, or how many are to be made, at least 1, got -3"):
        lb.generate(network(), **settings, validation=-3)
    with pytest.raises(UserError, match="`validation` of 8 images cannot be made by the method 'zskt', which seeks"):
        lb.generate(network(), **{**settings, "method": "zskt"}, validation=8, training={"steps": 6})


@pytest.mark.parametrize(
    "changes",
    [
        {"adversary_early": True, "warmup_rounds": 2},
        {"adversarial": "js", "adversarial_temperature": 2.0},
        {"losses": {"batch_norm": 0, "one_hot": 1, "adversarial": 1}, "growth": {}},
    ],
)
def test_images_to_choose_by_are_made_without_what_needs_a_student(changes: dict[str, Any]) -> None:
    settings = GenerateSettings.model_validate({**QUICK, "maker": "generate", "budget": 40, **changes}).settled(10)
    alone = _without_student(settings, 8)
    assert (alone.losses.adversarial, alone.steps_per_round, alone.budget) == (0, None, 8)
    assert alone.losses.one_hot == settings.losses.one_hot


def without_norms(channels: int, size: tuple[int, int], latents: int) -> torch.nn.Module:
    pixels = torch.nn.Unflatten(1, (channels, *size))
    return torch.nn.Sequential(torch.nn.Linear(latents, channels * size[0] * size[1]), pixels, torch.nn.Sigmoid())


def test_images_to_choose_by_have_the_published_renewals_of_their_own_number(tmp_path: Path) -> None:
    register("generators", "without-norms", without_norms)
    settings = {**QUICK, "method": "fast-meta", "generator": {"network": "without-norms", "latents": 8}}
    settings = {**settings, "budget": 24, "warmup_rounds": None, "steps_per_round": 3, "student": STUDENT}
    try:
        generated = lb.generate(network(), **settings, validation=8, training={"steps": 9}, out=tmp_path / "set")
    finally:
        unregister("generators", "without-norms")
    assert len(generated) == 24


def test_what_pruning_left_short_is_made_up_for_after_the_last_step(tmp_path: Path) -> None:
    settings = {**QUICK, "budget": 96, "batch_size": 24, "homogenise": {"neighbours": 2, "spread": 0.01}}
    training = {"steps": 4}
    generated = lb.generate(
        network(), **settings, steps_per_round=1, student=STUDENT, training=training, out=tmp_path / "set"
    )
    assert len(generated) == 96
    rounds = torch.as_tensor(generated.provenance["round"])
    assert rounds.max() > 3


ZERO = {"batch_norm": 0, "one_hot": 0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "10%"}, "`budget` of generating by 'fast' must be a count of images (5000) or images per class"),
        ({"budget": 7}, "must be at least a batch of 8 images (`batch_size`), got 7"),
        ({"budget": 0}, "images per class (500/class), as there are no images that it could be a share of, got 0"),
        ({"budget": "0 %"}, "`budget` must be a count of images above 0 (5000) or images per class (500/class), as"),
        ({"method": "fastest"}, "unknown method 'fastest'; did you mean"),
        ({"method": "zskt", "losses": {}}, "the method 'zskt' seek nothing but what a student gets wrong"),
        ({"method": "bsr", "losses": ZERO}, "`losses` of the method 'bsr' seek nothing; give other `losses` a weight."),
        (
            {"losses": {"one_hot": 0}, "growth": {}},
            "`growth` is of the weight of the one-hot loss, and `losses.one_hot`",
        ),
        ({"growth": {"most": 0.2}}, "`growth.most` must be above `losses.one_hot`, 0.5, from which the weight grows"),
        (
            {"replay": {"images": 4}, "rounds": 4},
            "`replay.images` of generating by 'fast' must be at least a batch of 8",
        ),
        ({"method": "dafl"}, "`rounds` must be given, after which no more images are made: `fresh` puts new ones"),
        ({"losses": {"adversarial": 1.0}}, "`losses.adversarial` seeks what it gets wrong"),
        ({"meta_rate": 0.1}, "`meta_rate` would change nothing, got 0.1: `meta` is 'none'"),
        ({"adversarial": "l1"}, "`adversarial` would change nothing, got 'l1': `losses.adversarial` is 0"),
        ({"optimise": "generator", "latent_rate": 0.2}, "`latent_rate` would change nothing, got 0.2"),
        ({"method": "dafl", "rounds": 4, "keep": "last"}, "`keep` would change nothing, got 'last': `fresh` images"),
        ({"views": "pad-corp"}, "unknown view 'pad-corp'; did you mean 'pad-crop'"),
        ({"inner_step": 3}, "inner_step: unknown key; did you mean 'inner_steps'"),
        ({"replay": {"images": 30}, "rounds": 4}, "`replay.images` must be at most the budget, 20 images, got 30"),
        ({"seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ({"training": {"stepz": 3}}, "`training` is of a `student` that learns meanwhile, and there is none; name one"),
        ({"objective": "nonsense"}, "`objective` is of a `student` that learns meanwhile, and there is none"),
        ({"test": "digits"}, "`test` is of a `student` that learns meanwhile, and there is none"),
        ({"pool": "nonesuch"}, "`pool` is about the controls of a comparison, and none is made here"),
        ({"asked_as_often": True}, "`asked_as_often` is about the controls of a comparison"),
        ({"steps_per_round": 5}, "`steps_per_round` is of a student that learns meanwhile, and there is none, got 5"),
        ({"steps": 20}, "`steps` is of the student's training: training={'steps': 20}."),
        ({"homogenise": {"until": 0.5}}, "`homogenise.until` is a share of all rounds, got 0.5, and without a student"),
        ({"student": STUDENT}, "`out`, the folder of the transfer set, must be given with a `student`"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        lb.generate(network(), **{**QUICK, **changes})


class Listening(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_outliers_of_small_classes_are_not_to_be_hoped_for() -> None:
    for neighbours, expected in ((6, False), (7, True)):
        listening = Listening()
        lb.generate(network(), **QUICK, homogenise={"neighbours": neighbours}, progress=listening)
        lines = [line for line in listening.said if "`homogenise` leaves classes of" in line]
        assert len(lines) == expected
    assert lines[0].endswith("an even share of 20 is 6.7 a class: hardly any outlier will leave")


@pytest.mark.parametrize(("views", "words"), [("pad-crop-flip", 1), ({"pad-crop": {"padding": 1}}, 0), ("none", 0)])
def test_views_that_push_small_images_out_of_sight_are_told(views: Any, words: int) -> None:
    listening = Listening()
    lb.generate(network(), **{**QUICK, "views": views}, progress=listening)
    lines = [line for line in listening.said if "`views` shift images of 8 pixels by up to 4, and mirror them" in line]
    assert len(lines) == words


@pytest.mark.parametrize(("name", "value"), [("pool", "stl10"), ("asked_as_often", True)])
def test_what_only_controls_heed_is_refused_where_there_are_none(tmp_path: Path, name: str, value: Any) -> None:
    teacher = str(tmp_path / "teacher")
    content: dict[str, Any] = {
        "name": "made",
        "data": {},
        "teacher": teacher,
        "student": STUDENT,
        "training": {"steps": 4},
    }
    content["transfer"] = {"maker": "generate", "budget": 20}
    message = f"`transfer.{name}` is about the controls of a comparison, and none is made here; leave it out, or give"
    with pytest.raises(UserError, match=re.escape(message)):
        read_recipe(content, [f"transfer.{name}={json.dumps(value)}"])
    with pytest.raises(UserError, match=f"`{name}` is about the controls of a comparison"):
        save_made({"maker": "generate", "budget": 20}, tmp_path / "set", overrides=[f"{name}={json.dumps(value)}"])
    compared = {"arms": {"made": {"transfer": {"maker": "generate", name: value}}}, "budgets": [20]}
    settings = {**content, "data": {"test": "digits"}, "transfer": None, "compare": compared}
    assert read_recipe(settings).compare is not None


def test_all_that_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(UserError) as raised:
        lb.generate(network(norm="instance"), **{**QUICK, "budget": 7})
    assert "`budget` of generating by 'fast' must be at least a batch" in str(raised.value)
    assert "batch norm" in str(raised.value)


def test_a_teacher_that_takes_any_size_must_be_told_one() -> None:
    teacher = lb.create("resnet8", num_classes=3, seed=0).eval()
    assert teacher.input_size is None
    with pytest.raises(UserError, match="`size` must be given, the pixels a side of the images to generate"):
        lb.generate(teacher, **QUICK)
    assert lb.generate(teacher, **QUICK, size=(8, 12)).images.shape == (3, 8, 12)


def test_with_a_student_that_knows_other_classes_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="teacher and student must have the same classes, got 3"):
        lb.generate(network(), **QUICK, student={**STUDENT, "num_classes": 4}, out=tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert not list(tmp_path.rglob("repository"))


def test_steps_that_cannot_fill_the_budget_are_refused_with_those_that_would(tmp_path: Path) -> None:
    settings = {**QUICK, "budget": 80, "steps_per_round": 3, "student": STUDENT}
    message = (
        "`training.steps` must be at least 28 for the 80 images of the budget, got 9: that is 3 rounds, one every 3 "
        "steps, of 8 images each, 24 in all. 10 rounds make enough"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        lb.generate(network(), **settings, training={"steps": 9}, out=tmp_path / "set")
    generated = lb.generate(network(), **settings, training={"steps": 28}, out=tmp_path / "set")
    assert len(generated) == 80


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"steps": 0}, r"training.steps: must be >= 1, got 0"),
        ({"epochs": 20}, "`epochs` has no meaning while images are made, .*; give `steps`"),
        ({"epochs": 20, "steps": 6}, "`epochs` has no meaning while images are made"),
    ],
)
def test_steps_of_the_student_are_those_that_were_given(tmp_path: Path, training: dict[str, int], message: str) -> None:
    settings = {**QUICK, "steps_per_round": 3, "student": STUDENT, "validation": 8}
    with pytest.raises(UserError, match=message):
        lb.generate(network(), **settings, training=training, out=tmp_path / "set")
    assert not list(tmp_path.iterdir()), "no image was made to choose by"


def test_methods_without_an_end_want_to_know_how_long(tmp_path: Path) -> None:
    settings = {**QUICK, "method": "dafl", "fresh": 2, "steps_per_round": 2, "student": STUDENT}
    with pytest.raises(UserError, match="`steps` of the student must be given for generating by 'dafl'"):
        lb.generate(network(), **settings, out=tmp_path / "set")
    generated = lb.generate(network(), **settings, training={"steps": 6}, out=tmp_path / "set")
    assert len(generated) == 20
    assert torch.as_tensor(generated.provenance["round"]).unique().tolist() == [1, 2]
    assert len(lb.generate(network(), **{**QUICK, "method": "dafl"}, rounds=3)) == 20


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["generate", *arguments])


def test_from_the_command_line(tmp_path: Path) -> None:
    save_model(network(), tmp_path / "teacher")
    common = ["--teacher", str(tmp_path / "teacher"), "--method", "fast", "--budget", "5/class"]
    common += ["-s", "batch_size=5", "-s", "inner_steps=2", "-s", "warmup_rounds=0", "-s", "steps_per_round=2"]
    common += ["-s", "generator={width: 4, latents: 8, renew_once: null}", "-s", "views=pad-crop"]
    result = invoke(*common, "-s", "steps_per_round=null", "--out", str(tmp_path / "alone"))
    assert result.exit_code == 0, result.output
    assert "15 images -> " in result.output
    assert "there is no student, so nothing is made against one" in result.output
    student = ["--student", "{model: convnet_d3, input_size: 8, options: {width: 4}}", "--steps", "6"]
    result = invoke(*common, *student, "-t", "views=none", "--out", str(tmp_path / "with"))
    assert result.exit_code == 0, result.output
    assert "the student that learned meanwhile -> " in result.output
    assert (tmp_path / "with-student" / "student").is_dir()
    result = invoke(*common, *student, "--out", str(tmp_path / "with"))
    assert result.exit_code == 2
    assert "exists already and is never overwritten" in result.output


def test_photos_of_several_sizes_and_any_split_may_be_the_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos/val"), 3)
    save_model(network(num_classes=2, classes=["cat", "dog"], channels=3), "teacher")
    student = {**STUDENT, "channels": 3}
    with pytest.warns(UserWarning, match="the validation images of 'photos' are judged on"):
        lb.generate("teacher", **QUICK, student=student, steps_per_round=3, test="photos", out="from-python")
    common = ["--teacher", "teacher", "--method", "fast", "--budget", "10", "-s", "batch_size=5", "-s", "inner_steps=1"]
    common += ["-s", "generator={width: 4, latents: 8, renew_once: null}", "-s", "views=pad-crop"]
    common += ["-s", "warmup_rounds=0", "-s", "steps_per_round=2", "--steps", "6", "--student", json.dumps(student)]
    result = invoke(*common, "--test", "photos/val", "--out", "typed")
    output = " ".join(result.output.split())
    assert result.exit_code == 0, output
    assert "all images of 'photos/val' are judged on, for it has no splits" in output
    assert "images of 'photos/val' are brought to 8x8: what convnet_d3 takes" in output
    for name in ("from-python", "typed"):
        evaluation = json.loads(Path(f"{name}-student/evaluation.json").read_text())
        assert evaluation["last"]["n"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "3"], "`--training or --steps` is of a student that learns meanwhile, and there is none"),
        (["--test", "digits"], "`--test` is of a student"),
        (["--check"], "`--out` is of making images, and --check makes none; leave this or --check out"),
        (["--check", "--steps", "0", "--seed", "1"], "`--steps`, `--seed`, `--out` are of making images"),
        (["--student", "{a"], "student"),
        (["--student", "resnet8", "-t", "steps"], "`--training` must look like learning_rate=0.1, got 'steps'"),
    ],
)
def test_command_lines_that_say_too_little(tmp_path: Path, arguments: list[str], message: str) -> None:
    save_model(network(), tmp_path / "teacher")
    common = ["--teacher", str(tmp_path / "teacher"), "--budget", "300", "--out", str(tmp_path / "set")]
    result = invoke(*common, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_a_teacher_is_looked_at_without_making_anything(tmp_path: Path) -> None:
    for name, norm in (("teacher", "batch"), ("other", "instance")):
        save_model(network(norm=norm), tmp_path / name)
    result = invoke("--teacher", str(tmp_path / "teacher"), "--method", "fast", "-s", "generator.width=4", "--check")
    assert result.exit_code == 0, result.output
    assert "3 layers" in result.output
    assert "weights by which all losses pull alike at the start: losses: {batch_norm: " in " ".join(
        result.output.split()
    )
    result = invoke("--teacher", str(tmp_path / "other"), "-s", "generator.width=4", "--check")
    assert result.exit_code == 2
    assert "batch norm" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "teacher"]


def test_by_the_verb_of_all_makers(tmp_path: Path) -> None:
    save_model(network(), tmp_path / "teacher")
    settings = ["method=fast", "batch_size=8", "inner_steps=1", "generator.width=4", "views=pad-crop"]
    changes = [word for setting in settings for word in ("-s", setting)]
    arguments = ["make", "generate", "--teacher", str(tmp_path / "teacher"), "--budget", "16", *changes]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    assert len(TransferSet.load(tmp_path / "set")) == 16
