"""Sources of a network: weights, run folders and the Hub; everything else is refused with a message."""

import json
import shutil
import sys
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.models import Classifier, load, save, wrap
from limbeck.models.weights.sources import found_anywhere, repository


@pytest.fixture
def run(small: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parts of a run folder that loading reads."""
    monkeypatch.chdir(tmp_path)
    save(small, "runs/one/student")
    Path("runs/one/recipe.yaml").write_text("name: one\n")
    return Path("runs/one")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache as `huggingface_hub` keeps it, without internet access."""
    cache = tmp_path / "hub"
    cache.mkdir()
    real = huggingface_hub.snapshot_download

    def offline(name: str, **options: object) -> str:
        return real(name, cache_dir=cache, local_files_only=True, **options)  # pyright: ignore

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    return cache


def published(hub: Path, name: str, folder: Path) -> None:
    """Puts the files of a folder where a download would put them."""
    place = hub / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("c0ffee")
    shutil.copytree(folder, place / "snapshots" / "c0ffee")


def same(one: Classifier, other: Classifier, images: Tensor) -> bool:
    return torch.equal(one.eval()(images).logits, other.eval()(images).logits)


def test_a_run_folder_is_its_student(run: Path, small: Classifier, images: Tensor) -> None:
    for source in (run, str(run), "./runs/one", run / "student", run / "student" / "model.safetensors"):
        assert same(load(source), small, images)
    assert same(load("runs/one", model="vgg8_w2", num_classes=4), small, images)


def test_what_lies_here_is_found_from_other_folders(run: Path, tmp_path: Path) -> None:
    for lone in ("runs", "cifar10-resnet20", "timm:resnet18"):
        Path(lone).mkdir(exist_ok=True)
    for source in ("runs", "runs/one", "./cifar10-resnet20"):
        assert found_anywhere(source) == str(tmp_path / source)
    for source in ("cifar10-resnet20", "CIFAR10-resnet20", "timm:resnet18", "somebody/digits", "elsewhere"):
        assert found_anywhere(source) == source, "published, on the hub, or nowhere"


def test_runs_without_one_student(run: Path) -> None:
    comparison = Path("runs/many")
    shutil.copytree(run, comparison / "runs" / "entropy@10" / "seed-0")
    (comparison / "recipe.yaml").touch()
    with pytest.raises(UserError, match=r"is a comparison of many networks; name one .* 'runs/many/runs/entropy@10/se"):
        load("runs/many")
    assert load("runs/many/runs/entropy@10/seed-0").num_classes == 4
    shutil.rmtree(run / "student")
    with pytest.raises(UserError, match=r"the run in 'runs/one' has no student yet; finish it with --resume"):
        load(run)


def test_other_folders_say_what_is_allowed(run: Path) -> None:
    Path("set").mkdir()
    Path("set/transfer_set.json").write_text("{}")
    allowed = r"A network is a run folder, a folder of weights .* or 'owner/name' on the hub"
    with pytest.raises(UserError, match=rf"'set' is a transfer set; a student that was taught .* {allowed}"):
        load("set")
    with pytest.raises(UserError, match=rf"'runs' holds no config.json. {allowed}"):
        load("runs")
    with pytest.raises(UserError, match=rf"'resnet20' names a model, which has no weights of its own; .* {allowed}"):
        load("resnet20")
    with pytest.raises(UserError, match=rf"unknown weights 'resnet21'.* {allowed}"):
        load("resnet21")


def test_what_is_downloaded(run: Path, hub: Path, small: Classifier, images: Tensor) -> None:
    published(hub, "somebody/digits", run / "student")
    assert same(load("somebody/digits"), small, images)
    Path("somebody").mkdir()
    with pytest.raises(UserError, match="no classifier at 'somebody/digits': no such folder or file"):
        load("somebody/digits")
    assert same(load("hub:somebody/digits"), small, images)
    with pytest.raises(UserError, match="no classifier at 'somebody/digits'"):
        load(Path("somebody/digits"))


def test_a_mistyped_path_asks_nobody(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: pytest.fail("the hub was asked"))
    for name in ("runs/onne", "./a/b", "/a/b", "a/b/c", "../a", "~/a", "runs/one/b"):
        with pytest.raises(UserError, match="no classifier at"):
            load(name)
    shutil.rmtree("runs")
    assert repository("runs/one") is None
    with pytest.raises(UserError, match=r"no weights file 'somebody/student.safetensors'"):
        load("somebody/student.safetensors", model="resnet20", num_classes=10, mean=(0,) * 3, std=(1,) * 3)


@pytest.mark.parametrize(
    "error", [LocalEntryNotFoundError("nothing here"), ConnectionError("no route"), ValueError("bad name")]
)
def test_what_cannot_be_downloaded(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=rf"no classifier at 'somebody/digits': no .* hub it cannot be had \({error}\).*login"
    ):
        load("somebody/digits")


def test_errors_of_the_hub_are_those_that_are_caught() -> None:
    assert issubclass(RepositoryNotFoundError, OSError)


def test_a_repository_of_something_else(hub: Path, run: Path) -> None:
    Path("other").mkdir()
    Path("other/pytorch_model.bin").touch()
    published(hub, "somebody/pickled", Path("other"))
    with pytest.raises(UserError, match=r"the repository 'somebody/pickled' on the hub holds no config.json"):
        load("somebody/pickled")


def test_what_is_downloaded_chooses_no_code(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_networks.py").write_text(
        "from torch import nn\n\nclass Net(nn.Linear):\n    def __init__(self): super().__init__(4, 2)\n"
        "    def forward(self, x): return super().forward(x.flatten(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module: nn.Module = __import__("their_networks").Net()
    before = wrap(module, num_classes=2, input_size=2, channels=1, mean=(0.5,), std=(0.5,))
    save(before, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["module"]["path"] == "their_networks:Net"
    published(hub, "somebody/net", tmp_path / "saved")
    del sys.modules["their_networks"]
    with pytest.raises(UserError, match=r"what was downloaded does not choose .* model='their_networks:Net'\)`, or"):
        load("somebody/net")
    assert "their_networks" not in sys.modules
    assert same(load("somebody/net", model="their_networks:Net"), before, torch.rand(1, 1, 2, 2))
