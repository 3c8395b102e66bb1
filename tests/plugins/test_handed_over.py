"""Parts that are handed over in Python: functions and classes where a name could stand, and what cannot be done so."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tests.plugins.stopping import stop
from tests.recipes.tiny_recipes import comparison, one_run
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

import limbeck as lb
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.objectives.catalogue import OBJECTIVES
from limbeck.objectives.kd import KD
from limbeck.objectives.sums import weighted_sum
from limbeck.plugins import register, registered, restore
from limbeck.progress import Silent
from limbeck.recipes.compare import compare
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run
from limbeck.testing import check, check_optimizer, check_schedule, check_score
from limbeck.training.schedule import make_optimizer, schedule_of
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.criteria import Criterion, find_criterion
from limbeck.transfer.parts import SCORES

PLAINEST = {"score": "variance", "order": "lowest"}
SHORT: dict[str, Any] = {"steps": 2, "batch_size": 16, "views": "none", "validation": 0}


@pytest.fixture(scope="module")
def images() -> lb.ImageSet:
    return lb.load("digits", classes=[0, 1, 2])


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


class Small(nn.Module):
    """A linear layer."""

    def __init__(self, num_classes: int, channels: int = 3, *, side: int = 2) -> None:
        super().__init__()
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten())
        self.head = nn.Linear(channels * side * side, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(images))


def test_a_lambda_is_an_objective(images: lb.ImageSet, tmp_path: Path) -> None:
    progress = Told()
    result = lb.distill(
        lb.create("lenet5", num_classes=3, channels=1),
        Small,
        images,
        objective=lambda student_logits, teacher_logits: (student_logits - teacher_logits).square().mean(1),
        optimizer=torch.optim.RAdam,
        schedule=lambda elapsed: 1 - elapsed,
        out=tmp_path / "run",
        progress=progress,
        **SHORT,
    )
    assert result.student.name == f"{__name__}:Small"
    lines = [line for line in progress.lines if "known to this process alone: go on with the run from Python" in line]
    assert [line.split("'")[0] for line in lines] == ["the objective ", "the schedule "]
    written = yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())
    assert next(iter(written["objective"])).startswith("python:lambda#")
    assert written["training"]["optimizer"] == "torch.optim:RAdam"


def test_weights_and_options_stand_beside_functions() -> None:
    def gap(student_logits: Tensor, teacher_logits: Tensor, *, power: float = 2.0) -> Tensor:
        return (student_logits - teacher_logits).abs().pow(power).mean()

    objective = weighted_sum({"ce": 0.1, gap: {"weight": 0.9, "power": 3}})
    assert [*objective.weights.values()] == [0.1, 0.9]
    assert objective.needs == {"labels", "student_logits", "teacher_logits"}
    total, terms = objective({"labels": torch.zeros(2, dtype=torch.int64), **pair()})
    assert total.item() == pytest.approx(0.1 * terms["cross_entropy"].item() + 0.9 * 8)
    assert weighted_sum({KD: 1}).weights == {"limbeck.objectives.kd:KD": 1.0}
    assert [*weighted_sum({KD: 1}).objectives()] == ["limbeck.objectives.kd:KD"]
    register("objectives", "gap", gap)
    assert weighted_sum(gap).weights == {"gap": 1.0}


class Scaled(nn.Module):
    """Differences of the logits, in units that are learned."""

    mean: Tensor

    def __init__(self, scale: float = 1.0, sizes: Any = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), float(scale)))
        self.noise = nn.Parameter(torch.randn(1))
        self.register_buffer("mean", torch.zeros(()))

    def forward(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None, power: float = 2.0
    ) -> Tensor:
        self.mean += 0.5 * (teacher_logits.mean() - self.mean)
        return ((student_logits - teacher_logits) * self.scale).abs().pow(power).mean(1)


def test_a_module_is_an_objective_with_parameters_of_its_own() -> None:
    scaled = Scaled(2.0)
    objective = weighted_sum({scaled: {"weight": 0.5, "power": 1}})
    (name,) = objective.weights
    assert name.startswith("python:Scaled#")
    assert objective.needs == {"student_logits", "teacher_logits", "labels"}
    objective.build(None, seed=0)  # pyright: ignore[reportArgumentType]
    total, _ = objective(pair())
    total.backward()
    assert total.item() == pytest.approx(0.5 * 2 * 2.0)
    assert scaled.scale.grad is None
    assert scaled.mean == 0
    assert {key.rpartition(".")[2] for key in objective.state_dict()} == {"scale", "noise", "mean"}
    assert [parameter.shape for parameter in objective.parameters() if parameter.grad is not None] == [(1,)]
    assert all(tensor.device.type == "meta" for tensor in objective.to("meta").state_dict().values())
    again, *_ = weighted_sum(scaled).objectives().values()
    assert again.state_dict()["module.noise"].equal(scaled.noise)
    scaled.requires_grad_(False).scale.fill_(3.0)
    assert OBJECTIVES.name_of(scaled) != name, "other weights are another loss"
    assert weighted_sum(name)(pair())[0].item() == pytest.approx(4 * 4.0), "what was named stays as it was"


def test_a_class_of_modules_is_an_objective_with_parameters_of_the_seed() -> None:
    path = f"{__name__}:Scaled"
    assert OBJECTIVES.name_of(Scaled) == path
    noises = []
    for seed in (0, 0, 1):
        objective = weighted_sum({path: {"scale": 3, "power": 1.0, "sizes": [1, 2]}})
        objective.build(None, seed=seed)  # pyright: ignore[reportArgumentType]
        assert objective(pair())[0].item() == pytest.approx(2 * 3)
        noises.append(next(value for key, value in objective.state_dict().items() if key.endswith("noise")).item())
    assert noises[0] == noises[1] != noises[2]
    assert read_recipe(one_run(objective={Scaled: {"scale": 2.0}})).objective == {path: {"scale": 2.0}}
    with pytest.raises(UserError, match=r"unknown option of objective .*Scaled': 'scales'; did you mean 'scale'"):
        weighted_sum({Scaled: {"scales": 2.0}})
    check("objectives", path)


def test_modules_go_to_workers() -> None:
    scaled = Scaled(2.0)
    name = OBJECTIVES.name_of(scaled)
    sent = [part for part in registered() if part.name == name]
    OBJECTIVES.handed_over.clear()
    restore(sent)
    assert OBJECTIVES.name_of(scaled) == name
    assert weighted_sum(name)(pair())[0].item() == pytest.approx(4 * 4.0)


def test_what_a_module_cannot_be_is_said() -> None:
    class Lazy(Scaled):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LazyLinear(3)

    class Both(Scaled):
        def __init__(self, power: float = 2.0) -> None:
            super().__init__()

    for part in (Lazy, Lazy()):
        with pytest.raises(
            UserError, match=r"layer.weight.* must have a shape, got lazy parameters; run it on a batch"
        ):
            weighted_sum(part)
    with pytest.raises(UserError, match=r"option `power` of .* is one of `__init__` and of `forward`"):
        weighted_sum(Both)


def pair() -> dict[str, Tensor]:
    return {"student_logits": torch.zeros(2, 3), "teacher_logits": torch.full((2, 3), 2.0)}


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            lambda logits: logits,
            r"parameter `logits` of objective 'python:lambda#\w+' is none of its inputs \(ids, .*stud",
        ),
        (lambda: 0, r"must take signals by name, got none; there are ids, labels"),
        (3, "objective: must be a mapping of keys to values, got 3"),
        (
            nn.CrossEntropyLoss(),
            r"parameter `input` of objective 'python:CrossEntropyLoss#\w+' is none of its inputs .* called by a f",
        ),
        (nn.CrossEntropyLoss, "parameter `input` of objective 'torch.nn.modules.loss:CrossEntropyLoss' is none of its"),
        (KD(), "must be a class or a function, got a KD that is made already; give its class, with its options beside"),
        (nn.Linear, "parameter `in_features` of .* must have a default, .*; or hand over one that is made, Linear"),
        (torch.optim.SGD, "must be a function of signals, a module of them or a subclass of `limbeck.objectives.Obj"),
        (torch.dist, "does not say what its parameters are; write a function around it"),
    ],
)
def test_what_is_no_objective_is_refused_with_the_signals(part: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_recipe(one_run(objective=part))


@pytest.mark.parametrize("wrong", [lambda student_logits: student_logits[:1, 0], lambda student_logits: student_logits])
def test_a_loss_is_one_number_or_one_per_image(wrong: Any) -> None:
    with pytest.raises(UserError, match=r"must return a loss \[\], or one for each image \[B\], got \["):
        weighted_sum(wrong)(pair())


def test_a_function_is_a_score(images: lb.ImageSet) -> None:
    def bright(pixels: Tensor) -> Tensor:
        assert pixels.dtype == torch.uint8
        assert pixels.shape[1:] == (1, 8, 8)
        return pixels.float().mean((1, 2, 3))

    means = images.tensor().double().mean((1, 2, 3))
    chosen = lb.select(images, score=bright, budget=9)
    assert torch.allclose(chosen.scores, means)
    assert images.subset(chosen.ids).class_counts().tolist() == [3, 3, 3]
    assert chosen.ids.equal(lb.select(images, criterion=bright, budget=9).ids)
    lowest = lb.select(images, score=bright, criterion={"allocation": "top-n", "order": "lowest"}, budget=9)
    assert sorted(means[images.positions(lowest.ids)].tolist()) == means.sort().values[:9].tolist()


@pytest.mark.parametrize(
    "given",
    [
        lambda means: means.numpy(),
        lambda means: means.numpy()[::-1][::-1],
        lambda means: means.tolist(),
        lambda means: tuple(means),
    ],
    ids=["array", "backwards", "list", "tuple"],
)
def test_scores_may_be_arrays_and_lists(given: Any, images: lb.ImageSet) -> None:
    def bright(pixels: Tensor) -> Any:
        return given(pixels.double().mean((1, 2, 3)))

    chosen = lb.select(images, score=bright, budget=9)
    assert chosen.scores.equal(images.tensor().double().mean((1, 2, 3)))


def test_scores_know_labels_and_the_teacher(images: lb.ImageSet) -> None:
    teacher = lb.create("lenet5", num_classes=3, channels=1)

    def doubt(logits: Tensor, labels: Tensor) -> Tensor:
        return 1 - logits.softmax(1).gather(1, labels[:, None])[:, 0]

    assert len(lb.select(images, score=doubt, teacher=teacher, budget=6).ids) == 6
    with pytest.raises(UserError, match="asks a teacher"):
        lb.select(images, score=doubt, budget=6)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"score": lambda image: image},
            r"`image` of score 'python:lambda#\w+' is none of its inputs \(context, entrop",
        ),
        ({"score": lambda values: values}, r"must return a tensor \[B\], one number for each of \d+ images, got \["),
        ({"score": lambda values: [1.0, 2.0]}, r"one number for each of \d+ images, got \[2\]"),
        ({"score": lambda values: ["x"] * len(values)}, r"a tensor, an array or a list of them, got a list that is"),
        ({"score": lambda values: (values[:, 0] / 0).numpy()}, r"is not finite for \d+ of \d+ images"),
        ({"score": lambda values: values[:, 0] / 0}, r"score 'python:lambda#\w+' is not finite for \d+ of \d+ images"),
        ({"score": "nowhere_here:loss"}, "`score` 'nowhere_here:loss': there is no module 'nowhere_here'"),
        ({"score": "varianc"}, "unknown score 'varianc'; did you mean 'variance'"),
        (
            {"score": "variance", "criterion": "margin"},
            "beside `score`, `criterion` must be a mapping of the other parts",
        ),
        ({"score": 3}, "`score` of a criterion must be a name or a function, got 3"),
        ({"criterion": 3}, "`criterion` must be a name, a mapping of parts, a function or a `Criterion`, got 3"),
        ({"criterion": {"order": max}}, "`order` of a criterion must be a name, got <built-in"),
        ({"function": lambda pixels: pixels.flatten(1)}, "criterion 'entropy' does not read the `function`; give"),
        (
            {"criterion": "function", "function": lambda pixels: pixels.float().mean((1, 2, 3))},
            r"one row for each of \d+ images, \[B, D\], got \[\d+\]; one that gives a number per image is a `score`",
        ),
        (
            {"criterion": "function", "function": lambda pixels: pixels.float().mean((1, 2, 3))[:, None]},
            "score 'variance' is 0 for all images where `function` gives one number for each; hand such a function",
        ),
    ],
)
def test_what_is_no_score_is_refused(how: dict[str, Any], message: str, images: lb.ImageSet) -> None:
    with pytest.raises(UserError, match=message):
        lb.select(images, budget=9, **how)


def test_names_tell_functions_apart_by_what_they_run() -> None:
    def made(level: int) -> Any:
        return lambda values: values.sum(1) + level

    assert SCORES.name_of(made(1)) == SCORES.name_of(made(1)) != SCORES.name_of(made(2))
    with pytest.raises(UserError, match=r"the objective 'python:lambda#\w+' is named twice"):
        weighted_sum({lambda student_logits: student_logits.mean(): 1, lambda student_logits: student_logits.mean(): 2})
    assert SCORES.name_of("variance") == "variance"
    assert find_criterion(f"{__name__}:PLAINEST").order == "lowest"
    assert Criterion(score=made(1)).score == SCORES.name_of(made(1))


def test_arms_of_a_comparison_hold_functions() -> None:
    content = comparison(
        seeds=[0],
        arms={
            "short": lambda values: values.sum(1),
            "score": {"select": {"score": lambda logits: logits.amax(1), "order": "lowest"}},
            "loss": {"select": "entropy", "objective": {"kd": 1, lambda student_logits: student_logits.mean(): 0.5}},
            "view": {"select": "entropy", "training": {"views": ["pad-crop", lambda images, draw: images]}},
            "rate": {
                "select": "entropy",
                "training": {"schedule": lambda elapsed: 1 - elapsed, "optimizer": "adagrad"},
            },
            "net": {"select": "entropy", "student": Small},
        },
    )
    runs = {
        planned.arm: planned.recipe
        for planned in plan(read_recipe(content))
        if planned.arm in content["compare"]["arms"]
    }
    assert len(runs) == 6
    assert runs["rate"].training.optimizer == "torch.optim:Adagrad"
    assert runs["net"].student.model == f"{__name__}:Small"
    for recipe in runs.values():
        assert "function" not in yaml.safe_dump(recipe.model_dump(mode="json"))


def test_elsewhere_it_says_what_to_do(tmp_path: Path) -> None:
    content = one_run(objective=lambda student_logits: student_logits.square().mean(1))
    stop(content, tmp_path / "run")
    with pytest.raises(UserError, match=r"was started from another recipe; it differs in `objective.python:lambda#"):
        run(
            read_recipe({**content, "objective": lambda student_logits: student_logits.abs().mean(1)}),
            tmp_path / "run",
            resume=True,
        )
    assert run(read_recipe(content), tmp_path / "run", resume=True).evaluation is not None
    written = yaml.safe_load((tmp_path / "run/recipe.yaml").read_text())
    OBJECTIVES.handed_over.clear()
    with pytest.raises(
        UserError, match=r"'python:lambda#\w+' was handed over in Python, and only that process knows it; hand it over"
    ):
        read_recipe(written)


def test_workers_are_refused_before_anything_runs(tmp_path: Path) -> None:
    lock = threading.Lock()

    def guarded(student_logits: Tensor) -> Tensor:
        with lock:
            return student_logits.square().mean()

    content = comparison(seeds=[0], arms={"own": {"select": "entropy", "objective": guarded}})
    recipe = read_recipe(content)
    with pytest.raises(UserError, match=r"'python:guarded#\w+' of the objectives cannot be sent to other processes"):
        compare(recipe, tmp_path / "out", workers=2)
    assert not (tmp_path / "out").exists()
    assert not [part for part in registered() if part.name.startswith("python:guarded")]


def test_classes_of_a_notebook_are_students_too(images: lb.ImageSet, tmp_path: Path) -> None:
    class Local(Small):
        pass

    result = lb.distill(
        None, {"model": Local, "options": {"side": 1}}, images, out=tmp_path / "run", objective="ce", **SHORT
    )
    assert result.student.name.startswith("python:Local#")
    head = lb.load_model(tmp_path / "run/student").network.get_submodule("head")
    assert isinstance(head, nn.Linear)
    assert head.in_features == 1


def test_views_are_handed_over_in_lists_and_with_options() -> None:
    def dim(images: Tensor, draw: Tensor, *, by: int = 2) -> Tensor:
        return images // by

    pixels = torch.full((2, 1, 8, 8), 100, dtype=torch.uint8)
    for spec in (dim, ["none", dim], {dim: {"by": 2}}, ["none", {dim: {"by": 2}}]):
        assert augmentation(spec)(pixels, torch.arange(2), seed=0, view=0).unique().tolist() == [50]
    with pytest.raises(UserError, match=r"`image` of view 'python:lambda#\w+' is none of its inputs \(draw, images\)"):
        augmentation(lambda image: image)


class Forgetful(torch.optim.Optimizer):
    """Counts beside its state."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})
        self.count = 0

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.count += 1
        for parameter in self.param_groups[0]["params"]:
            parameter.sub_(self.param_groups[0]["lr"] * parameter.grad / self.count)


class Hoarding(torch.optim.SGD):
    """Keeps tensors in a list."""

    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().step()
        for parameter in self.param_groups[0]["params"]:
            self.state[parameter].setdefault("all", []).append(parameter.detach().clone())


def two_rates(params: Any, lr: float) -> torch.optim.Optimizer:
    """The first tensor has a tenth of the learning rate."""
    first, *others = params
    return torch.optim.SGD([{"params": [first], "lr": lr / 10}, {"params": others}], lr=lr)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Forgetful, "goes on otherwise after a resume: what it remembers must be tensors and numbers in its `state`"),
        ("LBFGS", "`step` may need a closure, which limbeck's loop does not give"),
        ("SparseAdam", "SparseAdam does not support dense gradients"),
        ("Optimizer", "unknown optimizer 'Optimizer'"),
        ({"RAdam": {"betas": [2, 3]}}, "cannot be used: ValueError: Invalid beta parameter at index 0: 2"),
        ({"RAdam": {"lr": 1}}, "option `lr` of optimizer 'torch.optim:RAdam' is `training.learning_rate`; set that"),
        ({"sgd": {"momentum": 0.5}}, "option `momentum` of optimizer 'sgd' is `training.momentum`"),
        ({"RAdam": {}, "Adam": {}}, "must be a name, or a mapping from one name to its options"),
        ({"RAdam": 3}, "the options of optimizer 'RAdam' must be a mapping, got 3"),
        ({"RAdam": {"eps": print}}, "must be numbers, text, lists and mappings, which a recipe can hold"),
        (lambda params, lr: None, "must make a `torch.optim.Optimizer`, got NoneType"),
        (
            lambda params: torch.optim.Adam(params),
            "must take `params` and `lr`, got params; a rate that it sets itself would take the place of "
            r"`training.learning_rate`. Write `lambda params, lr: Adam\(params, lr=lr\)`, or hand over the class",
        ),
        (nn.Linear, "must be a subclass of `torch.optim.Optimizer`, or a function of `params` and `lr`"),
        (Hoarding, "keeps what no checkpoint can hold|takes its inputs and options by name"),
    ],
)
def test_what_is_no_optimizer_is_refused(optimizer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSettings(steps=2, optimizer=optimizer)


def test_names_of_torch_are_found_in_any_case_and_by_any_path() -> None:
    for spec, expected in (
        ("radam", "torch.optim:RAdam"),
        ("torch.optim.radam:RAdam", "torch.optim:RAdam"),
        (torch.optim.RAdam, "torch.optim:RAdam"),
        ("SGD", "sgd"),
        (torch.optim.AdamW, "adamw"),
        ({"AdamW": {"betas": [0.9, 0.95]}}, {"adamw": {"betas": [0.9, 0.95]}}),
        ({"RAdam": None}, "torch.optim:RAdam"),
    ):
        assert TrainingSettings(steps=2, optimizer=spec).optimizer == expected
    optimizer = make_optimizer([nn.Parameter(torch.zeros(2))], TrainingSettings(steps=2, optimizer="RAdam"))
    assert isinstance(optimizer, torch.optim.RAdam)
    assert (optimizer.defaults["lr"], optimizer.defaults["weight_decay"]) == (0.05, 5e-4)
    optimizer = make_optimizer(
        [nn.Parameter(torch.zeros(2))], TrainingSettings(steps=2, optimizer={"adamw": {"betas": [0.9, 0.95]}})
    )
    assert [*optimizer.defaults["betas"]] == [0.9, 0.95]


def test_groups_keep_their_share_of_every_rate() -> None:
    settings = TrainingSettings(steps=10, optimizer=two_rates, schedule="constant", learning_rate=0.5)
    optimizer = make_optimizer([nn.Parameter(torch.zeros(1)) for _ in range(2)], settings)
    assert [group.get("lr_scale", 1.0) for group in optimizer.param_groups] == [0.1, 1.0]
    check_optimizer(two_rates)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda t: t, r"`t` of schedule 'python:lambda#\w+' is none of its inputs \(elapsed, optimizer, step, st"),
        (lambda elapsed: -1, "must give a factor of the learning rate, a finite number >= 0, got -1 at step 0"),
        (lambda elapsed: "x", "a finite number >= 0, got 'x'"),
        ("ReduceLROnPlateau", "goes by what a run measures"),
        ("LambdaLR", "needs its options `lr_lambda`; a function of `elapsed` can do the same"),
        ("StepLR", "needs its options `step_size`"),
        ("StepLRR", "unknown schedule 'StepLRR'; did you mean 'StepLR'"),
        ({"StepLR": {"size": 3}}, "unknown option of schedule 'torch.optim.lr_scheduler:StepLR': 'size'"),
        (3, "`schedule` must be a name, or a mapping from one name to its options, got 3"),
        (partial(StepLR), "needs its options `step_size`"),
        (partial(StepLR, None, 3), "must take an `optimizer`, as torch's schedules do"),
        (partial(dict, step_size=3), "must be a function of elapsed, step, steps"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSettings(steps=2, schedule=schedule)


def test_a_schedule_may_be_part_of_a_call() -> None:
    steps = range(6)
    for spec in (partial(StepLR, step_size=2), {partial(StepLR, step_size=3): {"step_size": 2}}):
        schedule = schedule_of(6, TrainingSettings(steps=6, schedule=spec, learning_rate=1.0))
        assert [schedule(step).rate for step in steps] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    own = TrainingSettings(steps=6, schedule=partial(CosineAnnealingLR, T_max=2), learning_rate=1.0)
    assert [schedule_of(6, own)(step).rate for step in steps] == pytest.approx([1, 0.5, 0, 0.5, 1, 0.5])


@pytest.mark.parametrize(
    ("made", "same"),
    [
        (lambda optimizer: StepLR(optimizer, 2), partial(StepLR, step_size=2)),
        (lambda optimizer, steps: CosineAnnealingLR(optimizer, steps), CosineAnnealingLR),
    ],
    ids=["step", "cosine"],
)
def test_a_schedule_may_be_made_as_torchs_are(made: Any, same: Any) -> None:
    rates = [
        [schedule_of(6, TrainingSettings(steps=6, schedule=schedule))(step).rate for step in range(6)]
        for schedule in (made, same)
    ]
    assert rates[0] == rates[1]
    assert len({*rates[0]}) > 2
    check_schedule(made)


def another() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (lambda optimizer: 0.1, "must make a `torch.optim.lr_scheduler.LRScheduler`, got float"),
        (lambda optimizer: ReduceLROnPlateau(optimizer), "goes by what a run measures"),
        (lambda optimizer: StepLR(another(), 1), "a schedule of the `optimizer` that it is given, got one of another"),
        (lambda optimizer: StepLR(optimizer), r"cannot be made: TypeError: .*step_size"),
        (lambda optimizer, elapsed: 1, "function of `optimizer` and `steps` that makes a schedule, or one of elapsed"),
    ],
)
def test_what_makes_no_schedule_is_refused(schedule: Any, message: str) -> None:
    content = one_run()
    with pytest.raises(UserError, match=message):
        read_recipe({**content, "training": {**content["training"], "schedule": schedule}})


def test_a_schedule_that_does_not_go_with_the_optimizer_is_refused_when_read() -> None:
    def momentum(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {**content, "training": {**content["training"], **changes}}

    wrong = momentum(one_run(), optimizer="Adagrad", schedule="OneCycleLR")
    with pytest.raises(UserError, match="cannot be made: ValueError: optimizer must support momentum"):
        read_recipe(wrong)


@pytest.mark.parametrize("name", ["sgd", "adamw", "torch.optim:RAdam", "torch.optim:Adagrad"])
def test_optimizers_pass_the_checks(name: str) -> None:
    check_optimizer(name)


def test_scores_of_pixels_pass_the_checks() -> None:
    check_score(lambda pixels: pixels.float().mean((1, 2, 3)))


@pytest.mark.parametrize("name", ["cosine", "multi-step", "constant", lambda elapsed: 1 - elapsed])
def test_schedules_pass_the_checks(name: Any) -> None:
    check_schedule(name)
