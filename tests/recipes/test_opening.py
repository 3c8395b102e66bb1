"""`limbeck validate`: all that would stop a run, at once and before it, and nothing of what would not."""

import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
import yaml
from tests.photos import write_photos
from tests.recipes.tiny_recipes import comparison, one_run
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.recipes.opening import Findings, check_extras, open_recipe
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import gather_inputs, run
from limbeck.recipes.schema import Recipe
from limbeck.recipes.unread import unread_by_training

STUDENT = {"model": "convnet_d3", "input_size": 8, "options": {"width": 4}}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for variable in ("LIMBECK_DATA", "LIMBECK_WEIGHTS"):
        monkeypatch.delenv(variable, raising=False)


def opened(content: dict[str, Any], *overrides: str, folder: str = "runs/tiny") -> Findings:
    before = _files()
    findings = open_recipe(read_recipe(content, overrides), Path(folder))
    assert _files() == before
    return findings


def _files() -> list[Path]:
    """All but the bytecode that Python keeps of what it imports."""
    return sorted(path for path in Path().rglob("*") if "__pycache__" not in path.parts)


def on_photos(**changes: Any) -> dict[str, Any]:
    write_photos(Path("photos/train"), 8)
    write_photos(Path("photos/val"), 4, seed=1)
    return {"name": "tiny", "data": "./photos", "student": STUDENT, "training": {"steps": 1}, **changes}


def test_nothing_is_wrong_with_what_runs() -> None:
    for content in (comparison(), one_run()):
        assert opened(content) == Findings()
    findings = opened(on_photos())
    assert findings.problems == []
    assert findings.remarks == [
        "found in './photos': 14 images to learn from (train), 2 images for validation (held out of those to learn "
        "from), 8 images to judge on (its validation images, for want of test images) of 2 classes",
        "images are brought to 8x8: `student.input_size` (`data.size` says another)",
    ]


def test_classes_that_no_image_judges_are_told() -> None:
    content = on_photos()
    shutil.rmtree("photos/val/dog")
    findings = opened(content)
    assert findings.problems == []
    assert findings.remarks[2:] == ["no image to judge on is of 'dog', so accuracy says nothing of this class"]


def test_classes_that_a_separate_test_set_lacks_are_told() -> None:
    write_photos(Path("three"), 10, classes=("ant", "cat", "dog"))
    findings = opened(on_photos(data={"train": "./three", "test": "./photos/val"}))
    assert findings.problems == []
    assert findings.remarks[2:] == ["no image to judge on is of 'ant', so accuracy says nothing of this class"]


def break_photos(folder: str) -> None:
    for path in Path(folder).rglob("*.*"):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            path.write_bytes(b"no image")


def test_how_many_unreadable_images_are_left_out_is_told_by_validate_and_run() -> None:
    content = on_photos(data={"name": "./photos", "skip_unreadable": True})
    break_photos("photos/train/dog")
    Path("photos/val/cat/00.JPG").write_bytes(b"no image")
    findings = opened(content)
    assert findings.problems == []
    expected = [
        "`data.train`: left out 8 unreadable images of './photos'",
        "`data.test`: left out 1 unreadable image of './photos'",
        "no image to learn from is of 'dog', so nothing is learned from them of this class",
        "no image for validation is of 'dog', so accuracy says nothing of this class",
    ]
    assert findings.remarks[2:] == expected
    said: list[str] = []
    gather_inputs(read_recipe(content), Path("run"), SimpleNamespace(say=said.append))  # pyright: ignore
    assert said[-len(expected) :] == expected


TAUGHT_HERE = {"model": "convnet_d3", "input_size": 8, "options": {"width": 4}, "training": {"steps": 1}}


@pytest.mark.parametrize("changes", [{}, {"teacher": TAUGHT_HERE}])
def test_classes_are_matched_without_a_teacher_that_has_weights(changes: dict[str, Any]) -> None:
    write_photos(Path("three"), 6, classes=("ant", "cat", "dog"))
    write_photos(Path("two"), 2, seed=1)
    write_photos(Path("others"), 2, seed=2, classes=("cat", "fox", "wolf"))
    content = on_photos(data={"train": "./three", "test": "./two"}, **changes)
    assert opened(content).problems == [], "a run finds the two among the three"
    content["data"]["test"] = "./others"
    (problem,) = opened(content).problems
    assert "`data.test` must have the classes of `data.train`" in problem
    assert "'fox', 'wolf' are none of the 3" in problem
    with pytest.raises(UserError, match=re.escape(problem)):
        run(read_recipe(content), "run")


def test_all_that_is_wrong_is_said_at_once() -> None:
    teacher = lb.create("convnet_d3", num_classes=2, classes=("cow", "dog"), input_size=8, width=4)
    lb.save_model(teacher, "teacher")
    content = on_photos(teacher="teacher", compare={"budgets": [1000], "seeds": [0]})
    for number in range(5):
        Path(f"photos/val/cat/9{number}.jpg").write_bytes(b"no image")
    data = Path("photos/val/dog/02.jpg").read_bytes()
    Path("photos/val/dog/02.jpg").write_bytes(data[: len(data) // 2])
    Path("file").write_text("")
    findings = opened(content, "training.batch_size=4", folder="file/run")
    for index, message in enumerate(
        (
            "'file/run' cannot be a folder, for '",
            "`data.test`: 'photos/val/cat/90.jpg' cannot be decoded: cannot identify its format; 'photos/val/cat/91",
            "teacher and student must have the same classes, got 2 of the teacher convnet_d3 and 2 of the images",
            "`budget` must be at most ",
        )
    ):
        assert message in findings.problems[index]
    assert "and 3 more. Mend or remove them, or leave them out by `data.skip_unreadable: true`." in findings.problems[1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["student=resnet8"], "`data.size` must be given: the images of './photos' differ in size"),
        (["student.channels=1", "objective={semckd: 1}"], "the objective semckd needs a teacher"),
        (["training.views=mixup"], "mixup"),
        (["student.num_classes=7"], "the student convnet_d3 tells 7 classes apart, but"),
        (["data.test.split=tset"], "`data.test.split` must be one of those there are: './photos' has no split 'tset'"),
        (["data.classes=[cat, cow]"], "unknown class 'cow'"),
        (["teacher=missing.pth"], "a weights file needs `model`"),
        (["data.test=0"], ""),
    ],
)
def test_what_would_stop_a_run(overrides: list[str], message: str) -> None:
    content = on_photos()
    if message == "mixup":
        overrides, message = ["objective={kd: 1}"], "the objective kd needs a teacher, and there is none"
    problems = opened(content, *overrides).problems
    assert any(message in problem for problem in problems) if message else problems == []


def test_what_is_not_here_is_said_and_not_downloaded() -> None:
    findings = opened(
        {
            "name": "tiny",
            "data": "cifar10",
            "teacher": "cifar10-resnet20",
            "student": "timm:resnet18",
            "training": {"steps": 1},
        }
    )
    assert findings.problems == []
    assert findings.remarks[:2] == [
        "`data.train`: cifar10 would be downloaded from https://huggingface.co/datasets/uoft-cs/cifar10",
        "`data.test`: cifar10 would be downloaded from https://huggingface.co/datasets/uoft-cs/cifar10",
    ]
    assert findings.remarks[2].startswith("`teacher`: cifar10-resnet20 would be downloaded from https://github.com/")
    pools = one_run()
    pools["select"] = None
    pools["transfer"] = {"maker": "borrow", "pools": ["cifar100", "digits"], "budget": 12}
    assert "cifar100 would be downloaded from https://huggingface.co/datasets/uoft-cs/cifar100" in opened(pools).remarks


def test_no_pretrained_network_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def create_model(name: str, **options: Any) -> Any:
        built.append(options["pretrained"])
        return timm.create_model(name, **options)

    monkeypatch.setattr(
        "limbeck.models.timm_models.timm", SimpleNamespace(**{**vars(timm), "create_model": create_model})
    )
    pretrained = {"model": "timm:test_resnet.r160_in1k", "input_size": 32, "options": {"pretrained": True}}
    content = {**one_run(student=pretrained), "teacher": {**pretrained, "training": {"steps": 1}}}
    findings = opened(content)
    assert findings.problems == []
    message = "timm:test_resnet.r160_in1k would be downloaded from timm's weights 'test_resnet.r160_in1k'"
    assert findings.remarks == [f"`teacher`: {message}", f"`student`: {message}"]
    assert built
    assert not any(built)


def test_the_network_of_a_mask_is_not_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.transfer.condense.mask.masks.load", None)
    mask = {"network": "timm:resnet18.tv_in1k"}
    content = one_run(transfer={"maker": "condense", "budget": "1/class", "method": "edf", "mask": mask})
    del content["select"]
    arm = {name: value for name, value in content["transfer"].items() if name != "budget"}
    for recipe in (content, comparison(budgets=["1/class"], arms={"edf": {"transfer": arm}}, seeds=[0])):
        findings = opened(recipe)
        assert findings.problems == []
        assert "timm:resnet18.tv_in1k would be downloaded from timm's weights 'resnet18.tv_in1k'" in findings.remarks


def test_what_a_teacher_cannot_be_is_said_alone() -> None:
    content = one_run(teacher={"model": "lenet5", "mean": [0, 0], "std": [1, 1], "training": {"steps": 1}})
    (problem,) = opened(content, "objective={kd: 1}").problems
    assert problem.startswith("`mean` must hold one number per channel")


def test_images_that_are_taught_and_judged_are_told() -> None:
    options = {"split": "validation", "channels": 3, "size": 8}
    judged = {"name": "./photos", **options}
    content = {**on_photos(), "data": {"train": judged, "test": judged, "validation": 0}}
    findings = opened(content)
    assert findings.problems == []
    message = r"100% of the test images \(.*\) are among those to learn from \(.*\), pixel by pixel: acc"
    assert sum(re.match(message, remark) is not None for remark in findings.remarks) == 1, findings.remarks
    with pytest.warns(UserWarning, match=message):
        run(read_recipe(content), Path("run"))
    content["data"]["train"] = {**judged, "split": "train"}
    assert not any("pixel by pixel" in remark for remark in opened(content).remarks)


def test_of_large_sets_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.opening.SECONDS", -1.0)
    content = on_photos()
    Path("photos/train/cat/99.jpg").write_bytes(b"no image")
    findings = opened(content, "data.size=8", "data.channels=3")
    assert "`data.train`: of 17 images, 0 were decoded to look at them" in findings.remarks


def test_the_command_ends_in_all_problems() -> None:
    Path("my.yaml").write_text(yaml.safe_dump(on_photos(student="resnet8", objective={"kd": 1})))
    result = CliRunner().invoke(app, ["validate", "my.yaml"])
    assert result.exit_code == 2
    assert "1 problem would stop this recipe: `data.size` must be given" in " ".join(result.output.split())
    assert CliRunner().invoke(app, ["validate", "my.yaml", "--no-open"]).exit_code == 0
    result = CliRunner().invoke(
        app, ["validate", "my.yaml", "-s", "student.input_size=8", "-s", "student.model=lenet5"]
    )
    assert "the objective kd needs a teacher" in " ".join(result.output.split())


def test_what_is_not_installed_is_told_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.transfer.condense.checks.find_spec", lambda _: None)
    recipe = read_recipe({**one_run(), "select": None})
    assert _needed(recipe) is None
    masked = recipe.model_copy(
        update={"transfer": SimpleNamespace(model_dump=lambda mode: {"mask": {"method": "cam"}})}
    )
    assert "`mask` needs torchcam, which is not installed; `pip install 'limbeck[cams]'`" in str(_needed(masked))


def _needed(recipe: Recipe) -> UserError | None:
    try:
        check_extras(recipe)
    except UserError as error:
        return error
    return None


OWN = """
import torch
from torch import nn

from limbeck.data.views import Augmentation


class Network(nn.Module):
    def __init__(self, num_classes, channels=1, wide=64, count=0):
        super().__init__()
        self.head = nn.Linear(wide, count or num_classes)

    def forward(self, x):
        return self.head(x.flatten(1))


class Raising(nn.Module):
    def __init__(self, num_classes):
        raise RuntimeError("no")


class Named(Network):
    def forward(self, x):
        return {"logits": super().forward(x)}


class Endless(Network):
    def forward(self, x):
        return super().forward(x) / 0


def nan(student_logits):
    return student_logits.sum(1) * float("nan")


def raising(student_logits):
    raise KeyError("boom")


def nothing(student_logits):
    return None


def whole(student_logits):
    return student_logits


def detached(student_logits):
    return student_logits.detach().sum(1)


def fine(student_logits):
    return student_logits.square().mean(1)


def score_nan(pixels):
    return pixels.float().mean((1, 2, 3)) * float("nan")


def score_text(logits):
    return "a"


def score_short(pixels):
    return pixels.float().mean((1, 2, 3))[:5]


def score_raising(pixels):
    raise ValueError("no")


def score_array(pixels):
    return pixels.float().mean((1, 2, 3)).numpy()


def score_fine(pixels):
    return pixels.float().mean((1, 2, 3))


def view_narrow(images, draw):
    return images[:, :, 1:]


def view_raising(images, draw):
    raise ValueError("bad view")


def view_random(images, draw):
    return (images * torch.rand(1)).to(torch.uint8)


class View(Augmentation):
    distinct = 1

    def render(self, images, draw):
        return images.float()
"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": {"ce": 1, "own_wrong:nan": 1}}, "own_wrong:nan gives a loss that is not finite"),
        ({"objective": {"ce": 1, "own_wrong:raising": 1}}, r"raised KeyError: 'boom' \(own_wrong.py:37\)"),
        ({"objective": {"ce": 1, "own_wrong:nothing": 1}}, "must return a loss .*, got NoneType"),
        ({"objective": {"ce": 1, "own_wrong:whole": 1}}, r"must return a loss .*, got \[2, 3\]"),
        ({"objective": {"own_wrong:detached": 1}}, "no parameter that learns shapes the loss"),
        ({"objective": {"ce": 1, "own_wrong:fine": 1}}, ""),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_nan"}}, "is not finite for 20 of 20 images"),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_text"}}, r"must return a tensor \[B\], .* got str"),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_short"}}, r"for each of 20 images, got \[5\]"),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_raising"}}, r"raised ValueError: no \(own_wrong.py:"),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_array"}}, ""),
        ({"select": {"budget": 12, "criterion": "own_wrong:score_fine"}}, ""),
        ({"training": {"steps": 1, "views": "own_wrong:view_narrow"}}, r"must return images uint8 \[2, 1, 8, 8\], got"),
        ({"training": {"steps": 1, "views": "own_wrong:view_raising"}}, "raised ValueError: bad view"),
        (
            {"training": {"steps": 1, "views": "own_wrong:view_random"}},
            "must give the same view twice, or a resumed",
        ),
        ({"training": {"steps": 1, "views": "own_wrong:View"}}, r"must give images uint8 \[2, 1, 8, 8\], got torch.fl"),
        ({"student": {"model": "own_wrong:Network"}}, ""),
        (
            {"student": {"model": "own_wrong:Network", "options": {"wide": 10}}},
            r"student own_wrong:Network raised Runt",
        ),
        ({"student": {"model": "own_wrong:Network", "options": {"count": 7}}}, r"return logits \[B, 3\], got shape"),
        ({"student": {"model": "own_wrong:Named"}}, r"return one tensor of logits \[B, 3\], got dict"),
        ({"student": {"model": "own_wrong:Raising"}}, r"model 'own_wrong:Raising' raised RuntimeError: no \(own_wrong"),
        ({"student": {"model": "own_wrong:Endless"}}, "gives logits that are not finite"),
        ({"student": {"model": "own_wrong:Network"}, "objective": {"ce": 1, "fitnet": 1}}, "`stages` of own_wrong:Net"),
    ],
)
def test_parts_of_ones_own_are_tried(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("own_wrong.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_wrong", raising=False)
    problems = opened(one_run(**changes)).problems
    assert len(problems) == bool(message), problems
    if message:
        assert re.search(message, problems[0])


def test_settings_that_nothing_reads_are_told() -> None:
    unread = {"steps": 1, "batch_size": 4, "optimizer": "adamw", "momentum": 0.5, "decay": 0.3}
    remarks = [
        "`training.momentum` changes nothing: the optimizer 'adamw' reads `learning_rate`, `weight_decay`",
        "`training.decay` changes nothing: only `multi-step` reads it, not 'cosine'",
    ]
    content = {**one_run(), "training": {**one_run()["training"], **unread}}
    assert opened(content).remarks[-2:] == remarks
    with pytest.warns(UserWarning, match="`training.momentum` changes nothing"):
        run(read_recipe(content, ["training.decay=0.1"]), Path("run"))
    defaults = read_recipe({**content, "training": {**content["training"], "momentum": 0.9, "decay": 0.1}})
    assert unread_by_training(defaults, labelled=True) == []
    teacher = {"model": "lenet5", "training": {"steps": 1, "schedule": "constant", "milestones": [0.5]}}
    arms = {"one": {"training": {"schedule": "multi-step"}}, "two": {}}
    compared = {
        **comparison(),
        "training": content["training"],
        "teacher": teacher,
        "compare": {"arms": arms, "seeds": [0]},
    }
    assert unread_by_training(read_recipe(compared), labelled=True) == [
        "`teacher.training.milestones` changes nothing: only `multi-step` reads it, not 'constant'",
        remarks[0],
        f"arms 'two', 'full-no-teacher': {remarks[1]}",
    ]


def test_a_set_with_soft_labels_needs_no_teacher() -> None:
    images = lb.load("digits")
    images = images.subset(images.ids[:40])
    use = {"student": STUDENT | {"channels": 1}, "objective": {"kd": 1.0}, "training": {"views": "none"}}
    lb.TransferSet(images, torch.randn(40, 10), soft_label_kind="logits", use=use).save("set")
    content = {"name": "tiny", "data": {"train": "./set", "test": "digits"}, "training": {"steps": 1}}
    assert opened(content).problems == []


def test_what_remembers_images_is_tried_on_some_of_many() -> None:
    content = one_run(
        objective={"cross_entropy": 1, "crd": 0.8}, data={"train": "digits", "test": "digits", "validation": 10}
    )
    del content["select"]
    content["student"] = content["teacher"] = {"model": "convnet_d3", "options": {"width": 4, "norm": "batch"}}
    content["teacher"] = {**content["teacher"], "training": {"steps": 1}}
    assert opened(content).problems == []


def test_images_for_each_class_are_counted_by_the_teacher_where_there_are_no_others() -> None:
    lb.save_model(lb.create("convnet_d3", num_classes=2, input_size=8, width=4, norm="batch").eval(), "teacher")
    content = {
        "name": "tiny",
        "data": {},
        "teacher": "teacher",
        "student": STUDENT | {"num_classes": 2},
        "transfer": {
            "maker": "generate",
            "method": "fast",
            "budget": "8/class",
            "batch_size": 8,
            "losses": {"adversarial": 0},
            "steps_per_round": None,
        },
        "training": {"steps": 1},
    }
    assert opened(content).problems == []


def test_a_rate_that_is_never_reached_is_told_once() -> None:
    long = {"steps": 1, "batch_size": 4, "warmup": 300}
    content = {**one_run(), "training": {**one_run()["training"], **long}}
    rest = "longer than the run (1), whose rate never reaches `training.learning_rate`"
    assert opened(content).remarks[-1] == f"`training.warmup` (300 steps) is {rest}"
    with pytest.warns(UserWarning, match=r"`training.warmup` \(300 steps\) is longer than the run \(1\)"):
        run(read_recipe(content), Path("run"))
    settled = "schedule=warmup-stable-decay", "warmup=2", "cooldown=3", "steps=3"
    remarks = opened(content, *(f"training.{setting}" for setting in settled)).remarks
    assert remarks[-1].startswith("`training.warmup` (2 steps) and `training.cooldown` (3 steps) are together longer")
    # 50 and 100 of the 1,000 images: the fewest steps of an arm are those that are told.
    epochs = {**comparison(budgets=[50, 100], seeds=[0]), "training": {"epochs": 1, "batch_size": 10, "warmup": 7}}
    arms = unread_by_training(read_recipe(epochs), labelled=True, train=lb.load("digits"))
    assert len(arms) == 1
    assert "(7 steps) is longer than the run (5), whose rate" in arms[0]
    assert "full" not in arms[0]
    assert unread_by_training(read_recipe(epochs, ["compare.budgets=[10%]"]), labelled=True) == []
    shares = read_recipe(epochs, ["compare.budgets=[1%]"])
    assert len(unread_by_training(shares, labelled=True, train=lb.load("digits"))) == 1
