"""Teaching on sets that carry their training settings, and messages about what such a set lacks."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.recipes.tiny_recipes import training
from tests.training.tiny import same, weights
from typer.testing import CliRunner

import limbeck as lb
from limbeck.api.objects import name_of_network
from limbeck.cli.main import app
from limbeck.cost import RunCost
from limbeck.data import ImageSet, TransferSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.errors import UserError
from limbeck.models.whitening import Whitening
from limbeck.objectives import weighted_sum
from limbeck.progress import Silent
from limbeck.recipes import verbs
from limbeck.recipes.evaluating_sets import evaluate_saved_sets
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.use import rounded, settings_followed, unlike_student, unlike_training
from limbeck.recipes.verbs import recipe_for_folder
from limbeck.training import RunFolder, TrainingSettings, fit
from limbeck.transfer.set_evaluation.accuracies import evaluate_set

TRAINING: dict[str, Any] = {
    "epochs": 1,
    "batch_size": 8,
    "learning_rate": 0.0123,
    "momentum": 0.5,
    "weight_decay": 0.0,
    "schedule": "constant",
    "views": "none",
    "normalised_views": "dsa",
}
OBJECTIVE = {"kd": {"weight": 1.0, "temperature": 1.0}}


def digits(count: int) -> ImageSet:
    images = lb.load("digits")
    return images.subset(images.ids[:count])


@pytest.fixture(scope="module")
def whitening() -> Whitening:
    return Whitening.fit(digits(300))


def use_of(whitening: Whitening | None = None, **changes: Any) -> dict[str, Any]:
    """A complete `use`; `changes` are of its training, None for what it lacks."""
    inputs = {"mean": [0.3], "std": [0.4]} if whitening is None else {"whitening": whitening.tensors()}
    training = {key: value for key, value in {**TRAINING, **changes}.items() if value is not None}
    student = {"model": "convnet_d3", "options": {"width": 4}, "input_size": [8, 8], "channels": 1, **inputs}
    return {"student": student, "training": training, "objective": OBJECTIVE}


def condensed(use: dict[str, Any] | None, per_image: int = 1) -> TransferSet:
    """Twenty images far outside of [0, 1] with learned logits."""
    generator = torch.Generator().manual_seed(0)
    classes = lb.load("digits").classes
    floats = torch.randn(20, 1, 8, 8, generator=generator).half() * 2
    images = ImageSet.of_floats(floats, torch.arange(20) % 10, classes=classes, name="condensed")
    logits = torch.randn(20, 10, generator=generator)
    return TransferSet(images, logits, soft_label_kind="logits", use=use, per_image=per_image)


def spelt_out(whitening: Whitening, folder: Path, per_image: int = 1) -> dict[str, torch.Tensor]:
    """The weights that the same settings lead to, when each of them is given by hand."""
    floats, logits = condensed(None).floats, condensed(None).soft_labels
    assert floats is not None
    assert logits is not None
    rows = torch.arange(20).repeat_interleave(per_image)
    decoded = TransferSet(condensed(None).images, per_image=per_image).decoded().images
    transfer_set = TransferSet(decoded.with_labels(rows % 10, decoded.classes), logits[rows], soft_label_kind="logits")
    student = lb.create(
        "convnet_d3", num_classes=10, channels=1, width=4, classes=decoded.classes, whitening=whitening, seed=0
    )
    with RunFolder.open(folder, {"name": "by hand"}) as run_folder:
        settings = TrainingSettings(**TRAINING)
        fit(student, transfer_set, weighted_sum(OBJECTIVE), settings=settings, run_folder=run_folder, seed=0)
    return weights(student)


class Heard(Silent):
    """What a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def command(*arguments: object) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.parametrize("per_image", [1, 4])
def test_it_teaches_as_the_same_settings_spelt_out_do(
    per_image: int, whitening: Whitening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, in Python from the set and from its folder, and on the command line."""
    expected = spelt_out(whitening, tmp_path / "by hand", per_image)
    transfer_set = condensed(use_of(whitening), per_image)
    transfer_set.save(tmp_path / "set")
    for number, images in enumerate((transfer_set, tmp_path / "set")):
        result = lb.distill(None, None, images, out=tmp_path / f"run-{number}")
        assert same(weights(result.student), expected)
        assert result.student.whitening is not None
        assert result.student.whitening.fingerprint == whitening.fingerprint
    if per_image > 1:
        return
    monkeypatch.setattr(verbs, "write_run_report", lambda folder: None)
    invoked = command("distill", tmp_path / "set", "--test", "digits", "-s", "latency=false", "--out", tmp_path / "run")
    assert invoked.exit_code == 0, invoked.output
    assert same(weights(lb.load_model(tmp_path / "run" / "student")), {k: v.contiguous() for k, v in expected.items()})
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["last"]["n"] == 360


def test_runs_do_not_go_where_their_set_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the pages have it: sets lie in `runs`, as runs do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verbs, "write_run_report", lambda folder: None)
    condensed(use_of()).save(tmp_path / "runs" / "condensed")
    result = command("distill", "runs/condensed", "--test", "digits", "-s", "latency=false")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "condensed-distilled" / "evaluation.json").is_file()


def recipe_on(folder: Path, **said: Any) -> dict[str, Any]:
    return {"name": "on-a-set", "data": {"train": str(folder)}, "latency": False, **said}


def test_a_recipe_leaves_to_the_set_what_it_does_not_say(whitening: Whitening, tmp_path: Path) -> None:
    """The same student as everything spelt out, and as `limbeck distill` of the folder makes."""
    condensed(use_of(whitening)).save(tmp_path / "set")
    heard = Heard()
    student = run(read_recipe(recipe_on(tmp_path / "set")), tmp_path / "run", progress=heard).student
    assert same(weights(student), spelt_out(whitening, tmp_path / "by hand"))
    assert student.whitening is not None
    (line,) = [message for message in heard.lines if message.startswith("as the transfer set says: ")]
    assert "student convnet_d3, epochs 1, batch_size 8, learning_rate 0.0123" in line
    assert "normalised_views dsa" in line
    path = tmp_path / "one.yaml"
    path.write_text(yaml.safe_dump(recipe_on(tmp_path / "set")))
    assert read_recipe(path) == read_recipe(recipe_on(tmp_path / "set"))
    from_folder = recipe_for_folder(tmp_path / "set", ["name=on-a-set", "latency=false"])
    assert read_recipe(path) == from_folder


def test_what_a_recipe_says_holds_over_the_set(whitening: Whitening, tmp_path: Path) -> None:
    condensed(use_of(whitening)).save(tmp_path / "set")
    settings = {"student": "resnet8", "training": {"steps": 2, "normalised_views": None}, "objective": "cross_entropy"}
    recipe = read_recipe(recipe_on(tmp_path / "set", **settings), ["training.momentum=0.1"])
    assert (recipe.student.model, recipe.student.options, recipe.student.whitening) == ("resnet8", {}, True)
    training = recipe.training
    assert (training.steps, training.epochs, training.momentum, training.normalised_views) == (2, None, 0.1, None)
    assert (training.learning_rate, training.views) == (0.0123, "none")
    assert recipe.objective == {"cross_entropy": 1.0}
    own = {"student": {"model": "convnet_d3", "mean": [0.3], "std": [0.4]}, "training": settings["training"]}
    assert not read_recipe(recipe_on(tmp_path / "set", **own)).student.whitening
    with_teacher = read_recipe(recipe_on(tmp_path / "set", teacher="resnet8.pth"))
    assert with_teacher.objective == OBJECTIVE
    line = settings_followed(use_of(whitening), recipe)
    assert "learning_rate 0.0123" in line
    assert not {"momentum", "epochs", "normalised_views", "student"} & {*line.replace(",", "").split()}


def test_other_recipes_are_as_they_are(whitening: Whitening, tmp_path: Path) -> None:
    """Of sets that say nothing, of parts of a set, and comparisons."""
    TransferSet(digits(40)).save(tmp_path / "plain")
    condensed(use_of(whitening)).save(tmp_path / "set")
    with pytest.raises(UserError, match=r"student: .*\n.*training: "):
        read_recipe(recipe_on(tmp_path / "plain"))
    settings = {"student": "convnet_d3", "training": {"steps": 2, "views": "none"}}
    plain = read_recipe(recipe_on(tmp_path / "plain", **settings))
    chosen = read_recipe(recipe_on(tmp_path / "set", select={"budget": 10}, **settings))
    compared = read_recipe(recipe_on(tmp_path / "set", compare={"budgets": [10], "seeds": [0, 1]}, **settings))
    for recipe in (plain, chosen, compared):
        assert (recipe.training.learning_rate, recipe.training.normalised_views) == (0.05, None)
        assert not recipe.student.whitening


def test_everything_is_needed_for_that(whitening: Whitening, tmp_path: Path) -> None:
    expected = spelt_out(whitening, tmp_path / "by hand")
    whole = condensed(use_of(whitening))
    without_floats = ImageSet(whole.images.tensor(), whole.images.labels, classes=whole.images.classes)
    sets = {
        "rate": condensed(use_of(whitening, learning_rate=0.05)),
        "whitening": condensed(use_of(Whitening.fit(digits(300), epsilon=0.3))),
        "pixels": TransferSet(without_floats, whole.soft_labels, soft_label_kind="logits", use=whole.use),
    }
    for name, transfer_set in sets.items():
        assert not same(weights(lb.distill(None, None, transfer_set, out=tmp_path / name).student), expected), name


def test_what_is_said_may_be_said_otherwise(whitening: Whitening, tmp_path: Path) -> None:
    condensed(use_of(whitening)).save(tmp_path / "set")
    result = lb.distill(
        None,
        "resnet8",
        tmp_path / "set",
        out=tmp_path / "python",
        steps=2,
        learning_rate=0.1,
        objective="cross_entropy",
    )
    assert result.student.name == "resnet8"
    assert result.student.whitening is not None, "another network sees the images as they were made"
    text = (tmp_path / "python" / "recipe.yaml").read_text()
    assert all(setting in text for setting in ("steps: 2", "learning_rate: 0.1", "momentum: 0.5", "cross_entropy"))
    for arguments in ({"student": "resnet8"}, {"overrides": ["student=resnet8"]}):
        recipe = recipe_for_folder(tmp_path / "set", **{"overrides": [], **arguments})
        assert (recipe.student.model, recipe.student.options, recipe.student.whitening) == ("resnet8", {}, True)
    overrides = ["student.options={width: 6}", "training.steps=2", "objective={kd: 1}", "seed=3", "teacher=resnet8.pth"]
    recipe = recipe_for_folder(tmp_path / "set", overrides, test="digits")
    assert (recipe.student.options, recipe.training.steps, recipe.training.epochs) == ({"width": 6}, 2, None)
    assert isinstance(recipe.data.test, DatasetSettings)
    assert recipe.teacher is not None
    assert (recipe.objective, recipe.seed, recipe.data.test.name) == ({"kd": 1}, 3, "digits")
    assert (recipe.teacher.weights, recipe.training.momentum) == ("resnet8.pth", 0.5)
    mapping = {"model": "convnet_d3", "options": {"width": 6}, "mean": [0.3], "std": [0.2]}
    with pytest.warns(
        UserWarning, match=r"normalised in place of whitened \(`student.whitening: true`\); taught so, it l"
    ):
        other = lb.distill(None, mapping, tmp_path / "set", out=tmp_path / "mapping", steps=2)
    assert (other.student.whitening, other.student.normalisation) == (None, ((0.3,), (0.2,)))


def test_a_teacher_may_be_asked_instead(whitening: Whitening, tmp_path: Path) -> None:
    transfer_set = condensed(use_of(whitening))
    teacher = lb.create(
        "convnet_d3", num_classes=10, channels=1, input_size=8, width=4, classes=transfer_set.images.classes
    )
    with pytest.warns(UserWarning, match="the soft labels of .* are not read, because the teacher"):
        result = lb.distill(teacher.eval(), None, transfer_set, out=tmp_path / "run")
    assert RunCost.from_dict(result.cost).teaching.teacher_passes > 0
    assert "temperature: 1.0" in (tmp_path / "run" / "recipe.yaml").read_text()
    hard = TransferSet(transfer_set.images, use={**use_of(whitening), "objective": {"cross_entropy": 1.0}})
    result = lb.distill(teacher.eval(), None, hard, out=tmp_path / "hard")
    recipe = (tmp_path / "hard" / "recipe.yaml").read_text()
    assert "objective: null" in recipe, "an objective that asks no teacher is not the one to learn from it by"


LACKING = {
    "learning_rate": r"it lacks the learning rate \(`training.learning_rate`\)\. Give each with -s KEY=VALUE",
    "normalised_views": r"it lacks the augmentation \(`training.normalised_views`, none if there is to be none\)",
    "epochs": r"it lacks for how long \(`training.epochs`\)",
}


@pytest.mark.parametrize("piece", LACKING)
def test_what_is_missing_is_said(piece: str, whitening: Whitening, tmp_path: Path) -> None:
    transfer_set = condensed(use_of(whitening, **{piece: None}))
    with pytest.raises(UserError, match=rf"the transfer set 'condensed' does not say all .*{LACKING[piece]}"):
        lb.distill(None, None, transfer_set, out=tmp_path / "run")


def test_what_is_missing_may_be_given(whitening: Whitening, tmp_path: Path) -> None:
    transfer_set = condensed(use_of(whitening, **dict.fromkeys(LACKING)))
    missing = {name: TRAINING[name] for name in LACKING}
    student = lb.distill(None, None, transfer_set, out=tmp_path / "run", **missing).student
    assert same(weights(student), spelt_out(whitening, tmp_path / "by hand"))


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    condensed({"student": {"model": "convnet_d3"}, "training": {"epochs": 2}}).save(tmp_path / "set")
    result = command("distill", tmp_path / "set", "--out", tmp_path / "run")
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    for piece in ("student.mean", "training.learning_rate", "training.normalised_views", "objective"):
        assert f"`{piece}`" in output
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match=r"'condensed' carries no `use`, .* it lacks the student .*, for how long"):
        lb.distill(None, None, condensed(None), out=tmp_path / "run")
    with pytest.raises(UserError, match=r"'digits/train' carries no `use`, .* it lacks the student"):
        lb.distill(None, None, "digits", out=tmp_path / "run", epochs=1)


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """A set that has a teacher, with a name, asked about every view of its images."""
    images = digits(20)
    teacher = lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, width=4, classes=images.classes)
    lb.save_model(teacher.eval(), tmp_path / "teacher")
    views = [{"resized-crop-flip": {"area": [0.5, 1]}}, {"cutmix": {"share": 1}}]
    use = use_of(optimizer="adamw", momentum=0.9, views=views, normalised_views="none")
    use |= {"objective": {"kd": {"weight": 0.0025, "temperature": 20}}}
    use |= {"teacher": {"weights": str(tmp_path / "teacher")}}
    TransferSet(images, torch.randn(20, 10), soft_label_kind="logits", use=use).save(tmp_path / "set")
    return tmp_path / "set"


def test_the_teacher_that_a_set_names_is_asked(crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no further argument: in Python, by a recipe, and on the command line; no soft labels are said to be idle."""
    result = lb.distill(None, None, crops, out=tmp_path / "python")
    assert RunCost.from_dict(result.cost).teaching.teacher_passes > 0
    recipe = read_recipe(recipe_on(crops))
    assert recipe == recipe_for_folder(crops, ["name=on-a-set", "latency=false"])
    assert recipe.teacher is not None
    assert (recipe.teacher.weights, recipe.training.optimizer) == (str(tmp_path / "teacher"), "adamw")
    monkeypatch.setattr(verbs, "write_run_report", lambda folder: None)
    invoked = command("distill", crops, "--test", "digits", "-s", "latency=false", "--out", tmp_path / "run")
    assert invoked.exit_code == 0, invoked.output
    assert same(weights(lb.load_model(tmp_path / "run" / "student")), weights(result.student))


def test_another_than_the_named_teacher_may_be_asked_or_none(crops: Path, tmp_path: Path) -> None:
    other = recipe_for_folder(crops, [], teacher="resnet8.pth").teacher
    overridden = recipe_for_folder(crops, ["teacher=resnet8.pth"]).teacher
    of_recipe = read_recipe(recipe_on(crops, teacher="resnet8.pth")).teacher
    assert other is not None
    assert other == overridden == of_recipe == recipe_for_folder(crops, ["teacher.weights=resnet8.pth"]).teacher
    assert other.weights == "resnet8.pth"
    for recipe in (
        recipe_for_folder(crops, ["objective=cross_entropy"]),
        read_recipe(recipe_on(crops, objective="cross_entropy")),
        read_recipe(recipe_on(crops, teacher=None)),
    ):
        assert recipe.teacher is None


def test_an_override_may_reach_into_the_objective_that_a_set_carries(crops: Path) -> None:
    asked = ["objective.kd.temperature=5"]
    for recipe in (read_recipe(recipe_on(crops), asked), recipe_for_folder(crops, asked)):
        assert recipe.objective == {"kd": {"weight": 0.0025, "temperature": 5}}
        assert recipe.teacher is not None, "the set's own, which labels every view"


def test_a_teacher_that_was_handed_over_is_missed_by_name(crops: Path, tmp_path: Path) -> None:
    loaded = TransferSet.load(crops)
    teacher = lb.load_model(tmp_path / "teacher")
    named = {"weights": name_of_network(teacher)}
    loaded = TransferSet(loaded.images, use={**(loaded.use or {}), "teacher": named})
    with pytest.raises(UserError, match=r"handed over in Python, 'python:convnet_d3#.*'; give it as the `teacher` \("):
        lb.distill(None, None, loaded, out=tmp_path / "run")
    assert lb.distill(teacher, None, loaded, out=tmp_path / "run").student.name == "convnet_d3"
    moved = TransferSet(loaded.images, use={**(loaded.use or {}), "teacher": {"weights": str(tmp_path / "gone")}})
    with pytest.raises(UserError, match=r"of the teacher '/.*/gone', which is not there; give"):
        lb.distill(None, None, moved, out=tmp_path / "other")


def test_a_set_is_judged_with_the_teacher_that_it_names(crops: Path, tmp_path: Path) -> None:
    test = lb.load("digits", "test")
    test = test.subset(test.ids[:50])
    given, own = (lb.evaluate_set(crops, test, seeds=1, teacher=teacher) for teacher in (tmp_path / "teacher", None))
    assert given[0].top1 == own[0].top1
    hard = lb.evaluate_set(crops, test, seeds=1, labels="hard")
    assert hard[0].labels == "hard"
    loaded = TransferSet.load(crops)
    unnamed = TransferSet(loaded.images, use={**(loaded.use or {}), "teacher": {"weights": "python:other#0"}})
    with pytest.raises(UserError, match="handed over in Python"):
        lb.evaluate_set(unnamed, test, seeds=1)
    with pytest.raises(UserError, match=r"the set, as it says itself, asks a teacher about every view; give a `teach"):
        evaluate_set(loaded, test)
    out = tmp_path / "out"
    (row,) = evaluate_saved_sets([str(crops)], "digits", seeds=1, out=out, training={"steps": 2})
    assert row["labels"] == "kept"
    scores = lb.rank_set(crops, test, digits(200), full=0.9, seeds=1, rates=[0.01], training={"steps": 2})
    assert len(scores.accuracies) == 5


def test_a_whitening_that_was_left_behind_is_missed(tmp_path: Path) -> None:
    use = use_of()
    use["student"] = {"model": "convnet_d3", "options": {"width": 4}, "whitening": True}
    with pytest.raises(UserError, match="is for whitened images and lacks the whitening"):
        lb.distill(None, None, condensed(use), out=tmp_path / "run")


def test_what_little_is_left_to_defaults_is_said(tmp_path: Path) -> None:
    transfer_set = condensed(use_of(batch_size=None, momentum=None))
    with pytest.warns(UserWarning, match=r"does not say all of `training`; .* hold: batch_size 64, momentum 0.9"):
        lb.distill(None, None, transfer_set, out=tmp_path / "run")


def test_sets_that_say_nothing_are_taught_on_as_ever(tmp_path: Path) -> None:
    digits_set = TransferSet(digits(40))
    digits_set.save(tmp_path / "set")
    lb.distill(None, "resnet8", digits_set, out=tmp_path / "python", steps=2)
    with pytest.warns(UserWarning, match="carries no `use`, and so does not say how students are to be taught on it"):
        recipe = recipe_for_folder(tmp_path / "set", ["training.steps=2"], student="resnet8")
    assert recipe.name == "set-resnet8"


def test_a_use_that_is_no_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the use of the transfer set 'condensed' has 1 error:\n  training.scedule"):
        lb.distill(None, None, condensed(use_of(scedule="cosine")), out=tmp_path / "run")


def test_other_networks_are_warned_of(whitening: Whitening, tmp_path: Path) -> None:
    plain = lb.create("convnet_d3", num_classes=10, channels=1, input_size=8, width=4)
    with pytest.warns(UserWarning, match="whitened as it carries, and the student convnet_d3 sees them normalised"):
        lb.distill(None, plain, condensed(use_of(whitening)), out=tmp_path / "run")
    with pytest.warns(UserWarning, match=r"is for images of mean \[0.3\], and the student convnet_d3 has \[0.5\]"):
        lb.distill(None, plain, condensed(use_of()), out=tmp_path / "other")


def test_what_is_otherwise_is_found(whitening: Whitening) -> None:
    options: dict[str, Any] = {"num_classes": 10, "channels": 1, "width": 4}
    whitened = lb.create("convnet_d3", whitening=whitening, **options)
    another = lb.create("convnet_d3", whitening=Whitening.fit(digits(300), epsilon=1.0), **options)
    plain = lb.create("convnet_d3", mean=(0.3,), std=(0.4,), input_size=8, **options)
    use, normalised = use_of(whitening), use_of()
    assert unlike_student(use, whitened) == unlike_student(normalised, plain) == unlike_student({}, plain) == []
    assert "by another whitening" in unlike_student(use, another)[0]
    assert "has whitened images" in unlike_student(normalised, whitened)[0]
    settings = TrainingSettings(**TRAINING)
    assert unlike_training(use, settings) == []
    assert unlike_training(use, settings.model_copy(update={"learning_rate": 0.5})) == [
        "the transfer set is for learning_rate 0.0123, and the training has 0.5"
    ]
    for_adamw = {"training": {"learning_rate": 0.001, "optimizer": "adamw"}}
    learned = settings.model_copy(update={"learning_rate": "learned"})
    assert unlike_training(for_adamw, learned.model_copy(update={"optimizer": "adamw"})) == []
    assert unlike_training(for_adamw, learned) == [
        "the transfer set's learning_rate 0.001 is for the optimizer adamw, and the training has sgd"
    ]


def test_views_that_would_round_what_is_made_are_refused_before_it_is_made(tmp_path: Path) -> None:
    condense = {"maker": "condense", "budget": "1/class", "keep": "float16"}
    content = training(student="convnet_d3", training={"steps": 1}, transfer=condense)
    with pytest.raises(
        UserError, match=r"`training.views` are of 8-bit images, got 'pad-crop-flip', and images that are"
    ):
        run(read_recipe(content), tmp_path / "run")
    assert rounded(read_recipe({**content, "transfer": {**condense, "keep": "uint8"}})) == {}
    assert rounded(read_recipe({**content, "training": {"steps": 1, "views": "none"}})) == {}


def test_recipes_keep_options_of_folders_apart(tmp_path: Path) -> None:
    result = command("distill", "digits-demo", "--test", "digits")
    assert result.exit_code == 2
    assert "--test must go with the folder of a transfer set, got 'digits-demo'" in " ".join(result.output.split())


def test_soft_labels_are_of_images_as_they_are(tmp_path: Path) -> None:
    """What is resized is not what was learned."""
    from limbeck.recipes.settings import DatasetSettings
    from limbeck.recipes.sources import load_training_images

    images = digits(10)
    for name, transfer_set, part in (
        ("use", TransferSet(images, use=use_of()), "use is"),
        ("floats", TransferSet(condensed(None).images), "floats are"),
        ("parts", TransferSet(images, per_image=4), "parts are"),
        ("soft", TransferSet(images, torch.zeros(10, 10), soft_label_kind="logits"), "soft labels are"),
    ):
        transfer_set.save(tmp_path / name)
        with pytest.raises(UserError, match=rf"whose {part} of its images as they are; drop `size`"):
            load_training_images(DatasetSettings(name=str(tmp_path / name), size=16))
    assert isinstance(load_training_images(DatasetSettings(name=str(tmp_path / "soft"))).soft_targets, SoftTargets)
