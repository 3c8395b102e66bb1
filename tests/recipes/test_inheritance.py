"""Recipes that extend others, and recipes that offer choices."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.recipes.tiny_recipes import comparison, one_run

from limbeck.errors import UserError
from limbeck.recipes.describe import describe_choices
from limbeck.recipes.inheritance import copy_recipe, made_by, merge
from limbeck.recipes.reading import read_recipe

CHOICES = {"size": {"small": {"student": {"model": "lenet5"}}, "large": {"training": {"epochs": 2}}, "usual": None}}


def write(path: Path, **content: Any) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture
def child(tmp_path: Path) -> Path:
    """A recipe over one beside it."""
    write(tmp_path / "parent.yaml", **one_run(objective={"ce": 1, "kd": 1}, student="convnet_d3"))
    changes = {"objective": {"ce": 1}, "training": {"epochs": 3}, "student": {"options": {"width": 4}}}
    return write(tmp_path / "child.yaml", base="parent.yaml", name="child", **changes)


def test_what_stands_above_is_laid_over_its_base(child: Path) -> None:
    recipe = read_recipe(child)
    assert recipe.name == "child"
    assert recipe.objective == {"ce": 1}
    assert (recipe.training.epochs, recipe.training.steps, recipe.training.batch_size) == (3, None, 16)
    assert (recipe.student.model, recipe.student.options) == ("convnet_d3", {"width": 4})
    assert read_recipe({"base": str(child), "name": "grandchild"}).training.epochs == 3


def test_lists_strings_and_null_replace() -> None:
    below = {"a": {"x": [1, 2], "y": 1}, "b": {"c": 1}, "teacher": "w"}
    above = {"a": {"x": [3]}, "b": None, "teacher": {"mean": [1]}}
    assert merge(below, above) == {"a": {"x": [3], "y": 1}, "b": None, "teacher": {"weights": "w", "mean": [1]}}


def test_what_is_a_choice_of_keys_is_replaced() -> None:
    below = {
        "training": {"views": {"pad-crop": {}}, "normalised_views": {"dsa": {"shift": 0.25}}, "sharpness": {"rho": 1}}
    }
    above = {
        "training": {"views": {"cutmix": {}}, "normalised_views": {"crop-scale-rotate": {}}, "sharpness": {"alpha": 0}}
    }
    assert merge(below, above) == {"training": {**above["training"], "sharpness": {"rho": 1, "alpha": 0}}}


def test_bases_that_cannot_be(tmp_path: Path) -> None:
    path = write(tmp_path / "one.yaml", base="two.yaml", name="one")
    write(tmp_path / "two.yaml", base="one.yaml", name="two")
    with pytest.raises(UserError, match=r"lead in a circle \(one.yaml -> two.yaml -> one.yaml\); drop one `base`"):
        read_recipe(path)
    write(path, base="cifar10-distil", name="one")
    with pytest.raises(UserError, match=r"`base` of the recipe '.*one.yaml': unknown recipe .*mean 'cifar10-distill'"):
        read_recipe(path)
    write(path, base=3, name="one")
    with pytest.raises(UserError, match="must be a packaged recipe or a file, got 3"):
        read_recipe(path)
    with pytest.raises(UserError, match="name: must be given"):
        read_recipe({"base": "cifar10-distill"})
    write(path, base="cifar10-distill")
    assert read_recipe(path).name == "one", "as its file"


def test_a_choice_is_laid_over_and_named() -> None:
    content = one_run(choices=CHOICES, size="small", student="convnet_d3")
    recipe = read_recipe(content)
    assert (recipe.name, recipe.student.model) == ("tiny-small", "lenet5")
    large = read_recipe(content, ["size=large", "student.channels=1"])
    assert (large.name, large.training.epochs, large.training.steps) == ("tiny-large", 2, None)
    assert (large.student.model, large.student.channels) == ("convnet_d3", 1)
    assert read_recipe(content, ["size=usual"]).name == "tiny"
    assert read_recipe(content, ["name=mine"]).name == "mine"
    assert content["size"] == "small"


BOTH = {
    "size": {"small": {"student": {"model": "lenet5"}}, "large": {"training": {"epochs": 2}}},
    "speed": {
        "usual": {},
        "quick": {"training": {"epochs": 1}, "size": {"large": {"training": {"epochs": 4}}, "small": None}},
    },
}


def test_an_option_may_change_something_else_beside_another() -> None:
    content = one_run(choices=BOTH, size="small", speed="usual", student="convnet_d3")
    assert read_recipe(content).training.steps == 12
    assert read_recipe(content, ["size=large"]).training.epochs == 2
    assert read_recipe(content, ["speed=quick"]).training.epochs == 1
    both = read_recipe(content, ["size=large", "speed=quick"])
    assert (both.name, both.training.epochs) == ("tiny-large-quick", 4)
    reordered = one_run(choices={"speed": BOTH["speed"], "size": BOTH["size"]}, size="large", speed="quick")
    assert read_recipe(reordered).training.epochs == 4


def test_an_option_may_choose_for_a_later_choice() -> None:
    choices = {"size": {"small": {"speed": "quick"}, "large": {}}, "speed": {"usual": {}, "quick": {"seed": 7}}}
    content = one_run(choices=choices, size="small", speed="usual")
    assert [read_recipe(content, [f"size={size}"]).seed for size in choices["size"]] == [7, 0]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ({"larg": {"seed": 1}}, "unknown size 'larg'; did you mean 'large'.* knows small or large"),
        ({"small": 3}, "must map each size to what it changes, got 3"),
    ],
)
def test_what_an_option_changes_beside_another_is_checked(inner: dict[str, Any], message: str) -> None:
    choices = {"size": BOTH["size"], "speed": {"quick": {"size": inner}}}
    with pytest.raises(UserError, match=message):
        read_recipe(one_run(choices=choices, size="small", speed="quick"))


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"choices": CHOICES, "size": "smal"}, [], "unknown size 'smal'; did you mean 'small'.* knows small, large or"),
        ({"choices": CHOICES}, [], "the recipe leaves `size` open; choose small, large or usual"),
        ({"choices": CHOICES, "size": "small"}, ["siez=large"], "unknown key 'siez'; did you mean 'size'"),
        ({"choices": {"seed": {"one": {}}}}, [], "must not name 'seed', which is a part of every recipe"),
        ({"choices": {"size": ["small"]}, "size": "small"}, [], "must map names to options, and each option to what"),
        ({"choices": {"size": {"small": 3}}, "size": "small"}, [], "must map names to options, and each option to"),
        ({"choices": 3}, [], "must map names to options"),
    ],
)
def test_choices_that_cannot_be(changes: dict[str, Any], overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe({**one_run(), **changes}, overrides)


def test_copies_stand_alone_and_keep_their_choices(tmp_path: Path) -> None:
    copied = copy_recipe("cifar100-crd", tmp_path)
    content = yaml.safe_load(copied.read_text())
    assert "base" not in content
    assert list(content["choices"]) == ["pair", "variant"]
    for overrides in ([], ["pair=vgg13-vgg8", "variant=with-kd"]):
        assert read_recipe(copied, overrides) == read_recipe("cifar100-crd", overrides)


def test_choices_are_described() -> None:
    lines = describe_choices("cifar100-crd", ["variant=with-kd"]).splitlines()
    assert lines[0].startswith("pair: resnet56-resnet20; or -s pair= wrn_40_2-wrn_16_2, ")
    assert lines[1:] == [
        "variant: with-kd; or -s variant= alone",
        "reported by others: top-1 71.63 % (epoch not said, earlier README of giakoumoglou/distillers)",
    ]
    assert describe_choices("digits-demo") == ""


def test_who_makes_a_run_folder() -> None:
    assert made_by("runs/cifar100-teacher-vgg13") == "limbeck run cifar100-teacher -s network=vgg13"
    assert made_by("runs/cifar10-train") == "limbeck run cifar10-train"
    assert [made_by(folder) for folder in ("runs/mine", "cifar10-train", "elsewhere/runs/x")] == ["", "", ""]


def test_what_a_lone_string_is_short_for_stays_below_what_is_added() -> None:
    below = {"compare": {"arms": {"sure": "margin", "other": "entropy"}}}
    changes = {"training": {"learning_rate": 0.1}}
    merged = merge(below, {"compare": {"arms": {"sure": changes}}})
    assert merged == {"compare": {"arms": {"sure": {"select": "margin", **changes}, "other": "entropy"}}}
    for arm in ("margin", {"select": "margin"}):
        spelt = merge(
            {"compare": {"arms": {"sure": arm}}}, {"compare": {"arms": {"sure": {"transfer": {"dedupe": 1}}}}}
        )
        transfer = {"maker": "select", "criterion": "margin", "dedupe": 1}
        assert spelt == {"compare": {"arms": {"sure": {"transfer": transfer}}}}
    assert merge({"data": "digits"}, {"data": {"validation": 0}}) == {"data": {"name": "digits", "validation": 0}}
    others = {"data": {"train": "cifar10", "test": {"name": "cifar10"}}}
    assert merge({"data": "digits"}, others) == others, "what is learned from is replaced, and with it the name"


def test_an_arm_in_short_form_keeps_its_criterion_in_a_recipe_over_it(tmp_path: Path) -> None:
    write(tmp_path / "parent.yaml", **comparison(arms={"sure": "margin"}))
    compare = {"arms": {"sure": {"training": {"learning_rate": 0.1}}}}
    child = read_recipe(write(tmp_path / "child.yaml", base="parent.yaml", name="child", compare=compare)).compare
    assert child is not None
    assert (child.arms["sure"].transfer or {})["criterion"] == "margin"


def test_copies_hold_no_anchors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = "teacher: {model: lenet5, training: &t {steps: 2}}\ntraining: *t\n"
    (tmp_path / "below.yaml").write_text("name: below\ndata: digits\nstudent: lenet5\n" + teacher)
    over = write(tmp_path / "over.yaml", base="below.yaml")
    monkeypatch.setattr("limbeck.recipes.inheritance.find_recipe", lambda _: over)
    (tmp_path / "copies").mkdir()
    text = copy_recipe("over", tmp_path / "copies").read_text()
    assert text.count("steps: 2") == 2
    assert "&" not in text
