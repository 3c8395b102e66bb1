"""A student on the hub: what goes there and what does not, who is asked, and that it loads from there."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import ModelCard
from tests.training.tiny import network
from torch import nn
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.models import save
from limbeck.recipes.pushing import prepare_push, send
from limbeck.report.model_card import is_own, write_model_card

FILES = ["README.md", "config.json", "model.safetensors"]


class Hub:
    """Repositories in a folder, laid out as `huggingface_hub` caches them; stands in for its API."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.private: dict[str, bool] = {}
        self.tokens: list[str | None] = []

    def __call__(self, token: str | None = None) -> "Hub":
        self.tokens.append(token)
        return self

    def place(self, repository: str) -> Path:
        return self.folder / f"models--{repository.replace('/', '--')}" / "snapshots" / "c0ffee"

    def create_repo(self, repository: str, *, exist_ok: bool, private: bool = False) -> None:
        assert exist_ok
        self.private.setdefault(repository, private)
        self.place(repository).mkdir(parents=True, exist_ok=True)
        refs = self.place(repository).parent.parent / "refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text("c0ffee")

    def model_info(self, repository: str) -> SimpleNamespace:
        names = [path.name for path in self.place(repository).iterdir()]
        return SimpleNamespace(
            private=self.private[repository], siblings=[SimpleNamespace(rfilename=name) for name in names]
        )

    def hf_hub_download(self, repository: str, name: str) -> str:
        return str(self.place(repository) / name)

    def create_commit(self, repository: str, operations: list[Any], *, commit_message: str) -> SimpleNamespace:
        assert commit_message
        for operation in operations:
            with operation.as_file() as file:
                (self.place(repository) / operation.path_in_repo).write_bytes(file.read())
        return SimpleNamespace(commit_url=f"https://huggingface.co/{repository}/commit/c0ffee")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub, with a token for it; what is downloaded comes from there."""
    fake, real = Hub(tmp_path / "hub"), huggingface_hub.snapshot_download
    monkeypatch.setattr(huggingface_hub, "HfApi", fake)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_known")

    def offline(name: str, **options: Any) -> str:
        return str(real(name, cache_dir=fake.folder, local_files_only=True, **options))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    return fake


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As much of a finished run as pushing looks at, and more that must not leave."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/one")
    save(network(classes=3), folder / "student")
    (folder / "recipe.yaml").write_text("name: one\nlicense: mit\n")
    (folder / "status.json").write_text('{"state": "finished"}')
    (folder / "evaluation.json").write_text("{}")
    for name in ("checkpoint.safetensors", "metrics.jsonl", ".lock", "student/notes.txt"):
        (folder / name).touch()
    return folder


def test_a_licence_that_looks_misspelt_is_told(run: Path) -> None:
    with pytest.warns(UserWarning, match="the hub has no licence 'mitt'.*did you mean 'mit'"):
        lb.push(run, "somebody/digits", license="mitt", dry_run=True)


def test_weights_description_and_card_go_there_and_come_back(run: Path, hub: Hub) -> None:
    write_model_card(run)
    url = lb.push(run, "somebody/digits")
    assert url == "https://huggingface.co/somebody/digits/commit/c0ffee"
    folder = hub.place("somebody/digits")
    assert sorted(path.name for path in folder.iterdir()) == FILES
    again, before, images = lb.load_model("somebody/digits"), lb.load_model(run), torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images).logits, before(images).logits)
    card = (folder / "README.md").read_text()
    assert 'lb.load_model("somebody/digits")' in card
    assert str(run) not in card
    assert is_own(card)
    assert dict(ModelCard(card).data.to_dict())["license"] == "mit"
    assert 'lb.load_model("runs/one")' in (run / "README.md").read_text(), "that of the run stays"


def test_it_may_be_pushed_again(run: Path, hub: Hub) -> None:
    lb.push(run, "somebody/digits")
    lb.push(run, "somebody/digits", license="isc", token="hf_mine")
    assert hub.tokens == [None, "hf_mine"]
    assert "license: isc" in (hub.place("somebody/digits") / "README.md").read_text()


def test_cards_that_somebody_changed_stay(run: Path, hub: Hub) -> None:
    mine = "---\nlicense: isc\n---\n\n# Mine\n"
    (run / "README.md").write_text(mine)
    lb.push(run, "somebody/digits")
    card = hub.place("somebody/digits") / "README.md"
    assert card.read_text() == mine
    card.write_text("# Theirs\n")
    with pytest.warns(UserWarning, match="the model card of 'somebody/digits' on the hub was changed there and stays"):
        lb.push(run, "somebody/digits")
    assert card.read_text() == "# Theirs\n"
    with pytest.raises(UserError, match=r"`license` goes into the card, and 'runs/one/README.md' was changed by hand"):
        lb.push(run, "somebody/digits", license="mit")
    (run / "README.md").write_text("---\n: [\n---\n")
    with pytest.raises(UserError, match=r"the front matter of 'runs/one/README.md' is none that the hub reads"):
        lb.push(run, "somebody/digits")


def test_private(run: Path, hub: Hub) -> None:
    lb.push(run, "somebody/hidden", private=True)
    lb.push(run, "somebody/hidden")
    assert hub.private == {"somebody/hidden": True}
    lb.push(run, "somebody/seen")
    before = (hub.place("somebody/seen") / "README.md").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"'somebody/seen' is public on the hub already, and --private cannot hide"):
        lb.push(run, "somebody/seen", private=True)
    assert (hub.place("somebody/seen") / "README.md").stat().st_mtime_ns == before


def test_the_command_shows_what_goes(run: Path, hub: Hub) -> None:
    result = CliRunner().invoke(app, ["push", str(run), "somebody/digits", "--private", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "to somebody/digits on the Hugging Face hub (private):" in result.output
    assert [line.split()[0] for line in result.output.splitlines() if line.startswith("  ")] == FILES
    assert "nothing was uploaded" in result.output
    assert not hub.folder.exists()
    pushed = CliRunner().invoke(app, ["push", str(run), "somebody/digits"])
    assert "pushed: https://huggingface.co/somebody/digits/commit/c0ffee" in pushed.output
    assert 'load it by lb.load_model("somebody/digits")' in pushed.output
    refused = CliRunner().invoke(app, ["push", str(run / "student"), "somebody/digits"])
    assert refused.exit_code == 2


def test_without_a_token(run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UserError, match=r"needs a token .*settings/tokens, then run `hf auth login` or set HF_TOKEN"):
        lb.push(run, "somebody/digits")
    assert not hub.folder.exists()
    assert lb.push(run, "somebody/digits", token="hf_mine")


@pytest.mark.parametrize("error", [ConnectionError("no route\nat all"), ValueError("odd")])
def test_what_the_hub_refuses(run: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(hub, "create_repo", refuse)
    with pytest.raises(UserError, match=r"could not be pushed \((no route|odd)\)\. Check the name, "):
        lb.push(run, "somebody/digits")


@pytest.mark.parametrize("name", ["digits", "a/b/c", "a//b", "/b", "a/", "a b/c", "a/..b", "a/b" * 50, "", "-a/b"])
def test_names_of_repositories(run: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"`repository` must be 'owner/name' as on the Hugging Face hub, got"):
        prepare_push(run, name)


def test_what_is_no_finished_run(run: Path, tmp_path: Path) -> None:
    for folder in ("nowhere", "cifar10-resnet20"):
        with pytest.raises(UserError, match=rf"there is no folder .{folder}. to push; `limbeck ls runs` lists"):
            prepare_push(folder, "a/b")
    for folder in (run / "student", tmp_path):
        with pytest.raises(UserError, match=r"`push` takes the folder of one finished run, .* `limbeck ls runs` lists"):
            prepare_push(folder, "a/b")
    (run / "status.json").write_text('{"state": "running"}')
    with pytest.raises(UserError, match="the run in 'runs/one' has not finished; finish it with --resume before"):
        prepare_push(run, "a/b")
    shutil.copytree(run, "runs/many/runs/entropy/seed-0")
    Path("runs/many/recipe.yaml").touch()
    with pytest.raises(UserError, match="is a comparison of many networks; name one of its runs"):
        prepare_push("runs/many", "a/b")


def test_a_student_that_nothing_describes(run: Path) -> None:
    (run / "student" / "config.json").unlink()
    with pytest.raises(UserError, match=r"nothing in 'runs/one/student' says how .*`lb.save_model\(lb.load_model\("):
        prepare_push(run, "a/b")
    shutil.rmtree(run / "student")
    save(network(classes=3), run / "student")
    (run / "student" / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"'runs/one/student' holds no model.safetensors; make the run again"):
        prepare_push(run, "a/b")


def test_own_modules_say_how_they_load(run: Path, hub: Hub) -> None:
    shutil.rmtree(run / "student")
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    student = lb.wrap(module, num_classes=3, input_size=8, channels=1, mean=(0.5,), std=(0.25,)).eval()
    save(student, run / "student")
    send(prepare_push(run, "somebody/own"))
    assert ", model=make)" in (hub.place("somebody/own") / "README.md").read_text()
    assert json.loads((hub.place("somebody/own") / "config.json").read_text())["module"]["path"] is None
    with pytest.raises(UserError, match=r"'somebody/own' holds a Sequential, .* `lb.load_model\('somebody/own'"):
        lb.load_model("somebody/own")
    again, images = lb.load_model("somebody/own", model=module), torch.rand(2, 1, 8, 8)
    assert torch.equal(again(images).logits, student(images).logits)
