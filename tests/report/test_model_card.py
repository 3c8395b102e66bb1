"""The model card beside a student: what the hub reads, what it says, when it is written, and that its code runs."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from scipy.stats import binomtest
from tests.report.report_factory import write_comparison, write_run

import limbeck as lb
from limbeck.errors import UserError
from limbeck.evaluation.statistics import wilson_interval
from limbeck.models import create, save
from limbeck.report.model_card import is_own, model_card, write_model_card, write_model_cards
from limbeck.report.model_card.licences import IDENTIFIERS, licence_fields
from limbeck.report.model_card.text import code, table

IMAGES = {"name": "photos/train", "images": 4500, "classes": ["cat", "dog"], "fingerprint": "a" * 32}
INPUTS = {
    "teacher": {"name": "resnet56", "fingerprint": "b" * 32},
    "train": IMAGES,
    "test": {**IMAGES, "name": "cifar10/test", "images": 1000, "fingerprint": "c" * 32},
    "transfer_set": {**IMAGES, "images": 500, "fingerprint": "d" * 32},
}
RECIPE = {
    "data": {"train": {"name": "/home/somebody/photos"}, "test": {"name": "cifar10"}},
    "teacher": {"weights": "/home/somebody/runs/big"},
    "transfer": {"maker": "select", "criterion": "entropy", "budget": 500},
    "objective": {"cross_entropy": 0.1, "kd": {"weight": 0.9, "temperature": 4}},
    "training": {"epochs": 3.0, "batch_size": 64, "learning_rate": 0.1, "schedule": "cosine", "views": "flip"},
    "seed": 7,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run with a student."""
    folder = write_run(tmp_path / "runs" / "small")
    classes = ["cat", "dog", "bi|rd", "`x` <b>", *"efghij"]
    save(create("convnet_d3", num_classes=10, input_size=8, width=4, classes=classes), folder / "student")
    (folder / "inputs.json").write_text(json.dumps(INPUTS))
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return folder


def front(text: str) -> Any:
    """The front matter of a card, as the hub has it."""
    return ModelCard(text).data


def change(path: Path, **changes: Any) -> None:
    content = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(content | changes) if path.suffix == ".yaml" else json.dumps(content | changes))


def test_the_hub_reads_its_front_matter(run: Path) -> None:
    data = front(model_card(run))
    assert data.library_name == "limbeck"
    assert data.license == "unknown"
    assert data.pipeline_tag == "image-classification"
    assert {"knowledge-distillation", "select", "limbeck"} <= {*data.tags}
    assert data.metrics == ["accuracy"]
    assert data.model_name == "small"
    first, *_ = data.eval_results
    assert (first.dataset_name, first.dataset_type, first.metric_type) == (
        "cifar10/test",
        "uoft-cs/cifar10",
        "accuracy",
    )
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert first.metric_value == evaluation["last"]["top1"]
    assert [result.metric_value for result in data.eval_results][-1] == evaluation["chosen"]["top1"]


def test_its_text(run: Path) -> None:
    text = model_card(run)
    last = json.loads((run / "evaluation.json").read_text())["last"]
    low, high = wilson_interval(round(last["top1"] * last["n"]), last["n"])
    assert f"right on **{100 * last['top1']:.2f} %** of {last['n']:,} test images (95 % Wilson interval" in text
    assert f": {100 * low:.2f} to {100 * high:.2f} %)" in text
    assert "After the last step of training, which nobody chose," in text
    for part in ("a" * 32, "b" * 32, "c" * 32, "d" * 32, "`photos/train`", "| 4,500 |", "`cat`", "`'x' <b>`"):
        assert part in text
    for part in (
        "`resnet56`, from `big`;",
        "made by `select`, criterion `entropy`, budget `500`",
        "`cross_entropy` x 0.1",
    ):
        assert part in text
    for part in ("153,600 answers of the teacher", "4,500 distinct images", "energy", "3 epochs of 64 images", "seed"):
        assert part.casefold() in text.casefold()
    assert "This is one run of one seed." in text
    assert "Its worst class is" in text
    assert "Not stated, so nobody may rely on one" in text
    assert "/home" not in text, "paths tell of the machine"


def test_its_code_runs(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(run.parent.parent)
    (block,) = re.findall(r"```python\n(.*?)```", model_card("runs/small"), re.DOTALL)
    assert 'lb.load_model("runs/small")' in block
    exec(block, {})
    assert len(json.loads(capsys.readouterr().out.replace("'", '"').replace('"x"', "x"))) == 2


class OfOneSize(torch.nn.Module):
    """Takes only 8x8 images, and does not say so."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(3 * 8 * 8, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1))


def test_its_code_runs_with_a_module_that_takes_the_size_alone_in_which_it_was_taught(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run.parent.parent)
    student = create(f"{__name__}:OfOneSize", num_classes=10)
    shutil.rmtree(run / "student")
    save(student, run / "student", taught_size=(8, 8))
    (block,) = re.findall(r"```python\n(.*?)```", model_card("runs/small"), re.DOTALL)
    assert "torch.rand(2, 3, 8, 8)" in block
    exec(block, {})
    assert len(json.loads(capsys.readouterr().out)) == 2


def test_licences(run: Path) -> None:
    change(run / "recipe.yaml", license="Apache-2.0")
    assert front(model_card(run)).license == "apache-2.0"
    assert "`Apache-2.0`, as stated by whoever trained it" in model_card(run)
    other = front(model_card(run, licence="Ours: see https://x.example"))
    assert (other.license, other.license_name) == ("other", "ours-see-https-x.example")
    assert licence_fields("???") == {"license": "other", "license_name": "unknown"}
    assert {"apache-2.0", "unknown", "other"} < IDENTIFIERS
    assert "as their sources state them: `cifar10` unknown" in model_card(run)


def test_a_licence_is_stated_in_python(tmp_path: Path) -> None:
    student = {"model": "convnet_d3", "options": {"width": 4}}
    lb.distill(None, student, lb.load("digits"), out=tmp_path / "run", steps=1, license="isc")
    assert front((tmp_path / "run" / "README.md").read_text()).license == "isc"


def test_it_is_written_anew_until_somebody_changes_it(run: Path) -> None:
    path = run / "README.md"
    assert write_model_card(run) == path
    before = path.read_text()
    assert is_own(before)
    change(run / "recipe.yaml", license="mit")
    assert write_model_card(run) == path
    assert "license: mit" in path.read_text()
    for altered in (
        path.read_text().replace("license: mit", "license: isc"),
        "# Mine\n",
        "",
        before + "\n",
        before[:-9],
    ):
        path.write_text(altered)
        assert write_model_card(run) is None
        assert path.read_text() == altered


def test_what_is_missing_is_left_out(run: Path) -> None:
    """As in folders of earlier versions, and in runs without test images."""
    for name in ("inputs.json", "cost.json", "environment.json", "metrics.jsonl"):
        (run / name).unlink()
    (run / "recipe.yaml").write_text("name: old\n")
    (run / "evaluation.json").write_text(json.dumps({"last": None, "chosen": None, "footprint": None}))
    text = model_card(run)
    assert "It was **not judged**" in text
    assert "It was not judged on labelled images at all" in text
    assert "Nothing is known of what it took." in text
    assert not front(text).eval_results
    shutil.rmtree(run / "student")
    with pytest.raises(UserError, match="holds no student to write a model card for; finish its run with --resume"):
        model_card(run)


def test_broken_files_are_said(run: Path) -> None:
    (run / "recipe.yaml").write_text("{")
    with pytest.raises(UserError, match=r"recipe.yaml' is no YAML .*; bring back the one of the run"):
        model_card(run)
    (run / "recipe.yaml").write_text("name: one\nselect: {criterion: margin, budget: 5}\ndata: cifar10\n")
    assert "made by `select`, criterion `margin`, budget `5`" in model_card(run), "as earlier versions wrote it"
    (run / "inputs.json").write_text("{")
    with pytest.raises(UserError, match=r"inputs.json cannot be read"):
        model_card(run)


def test_agreement_stands_in_for_accuracy(run: Path) -> None:
    watched = {"measure": "agreement", "images": 50, "last": 0.8, "best": 0.9, "best_step": 3, "divergence": 0.1}
    change(run / "evaluation.json", last=None, chosen=None, validation=watched)
    assert "It agrees with its teacher on 80.00 % of 50 validation images, labels aside." in model_card(run)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        (None, "none; it learned from labels alone"),
        ({"weights": "cifar10-resnet56"}, "published as `cifar10-resnet56`"),
        ({"weights": "timm:resnet18.a1_in1k"}, "published as `timm:resnet18.a1_in1k`"),
        ({"weights": "python:Net#12"}, "handed over in Python"),
        ({"model": "resnet8", "training": {"steps": 40}}, "trained first, for 40 steps"),
        ({"model": "timm:resnet18", "options": {"pretrained": True}}, "pretrained, of timm"),
    ],
)
def test_teachers(run: Path, teacher: Any, words: str) -> None:
    change(run / "recipe.yaml", teacher=teacher)
    assert words in model_card(run)


@pytest.mark.parametrize(
    ("description", "source", "words"),
    [
        ({"name": "Net", "module": {"path": "my_pkg:Net"}}, None, ['load_model("', "`my_pkg:Net`, which has to be"]),
        (
            {"name": "Net", "module": {"path": "my_pkg:Net"}},
            "a/b",
            ['load_model("a/b", model="my_pkg:Net")', "--model"],
        ),
        ({"name": "python:Net#12"}, "a/b", [", model=make)", "It is a `Net` that"]),
        ({"name": "my_pkg:net"}, "a/b", ['load_model("a/b", model="my_pkg:net")']),
        (
            {"name": "Net", "module": {"path": None}},
            None,
            [", model=make)", "import Net as make", "no import path"],
        ),
        (
            {"name": "tiny", "from": "their-package 0.1"},
            None,
            ["a model of `their-package 0.1`, which has to be"],
        ),
    ],
)
def test_how_own_modules_are_loaded(
    run: Path, description: dict[str, Any], source: str | None, words: list[str]
) -> None:
    change(run / "student" / "config.json", **description)
    text = model_card(run, source=source, downloaded=source is not None)
    assert all(word in text for word in words)


def test_a_comparison_tells_the_interval_over_seeds(tmp_path: Path) -> None:
    folder = write_comparison(tmp_path / "many", galleries=False)
    results = json.loads((folder / "results.json").read_text())
    first = next(
        candidate for candidate in results["runs"] if candidate["state"] == "finished" and not candidate["control"]
    )
    first["folder"] = "runs/one/seed-0"
    row = next(
        entry for entry in results["table"] if (entry["arm"], entry["budget"]) == (first["arm"], first["budget"])
    )
    write_run(folder / first["folder"])
    save(create("convnet_d3", num_classes=10, width=4), folder / first["folder"] / "student")
    write_model_cards(folder, {**results, "runs": [first]})
    text = (folder / first["folder"] / "README.md").read_text()
    assert f"Over the {row['n']} seeds of its comparison: {100 * row['mean']:.2f} ±" in text
    assert "# one, seed-0" in text
    (folder / "results.json").write_text(json.dumps({**results, "runs": [first]}))
    assert model_card(folder / first["folder"]) == text, "found beside it, too"


def test_any_name_of_a_folder(run: Path) -> None:
    odd = run.with_name("a 'bé <i>")
    run.rename(odd)
    path = write_model_card(odd)
    assert path is not None
    text = path.read_text()
    assert is_own(text)
    assert "# a 'bé &lt;i>" in text


def test_text_means_nothing_to_markdown() -> None:
    assert code("a`b\nc") == "`a'b c`"
    assert table(["a|b"], [["c"]]) == ["| a\\|b |", "| --- |", "| c |"]


@pytest.mark.parametrize(("right", "n"), [(0, 1), (0, 30), (30, 30), (81, 90), (9339, 10_000)])
def test_wilsons_interval_is_scipys(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilsons_interval_of_nothing() -> None:
    for right, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(UserError, match=r"`right` must be in 0..`n` and `n` at least 1, got"):
            wilson_interval(right, n)
