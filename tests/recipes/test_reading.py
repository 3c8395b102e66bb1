"""Every mistake in a recipe is said at once: where it is, what is allowed, what came, what is near."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.recipes.tiny_recipes import comparison, one_run

from limbeck.errors import UserError
from limbeck.recipes.reading import parse_recipe, read_recipe, renewed
from limbeck.recipes.yaml_files import load_value
from limbeck.yaml_text import yaml_text


def errors(content: Any, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        read_recipe(content, overrides)
    return str(caught.value)


def test_a_short_recipe_is_filled_in() -> None:
    recipe = read_recipe({"name": "x", "data": "digits", "student": "lenet5", "training": {"steps": 3}})
    assert recipe.data.train.name == "digits"
    assert recipe.data.test is not None
    assert recipe.data.test.name == "digits"
    assert recipe.student.model == "lenet5"
    assert (recipe.verb, recipe.resolved_objective()) == ("train", {"cross_entropy": 1.0})
    assert read_recipe(one_run()).resolved_objective() == {"cross_entropy": 0.1, "kd": 0.9}
    assert [read_recipe(content).verb for content in (one_run(), comparison())] == ["distill", "compare"]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["trainig.steps=3"], "trainig: unknown key; did you mean 'training'?"),
        (["training.epoch=3"], "training.epoch: unknown key; did you mean 'epochs'?"),
        (["training.cache.kep=1"], "training.cache.kep: unknown key; did you mean 'keep'?"),
        (["training.cache.limit=big"], "training.cache.limit: must be a size such as '500 MB' or '4 GB', got 'big'"),
        (["training.cache=5"], "training.cache: must be a mapping of keys to values, got 5"),
        (["student.optoins={}"], "student.optoins: unknown key; did you mean 'options'?"),
        (["qq=1"], "qq: unknown key; known here are name, summary, license, seed"),
        (["data.train=digitz"], "data.train.name: unknown dataset 'digitz'; did you mean 'digits'?"),
        (["data.train=photos"], "lists them all; a folder is looked for from where the command runs"),
        (["student.model=lenet6"], "student.model: unknown model 'lenet6'; did you mean 'lenet5'"),
        (["student=cifar10-resnet20"], "'cifar10-resnet20' names weights, not a model; give it as `weights`"),
        (["student.options={widht: 3}"], "student: unknown model option 'widht'; did you mean 'width'?"),
        (["student.options={width: -3}"], "option `width` of convnet_d3 must be a whole number >= 1, got -3"),
        (["teacher=cifar10-resnet57"], "teacher.weights: unknown weights 'cifar10-resnet57'; did you mean"),
        (["teacher={model: lenet5}"], "teacher: `weights` must be given, or `training` to make them"),
        (["objective=kdd"], "objective: unknown objective 'kdd'; did you mean 'kd'"),
        (["objective={kd: {temprature: 2}}"], "unknown option of objective 'kd': 'temprature'; did you mean"),
        (["objective={kd: {temperature: 0}}"], "objective: `temperature` must be > 0, got 0"),
        (["objective={kd: -1}"], "the weight of objective 'kd' must be a finite number >= 0, got -1"),
        (["objective={ce: 1, cross_entropy: 1}"], "names 'cross_entropy' twice"),
        (["training.views=pad-crpo"], "training.views: unknown view 'pad-crpo'; did you mean 'pad-crop'"),
        (["training.views={pad-crop: {paddin: 1}}"], "training.views: unknown option of view 'pad-crop': 'paddin'"),
        (["training.views={pad-crop: {padding: -1}}"], "training: `padding` must be >= 0, got -1"),
        (["training.optimizer=adamm"], "training.optimizer: unknown optimizer 'adamm'; did you mean 'Adam'"),
        (["training.compile=fast"], "training.compile: must be true or false or 'graphs', got 'fast'"),
        (["training.channels_last=2"], "training.channels_last: must be true or false or 'auto', got 2"),
        (["training.learning_rate=-1"], "training.learning_rate: must be > 0 or 'learned', got -1"),
        (["training.learning_rate=.nan"], "training.learning_rate: must be a finite number or 'learned', got nan"),
        (["training.epochs=.inf"], "training.epochs: must be a finite number, got inf"),
        (["training.steps=abc"], "training.steps: must be a whole number, got 'abc'"),
        (["training=3"], "training: must be a mapping of keys to values, got 3"),
        (["training={}"], "exactly one of `steps` and `epochs` must be given, got neither"),
        (["data.train.size=abc"], "data.train.size: must be a whole number or a list of two, got 'abc'"),
        (["data.train.scale=0"], "data.train.scale: must be > 0, got 0"),
        (["data.train.scale=true"], "data.train.scale: must be a number, got True"),
        (["data.validation=1.5"], "must be a count of images >= 0 or a share below 1, got 1.5"),
        (["data.validation=abc"], "data.validation: must be a number, got 'abc'"),
        (["name=a/b"], "name: must be letters, digits, '_', '-' and '.', because it names a folder, got 'a/b'"),
        (["seed=-1"], "seed: must be >= 0, got -1"),
        (["compare=null", "select={criterion: entrpy, budget: 3}"], "unknown criterion 'entrpy'; did you mean"),
        (["compare=null", "select={budget: 0}"], "select.budget: `budget` must be > 0, got 0"),
        (["compare=null", "select={criterion: {scor: entropy}, budget: 3}"], "unknown part of a criterion: 'scor'"),
        (["compare=null", "select={criterion: {score: [1]}, budget: 3}"], "`score` of a criterion must be a name"),
        (
            ["compare=null", "select={criterion: {order: lowst}, budget: 3}"],
            "unknown order 'lowst'; did you mean 'lowest'",
        ),
        (["compare=null", "select={criterion: hg/kmp, budget: 3}"], "unknown part of a criterion: 'kmp'; did you mean"),
        (["compare=null", "select.criterion=random"], "select.budget: must be given"),
        (["select.budget=3"], "`select` must not stand beside `compare`"),
        (["compare.budgets=[]"], "compare.budgets: must hold at least 1, got []"),
        (["compare.budgets=[1.5]"], "compare.budgets.0: `budget` as a share must be at most 1"),
        (["compare.budgets=[0.1, 10%]"], "compare.budgets: `budgets` must be distinct, got 10 %, 10 %"),
        (["compare.arms.x.budgets=[5, 5 images]"], "compare.arms.x.budgets: `budgets` must be distinct, got 5 images"),
        (["compare.arms.x.budgets=[5]", "compare.budgets=null"], "compare: `budgets` must be given"),
        (["compare.seeds=[0, 0]"], "compare.seeds: `seeds` must be distinct, got 0, 0"),
        (["compare.budgets=null"], "compare: `budgets` must be given for arms that `select` images, as 'entropy' does"),
        (
            ["compare.baseline=entrpy"],
            "unknown `baseline` 'entrpy'; did you mean 'entropy'? it must be one of the arms",
        ),
        (["compare.arms={}"], "`arms` must hold at least one arm"),
        (["compare.arms=[random]"], "compare.arms: must be a mapping of keys to values, got ['random']"),
        (["compare.arms.random=entropy"], "the control 'random' is added by itself"),
        (
            ["compare.arms={a/b: entropy, c d: entropy, random: entropy}"],
            "got 'c d'; the control 'random' is added by itself",
        ),
        (["compare.arms={a/b: entropy}"], "the name of an arm must be letters, digits"),
        (["compare.arms.x.selct=entropy"], "compare.arms.x.selct: unknown key; did you mean 'select'?"),
        (["compare.arms.x=entrpy"], "compare.arms.x.select: unknown criterion 'entrpy'"),
        (["compare.arms.x.student=lenet6"], "compare.arms.x.student.model: unknown model 'lenet6'"),
        (["compare.arms.x.objective=kdd"], "compare.arms.x.objective: unknown objective 'kdd'"),
        (["compare.arms.x.training.learning_rat=1"], "compare.arms.x.training.learning_rat: unknown key; did you mean"),
        (["compare.arms.x.training.steps=0"], "compare.arms.x.training.steps: must be >= 1, got 0"),
        (["compare.without_teacher.batch_sise=1"], "compare.without_teacher.batch_sise: unknown key; did you mean"),
    ],
)
def test_message(overrides: list[str], line: str) -> None:
    assert line in errors(comparison(), *overrides)


def test_everything_wrong_is_said_at_once() -> None:
    message = errors(
        comparison(), "name=a b", "training.stps=3", "student.model=x", "compare.arms.x.training={decay: 2, stps: 1}"
    )
    assert message.startswith("the recipe has 5 errors:\n  name: ")
    for path in ("training.stps", "student.model", "compare.arms.x.training.decay", "compare.arms.x.training.stps"):
        assert f"\n  {path}: " in message


def test_overrides_spell_out_what_was_short_and_replace_what_excludes() -> None:
    content = {**one_run(), "student": "lenet5", "data": "digits"}
    recipe = read_recipe(content, ["student.channels=1", "training.epochs=2", "data.train.size=8"])
    assert (recipe.student.model, recipe.student.channels) == ("lenet5", 1)
    assert (recipe.training.steps, recipe.training.epochs) == (None, 2)
    assert recipe.data.train.name == "digits"
    assert content["student"] == "lenet5"
    arms = read_recipe(comparison(), ["compare.arms.x=random", "compare.arms.x.training.steps=5"])
    assert arms.compare is not None
    assert arms.compare.arms["x"].transfer == {"maker": "select", "criterion": "random", "dedupe": False}
    assert read_recipe(one_run(), ["training.learning_rate=1e-3", "objective={kd: 1e-1}"]).objective == {"kd": 0.1}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "an override must look like training.epochs=5, got 'seed'"),
        ("a..b=3", "an override must look like"),
        ("seed=[3", r"the value of override 'seed=\[3' is no valid YAML"),
        ("training.steps.x=3", r"reaches into `training.steps`, which holds 12; give `training.steps=...` as a whole"),
        ("compare.seeds.0=3", r"reaches into `compare.seeds`, which holds \[0, 1\]"),
        ("training={steps: 3, steps: 4}", "the key 'steps' stands there twice"),
    ],
)
def test_override_that_is_none(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(comparison(seeds=[0, 1]), [override])


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    for content, message in (
        (b"- a\n", "must be a mapping of keys to values, got list"),
        (b"", "must be a mapping of keys to values, got NoneType"),
        (b"a: [", "is no valid YAML"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b"name: a\nname: b\n", "the key 'name' stands there twice"),
    ):
        path = tmp_path / "recipe.yaml"
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_recipe(path)


def test_recipe_of_an_earlier_version_gains_the_defaults() -> None:
    current = parse_recipe(one_run()).model_dump(mode="json", exclude={"compare"})
    old = {key: value for key, value in current.items() if key not in ("latency", "device")}
    old["training"] = {key: value for key, value in current["training"].items() if key != "compile"}
    assert renewed(old) == {**current, "latency": True}
    assert renewed({"name": "of another world"}) == {"name": "of another world"}


def written(path: Path, **parts: str) -> Path:
    """A recipe in YAML as a person writes it."""
    lines = {
        "name": "mine",
        "data": "{train: {name: digits}, test: digits}",
        "student": "convnet_d3",
        "training": "{steps: 3}",
        **parts,
    }
    path.write_text("\n".join(f"{key}: {value}" for key, value in lines.items()))
    return path


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("yes", "True, which is how YAML reads yes, on and true; quote it if it is text: 'yes'"),
        ("on", "got True"),
        ("Off", "got False, which is how YAML reads no, off and false; quote it"),
        ("NO", "got False"),
        ("true", "got True"),
        ("null", "got None, which is how YAML reads null, ~ and nothing at all; quote it"),
        ("~", "got None"),
        ("2024-01-31", "which YAML reads in what is not quoted; quote it if it is text: '2024-01-31'"),
        ("1.5", "got 1.5, which YAML reads in what is not quoted; quote it if it is text: '1.5'"),
        ("1e3", "got 1000.0"),
        ("010", "010 is read as 8; quote it if it is text: '010'"),
        ("0x1F", "0x1F is read as 31; quote it"),
        ("12:30", "12:30 is read as 750; quote it"),
        ("[a]", r"must be the name or the number of a class, got \['a'\]"),
    ],
)
def test_class_names_that_yaml_misreads_are_to_be_quoted(name: str, read: str, tmp_path: Path) -> None:
    for part in ("train", "test"):
        data = f"{{train: digits, {part}: {{name: digits, classes: [cat, {name}]}}}}"
        data = data if part == "test" else f"{{train: {{name: digits, classes: [cat, {name}]}}, test: digits}}"
        with pytest.raises(UserError, match=read):
            read_recipe(written(tmp_path / "recipe.yaml", data=data))
    with pytest.raises(UserError, match=read):
        read_recipe(one_run(), [f"data.train.classes=[cat, {name}]"])


def test_quoted_class_names_are_read(tmp_path: Path) -> None:
    names = ["yes", "off", "null", "2024-01-31", "1.5", "010", "12:30", "café"]
    quoted = ", ".join(f"'{name}'" for name in names)
    data = f"{{train: {{name: digits, classes: [{quoted}, cat, 3]}}, test: digits}}"
    recipe = read_recipe(written(tmp_path / "recipe.yaml", data=data))
    assert recipe.data.train.classes == [*names, "cat", 3]
    assert parse_recipe(recipe.model_dump(mode="json")).data.train.classes == [*names, "cat", 3]


@pytest.mark.parametrize("value", [True, False, None, 1.5, datetime.date(2024, 1, 31)])
def test_class_names_from_python_are_text_or_numbers(value: object) -> None:
    content = one_run()
    content["data"]["train"] = {"name": "digits", "classes": ["1", value]}
    with pytest.raises(UserError, match=r"data\.train\.classes\.1: must be the name or the number of a class, got"):
        parse_recipe(content)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"name": "on"}, "name: must be text, got True, which is how YAML reads yes, on and true; quote it"),
        ({"name": "2024-01-31"}, "name: must be text, got datetime.date.* quote it if it is text: '2024-01-31'"),
        (
            {"name": "12"},
            "name: must be text, got 12, which YAML reads in what is not quoted; quote it if it is text: '12'",
        ),
        ({"summary": "no"}, "summary: must be text, got False"),
        (
            {"student": "off"},
            "student: must be a mapping .*, got False, which is how YAML reads no, off and false; quote",
        ),
        ({"data": "{train: no}"}, "data.train: must be a mapping .*, got False, .* quote it if it is text: 'no'"),
        ({"data": "{train: {name: yes}}"}, "data.train.name: must be text, got True"),
        ({"data": "{train: {name: digits, label_column: no}}"}, "data.train.label_column: must be text, got False"),
        ({"data": "{train: {name: digits, split: 2012}}"}, "data.train.split: must be text, got 2012"),
        ({"data": "{train: {name: digits, classes: yes}}"}, "data.train.classes: must be a list, got True"),
        (
            {"student": "{model: convnet_d3, options: {on: 3}}"},
            "the key on is read as True; quote it if it is text: 'on'",
        ),
        ({"compare": "{arms: {no: random}, budgets: [10]}"}, "the key no is read as False; quote it"),
        (
            {"compare": "{arms: {2024-01-31: random}, budgets: [10]}"},
            "the key 2024-01-31 is read as 2024-01-31; quote it",
        ),
        ({"compare": "{arms: {null: random}, budgets: [10]}"}, "the key null is read as None; quote it"),
        ({"compare": "{arms: {010: random}, budgets: [10]}"}, "010 is read as 8; quote it"),
        ({"compare": "{arms: {x: on}, budgets: [10]}"}, "compare.arms.x: must be a mapping .*, got True"),
        ({"seed": "007"}, "007 is read as 7; quote it"),
    ],
)
def test_other_text_that_yaml_misreads(parts: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(written(tmp_path / "recipe.yaml", **parts))


def test_choices_that_yaml_misreads(tmp_path: Path) -> None:
    choices = "{warm: {'on': {training: {warmup: 0.1}}, 'off': {}}, depth: {20: {seed: 1}, 56: {seed: 2}}}"
    recipe = written(tmp_path / "recipe.yaml", choices=choices)
    parsed = read_recipe(recipe, ["warm=on", "depth=56"])
    assert (parsed.name, parsed.training.warmup, parsed.seed) == ("mine-on-56", 0.1, 2)
    assert read_recipe(recipe, ["warm='off'", 'depth="20"']).seed == 1
    with pytest.raises(
        UserError, match=r"`warm` of recipe .* is True, for YAML reads yes, no, on, off and null so; quote"
    ):
        read_recipe(written(tmp_path / "recipe.yaml", choices=choices, warm="on"), ["depth=20"])


def test_switches_may_still_be_written_as_yaml_does(tmp_path: Path) -> None:
    data = "{train: {name: digits, skip_unreadable: yes}, test: digits}"
    recipe = read_recipe(written(tmp_path / "recipe.yaml", data=data, training="{steps: 1_000, compile: off}"))
    assert (recipe.data.train.skip_unreadable, recipe.training.compile, recipe.training.steps) == (True, False, 1000)


@pytest.mark.parametrize(
    "override",
    [
        *("training.steps=yes", "training.epochs=on", "training.batch_size=true", "training.learning_rate=yes"),
        *("training.milestones=[0.5, yes]", "training.validations=no", "training.cache.top_k=true", "seed=off"),
        *("data.train.size=yes", "data.train.size=[8, true]", "data.train.channels=yes", "student.num_classes=on"),
    ],
)
def test_yes_is_no_number(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(UserError, match=rf"{key}: must be a number, got (True|False)"):
        read_recipe(one_run(), [override])


SHARED = """
name: shared
data: digits
student: lenet5
teacher: {model: lenet5, training: &t {steps: 5, learning_rate: 0.1}}
training: *t
"""


def test_an_override_changes_one_place_of_what_an_anchor_shares(tmp_path: Path) -> None:
    path = tmp_path / "shared.yaml"
    path.write_text(SHARED)
    recipe = read_recipe(path, ["training.learning_rate=0.2"])
    assert recipe.teacher is not None
    assert recipe.teacher.training is not None
    assert (recipe.teacher.training.learning_rate, recipe.training.learning_rate) == (0.1, 0.2)
    merged = "student: &s {model: convnet_d3, options: {width: 4}}\nteacher: {<<: *s, training: {steps: 5}}\n"
    path.write_text(f"name: shared\ndata: digits\ntraining: {{steps: 5}}\n{merged}")
    recipe = read_recipe(path, ["student.options.width=8"])
    assert recipe.teacher is not None
    assert (recipe.teacher.options, recipe.student.options) == ({"width": 4}, {"width": 8})


def test_an_override_changes_one_place_of_what_python_or_an_override_shares() -> None:
    arm = {"training": {"learning_rate": 0.1}}
    by_override = "compare.arms={one: &a {training: {learning_rate: 0.1}}, two: *a}"
    for content, overrides in ((comparison(arms={"one": arm, "two": arm}), []), (comparison(), [by_override])):
        compare = read_recipe(content, [*overrides, "compare.arms.one.training.batch_size=7"]).compare
        assert compare is not None
        assert [arm.training.get("batch_size") for arm in compare.arms.values()] == [7, None]
    content = comparison(arms={"one": arm})
    read_recipe(content, ["compare.arms.one.training.batch_size=7"])
    assert content["compare"]["arms"]["one"] == arm, "what was handed over stays as it is"


def test_what_contains_itself_is_refused() -> None:
    arms: dict[str, Any] = {}
    arms["one"] = arms
    assert "the recipe contains itself" in errors(comparison(arms=arms))
    assert "the value of override 'seed=&a [*a]' contains itself" in errors(one_run(), "seed=&a [*a]")


@pytest.mark.parametrize(
    ("content", "override", "message"),
    [
        (
            one_run(),
            "objective.kd.temperature=2",
            "the default is {cross_entropy: 0.1, kd: 0.9} with a teacher or soft",
        ),
        (comparison(), "compare.arms.x.objective.kd=2", "by default it is the recipe's `objective`"),
        (one_run(), "teacher.objective.kd=2", "the default is {cross_entropy: 1.0}"),
    ],
)
def test_what_reaches_into_an_objective_that_is_not_there(content: Any, override: str, message: str) -> None:
    path = override.partition(".kd")[0]
    said = errors(content, override)
    assert f"reaches into `{path}`, which is not given, so that it would replace the whole sum; give `{path}={{" in said
    assert message in said


def test_what_reaches_into_an_objective_of_a_base_a_choice_or_an_override(tmp_path: Path) -> None:
    given = {"cross_entropy": 0.5, "kd": {"weight": 0.5}}
    expected = {"cross_entropy": 0.5, "kd": {"weight": 0.5, "temperature": 2}}
    (tmp_path / "below.yaml").write_text(yaml_text(one_run(objective=given)))
    for content, first in (
        ({"name": "over", "base": str(tmp_path / "below.yaml")}, []),
        (one_run(choices={"loss": {"mine": {"objective": given}}}, loss="mine"), []),
        (one_run(), ["objective={cross_entropy: 0.5, kd: {weight: 0.5}}"]),
    ):
        assert read_recipe(content, [*first, "objective.kd.temperature=2"]).objective == expected


def test_what_is_written_is_read_back() -> None:
    content = {"text": ["123456e78901", "1e3", "1e-3", "on", "010", "1:30", "null"], "numbers": [1e-5, 1e30, 3, True]}
    assert load_value(yaml_text(content), "it") == content
    twice = ["a"]
    assert yaml_text([twice, twice], default_flow_style=True) == "[[a], [a]]\n"
