"""`auto` is measured on the machine, once, and noise does not decide it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.training.conftest import Run
from tests.training.tiny import settings

from limbeck import autotune
from limbeck.autotune import Fastest, Milliseconds, fastest_for, fastest_mode, fastest_on, measure
from limbeck.caching import cache_entries
from limbeck.models import create
from limbeck.models.forward import FrozenTeacher
from limbeck.precision import resolve_channels_last, resolve_precision
from limbeck.training import RunFolder, building

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune, "_decided", {})
    monkeypatch.setattr(autotune, "_found", {})


def forget() -> None:
    """Resets the module to the state of a new process."""
    autotune._decided.clear()
    autotune._found.clear()


def times(bf16: float, bf16_contiguous: float, fp32: float, fp32_contiguous: float) -> Milliseconds:
    return {
        ("bf16", True): bf16,
        ("bf16", False): bf16_contiguous,
        ("fp32", True): fp32,
        ("fp32", False): fp32_contiguous,
    }


@pytest.mark.parametrize(
    ("milliseconds", "precision", "channels_last"),
    [
        (times(5, 7, 12, 14), "bf16", {"bf16": True, "fp32": True}),
        (times(90, 120, 12, 14), "fp32", {"bf16": True, "fp32": True}),  # bf16 is emulated
        (times(11, 14, 12, 12), "fp32", {"bf16": True, "fp32": True}),  # near ties keep the usual way
        (times(12, 12, 12, 11), "fp32", {"bf16": True, "fp32": True}),
        (times(9, 5, 20, 12), "bf16", {"bf16": False, "fp32": False}),
        (times(14, 11.9, 12, 9), "fp32", {"bf16": True, "fp32": False}),
    ],
)
def test_another_way_is_taken_where_it_clearly_wins(
    milliseconds: Milliseconds, precision: str, channels_last: dict[str, bool]
) -> None:
    assert fastest_mode(milliseconds) == Fastest(precision, channels_last)  # pyright: ignore[reportArgumentType]


def test_every_way_is_measured_and_nothing_is_left_changed() -> None:
    random, threads = torch.get_rng_state(), torch.get_num_threads()
    assert all(0 < milliseconds < 10_000 for milliseconds in measure().values())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads


def test_what_was_measured_is_kept_and_a_damaged_file_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    calls = []
    monkeypatch.setattr(autotune, "measure", lambda: calls.append(1) or times(20, 20, 20, 10))
    assert fastest_on(CPU) == Fastest("fp32", {"bf16": True, "fp32": False})
    assert not resolve_channels_last("auto", CPU, torch.float32)
    (entry,) = cache_entries("autotune")
    assert entry.about["milliseconds"]["fp32 contiguous"] == 10
    forget()
    assert fastest_on(CPU).precision == "fp32"
    assert len(calls) == 1
    entry.path.write_text("{")
    forget()
    assert fastest_on(CPU).precision == "fp32"
    assert len(calls) == 2
    assert json.loads(entry.path.read_text())["fastest"]["precision"] == "fp32"


def test_settings_rule_over_what_was_measured() -> None:
    assert resolve_precision("bf16", CPU) == torch.bfloat16
    assert resolve_precision("fp32", CPU) == torch.float32
    assert [resolve_channels_last(choice, CPU, torch.float32) for choice in (True, False)] == [True, False]


@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_order_reaches_images_and_weights_and_is_written_down(
    teach: Run, tmp_path: Path, channels_last: bool
) -> None:
    result = teach(settings=settings(channels_last=channels_last, precision="fp32"))
    weight = next(
        parameter for parameter in result.student.parameters() if parameter.ndim == 4 and parameter.shape[1] > 1
    )
    assert weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    computing = RunFolder(tmp_path / "run").read("environment.json")["computing"]
    assert computing == {"precision": "fp32", "channels_last": channels_last, "threads": 1, "processes": 1}


@pytest.mark.parametrize(("slow", "tried"), [(2.0, True), (10.0, False)])
def test_no_network_is_measured_in_an_emulated_type(slow: float, tried: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its every pass would take ten times as long; timing a small network shows this."""
    monkeypatch.setattr(autotune, "_small_network_times", lambda: {"bf16": slow, "fp32": 1.0})
    measured = measure(create("resnet8", num_classes=3), (3, 8, 8))
    assert all((measured["bf16", last] < float("inf")) == tried for last in (True, False))
    record = autotune._record({}, measured)
    assert len(record["milliseconds"]) == (4 if tried else 2)
    assert record["fastest"]["precision"] == "fp32" or tried


def test_a_network_is_measured_as_it_is_and_stays_so() -> None:
    network = create("resnet8", num_classes=3).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measured = measure(network, (3, 32, 32))
    assert all(0 < measured["fp32", last] < 10_000 for last in (True, False))
    assert len(measured) == 4
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_student_decides_for_itself_and_the_teacher_as_all_teachers(
    teach: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    slow, fast = times(10, 10, 30, 40), times(30, 40, 20, 10)
    monkeypatch.setattr(autotune, "measure", lambda network=None, shape=None: slow if network is None else fast)
    frozen = []
    monkeypatch.setattr(
        building, "FrozenTeacher", lambda *args, **kwargs: frozen.append(kwargs) or FrozenTeacher(*args, **kwargs)
    )
    teach(settings=settings(precision="auto", channels_last="auto"))
    computing = RunFolder(tmp_path / "run").read("environment.json")["computing"]
    assert (computing["precision"], computing["channels_last"]) == ("fp32", False)
    assert [(options["dtype"], options["channels_last"]) for options in frozen] == [(torch.bfloat16, True)]


def test_of_another_folder_all_processes_go_by_what_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast, slow = times(30, 40, 20, 10), times(10, 10, 30, 40)
    precisions = {}
    for name, measured in (("first", fast), ("second", slow), ("first", slow)):
        monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / name))
        monkeypatch.setattr(autotune, "measure", lambda measured=measured: measured)
        if name not in precisions:
            forget()  # a new process
        precisions.setdefault(name, []).append(fastest_on(CPU).precision)
    assert precisions == {"first": ["fp32", "fp32"], "second": ["bf16"]}


@pytest.mark.parametrize("folder", ["empty", "file"])
def test_an_empty_folder_gets_what_this_process_goes_by_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (tmp_path / "file").write_text("")  # no folder can be created here
    monkeypatch.setattr(autotune, "measure", lambda: times(10, 10, 30, 40))
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "first"))
    expected = fastest_on(CPU)
    (first,) = cache_entries("autotune")
    monkeypatch.setattr(autotune, "measure", lambda: pytest.fail("measured again"))
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / folder))
    assert fastest_on(CPU) == expected
    assert [entry.path.read_text() for entry in cache_entries("autotune")] == (
        [first.path.read_text()] if folder == "empty" else []
    )


def test_a_folder_that_cannot_be_written_costs_the_next_measurement_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(autotune, "measure", lambda: times(10, 10, 30, 40))
    assert fastest_on(CPU).precision == "bf16"


def test_networks_differ_by_architecture_and_size_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    calls: list[object] = []
    monkeypatch.setattr(autotune, "measure", lambda *arguments: calls.append(arguments) or times(10, 10, 30, 30))
    original = create("convnet_d3", num_classes=3, width=4)
    for network in (
        original,
        create("convnet_d3", num_classes=3, width=4, seed=1),
        create("convnet_d3", num_classes=3),
    ):
        assert fastest_for(network, (3, 32, 32), CPU).precision == "bf16"
    fastest_for(original, (3, 16, 16), CPU)
    assert len(calls) == 3  # another seed makes no other network


def test_a_network_that_fails_on_noise_gets_what_most_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("these are no images of mine")

    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path))
    assert fastest_for(Refusing(), (3, 8, 8), CPU) == fastest_on(CPU)


def test_what_takes_no_time_is_float32() -> None:
    assert fastest_mode(times(0.5, 0.6, 2.9, 3.0)).precision == "fp32"


@pytest.mark.slow
def test_emulated_bf16_is_not_taken() -> None:
    """The environment can switch the instructions off, so a processor that has them proves nothing."""
    code = "import torch; from limbeck.precision import *; print(resolve_precision('auto', torch.device('cpu')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "avx2", "DNNL_MAX_CPU_ISA": "AVX2", "LIMBECK_CACHE": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "torch.float32"
