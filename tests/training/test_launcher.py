"""The launcher's environment variables either change nothing or are refused."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin
from tests.recipes.tiny_recipes import training
from tests.training.conftest import Run
from tests.training.tiny import same, settings, weights

from limbeck.errors import UserError
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.run import run
from limbeck.recipes.run_result import read_run
from limbeck.training import RunFolder
from limbeck.training.launcher import check_launcher

ROOT = Path(__file__).parents[2]

# The variables that `accelerate launch` sets by default.
USUAL = {
    "ACCELERATE_USE_CPU": "False",
    "ACCELERATE_MIXED_PRECISION": "no",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
    "ACCELERATE_DYNAMO_BACKEND": "NO",
    "ACCELERATE_DYNAMO_MODE": "default",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH": "False",
    "ACCELERATE_DYNAMO_USE_DYNAMIC": "False",
    "ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION": "False",
    "KMP_BLOCKTIME": "1",
}

REFUSED = [
    ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", r"must be 1, got '4'.*`training\.batch_size`.*Unset it"),
    ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "two", r"must be 1, got 'two'"),
    ("ACCELERATE_MIXED_PRECISION", "fp16", r"must be no where `training\.precision` is fp32, got 'fp16': set"),
    ("ACCELERATE_MIXED_PRECISION", "bf16", r"must be no where `training\.precision` is fp32, got 'bf16'"),
    ("ACCELERATE_MIXED_PRECISION", "fp8", r"must be no where `training\.precision` is fp32, got 'fp8'"),
    ("ACCELERATE_FP8_BACKEND", "TE", r"must be no, got 'TE'.*`training\.precision`"),
    ("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR", r"must be no, got 'INDUCTOR'.*`training\.compile: true`"),
    ("ACCELERATE_USE_FSDP", "true", r"must be false, got 'true'.*shards nothing"),
    ("ACCELERATE_USE_DEEPSPEED", "True", r"must be false, got 'True'.*shards nothing"),
    ("ACCELERATE_USE_MEGATRON_LM", "true", r"must be false, got 'true'.*shards nothing"),
    ("ACCELERATE_USE_PARALLELISM_CONFIG", "1", r"must be false, got '1'.*shards nothing"),
    ("ACCELERATE_USE_SAGEMAKER", "true", r"ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE must be NO .*got 'unset'"),
    ("ACCELERATE_USE_CPU", "maybe", r"must be false or true, got 'maybe'"),
]


@pytest.mark.parametrize(("name", "value", "message"), REFUSED)
def test_what_contradicts_the_settings_is_refused_before_the_first_step(
    teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=f"another training than the recipe. .*{message}"):
        teach(settings=settings(precision="fp32"))
    assert not RunFolder(tmp_path / "run").metrics()


def test_all_that_contradicts_is_said_at_once() -> None:
    environment = {
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "ACCELERATE_TORCH_DEVICE": "cuda:1",
    }
    with pytest.raises(UserError, match=r"USE_FSDP .*MIXED_PRECISION .*TORCH_DEVICE must be cpu .*Unset them"):
        check_launcher(settings(), cpu=True, environment=environment)
    check_launcher(settings(), environment={"ACCELERATE_TORCH_DEVICE": "cuda:1"})
    check_launcher(settings(), cpu=True, environment={"ACCELERATE_TORCH_DEVICE": "cpu"})


@pytest.mark.parametrize("precision", ["auto", "bf16", "fp32"])
def test_what_the_launcher_sets_by_itself_changes_nothing(
    teach: Run, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    brief = settings(steps=3, precision=precision)
    alone = teach("alone", settings=brief)
    for name, value in USUAL.items():
        monkeypatch.setenv(name, value)
    assert same(weights(teach("launched", settings=brief).student), weights(alone.student))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCELERATE_MIXED_PRECISION", "bf16"),  # as in the recipe; objectives compute in float32
        ("ACCELERATE_USE_SAGEMAKER", "false"),
        ("ACCELERATE_GRADIENT_CLIPPING", "0.001"),  # read only for DeepSpeed
        ("FSDP_SHARDING_STRATEGY", "FULL_SHARD"),  # read only for FSDP
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", ""),
    ],
)
def test_what_agrees_or_is_not_read_changes_nothing(
    teach: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    brief = settings(steps=3, precision="bf16")
    alone = teach("alone", settings=brief)
    monkeypatch.setenv(name, value)
    assert same(weights(teach("launched", settings=brief).student), weights(alone.student))


@pytest.mark.parametrize("verb", [run, compare])
def test_a_recipe_is_refused_before_its_folder_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: Any
) -> None:
    content = training()
    if verb is compare:
        arms = {"one": {"training": {"precision": "fp32"}}}
        content |= {"teacher": "runs/none", "compare": {"arms": arms}, "training": {**content["training"], **BF16}}
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(UserError, match=r"where `training\.precision` is (auto|fp32), got 'bf16'"):
        verb(parse_recipe(content), tmp_path / "out")
    assert not (tmp_path / "out").exists()


BF16 = {"precision": "bf16"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("accumulation", r"`gradient_accumulation_steps` must be 1, got 4: .*`training\.batch_size`"),
        ("precision", r"`mixed_precision` must be 'no', got 'bf16': .*`training\.precision`"),
        ("dynamo", r"`dynamo_backend` must be 'no', got 'inductor': .*`training\.compile`"),
        ("sharded", r"`distributed_type` must share batches alone, got FSDP"),
    ],
)
def test_an_accelerator_that_changes_the_training_is_refused(
    teach: Run, monkeypatch: pytest.MonkeyPatch, changed: str, message: str
) -> None:
    accelerator = Accelerator(cpu=True)
    if changed == "accumulation":
        accelerator.gradient_state.plugin_kwargs = GradientAccumulationPlugin(num_steps=4).to_kwargs()
    else:
        part, value = {
            "precision": ("_mixed_precision", "bf16"),
            "dynamo": ("dynamo_plugin", type(accelerator.state.dynamo_plugin)(backend="inductor")),
            "sharded": ("distributed_type", type(accelerator.distributed_type)("FSDP")),
        }[changed]
        monkeypatch.setitem(accelerator.state._shared_state, part, value)
    try:
        with pytest.raises(UserError, match=message):
            teach(accelerator=accelerator)
    finally:
        accelerator.gradient_state.plugin_kwargs = GradientAccumulationPlugin(num_steps=1).to_kwargs()


def test_settings_of_an_earlier_accelerator_are_said(teach: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = Accelerator(cpu=True)
    monkeypatch.setitem(accelerator.state._shared_state, "_mixed_precision", "fp16")
    with pytest.raises(UserError, match=r"this process has an `Accelerator` of other settings already .* new one"):
        teach()


@contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("around", "message"),
    [
        (torch.no_grad, r"training needs gradients, got `torch\.no_grad`"),
        (torch.inference_mode, r"training needs gradients, got `torch\.no_grad` or `torch\.inference_mode`"),
        (
            lambda: torch.autocast("cpu", torch.bfloat16),
            r"got `torch\.autocast` around the training; train outside of it",
        ),
        (doubles, r"the default type of torch must be float32, got torch\.float64"),
    ],
)
def test_what_a_program_sets_around_the_training_is_refused(
    teach: Run, tmp_path: Path, around: Any, message: str
) -> None:
    recipe = parse_recipe(training())
    with around(), pytest.raises(UserError, match=message):
        teach()
    with around(), pytest.raises(UserError, match=message):
        run(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_shapes_numbers_is_written_down(teach: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCELERATE_DEBUG_MODE", "false")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    teach(settings=settings(steps=1))
    written = RunFolder(tmp_path / "run").read("environment.json")
    assert written["variables"].items() >= {"ACCELERATE_DEBUG_MODE": "false", "NVIDIA_TF32_OVERRIDE": "0"}.items()
    assert "SECRET_TOKEN" not in written["variables"]
    assert written["torch"]["float32_matmul_precision"] == torch.get_float32_matmul_precision()
    assert {"openTSNE", "scikit-learn", "pillow"} <= written["packages"].keys()


# The launcher with its defaults, and two processes without a GPU, which only the launcher tells them.
@pytest.mark.slow
@pytest.mark.parametrize("launch", ["accelerate.commands.launch --cpu --num_processes 2", "torch.distributed.run"])
def test_a_launched_recipe_makes_the_student_of_one_process(tmp_path: Path, launch: str) -> None:
    norm = {"model": "convnet_d3", "options": {"width": 4, "norm": "none"}}
    content = training(student=norm, training={**training()["training"], "steps": 4, "precision": "fp32"})
    run(parse_recipe(content), tmp_path / "alone")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    if launch.startswith("torch"):
        launch += " --standalone --nproc-per-node 2"
    command = [sys.executable, "-W", "ignore", "-m", *launch.split(), "-m", "limbeck", "run"]
    arguments = [str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "launched")]
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run([*command, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    states = [read_run(tmp_path / name).student.state_dict() for name in ("alone", "launched")]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)
    two = launch.startswith("torch")
    assert (RunFolder(tmp_path / "launched").read("environment.json")["variables"].get("WORLD_SIZE") == "2") is two
