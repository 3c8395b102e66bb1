"""Every pair of representation and allocation, on real images; from Python and by the command line."""

import os

import pytest
import torch
from typer.testing import CliRunner

from limbeck.cli.main import app
from limbeck.data import ImageSet, TransferSet, load
from limbeck.models import create
from limbeck.transfer.parts import ALLOCATIONS, ORDERS, REPRESENTATIONS
from limbeck.transfer.select import Criterion, select

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("LIMBECK_DATA" not in os.environ, reason="LIMBECK_DATA names no folder of real data"),
]

PIXELS = [name for name, entry in REPRESENTATIONS.items() if entry.reads in ("pixels", "set")]
SHORT = [REPRESENTATIONS[name].short for name in PIXELS if REPRESENTATIONS[name].short]


@pytest.fixture(scope="module")
def images() -> ImageSet:
    whole = load("cifar10", "test")
    part = whole.subset(whole.ids[:300])
    return ImageSet(part.tensor(), part.labels, ids=part.ids, classes=part.classes, name="cifar10/test")


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("representation", [name for name in REPRESENTATIONS if name != "none"])
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_every_pair(images, kept, representation, allocation):
    options = {"epochs": 1} if representation == "autoencoder-codes" else {}
    criterion = Criterion(representation=representation, allocation=allocation, options=options)
    teacher = create("resnet8", num_classes=10)
    selection = select(
        images,
        criterion=criterion,
        budget=97,
        teacher=teacher,
        folder=kept,
        function=(lambda pixels: pixels.flatten(1).float()) if representation == "function" else None,
    )
    assert len(selection.ids.unique()) == 97
    assert selection.scores.isfinite().all()
    if criterion.per_class:
        assert torch.bincount(images.subset(selection.ids).labels, minlength=10).max() <= 10


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory) -> str:
    target = tmp_path_factory.mktemp("data") / "images"
    TransferSet(images).save(target)
    return str(target)


@pytest.mark.parametrize(
    "representation", [REPRESENTATIONS[name].short for name in PIXELS if REPRESENTATIONS[name].short]
)
@pytest.mark.parametrize("allocation", [entry.short for entry in ALLOCATIONS.values() if entry.short])
@pytest.mark.parametrize("order", ORDERS.values())
def test_every_choice_of_the_published_command_line(folder, tmp_path, monkeypatch, representation, allocation, order):
    """The reference's k-means modes read options that its command line lacks, and crash."""
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    arguments = ["select", folder, "--budget", "50", "--out", str(tmp_path / "chosen")]
    arguments += ["--representation", representation, "--allocation", allocation, "--order", order]
    if representation == "cfv":
        arguments += ["--option", "epochs=1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert len(TransferSet.load(tmp_path / "chosen")) == 50
