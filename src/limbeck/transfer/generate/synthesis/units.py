"""The units in which a teacher takes images, which published weights and rates are for."""

from limbeck.models.classifier import Classifier


def units_of(teacher: Classifier, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images, as the teacher normalises them.

    For images of another number of channels, each has the average over the teacher's channels.

    Example:
        >>> units_of(teacher, 3)[0]
        (0.5, 0.5, 0.5)
    """
    mean, std = teacher.normalisation
    if teacher.channels == channels:
        return mean, std
    return (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
