"""A teacher that torch compiles before it is asked about pools."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models.forward import FrozenTeacher, outputs_over
from limbeck.transfer.borrow.settings import BorrowSettings

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")


def teacher(seed: int = 0) -> lb.Classifier:
    options = {"num_classes": 10, "channels": 1, "input_size": 8, "width": 8, "norm": "batch"}
    return lb.create("convnet_d3", seed=seed, **options).eval()


@pytest.fixture
def forgotten() -> None:
    """What was compiled before: of networks of one kind torch compiles eight in a process, and no more."""
    torch._dynamo.reset()


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore")  # the compiler warns of its own use of deprecated parts of torch
@pytest.mark.usefixtures("forgotten")
def test_scores_are_those_of_the_plain_teacher_but_for_rounding(tmp_path: Path) -> None:
    from torch._dynamo.utils import counters
    from torch._inductor import config

    counters.clear()
    network, images = teacher(), lb.load("digits")
    options = {"device": torch.device("cpu"), "dtype": torch.float32}
    plain = FrozenTeacher(network, **options)
    compiled = FrozenTeacher(network, **options, compile="frozen")
    assert plain.computing != compiled.computing
    for (_, first), (_, other) in zip(
        outputs_over(plain, images, block=32), outputs_over(compiled, images, block=32), strict=True
    ):
        torch.testing.assert_close(first.logits, other.logits, rtol=1e-4, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 1  # of blocks that all have one size
    assert not config.freezing  # outside, nothing is changed
    arguments = {"budget": 50, "by": "margin", "size": 8}
    chosen = [
        lb.borrow(network, "digits", **arguments, scores=tmp_path / "scores", compile=flag) for flag in (False, True)
    ]
    assert len(list((tmp_path / "scores").rglob("pool-*.parquet"))) == 2  # which are never mixed up
    shared = np.intersect1d(chosen[0].images.ids.numpy(), chosen[1].images.ids.numpy())
    assert len(shared) >= 48


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("forgotten")
def test_each_of_several_teachers_says_its_own() -> None:
    """Weights are a part of the code, which must not be another's of the same kind."""
    images = lb.load("digits").tensor()[:32]
    options = {"device": torch.device("cpu"), "dtype": torch.float32}
    for seed in range(3):
        network = teacher(seed)
        compiled = FrozenTeacher(network, **options, compile="frozen")
        torch.testing.assert_close(
            compiled(images).logits, FrozenTeacher(network, **options)(images).logits, rtol=1e-4, atol=1e-5
        )


def test_without_a_compiler_it_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        UserError, match=r"`compile` needs a C\+\+ compiler, and there is no 'no-such-compiler'; install"
    ):
        lb.borrow(teacher(), "digits", budget=20, by="random", size=8, compile=True)
    assert BorrowSettings.model_validate({"pools": ["digits"], "budget": 20}).compile is False
