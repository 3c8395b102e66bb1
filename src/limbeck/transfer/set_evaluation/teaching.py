"""How fresh networks are taught on a transfer set: as the set says, or otherwise, to compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError
from torch import nn

from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError, unknown_name
from limbeck.models.catalogue import MODELS, canonical, entry
from limbeck.models.classifier import Classifier
from limbeck.models.own_models import makes_model
from limbeck.models.whitening import Whitening
from limbeck.models.zoo import create
from limbeck.training.setting_errors import error_lines
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.set_evaluation.protocols import LABELS, PROTOCOLS, TEMPERATURE, Labels

USUAL_RATE = 0.01
"""Learning rate of sets that carry none."""
NetworkSpec = str | Mapping[str, Any] | Callable[..., nn.Module] | None
"""A model's name, {"model": name, "options": {...}}, a class or function of `num_classes`, a function from a seed to a
fresh classifier, or None for the one that the set is made for."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that is taught from fresh weights.

    Attributes:
        name: the model with its options other than defaults, for tables.
        model: see `limbeck ls models`; "" for one from Python.
        options: of the model.
        make: seed -> classifier; None for a model by name.
    """

    name: str
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    make: Callable[[int], Classifier] | None = None

    @property
    def described(self) -> dict[str, Any]:
        """Json-able."""
        return {"name": self.name, "model": self.model, "options": dict(self.options)}


@dataclass(frozen=True, kw_only=True)
class Teaching:
    """How a network is taught.

    Attributes:
        training: see `TrainingSettings`.
        objective: see `limbeck.objectives`.
        labels: see `teaching_on`.
        protocol: a name, or "kept" for the set's own.
        asks_teacher: whether a teacher is asked about every view.
    """

    training: Mapping[str, Any]
    objective: Any
    labels: Labels = "kept"
    protocol: str = "kept"
    asks_teacher: bool = False

    @property
    def settings(self) -> TrainingSettings:
        """The settings of training.

        Raises:
            UserError: unknown ones, and values that are not allowed.
        """
        return _settings(self.training)

    def at_rate(self, rate: float) -> "Teaching":
        return replace(self, training={**self.training, "learning_rate": rate})


def teaching_on(
    transfer_set: TransferSet,
    *,
    labels: Labels = "kept",
    protocol: str = "kept",
    training: Mapping[str, Any] | None = None,
    temperature: float | None = None,
) -> tuple[TransferSet, Teaching]:
    """The set with the labels asked for, and how a network is taught on it.

    Args:
        transfer_set: any; the `use` that a condensed set carries holds unless arguments say otherwise.
        labels: "kept", as the set says: by its `use`, which may ask a teacher, or else by its soft labels if it has
            some; "hard", classes (of soft labels the most probable one); "soft", its soft labels alone, at temperature
            1; "teacher", a teacher's answers to every view.
        protocol: "kept" or one of `PROTOCOLS`, which ask a teacher.
        training: settings on top of those; `steps` and `epochs` replace each other.
        temperature: T of a teacher's answers; by default the set's own where it asks one, the published one, or 20. The
            divergence from them is not multiplied by T², as in SRe2L and RDED.

    A batch never holds an image twice: it is at most as large as the set.

    Raises:
        UserError: labels that the set does not have, unknown names, a temperature that nothing reads, or a set that
            does not say how long to train.

    Example:
        >>> chosen, teaching = teaching_on(TransferSet(images), training={"epochs": 10, "batch_size": 1000})
        >>> teaching.objective, teaching.settings.batch_size
        ({'cross_entropy': 1.0}, 200)
    """
    if labels not in LABELS:
        raise unknown_name("`labels`", str(labels), LABELS, f"They are {', '.join(LABELS)}.")
    if protocol != "kept" and protocol not in PROTOCOLS:
        raise unknown_name("protocol", protocol, PROTOCOLS, f"There are kept, {', '.join(PROTOCOLS)}.")
    if protocol != "kept" and labels not in ("kept", "teacher"):
        raise UserError(f"`protocol` {protocol!r} asks a teacher about every view; leave `labels` out, got {labels!r}.")
    if protocol != "kept":
        _check_of_8_bits(transfer_set, protocol)
    use = transfer_set.use or {}
    base = use.get("training", {}) if protocol == "kept" else _published(protocol, transfer_set)
    settled = _over(base, training or {})
    if "steps" not in settled and "epochs" not in settled:
        raise UserError(
            f"the transfer set {transfer_set.images.name!r} does not say how a student is taught on it; say for how "
            "long, as `training={'epochs': 100}` (-s epochs=100)."
        )
    count = len(transfer_set) * transfer_set.per_image
    if settled.get("learning_rate") == "learned":
        settled["learning_rate"] = _learned(use)
    batch_size = settled.get("batch_size", TrainingSettings.model_fields["batch_size"].default)
    settled["batch_size"] = min(batch_size, count) if isinstance(batch_size, int) else batch_size
    asks = labels == "teacher" or protocol != "kept" or (labels == "kept" and asks_teacher(transfer_set))
    _check_temperature(temperature, asks=asks)
    taught, objective = _labelled(transfer_set, labels if protocol == "kept" else "teacher", protocol, temperature)
    teaching = Teaching(training=settled, objective=objective, labels=labels, protocol=protocol, asks_teacher=asks)
    _ = teaching.settings  # checks them
    return taught, teaching


def asks_teacher(transfer_set: TransferSet) -> bool:
    """Whether a set is to be used with a teacher's answers to every view.

    Example:
        >>> asks_teacher(TransferSet(images)), asks_teacher(TransferSet(images, use={"teacher": {"weights": "a.pth"}}))
        (False, True)
    """
    return bool((transfer_set.use or {}).get("teacher"))


def lacking(transfer_set: TransferSet, training: Mapping[str, Any]) -> list[str]:
    """Names what neither a set's `use` nor settings of training give, so that limbeck's defaults would hold.

    Args:
        transfer_set: see `teaching_on`.
        training: settings in addition to the set's own.

    Example:
        >>> lacking(TransferSet(images, use={"student": {"mean": [0.5], "std": [0.2]}}), {})
        ['the learning rate (`training.learning_rate`)']
    """
    use = transfer_set.use or {}
    student, stated = use.get("student", {}), {**use.get("training", {}), **training}
    absent = {
        "its normalisation (`student.mean` and `student.std`, or `student.whitening`)": not student.get("whitening")
        and not {"mean", "std"} <= student.keys(),
        "the learning rate (`training.learning_rate`)": "learning_rate" not in stated,
    }
    return [description for description, absence in absent.items() if absence]


def network_on(transfer_set: TransferSet, spec: NetworkSpec) -> Network:
    """A network by name for the images and classes of a set, or the one that the set is made for.

    Raises:
        UserError: unknown names, a mapping of other keys, and a set that names no network.

    Example:
        >>> network_on(TransferSet(images), {"model": "convnet_d3", "options": {"width": 16}}).name
        'convnet_d3 (width 16)'
    """
    student = (transfer_set.use or {}).get("student", {})
    if spec is None:
        if "model" not in student:
            raise UserError(
                f"the transfer set {transfer_set.images.name!r} does not say which network it is made for; name one, "
                "as `networks=['convnet_d3']` (--network convnet_d3)."
            )
        spec = {"model": student["model"], "options": student.get("options", {})}
    if isinstance(spec, str):
        name = canonical(spec)
        same = name == student.get("model")
        return _named(name, student.get("options", {}) if same else {})
    if isinstance(spec, Mapping):
        unknown = sorted(set(spec) - {"model", "options"})
        if unknown or "model" not in spec:
            raise UserError(
                f"a network must be a name or a mapping of model and options, got {dict(spec)!r}; as {{model: "
                "convnet_d3, options: {width: 64}}."
            )
        return _named(canonical(spec["model"]), spec.get("options") or {})
    if makes_model(spec):
        return _named(MODELS.name_of(spec), {})
    if not callable(spec):
        raise UserError(
            f"a network must be a name, a mapping or a function from a seed to a classifier, got {type(spec).__name__}."
        )
    make: Any = spec  # what else it makes is told once it is called
    return Network(name=getattr(spec, "__name__", type(spec).__name__), make=make)


def fresh(network: Network, transfer_set: TransferSet, seed: int, classes: Sequence[str] = ()) -> Classifier:
    """A network with the weights of a seed, for images in the space and size that the set is made for.

    It resizes images of another size, as test images may be.

    Args:
        network: see `network_on`.
        transfer_set: see `teaching_on`.
        seed: of the weights.
        classes: names, for a set that has none.

    Raises:
        UserError: a function that makes no classifier, or what the network cannot take.

    Example:
        >>> chosen = TransferSet(images)
        >>> fresh(network_on(chosen, "alexnet"), chosen, seed=0).input_size
        (8, 8)
    """
    if network.make is not None:
        classifier = network.make(seed)
        if not isinstance(classifier, Classifier):
            raise UserError(
                f"{network.name} must make a Classifier out of a seed, got a {type(classifier).__name__}; `lb.wrap` "
                "makes one."
            )
        return classifier
    student, images = (transfer_set.use or {}).get("student", {}), transfer_set.images
    classes = images.classes or tuple(classes)
    return create(
        network.model,
        num_classes=len(classes),
        seed=seed,
        channels=student.get("channels", images.shape[0]),
        input_size=student.get("input_size") or images.shape[1:],
        classes=classes,
        **_space(student),
        **network.options,
    )


def _space(own: Mapping[str, Any]) -> dict[str, Any]:
    """The normalisation of a set's student: whitening, or mean and deviation."""
    if own.get("whitening") is not None:
        return {"whitening": Whitening.of_tensors(own["whitening"])}
    return {name: own[name] for name in ("mean", "std") if own.get(name) is not None}


def _named(name: str, options: Mapping[str, Any]) -> Network:
    available = entry(name).options
    changed = {key: value for key, value in options.items() if key not in available or value != available[key].default}
    text = ", ".join(f"{key} {value}" for key, value in sorted(changed.items()))
    return Network(name=f"{name} ({text})" if text else name, model=name, options=dict(options))


def _published(protocol: str, transfer_set: TransferSet) -> Mapping[str, Any]:
    images = transfer_set.images
    return PROTOCOLS[protocol].training(len(images), images.num_classes, min(images.shape[1:]))


def _over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` updated by `changes`; `steps` and `epochs` replace each other."""
    other = {"steps": "epochs", "epochs": "steps"}
    dropped = {other[key] for key in changes if key in other}
    return {**{key: value for key, value in base.items() if key not in dropped}, **changes}


def _learned(use: Mapping[str, Any]) -> float:
    """The learning rate that a set carries, or the usual one."""
    rate = use.get("training", {}).get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else USUAL_RATE


def _check_of_8_bits(transfer_set: TransferSet, protocol: str) -> None:
    """Raises a UserError for images that are used as floats, as a protocol's augmentation would round them."""
    name, per_image = transfer_set.images.name, transfer_set.per_image
    if per_image > 1:
        raise UserError(
            f"`protocol` {protocol!r} augments 8-bit images, and each of {name!r} holds {per_image} that are enlarged "
            "when they are used, which makes them floats; leave `protocol` out and teach as the set says, which asks a "
            "teacher with `labels` 'teacher'."
        )
    if transfer_set.floats is not None:
        raise UserError(
            f"`protocol` {protocol!r} augments 8-bit images, and those of {name!r} are floats; condense with "
            "`keep: uint8`, or teach as the set says, which asks a teacher with `labels` 'teacher'."
        )


def _labelled(
    transfer_set: TransferSet, labels: Labels, protocol: str, temperature: float | None
) -> tuple[TransferSet, Any]:
    match labels:
        case "kept":
            objective = (transfer_set.use or {}).get("objective")
            if asks_teacher(transfer_set):
                transfer_set = replace(transfer_set, soft_labels=None)
            if temperature is not None:
                return transfer_set, _at_temperature(objective, temperature)
            soft = transfer_set.soft_labels is not None
            return transfer_set, objective or (
                {"kd": {"weight": 1.0, "temperature": 1.0}} if soft else {"cross_entropy": 1.0}
            )
        case "hard":
            return _hard(transfer_set), {"cross_entropy": 1.0}
        case "soft":
            if transfer_set.soft_labels is None:
                raise UserError(
                    f"`labels` 'soft' must be in the set, and {transfer_set.images.name!r} has none; `labels` "
                    "'teacher' asks one."
                )
            return transfer_set, {"kd": {"weight": 1.0, "temperature": 1.0}}
        case _:
            published = PROTOCOLS[protocol].temperature if protocol != "kept" else TEMPERATURE
            heat = published if temperature is None else temperature
            return replace(transfer_set, soft_labels=None), _divergence(heat)


def _check_temperature(temperature: float | None, *, asks: bool) -> None:
    if temperature is None:
        return
    if isinstance(temperature, bool) or not temperature > 0:
        raise UserError(f"`temperature` must be > 0, got {temperature!r}.")
    if not asks:
        raise UserError(
            f"`temperature` is of a teacher's answers to every view, and none is asked, got {temperature!r}; leave it "
            "out, or take `labels` 'teacher' or a `protocol`."
        )


def _at_temperature(own: Any, temperature: float) -> dict[str, Any]:
    """The objective of a set that asks its own teacher, at another temperature."""
    if own is not None and not (own == "kd" or (isinstance(own, Mapping) and [*own] == ["kd"])):
        raise UserError(
            f"`temperature` must go with a teacher's answers alone (`kd`), and the set has the objective {own!r}, got "
            f"{temperature!r}; leave it out, or take `labels` 'teacher'."
        )
    return _divergence(temperature)


def _divergence(temperature: float) -> dict[str, Any]:
    """The divergence from a teacher's answers; the weight undoes the T² of `kd`."""
    heat = float(temperature)
    return {"kd": {"weight": heat**-2, "temperature": heat}}


def _hard(transfer_set: TransferSet) -> TransferSet:
    """The set with hard labels alone."""
    images, soft = transfer_set.images, transfer_set.soft_targets
    if images.labels is None:
        if soft is None:
            raise UserError(f"`labels` 'hard' must be in the set, and {images.name!r} has none at all.")
        images = images.with_labels(soft.values.argmax(1), images.classes)
    return replace(transfer_set, images=images, soft_labels=None)


def _settings(training: Mapping[str, Any]) -> TrainingSettings:
    try:
        return TrainingSettings(**training)
    except ValidationError as error:
        lines = error_lines(error.errors(), TrainingSettings, "training")
        raise UserError("; ".join(lines) + ("" if lines[-1].endswith("?") else ".")) from error
