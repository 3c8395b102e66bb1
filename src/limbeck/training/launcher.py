"""The recipe decides: contradicting settings in the launcher's environment are refused, neither obeyed nor ignored.

`accelerate` reads settings from environment variables, which `accelerate launch` sets and shells keep. Some change what
is trained: divided gradients, another precision, sharded weights.
"""

import os
from collections.abc import Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin

from limbeck.errors import UserError
from limbeck.training.settings import TrainingSettings

_FALSE, _TRUE = ("false", "0", "f", "no", "n", "off"), ("true", "1", "t", "yes", "y", "on")
_FLAG = (*_FALSE, *_TRUE)
_SHARDED = "limbeck gives every process the whole network and a share of each batch, and shards nothing"

_ALLOWED: dict[str, tuple[tuple[str, ...], str]] = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (
        ("1",),
        "it would divide every gradient; `training.batch_size` says how many images a step averages",
    ),
    "ACCELERATE_DYNAMO_BACKEND": (("no",), "`training.compile: true` compiles the networks"),
    "ACCELERATE_FP8_BACKEND": (("no",), "`training.precision` is bf16, fp32 or auto, and there is no fp8"),
    "ACCELERATE_USE_DEEPSPEED": (_FALSE, _SHARDED),
    "ACCELERATE_USE_FSDP": (_FALSE, _SHARDED),
    "ACCELERATE_USE_MEGATRON_LM": (_FALSE, _SHARDED),
    "ACCELERATE_USE_PARALLELISM_CONFIG": (_FALSE, _SHARDED),
    # Flags that change no number, but that `accelerate` must be able to read.
    "ACCELERATE_USE_CPU": (_FLAG, "it is a flag"),
    "ACCELERATE_CPU_AFFINITY": (_FLAG, "it is a flag"),
    "ACCELERATE_DEBUG_MODE": (_FLAG, "it is a flag"),
}
"""Variable -> the lower-case values that leave training as the recipe has it, and what to do instead."""

_SHARDING = ("DEEPSPEED", "FSDP", "MEGATRON_LM")


def check_launcher(
    *trainings: TrainingSettings, cpu: bool = False, environment: Mapping[str, str] = os.environ
) -> None:
    """Raises a UserError that lists the variables which contradict the settings of any of `trainings`.

    Args:
        trainings: of a run, or of all runs of a comparison.
        cpu: whether the recipe has `device: cpu`.
        environment: where the variables are; an empty value counts as none.

    See `check_torch`, too.
    """
    check_torch()
    variables = {name: value.strip() for name, value in environment.items() if value.strip()}
    wrong = [
        f"{name} must be {'false or true' if allowed is _FLAG else allowed[0]}, got {variables[name]!r}: {advice}"
        for name, (allowed, advice) in _ALLOWED.items()
        if name in variables and variables[name].lower() not in allowed
    ]
    wrong += _precision(variables, trainings) + _device(variables, cpu) + _sagemaker(variables)
    if wrong:
        raise UserError(
            f"the environment asks for another training than the recipe. {'. '.join(wrong)}. Unset "
            f"{'it' if len(wrong) == 1 else 'them'}, or start with other options of `accelerate launch`."
        )


def make_accelerator(settings: TrainingSettings, *, cpu: bool = False) -> Accelerator:
    """The `Accelerator` of a run, configured by the recipe alone.

    Raises:
        UserError: see `check_launcher` and `check_accelerator`; this process uses another device already.
    """
    check_launcher(settings, cpu=cpu)
    try:
        accelerator = Accelerator(
            cpu=cpu,
            # An accelerator's autocast would cover the objective, too, which computes in float32.
            mixed_precision="no",
            dynamo_backend="no",
            gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=1),
        )
    except ValueError as error:
        raise UserError(
            f"this process has an `Accelerator` of other settings already ({error}); start a new one."
        ) from error
    check_accelerator(accelerator)
    if cpu and accelerator.device.type != "cpu":
        raise UserError(
            f"`device: cpu` comes too late, as this process computes on {accelerator.device} already; start a new one."
        )
    return accelerator


def check_accelerator(accelerator: Accelerator) -> None:
    """Raises a UserError for an accelerator that would change what is trained, and see `check_torch`."""
    check_torch()
    wrong = []
    steps, plugin = accelerator.gradient_accumulation_steps, accelerator.state.dynamo_plugin
    backend = "no" if plugin is None else plugin.backend.value.lower()
    if steps != 1:
        wrong.append(f"`gradient_accumulation_steps` must be 1, got {steps}: a step averages `training.batch_size`")
    if accelerator.mixed_precision != "no":
        wrong.append(f"`mixed_precision` must be 'no', got {accelerator.mixed_precision!r}: see `training.precision`")
    if backend != "no":
        wrong.append(f"`dynamo_backend` must be 'no', got {backend!r}: see `training.compile`")
    if accelerator.distributed_type.value in _SHARDING:
        wrong.append(
            f"`distributed_type` must share batches alone, got {accelerator.distributed_type.value}: {_SHARDED}"
        )
    if wrong:
        raise UserError(
            f"the `Accelerator` asks for another training than the settings. {'. '.join(wrong)}. Make it with these "
            "values, without ACCELERATE_... variables that ask for others."
        )


def check_torch() -> None:
    """Raises a UserError for global settings of torch that prevent training or contradict the recipe."""
    if torch.is_inference_mode_enabled() or not torch.is_grad_enabled():
        raise UserError(
            "training needs gradients, got `torch.no_grad` or `torch.inference_mode` around it; train outside of them."
        )
    if any(torch.is_autocast_enabled(device) for device in ("cpu", "cuda")):
        raise UserError(
            "`training.precision` says what is computed in, got `torch.autocast` around the training; train outside of "
            "it."
        )
    if torch.get_default_dtype() != torch.float32:
        raise UserError(
            f"the default type of torch must be float32, got {torch.get_default_dtype()}; "
            "`torch.set_default_dtype(torch.float32)` sets it."
        )


def _precision(variables: Mapping[str, str], trainings: tuple[TrainingSettings, ...]) -> list[str]:
    requested = variables.get("ACCELERATE_MIXED_PRECISION", "no").lower()
    for settings in trainings:
        # "no" is the default that `accelerate launch` sets.
        if requested not in ("no", settings.precision):
            return [
                f"ACCELERATE_MIXED_PRECISION must be no where `training.precision` is {settings.precision}, got "
                f"{requested!r}: set `training.precision`, to bf16, fp32 or auto"
            ]
    return []


def _device(variables: Mapping[str, str], cpu: bool) -> list[str]:
    device = variables.get("ACCELERATE_TORCH_DEVICE", "cpu")
    if not cpu or device.split(":")[0] == "cpu":
        return []
    return [f"ACCELERATE_TORCH_DEVICE must be cpu where the recipe has `device: cpu`, got {device!r}"]


def _sagemaker(variables: Mapping[str, str]) -> list[str]:
    kind = variables.get("ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE", "unset")
    if variables.get("ACCELERATE_USE_SAGEMAKER", "false").lower() in _FALSE or kind.upper() == "NO":
        return []
    return [f"ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE must be NO with ACCELERATE_USE_SAGEMAKER, got {kind!r}: {_SHARDED}"]
