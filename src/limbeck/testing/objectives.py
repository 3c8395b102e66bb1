"""What every objective must do."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import torch

from limbeck.errors import UserError
from limbeck.objectives import Objective, weighted_sum
from limbeck.objectives.catalogue import NAMES, OBJECTIVES, objective_class
from limbeck.objectives.objective import SIGNALS
from limbeck.testing.assertions import ensure, ensure_close, ensure_equal, ensure_finite, near
from limbeck.testing.pairs import BATCH, CLASSES, Pair, rows_of, tensors, value_of

Options = dict[str, Any]

NETWORKS = (
    ("vgg8", "ResNet50"),
    ("MobileNetV2", "resnet8x4"),
    ("timm:test_vit", "timm:test_vit3"),
    ("resnet8", "timm:test_vit"),
)
"""Families of other stage counts, sizes and channels; and transformers, whose stages are maps of equal size."""


def catalogue_and_class_agree(name: str, options: Options) -> None:
    """What a recipe can set, and what the loss reads, is what the class says."""
    name = NAMES[name]
    entry, builder = OBJECTIVES[name], objective_class(name)
    head = ("teacher_head",) if builder.reads_teacher_head else ()
    ensure(set(builder().needs + head) == set(entry.needs), f"{name} needs {builder().needs}, listed {entry.needs}")
    ensure(set(builder().needs) <= SIGNALS, f"{name} must take signals, got {builder().needs}")
    defaults = {key: parameter.default for key, parameter in inspect.signature(builder).parameters.items()}
    ensure(defaults == entry.options, f"the defaults of {name} are {defaults}, listed {entry.options}")


def refuses_endless_options(name: str, options: Options) -> None:
    """NaN and infinity are refused as options."""
    for option, default in OBJECTIVES[NAMES[name]].options.items():
        for value in (float("nan"), float("inf")) if isinstance(default, float) else ():
            try:
                weighted_sum({name: {**options, option: value}})
            except UserError:
                continue
            raise AssertionError(f"`{option}` of {name} must be finite, but {value} is taken; raise a `UserError`")


def value_and_gradient_are_finite(name: str, options: Options, *, scale: float = 1.0, constant: bool = False) -> None:
    """The gradient reaches the student, and never the teacher."""
    pair = Pair()
    objective = pair.objective(name, **options)
    signals = pair.signals(scale, constant=constant)
    copies_before = {need: [tensor.detach().clone() for tensor in tensors(signals[need])] for need in objective.needs}
    loss = value_of(objective, signals)
    for need, copies in copies_before.items():
        for copied, tensor in zip(copies, tensors(signals[need]), strict=True):
            ensure_equal(copied, tensor.detach(), f"{name} must not write into `{need}`")
    ensure(loss.shape == (), f"the loss must be one number, got shape {list(loss.shape)}")
    ensure_finite(loss, f"the loss of {name} at outputs times {scale:g}")
    _check_gradients(name, objective, signals, loss)


def saturated_logits_are_finite(name: str, options: Options) -> None:
    """Logits of a thousand, of either sign, of both networks."""
    if "student_logits" not in OBJECTIVES[NAMES[name]].needs:
        return
    pair = Pair()
    signals = pair.signals()
    for who in ("student", "teacher"):
        signs = torch.randint(0, 2, (BATCH, CLASSES), generator=torch.Generator().manual_seed(len(who))) * 2 - 1
        signals[f"{who}_logits"] = (signs * 1e3).float().requires_grad_()
    loss = value_of(pair.objective(name, **options), signals)
    ensure(loss.requires_grad, f"no gradient reaches the student from {name}")
    loss.backward()
    ensure_finite(loss, f"the loss of {name} at logits of 1000")
    if signals["student_logits"].grad is not None:
        ensure_finite(signals["student_logits"].grad, f"the gradient of {name} at logits of 1000")


def gradient_descends(name: str, options: Options) -> None:
    """A small step of the student's outputs against the gradient lowers the loss, by what the gradient says."""
    pair = Pair()
    signals = pair.signals()
    value_of(pair.objective(name, **options), signals).backward()
    before = value_of(pair.objective(name, **options), signals).item()  # a second time, as memories change
    with torch.no_grad():
        leaves = [leaf for need in signals if need.startswith("student") for leaf in tensors(signals[need])]
        square = sum(leaf.grad.square().sum().item() for leaf in leaves if leaf.grad is not None)
        ensure(square > 0, f"the gradient of {name} is 0 between two networks that differ")
        step = 1e-3 * abs(before) / square
        for leaf in leaves:
            if leaf.grad is not None:
                leaf -= step * leaf.grad
    after = value_of(pair.objective(name, **options), signals).item()
    ensure(
        near(after - before, -step * square, rel=0.2, abs=2e-6),
        f"a step against the gradient of {name} must change the loss by {-step * square:g}, got {after - before:g}; "
        "is a part of it detached?",
    )


def same_seed_same_value_and_state_round_trip(name: str, options: Options) -> None:
    pair = Pair()
    again = [value_of(pair.objective(name, **options), pair.signals()).item() for _ in range(2)]
    ensure(again[0] == again[1], f"{name} of one seed must give one loss, got {again[0]} and {again[1]}")
    first, other = pair.objective(name, **options), pair.objective(name, **options)
    value_of(first, pair.signals())
    other.load_state_dict(first.state_dict())
    same = value_of(first, pair.signals()).item() == value_of(other, pair.signals()).item()
    ensure(same, f"{name} with the state of another must give the same loss; what it remembers must be in buffers")
    states = zip(first.state_dict().values(), other.state_dict().values(), strict=True)
    ensure(all(torch.equal(a, b) for a, b in states), f"the state of {name} must go on alike")


def order_of_a_batch_makes_no_difference(name: str, options: Options) -> None:
    """And where a loss says `per_image`, it is the mean of the losses of the images alone."""
    pair, order = Pair(), torch.randperm(BATCH, generator=torch.Generator().manual_seed(1))
    signals = pair.signals()
    whole = value_of(pair.objective(name, **options), signals).item()
    shuffled = value_of(pair.objective(name, **options), rows_of(signals, order)).item()
    close = near(shuffled, whole, rel=1e-3, abs=1e-5)
    ensure(close, f"{name} must not depend on the order of a batch, got {whole:g} and, shuffled, {shuffled:g}")
    if not pair.objective(name, **options).per_image:
        return
    single_losses = [value_of(pair.objective(name, **options), rows_of(signals, row)).item() for row in order.split(1)]
    mean = sum(single_losses) / BATCH
    close = near(mean, whole, rel=1e-3, abs=1e-5)
    ensure(close, f"{name} says `per_image`, but is {whole:g} of a batch and in the mean {mean:g} of its images alone")


def outputs_computed_in_bf16_make_little_difference(name: str, options: Options) -> None:
    pair = Pair()
    exact = value_of(pair.objective(name, **options), pair.signals()).item()
    rough = value_of(pair.objective(name, **options), pair.signals(rounded=True)).item()
    ensure(near(rough, exact, rel=0.1, abs=0.05), f"{name} of outputs in bf16 is {rough:g}, in fp32 {exact:g}")


def any_batch_size_works(name: str, options: Options, *, count: int) -> None:
    """Also a last batch of one image, and the whole one that comes after it."""
    pair = Pair()
    objective = pair.objective(name, **options)
    value_of(objective, pair.signals())
    signals = pair.signals(count=count)
    loss = value_of(objective, signals)
    ensure_finite(loss, f"the loss of {name} on {count} images")
    if loss.requires_grad:
        loss.backward()
    for need in objective.needs:
        for tensor in tensors(signals[need]):
            if tensor.grad is not None:
                ensure_finite(tensor.grad, f"the gradient of {name} on {count} images")
    ensure_finite(value_of(objective, pair.signals()), f"the loss of {name} after {count} images")


def other_networks(name: str, options: Options, *, networks: tuple[str, str]) -> None:
    """It works with them, or refuses them when it is built."""
    with suppress(UserError):
        works_with(name, options, networks)


def works_with(name: str, options: Options, networks: tuple[str, str]) -> None:
    """The loss for a student and a teacher, and its gradient, are finite.

    Raises:
        UserError: they do not fit together.
    """
    pair = Pair(*networks)
    objective = pair.objective(name, **options)
    signals = pair.signals()
    loss = value_of(objective, signals)
    loss.backward()
    ensure_finite(loss, f"the loss of {name} for {networks}")
    for need in signals:
        for tensor in tensors(signals[need]) if need.startswith("student") else ():
            if tensor.grad is not None:
                ensure_finite(tensor.grad, f"the gradient of {name} for {networks}")


def is_a_term_of_a_sum(name: str, options: Options) -> None:
    pair = Pair()
    other_terms = {"ce": 1} if NAMES[name] != "cross_entropy" else {}
    objective = weighted_sum({name: {"weight": 2.0, **options}, **other_terms})
    objective.build(pair.setup, seed=0)
    total, terms = objective(pair.signals())
    expected = sum(objective.weights[key] * value.item() for key, value in terms.items())
    ensure(near(total.item(), expected, rel=1e-5, abs=1e-12), f"the sum with {name} is {total.item()}, not {expected}")


def _check_gradients(name: str, objective: Objective, signals: Mapping[str, Any], loss: torch.Tensor) -> None:
    ensure(loss.requires_grad, f"no gradient reaches the student from {name}")
    loss.backward()
    reached = False
    for need in objective.needs:
        for tensor in tensors(signals[need]):
            if need.startswith("teacher"):
                ensure(tensor.grad is None, f"{name} must never teach the teacher; detach `{need}`")
            elif tensor.grad is not None:
                reached = True
                ensure_finite(tensor.grad, f"the gradient of {name} to `{need}`")
    ensure(reached, f"no gradient reaches the student from {name}")
    for key, tensor in objective.named_parameters():
        if tensor.grad is not None:
            ensure_finite(tensor.grad, f"the gradient of {name} to `{key}`")


def takes_mixed_labels_if_it_says_so(name: str, options: Options) -> None:
    """One-hot labels are the classes themselves."""
    pair = Pair()
    objective = pair.objective(name, **options)
    if not objective.mixed_labels:
        return
    signals = pair.signals()
    one_hot = torch.nn.functional.one_hot(signals["labels"], CLASSES).float()
    mixed, plain = value_of(objective, {**signals, "labels": one_hot}), value_of(objective, signals)
    ensure_close(mixed, plain, f"{name} must be {plain} of one-hot labels, as of the classes, got {mixed}")


CHECKS: Mapping[str, Callable[..., None]] = {
    "catalogue and class agree": catalogue_and_class_agree,
    "refuses endless options": refuses_endless_options,
    "same seed same value and state round trip": same_seed_same_value_and_state_round_trip,
    "value and gradient are finite": value_and_gradient_are_finite,
    "and at outputs times 1000": partial(value_and_gradient_are_finite, scale=1e3),
    "and at constant outputs": partial(value_and_gradient_are_finite, constant=True),
    "saturated logits are finite": saturated_logits_are_finite,
    "gradient descends": gradient_descends,
    "order of a batch makes no difference": order_of_a_batch_makes_no_difference,
    "outputs computed in bf16 make little difference": outputs_computed_in_bf16_make_little_difference,
    **{f"batches of {count}": partial(any_batch_size_works, count=count) for count in (1, 2, 5)},
    **{
        f"from {teacher} to {student}": partial(other_networks, networks=(student, teacher))
        for student, teacher in NETWORKS
    },
    "is a term of a sum": is_a_term_of_a_sum,
    "takes mixed labels if it says so": takes_mixed_labels_if_it_says_so,
}
