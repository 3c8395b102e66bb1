"""What a teacher is good for: whether images can be made from it, and by which losses."""

from dataclasses import dataclass, field
from typing import NamedTuple

from limbeck.models import Classifier
from limbeck.transfer.generate.feature_statistics import FeatureStatistics, exported
from limbeck.transfer.generate.normalisation import InputStatistics, input_statistics, is_untrained
from limbeck.transfer.generate.scales import Scale, balanced, scales_at_start
from limbeck.transfer.generate.settings import GenerateSettings, Losses
from limbeck.transfer.generate.statistics import BatchNormMoments, batch_norms, running_moments, without_batch_norm


class Row(NamedTuple):
    """One line of a check.

    Attributes:
        what: what was looked at.
        found: what was found there.
        doubt: why that is a problem, and what helps; empty where it is none.
    """

    what: str
    found: str
    doubt: str = ""


@dataclass(frozen=True)
class TeacherCheck:
    """What a teacher allows, and what speaks against it.

    Attributes:
        teacher: its name.
        layers: paths of the batch norms, or of the layers that exported statistics are of.
        inputs: images that the first batch norm remembers; None where that cannot be told.
        normalisation: mean and std that the teacher states.
        floor: batch-norm loss of real images, where exported statistics say so.
        scales: of every loss that the teacher allows, for images at their start.
        even: weights by which all of them pull alike at the start, that of one-hot being 1.
        rows: all of it, to print.
        refusal: why the settings cannot be followed; empty where they can.
    """

    teacher: str
    layers: tuple[str, ...]
    inputs: InputStatistics | None
    normalisation: tuple[tuple[float, ...], tuple[float, ...]]
    floor: float | None
    scales: dict[str, Scale]
    even: Losses
    rows: tuple[Row, ...] = field(repr=False)
    refusal: str = ""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What speaks against it, a sentence each."""
        return tuple(row.doubt for row in self.rows if row.doubt)


def check_teacher(
    teacher: Classifier,
    settings: GenerateSettings,
    *,
    shape: tuple[int, int, int] | None = None,
    student: Classifier | None = None,
    seed: int = 0,
) -> TeacherCheck:
    """Checks a teacher, without any data and in a few seconds.

    Args:
        teacher: stays as it is.
        settings: by which images would be made.
        shape: (channels, height, width) of the images; None for those that the teacher states, 32 px where it states
            none.
        student: for the scale of the adversarial loss.
        seed: of the images that are shown.

    Raises:
        UserError: a file of statistics that cannot be read, or is of another network.

    Example:
        >>> found = check_teacher(teacher, GenerateSettings(budget=64, generator={"width": 8}), shape=(1, 8, 8))
        >>> len(found.layers), found.refusal
        (3, '')
        >>> found.rows[0].what, found.doubts[0][:33]
        ('batch norm', 'its batch norms remember nothing:')
    """
    height, width = teacher.input_size or (32, 32)
    shape = shape or (teacher.channels, height, width)
    statistics = exported(settings)
    norms = batch_norms(teacher.network)
    rows = [_batch_norm_row(teacher, settings, statistics)]
    layers = tuple(BatchNormMoments(teacher, statistics).names) if norms or statistics else ()
    inputs = input_statistics(teacher, shape, seed=seed) if norms else None
    rows += _normalisation_rows(teacher, inputs) if norms else []
    floor = None if statistics is None else float(statistics.floor.sum())
    if statistics is not None:
        description = f"{floor:.4g} (batches of {statistics.batch_size} out of {statistics.images:,})"
        rows.append(Row("batch-norm loss of real images", description))
    if teacher.taps.embedding is None and (settings.losses.activation or settings.homogenise):
        option = "losses.activation" if settings.losses.activation else "homogenise"
        rows.append(
            Row("embedding", "none", f"`{option}` needs one, and no tap says where; `lb.wrap` it with `embedding`")
        )
    scales = scales_at_start(settings, teacher, shape=shape, student=student, seed=seed)
    even = balanced(Losses(**dict.fromkeys(scales, 1.0)), scales, momentum=settings.momentum)
    rows += [_scale_row(name, scale, settings.losses, even) for name, scale in scales.items()]
    refused = settings.losses.batch_norm > 0 and not layers
    return TeacherCheck(
        teacher=teacher.name,
        layers=layers,
        inputs=inputs,
        normalisation=teacher.normalisation,
        floor=floor,
        scales=scales,
        even=even,
        rows=tuple(rows),
        refusal=str(without_batch_norm(teacher)) if refused else "",
    )


def _batch_norm_row(teacher: Classifier, settings: GenerateSettings, statistics: FeatureStatistics | None) -> Row:
    norms = batch_norms(teacher.network)
    if not norms:
        if statistics is not None:
            return Row("batch norm", f"none; exported statistics of {len(statistics.places)} layers in its place")
        advice = str(without_batch_norm(teacher)) if settings.losses.batch_norm else ""
        return Row("batch norm", "none", advice)
    paths = list(norms)
    layers = f"{len(paths)} layers, {paths[0]} to {paths[-1]}" if len(paths) > 1 else f"1 layer, {paths[0]}"
    moments = [running_moments(norm) for norm in norms.values()]
    if all(is_untrained(layer) for layer in moments):
        doubt = "its batch norms remember nothing: they are as they start, so it is untrained, or they were reset"
        return Row("batch norm", layers, doubt)
    if not all(part.isfinite().all() for layer in moments for part in layer):
        return Row("batch norm", layers, "what its batch norms remember is not finite; the weights are damaged")
    return Row("batch norm", layers)


def _normalisation_rows(teacher: Classifier, inputs: InputStatistics | None) -> list[Row]:
    stated = f"mean {_several(teacher.normalisation[0])}, std {_several(teacher.normalisation[1])}"
    rows = [Row("normalisation", stated)]
    if inputs is None:
        return [*rows, Row("images it remembers", "cannot be told from its first batch norm")]
    remembered = f"mean {_several(inputs.mean)}, std about {_several(inputs.std)}, in units of [0, 1]"
    if inputs.possible:
        return [*rows, Row("images it remembers", remembered)]
    normalisations = inputs.fits(teacher.normalisation)
    hint = f"; these are possible: {'; '.join(normalisations)}" if normalisations else ""
    doubt = f"images in [0, 1] are not so, and its normalisation is hardly the one that it was trained with{hint}"
    return [*rows, Row("images it remembers", remembered, doubt)]


def _scale_row(name: str, scale: Scale, losses: Losses, even: Losses) -> Row:
    weight, even_weight = getattr(losses, name), getattr(even, name)
    pulls = f"; weight {even_weight:g} pulls like 1 of one_hot" if scale.gradient and name != "one_hot" else ""
    stated = f", the settings have {weight:g}" if weight else ""
    return Row(f"{name} at the start", f"{scale.value:.4g}{pulls}{stated}")


def _several(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
