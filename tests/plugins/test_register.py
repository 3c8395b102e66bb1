"""Parts that are registered in Python: one of each family in a recipe, names that are taken, other processes."""

import json
import pickle
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.plugins.conftest import blocks
from tests.plugins.stopping import stop
from tests.recipes.tiny_recipes import one_run
from tests.transfer import solid
from torch import Tensor, nn

import limbeck as lb
from limbeck import testing
from limbeck.data.catalogue import DATASETS
from limbeck.data.mixing import Mixing
from limbeck.data.normalised_views import Draw, normalised_views
from limbeck.data.views import Augmentation, augmentation
from limbeck.errors import UserError
from limbeck.models.forward import FrozenTeacher
from limbeck.objectives import Objective, Setup
from limbeck.objectives.sums import weighted_sum
from limbeck.plugins import Registered, about, register, registered, restore, unregister
from limbeck.progress import Silent
from limbeck.randomness import uniform, words
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.recipes.schema import Recipe
from limbeck.testing import check, check_maker, check_objective, check_view
from limbeck.training.view_cache.folder import view_folder
from limbeck.transfer import find_criterion
from limbeck.transfer.catalogue import settings_of
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.select import score_table, select
from limbeck.workers.crew import Task, open_crew


def gap(student_logits: Tensor, teacher_logits: Tensor, *, power: float = 2) -> Tensor:
    """Differences of the logits."""
    return (student_logits - teacher_logits).abs().pow(power).mean(1)


class Mapped(Objective):
    """The teacher's embedding, from a linear map of the student's."""

    def build(self, setup: Setup) -> None:
        self.map = nn.Linear(*setup.embedding_sizes())

    def forward(self, student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
        return (self.map(student_embedding) - teacher_embedding).square().mean()


def net(num_classes: int, channels: int = 3, *, width: int = 4) -> nn.Module:
    layers = (nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(width, num_classes))


def made_of_squares(latents: int, channels: int, size: tuple[int, int], *, side: int = 4) -> nn.Module:
    """Squares of one colour."""
    height, width = (-(-pixels // side) for pixels in size)
    squares = (nn.Linear(latents, channels * height * width), nn.Unflatten(1, (channels, height, width)))
    return nn.Sequential(*squares, nn.Upsample(size), nn.Sigmoid())


class Upside(Augmentation):
    """Flips images upside down half of the time."""

    distinct = 2

    def render(self, images: Tensor, draw: Tensor) -> Tensor:
        return torch.where(draw[:, None, None, None] == 1, images.flip(2), images)


def brighter(images: Tensor, draw: Draw, *, strength: float = 0.1) -> Tensor:
    """Changes all of a batch, or none."""
    return images + strength * draw.choice(2)


def colour(pixels: Tensor) -> Tensor:
    return pixels.flatten(2).float().mean(2)


def sum_of(values: Tensor, *, power: float = 1.0) -> Tensor:
    return values.pow(power).sum(1)


def spaced(scores: Tensor, n: int) -> Tensor:
    return torch.linspace(0, len(scores) - 1, n).long()


def three(split: str) -> lb.ImageSet:
    """Three of the digits."""
    return lb.load("digits", split, classes=[0, 1, 2])


def go(folder: Path, **changes: Any) -> Any:
    result = run(read_recipe(one_run(**changes)), folder)
    assert result.evaluation is not None
    return result


IN_RECIPES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "objectives": (lambda: register("objectives", "gap", gap), {"objective": {"ce": 0.5, "gap": {"power": 1}}}),
    "a class of objectives": (lambda: register("objectives", "mapped", Mapped), {"objective": {"ce": 1, "mapped": 2}}),
    "representations": (
        lambda: register("representations", "colour", colour),
        {"select": {"budget": 12, "criterion": "colour/variance"}},
    ),
    "scores": (
        lambda: register("scores", "sum", sum_of),
        {"select": {"budget": 12, "criterion": {"score": "sum", "power": 2.0}}},
    ),
    "allocations": (
        lambda: register("allocations", "spaced", spaced),
        {"select": {"budget": 12, "criterion": "pev/spaced"}},
    ),
    "criteria": (lambda: register("criteria", "mine", "hrgb/tnpc/ls"), {"select": {"budget": 12, "criterion": "mine"}}),
    "views": (
        lambda: register("views", "upside", Upside),
        {"training": {**one_run()["training"], "views": ["upside", "pad-crop"]}},
    ),
    "normalised_views": (
        lambda: register("normalised_views", "brighter", brighter),
        {"training": {**one_run()["training"], "normalised_views": ["dsa", {"brighter": {"strength": 0.5}}]}},
    ),
    "models": (lambda: register("models", "net", net), {"student": {"model": "Net", "options": {"width": 3}}}),
    "datasets": (
        lambda: register("datasets", "three", three, splits={"train": 431, "test": 107}, num_classes=3),
        {"data": {"train": "three", "test": "three", "validation": 30}},
    ),
    "generators": (
        lambda: register("generators", "squares", made_of_squares),
        {
            "select": None,
            "objective": {"kd": 1.0},
            "transfer": {
                "maker": "generate",
                "budget": 8,
                "batch_size": 4,
                "inner_steps": 1,
                "steps_per_round": 1,
                "warmup_rounds": 1,
                "views": "none",
                "generator": {"network": "squares", "options": {"side": 2}},
            },
        },
    ),
    "makers": (
        lambda: register("makers", "solid", solid),
        {"select": None, "transfer": {"maker": "solid", "budget": 5}, "objective": {"kd": 1.0}},
    ),
}


@pytest.mark.parametrize("family", IN_RECIPES)
def test_one_of_each_family_is_named_in_a_recipe(family: str, tmp_path: Path) -> None:
    make, changes = IN_RECIPES[family]
    with pytest.raises(UserError, match="unknown"):
        read_recipe(one_run(**changes))
    make()
    result = go(tmp_path / "run", **changes)
    if family == "models":
        assert lb.load_model(tmp_path / "run" / "student").network[0].out_channels == 3
        assert result.student.name == "net"
    if family == "generators":
        assert "generators/squares" in json.loads((tmp_path / "run/inputs.json").read_text())


def test_code_that_changed_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    register("objectives", "gap", gap)
    content = one_run(objective={"gap": 1.0})
    stop(content, tmp_path / "run")
    register("objectives", "gap", lambda student_logits, power=2.0: student_logits.mean(), replace=True)
    with pytest.raises(UserError, match=r"the objective 'gap' \(registered in Python, code \w+ then, .* now\)"):
        run(read_recipe(content), tmp_path / "run", resume=True)
    register("objectives", "gap", gap, replace=True)
    assert run(read_recipe(content), tmp_path / "run", resume=True).evaluation is not None


def test_parts_of_a_named_criterion_are_remembered_too(tmp_path: Path) -> None:
    register("scores", "sum", sum_of)
    register("allocations", "spaced", spaced)
    register("criteria", "mine", "sum/spaced")
    content = one_run(select={"budget": 12, "criterion": "mine"})
    stop(content, tmp_path / "run")
    inputs = json.loads((tmp_path / "run/inputs.json").read_text())
    assert {"criteria/mine", "scores/sum", "allocations/spaced"} <= {*inputs}
    register("scores", "sum", lambda values: values.sum(1), replace=True)
    with pytest.raises(UserError, match=r"the score 'sum' \(registered in Python, code"):
        run(read_recipe(content), tmp_path / "run", resume=True)


def test_scores_of_ones_own_are_the_same_from_a_table(tmp_path: Path) -> None:
    register("representations", "colour", colour)
    register("scores", "sum", sum_of)
    images = lb.load("digits")
    criterion = find_criterion({"representation": "colour", "score": "sum", "power": 2.0})
    assert criterion.column == "sum:colour:power=2.0"
    path = score_table(images, tmp_path / "scores.parquet", criteria=[criterion], shard=500)
    chosen = lb.select_from_scores(path, criterion=criterion, budget=20)
    assert torch.equal(chosen.ids, select(images, criterion=criterion, budget=20).ids)


def test_what_is_said_counts_and_defaults_are_read() -> None:
    described = about(weight=3.0, aliases=("g",), summary="a gap")(gap)
    try:
        register("objectives", "gap", described)
        objective = weighted_sum({"g": {"power": 3}})
        assert objective.weights == {"gap": 3.0}
        with pytest.raises(UserError, match="names 'gap' twice"):
            weighted_sum({"g": 1, "gap": 1})
    finally:
        del gap.__limbeck__  # pyright: ignore[reportFunctionMemberAccess]


def test_running_a_cell_again_is_fine_and_another_part_is_not() -> None:
    register("objectives", "gap", gap)
    register("objectives", "gap", gap)
    again = types.FunctionType(gap.__code__, gap.__globals__, "gap")
    again.__kwdefaults__ = {"power": 2}
    register("objectives", "gap", again)
    with pytest.raises(
        UserError, match=r"the objective 'gap' is there already \(registered in Python\); choose another"
    ):
        register("objectives", "gap", Mapped)
    register("objectives", "gap", Mapped, replace=True)
    assert weighted_sum("gap").needs == {"student_embedding", "teacher_embedding"}
    unregister("objectives", "gap")
    with pytest.raises(UserError, match="unknown objective registered in Python: 'gap'"):
        unregister("objectives", "gap")


@pytest.mark.parametrize(
    ("family", "name", "part", "said", "message"),
    [
        ("objective", "x", gap, {}, "unknown family of parts 'objective'; did you mean 'objectives'"),
        ("objectives", "kd", gap, {}, "an objective cannot be called 'kd', which is limbeck's own 'kd'"),
        ("objectives", "Hinton", gap, {}, "'Hinton', which is another name of 'kd'"),
        ("objectives", "a b", gap, {}, "must be letters, digits, '-' and '_', the first no sign, got 'a b'"),
        ("objectives", "x", 3, {}, "must be a function of signals, a module of them or a subclass of .*, got 3"),
        ("objectives", "x", nn.Linear, {}, "must have a default, .* or hand over one that is made"),
        ("objectives", "x", lambda student_logits, *rest: 0, {}, r"parameter `\*rest` takes any number of values"),
        ("objectives", "x", lambda power=1: 0, {}, "must take signals by name, got none"),
        (
            "objectives",
            "x",
            lambda student_logits, how=gap: 0,
            {},
            "option `how` .* must be a number, .* got <function",
        ),
        ("objectives", "x", gap, {"wieght": 1}, "unknown remark on objective 'x': 'wieght'; did you mean 'weight'"),
        ("objectives", "x", gap, {"weight": -1}, "the `weight` of objective 'x' must be a finite number >= 0, got -1"),
        ("objectives", "x", gap, {"aliases": ["ce"]}, "cannot have the alias 'ce': that is another objective"),
        ("objectives", "x", gap, {"aliases": "gp"}, "the `aliases` of objective 'x' must be a list of names"),
        (
            "representations",
            "random",
            colour,
            {},
            "a representation cannot be called 'random', which is an order 'random'",
        ),
        (
            "representations",
            "x",
            lambda image: image,
            {},
            "parameter `image` of representation 'x' is none of its inputs",
        ),
        ("representations", "x", colour, {"kind": "number"}, "unknown `kind` of representation 'x': 'number'"),
        ("representations", "x", lambda pixels, score=1: 0, {}, "cannot be called `score`, which a criterion has"),
        ("scores", "km", sum_of, {}, "a score cannot be called 'km', which is short for 'k-means'"),
        ("scores", "x", lambda values, logits: 0, {}, "must be a function of one kind of features"),
        ("allocations", "x", lambda scores: 0, {}, "must be a function of `scores` and `n`, .* got parameters scores"),
        ("criteria", "x", "hgr/tn", {}, "unknown part of a criterion: 'hgr'"),
        ("criteria", "x", 3, {}, "must be a `Criterion`, a mapping of parts or parts joined by slashes, got int"),
        ("criteria", "grayscale", "pev", {}, "would hide the part 'grayscale', which it does not use"),
        ("views", "x", lambda images: images, {}, "must be a function of `images` and `draw`, got images"),
        (
            "views",
            "x",
            lambda images, draw: images,
            {"distinct": 0},
            "`distinct` of view 'x' must be a number of views",
        ),
        ("normalised_views", "dsa", brighter, {}, "a normalised view cannot be called 'dsa', which is limbeck's own"),
        ("normalised_views", "x", 3, {}, "must be a subclass of `limbeck.data.normalised_views.NormalisedViews`, or a"),
        ("normalised_views", "x", lambda draw: 0, {}, "must be a function of `images` and `draw`, got draw"),
        ("models", "cifar10-resnet20", net, {}, "which is the name of published weights"),
        ("models", "x", net(3), {}, "must be a class of modules or a function that makes one"),
        ("models", "x", lambda width=3: 0, {}, "model 'x' must take `num_classes`"),
        ("models", "x", lambda num_classes, seed=1: 0, {}, "an option of model 'x' cannot be called `seed`"),
        ("datasets", "cifar10", three, {}, "which is limbeck's own 'cifar10'"),
        ("datasets", "x", lambda: 0, {}, "data set 'x' must take `split`"),
        ("datasets", "x", three, {"splits": "train"}, "`splits` of data set 'x' must be names"),
        ("makers", "other", solid, {}, "must say `maker: str = \"other\"`, got 'solid'"),
        ("makers", "x", gap, {}, "must be a package or class with `Settings`"),
        ("generators", "large", made_of_squares, {}, "a generator cannot be called 'large', which is limbeck's own"),
        ("generators", "x", 3, {}, "must be a class of modules or a function that makes one, got 3"),
        ("generators", "x", lambda width=3: 0, {}, "generator 'x' must take `latents`, got width"),
        ("generators", "x", lambda latents, depth: 0, {}, "parameter `depth` of generator 'x' is none of its inputs"),
        ("generators", "x", made_of_squares, {"size": 0}, "`size` of generator 'x' must be a whole number >= 1, got 0"),
    ],
)
def test_what_is_no_part_is_refused(family: str, name: str, part: Any, said: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        register(family, name, part, **said)


def test_what_parts_return_is_checked() -> None:
    register("objectives", "flat", lambda student_logits: student_logits)
    with pytest.raises(
        UserError, match=r"objective 'flat' must return a loss \[\], or one for each image \[B\], got \[2"
    ):
        weighted_sum("flat")({"student_logits": torch.zeros(2, 3)})
    register("views", "small", lambda images, draw: images[:, :, :4])
    with pytest.raises(
        UserError, match=r"view 'small' must return images uint8 \[2, 1, 8, 8\], got torch.uint8 \[2, 1, 4"
    ):
        augmentation("small")(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.arange(2), seed=0, view=0)
    register("models", "none", lambda num_classes: 3)
    with pytest.raises(UserError, match="model 'none' must be a module or a `Classifier`, got int"):
        lb.create("none", num_classes=3)
    register("datasets", "none", lambda split: 3)
    with pytest.raises(UserError, match="data set 'none' must give an `ImageSet`, got int"):
        lb.load("none")
    images = lb.load("digits")
    for family, part, message in (
        (
            "representations",
            lambda pixels: pixels,
            r"must return a tensor \[B, F\], one row for each of \d+ images, got \[\d+, 1",
        ),
        ("scores", lambda values: values, r"must return a tensor \[B\], one number for each of \d+ images, got \["),
        (
            "allocations",
            lambda scores, n: scores[:n],
            r"must return the places of 20 images, int64 \[20\], got torch.float64",
        ),
        ("allocations", lambda scores, n: [0] * n, "must return 20 distinct places of 0..1436, got"),
    ):
        register(family, "wrong", part)
        criterion = {"representations": "wrong/variance", "scores": "wrong", "allocations": "entropy/wrong"}[family]
        with pytest.raises(UserError, match=message):
            select(images, criterion=criterion, budget=20)
        unregister(family, "wrong")


def test_a_classifier_of_ones_own_keeps_what_it_was_trained_with(tmp_path: Path) -> None:
    def wrapped(num_classes: int) -> lb.Classifier:
        return lb.wrap(net(num_classes), num_classes=num_classes, input_size=16, mean=(0.1,) * 3, std=(0.2,) * 3)

    register("models", "wrapped", wrapped)
    lb.save_model(lb.create("wrapped", num_classes=5), tmp_path / "saved")
    again = lb.load_model(tmp_path / "saved")
    assert (again.input_size, again.normalisation[0]) == ((16, 16), (0.1, 0.1, 0.1))


def test_keys_of_views_tell_options_and_code_apart() -> None:
    register("views", "upside", Upside)
    register("views", "noisy", lambda images, draw, level=3: images)
    first, other = augmentation({"noisy": {"level": 3}}), augmentation({"noisy": {"level": 4}})
    assert first.key == augmentation("noisy").key != other.key
    assert augmentation("upside").key not in (None, Upside().key)
    exec("def shown(images, draw): return images", cell := {"__name__": "__main__"})
    register("views", "cell", cell["shown"], replace=True)
    check_view("upside")


def test_keys_of_normalised_views_tell_options_and_code_apart() -> None:
    register("normalised_views", "brighter", brighter)
    first, other = normalised_views({"brighter": {"strength": 0.2}}), normalised_views({"brighter": {"strength": 0.3}})
    assert first.key != other.key
    assert first.own
    assert normalised_views(["dsa", "brighter"]).own
    assert not normalised_views(["dsa", "crop-scale-rotate"]).own
    register("normalised_views", "gray", lambda images, draw: images[:, :1])
    gray = normalised_views("gray")
    with pytest.raises(UserError, match=r"must return images torch.float32 \[2, 3, 4, 4\], got torch.float32 \[2"):
        gray.apply(torch.zeros(2, 3, 4, 4), gray.draw(2, seed=0, step=0))
    with pytest.raises(UserError, match="`strength` of normalised view 'brighter' must be a finite number, got 'far'"):
        normalised_views({"brighter": {"strength": "far"}})


def test_answers_to_views_are_kept_by_what_these_run() -> None:
    def shown(level: int) -> Callable[..., Tensor]:
        return lambda images, draw: images + level

    teacher, folders = FrozenTeacher(lb.create("lenet5", num_classes=3), device=torch.device("cpu")), []
    for level in (1, 2, 1):
        register("views", "shown", shown(level), distinct=1, replace=True)
        folders.append(view_folder(teacher, "teacher", (3, 32, 32), augmentation("shown"), shared=True))
    assert folders[0] == folders[2] != folders[1]
    chained = [augmentation([{"shown": {}}, "none"]), augmentation("shown"), augmentation("pad-crop")]
    assert [view.own for view in chained] == [True, True, False]


def test_scores_are_kept_by_what_these_run(tmp_path: Path) -> None:
    images = lb.load("digits", classes=[0, 1, 2])
    scores = []
    for power in (1, 2, 1):
        register("scores", "sum", lambda values, power=power: values.pow(power).sum(1), replace=True)
        criterion = lb.Criterion(score="sum")
        table = PoolScores(images, ScoringContext(), tmp_path).table(criterion)
        scores.append(float(next(table.batches(criterion.column))[criterion.column][0]))
    assert scores[0] == scores[2] != scores[1]


def test_scores_read_gray_levels_as_numbers_with_a_mean() -> None:
    register("scores", "bright", lambda values: values.mean(1))
    images = lb.load("digits", classes=[0, 1])
    scores = select(images, criterion="bright/top-n", budget=3).scores
    assert torch.allclose(scores, images.tensor().double().flatten(1).mean(1))


WRONG: dict[str, tuple[str, Any, dict[str, Any], str]] = {
    "batch order": (
        "objectives",
        lambda student_logits, teacher_logits: (student_logits - teacher_logits).square().mean(1).cumsum(0).cumsum(0),
        {},
        "must not depend on the order of a batch",
    ),
    "per image": (
        "objectives",
        lambda student_logits, teacher_logits: (student_logits - teacher_logits.mean(0)).square().mean(1),
        {"per_image": True},
        "says `per_image`, but is",
    ),
    "chance": (
        "objectives",
        lambda student_logits, teacher_logits: (student_logits - torch.rand(10)).square().mean(1),
        {},
        "of one seed must give one loss",
    ),
    "writing": (
        "objectives",
        lambda student_logits, teacher_logits: (student_logits - teacher_logits.add_(1)).square().mean(1),
        {},
        "must not write into `teacher_logits`",
    ),
    "neighbours": (
        "scores",
        lambda values: (values - values.mean(0)).abs().sum(1),
        {},
        "of an image must not depend on the others of a batch",
    ),
    "raising": (
        "views",
        lambda images, draw: images[:, [2, 1, 0]],
        {},
        "fails where 'gives images of the same shape' is checked: view 'x' raised IndexError",
    ),
    "step": (
        "normalised_views",
        lambda images, draw: images + torch.rand(()),
        {},
        "must give the same views twice; use `draw`",
    ),
    "batch": ("normalised_views", lambda images, draw: images - images.mean(0), {}, "the other images of a batch"),
    "gradient": (
        "normalised_views",
        lambda images, draw: images.detach() + draw.numbers(1)[:, :, None, None],
        {},
        "no gradient reaches the images",
    ),
    "size": ("datasets", three, {"size": (32, 32)}, r"has images of \(8, 8\), told are \(32, 32\)"),
    "split": ("datasets", lambda split: three("test"), {}, "x/test holds the same images as x/train; use `split`"),
}


@pytest.mark.parametrize("what", WRONG)
def test_checks_catch_what_is_wrong(what: str) -> None:
    family, part, options, message = WRONG[what]
    register(family, "x", part, **options)
    with pytest.raises(AssertionError, match=message):
        check(family, "x")


def test_data_sets_of_ones_own_are_loaded_as_others_are() -> None:
    register("datasets", "three", three, splits=("train", "test"))
    assert "three" in DATASETS
    whole = lb.load("three", "test")
    assert (whole.name, whole.shape, whole.num_classes) == ("three/test", (1, 8, 8), 3)
    part = lb.load("three", "test", size=12, channels=3, classes=[2])
    assert (part.shape, part.classes) == ((3, 12, 12), ("2",))
    assert {*part.ids.tolist()} < {*whole.ids.tolist()}
    with pytest.raises(UserError, match="`split` of 'three' must be 'train' or 'test', got 'val'"):
        lb.load("three", "val")
    with pytest.raises(UserError, match="'three' has no columns; leave out `image_column`"):
        lb.load("three", image_column="x")


def test_only_the_controls_of_an_arms_maker_are_reserved() -> None:
    def recipe(**arms: Any) -> Recipe:
        content = one_run()
        del content["select"]
        return read_recipe({**content, "compare": {"budgets": [5], "seeds": [0], "arms": arms}})

    register("makers", "solid", solid)
    assert recipe(**{"gray-solid": {"select": "entropy"}}).compare is not None
    with pytest.raises(UserError, match="the control 'gray-solid' is added by itself"):
        recipe(**{"gray-solid": {"transfer": {"maker": "solid"}}})
    assert settings_of("solid") is solid.Settings
    check_maker("solid")


def test_what_was_registered_can_be_registered_elsewhere() -> None:
    register("objectives", "gap", gap, weight=2.0)
    register("criteria", "mine", {"score": "variance"})
    sent = pickle.dumps(registered())
    unregister("objectives", "gap")
    unregister("criteria", "mine")
    restore(pickle.loads(sent))
    assert weighted_sum("gap").weights == {"gap": 2.0}
    assert find_criterion("mine").score == "variance"
    restore(pickle.loads(sent))
    lost = Registered("objectives", "lost", b"cnowhere_at_all\npart\n.")
    with pytest.raises(UserError, match=r"'lost' of the objectives cannot be made again .* put it into a module"):
        restore([lost])


def needs_of(name: str, progress: Any) -> list[str]:
    return sorted(weighted_sum(name).needs)


def looking_up() -> Any:
    return needs_of


def test_workers_know_what_was_registered_here() -> None:
    register("objectives", "gap", gap)
    with open_crew(1) as crew:
        ((_, needs, _),) = crew.work(looking_up, [Task("gap", "gap")], lambda task: Silent())
    assert needs == ["student_logits", "teacher_logits"]


def test_what_cannot_be_sent_says_so() -> None:
    lock = threading.Lock()

    def guarded(student_logits: Tensor) -> Tensor:
        with lock:
            return student_logits.mean()

    register("objectives", "gap", guarded)
    with pytest.raises(UserError, match=r"'gap' of the objectives cannot be sent to other processes \(.*put it into"):
        registered()


def test_checks_take_parts_without_a_name_and_say_what_is_wrong() -> None:
    class Taught(Objective):
        def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
            return (student_logits - teacher_logits).square().mean()

    check_objective(lambda student_logits, teacher_logits: (student_logits - teacher_logits).square().mean(1))
    with pytest.raises(AssertionError, match="must never teach the teacher; detach `teacher_logits`"):
        check_objective(Taught)
    with pytest.raises(AssertionError, match="must give the same view twice; use `draw`"):
        check_view(lambda images, draw: torch.randint_like(images, 256))
    with pytest.raises(UserError, match="unknown objective 'gapp'"):
        check_objective("gapp")
    with pytest.raises(UserError, match="unknown check of objectives: 'gradients'"):
        check_objective("kd", but={"gradients": ""})


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs every Python block in order, except files of a package."""
    monkeypatch.chdir(tmp_path)
    code = "\n".join(block for block in blocks("python") if "plain = " not in block).replace(
        'check("objectives", "brier")', ""
    )
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(code, namespace)
    assert {str(item) for item in checks_for_views()} <= {
        str(item) for item in namespace["checks_for"]("views", "negative")
    }


def checks_for_views() -> list[Any]:
    from limbeck.testing import checks_for

    return checks_for("views", "negative")


def test_testing_needs_no_pytest() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(testing.__file__).parent.glob("*.py")]
    assert len(sources) > 8
    assert not [source for source in sources if "import pytest" in source or "from pytest" in source]


class Halves(Mixing):
    """Takes the right half from another image, except for a share of the images."""

    def __init__(self, *, share: float = 0.9) -> None:
        self.share = share

    def mix(self, images: Tensor, others: Tensor, draw: Tensor) -> tuple[Tensor, Tensor]:
        mixed = (uniform(words(1, 0, draw)) < self.share)[:, None, None, None]
        right = torch.arange(images.shape[3], device=images.device) >= images.shape[3] // 2
        return torch.where(mixed & right, others, images), 1 - 0.5 * mixed[:, 0, 0, 0].float()


def test_a_way_of_mixing_of_ones_own(tmp_path: Path) -> None:
    register("views", "halves", Halves)
    check_view("halves")
    views = augmentation(["pad-crop", {"halves": {"share": 0.5}}], per_image=2)
    assert (views.others, views.own, views.distinct) == (1, True, 2)
    keys = {augmentation({"halves": {"share": share}}).key for share in (0.5, 0.9)}
    assert len(keys | {augmentation("halves").key}) == 2
    training = {**one_run()["training"], "views": ["pad-crop", "halves"], "views_per_image": 2}
    result = go(tmp_path / "run", training=training)
    assert result.cost["view_cache"]["folder"]
