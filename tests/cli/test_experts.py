"""`limbeck experts` and `lb.experts`: made, found, extended, and what is said."""

import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app
from limbeck.errors import UserError
from limbeck.transfer.condense.experts import ExpertStore

QUICK = ["--data", "digits", "--method", "mtt", "--network", "{model: convnet_d3, options: {width: 4}}"]
FAST = ["-s", "experts.views=none", "-s", "experts.learning_rate=0.1"]
EXPERTS = {"count": 1, "epochs": 3, "views": "none", "learning_rate": 0.1}


def run(folder: Path, *more: str) -> str:
    result = CliRunner().invoke(app, ["experts", *QUICK, "--out", str(folder), *FAST, *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_experts_are_made_and_more_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    output = run(folder, "--count", "1", "--epochs", "3")
    assert "1 expert of convnet_d3 (410 parameters), snapshots 0 to 3, 1 judge ->" in output.replace("\n", " ")
    assert re.search(r"training loss between them: \d\.\d{3} \d\.\d{3} \d\.\d{3}\n", output)
    assert re.search(r"0\.\d MiB, \d\.\d s of training", output)
    first = ExpertStore.open(folder).theta(0, 3)
    settings = {"method": "mtt", "network": {"options": {"width": 4}}, "experts": {**EXPERTS, "count": 2, "epochs": 4}}
    store = lb.experts("digits", out=folder, snapshots=5, **settings)
    assert (store.count, store.kept, len(store.judges)) == (2, (0, 1, 2, 3, 4), 1)
    assert torch.equal(store.theta(0, 3), first)
    again = lb.experts(lb.load("digits"), out=folder, **settings)
    assert again.kept == (0, 1, 2, 3), "as the method reads them, and found"


def test_what_a_method_reads_is_made(tmp_path: Path) -> None:
    experts = {**EXPERTS, "epochs": 4}
    network = {"options": {"width": 4}}
    between = lb.experts("digits", out=tmp_path / "ncfm", method="ncfm", network=network, experts=experts)
    assert between.kept == (0, 4)
    with pytest.raises(
        UserError, match=r"reads no snapshots of experts; give `snapshots`, or a method that reads some"
    ):
        lb.experts("digits", out=tmp_path / "dm", method="dm", network=network, experts=experts)
    with pytest.raises(UserError, match=r"`experts.folder` names experts that are there, got 'some'; leave it out"):
        lb.experts("digits", out=tmp_path / "two", method="mtt", experts={**experts, "folder": "some"})


def test_as_many_snapshots_as_are_wanted(tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    run(folder, "--count", "1", "--epochs", "2", "--snapshots", "2")
    assert ExpertStore.open(folder).kept == (0, 1), "of four that the method would read after three epochs"
    settings = {"method": "mtt", "network": {"options": {"width": 4}}, "experts": {**EXPERTS, "epochs": 2}}
    assert lb.experts("digits", out=folder, snapshots=2, **settings).kept == (0, 1)
    with pytest.raises(UserError, match=r"`experts.epochs` must be at least 3, .* and 2 epochs leave 3; raise it"):
        lb.experts("digits", out=folder, **settings)
    for count in (0, 1, -1):
        with pytest.raises(UserError, match=rf"^`snapshots` must be at least 2, .*, got {count}; leave it out for"):
            lb.experts("digits", out=folder, snapshots=count, **settings)
    with pytest.raises(UserError, match=r"^`snapshots` must be at most 3, .* got 4; lower it, or raise `experts.epo"):
        lb.experts("digits", out=folder, snapshots=4, **settings)


def test_all_that_is_wrong_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["experts", *QUICK, "--count", "0", "-s", "experts.format=bf16"])
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    assert "experts.count" in output
    assert "experts.format" in output
