"""Optimisers of torch or of the user's own: entries made from a class, or from a function that makes one."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from limbeck.errors import UserError
from limbeck.foreign import check_remarks
from limbeck.randomness import own_randomness
from limbeck.signatures import inputs_and_options, summary_of
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.optimizer_catalogue import OptimizerEntry

_INPUTS = ("params", "lr", "weight_decay")
_SHAPES = ((4, 3, 3, 3), (4,), (5, 4))
"""Shapes of a convolution, a bias and a linear layer."""


def describe(name: str, part: Any, remarks: Mapping[str, Any]) -> OptimizerEntry:
    """The catalogue's entry of an optimiser of the user's own, or of torch's.

    Args:
        name: its name.
        part: a subclass of `torch.optim.Optimizer`, or a function that makes one. It takes `params` and `lr`, which is
            the learning rate, and `weight_decay` if it has one. Further parameters are options.
        remarks: `summary`.

    Raises:
        UserError: it is neither.
    """
    what = f"optimizer {name!r}"
    is_class = isinstance(part, type) and issubclass(part, Optimizer)
    if isinstance(part, type) is not is_class or not callable(part):
        raise UserError(
            f"{what} must be a subclass of `torch.optim.Optimizer`, or a function of `params` and `lr` that makes one, "
            f"got {part!r}."
        )
    check_remarks(remarks, ("summary",), what)
    inputs, options = inputs_and_options(part, _INPUTS, what)
    _check_inputs(inputs, what)
    decays = "weight_decay" in inputs
    make = _maker(part, what, decays=decays)
    tried = set[str]()

    def check(**arguments: Any) -> None:
        if (key := json.dumps(arguments)) not in tried:
            check_optimizes(make, what, arguments)
            tried.add(key)

    return OptimizerEntry(
        str(remarks.get("summary", summary_of(part))),
        options,
        ("learning_rate", *(["weight_decay"] if decays else [])),
        check,
        make,
    )


def _check_inputs(inputs: list[str], what: str) -> None:
    if not {"params", "lr"} <= {*inputs}:
        without = "; a rate that it sets itself would take the place of `training.learning_rate`" if inputs else ""
        raise UserError(
            f"{what} must take `params` and `lr`, got {', '.join(inputs) or 'neither'}{without}. Write "
            "`lambda params, lr: Adam(params, lr=lr)`, or hand over the class."
        )


def _maker(part: Any, what: str, *, decays: bool) -> Callable[..., Optimizer]:
    """A function of parameters, `lr`, `weight_decay` (passed on if `decays`) and options that makes the optimiser."""

    def make(parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, **arguments: Any) -> Optimizer:
        arguments |= {"weight_decay": weight_decay} if decays else {}
        optimizer = part(params=list(parameters), lr=lr, **arguments)
        if not isinstance(optimizer, Optimizer):
            raise UserError(f"{what} must make a `torch.optim.Optimizer`, got {type(optimizer).__name__}.")
        for group in optimizer.param_groups:
            if float(group.get("lr", lr)) != lr:
                group["lr_scale"] = float(group["lr"]) / lr  # the group keeps this ratio to every rate
        return optimizer

    return make


def check_optimizes(make: Callable[..., Optimizer], what: str, options: Mapping[str, Any]) -> None:
    """Tries an optimiser on three small tensors.

    Raises:
        UserError: it cannot be made with these options, cannot step from gradients alone, or continues differently
            after its state was saved and loaded.
    """
    try:
        gone_on = _after_steps(make, what, options, resumed=False)
        resumed = _after_steps(make, what, options, resumed=True)
    except UserError:
        raise
    except Exception as error:  # whatever the user's code raises
        closure = " Its `step` may need a closure, which limbeck's loop does not give." if _wants(error) else ""
        raise UserError(f"{what} cannot be used: {type(error).__name__}: {str(error).rstrip('.')}.{closure}") from error
    if not all(torch.equal(first, second) for first, second in zip(gone_on, resumed, strict=True)):
        raise UserError(
            f"{what} goes on otherwise after a resume: what it remembers must be tensors and numbers in its `state`, "
            "by parameter, or in its `param_groups`."
        )


def _after_steps(
    make: Callable[..., Optimizer], what: str, options: Mapping[str, Any], *, resumed: bool
) -> list[Tensor]:
    """Parameters after three steps; if `resumed`, the state is saved and loaded before the last one."""
    numbers = torch.Generator().manual_seed(0)
    parameters = [nn.Parameter(torch.randn(shape, generator=numbers)) for shape in _SHAPES]
    with own_randomness(0, "optimizer"), torch.enable_grad():
        optimizer = _made(make, parameters, options)
        for step in range(3):
            if resumed and step == 2:
                saved = Checkpoint(step)
                saved.put_optimizer("optimizer", optimizer)
                saved.notes = _through_json(saved.notes, what)
                optimizer = _made(make, parameters, options)
                saved.restore_optimizer("optimizer", optimizer)
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=numbers)
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (step + 1)
            optimizer.step()
    return [parameter.detach() for parameter in parameters]


def _made(make: Callable[..., Optimizer], parameters: list[nn.Parameter], options: Mapping[str, Any]) -> Optimizer:
    return make(parameters, lr=0.1, weight_decay=1e-3, **options)


def _through_json(notes: dict[str, Any], what: str) -> dict[str, Any]:
    try:
        return json.loads(json.dumps(notes))
    except TypeError as error:
        raise UserError(
            f"{what} keeps what no checkpoint can hold ({error}); its state must be tensors and numbers."
        ) from None


def _wants(error: Exception) -> bool:
    return isinstance(error, TypeError) and "closure" in str(error)
