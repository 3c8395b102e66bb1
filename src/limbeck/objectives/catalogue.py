"""Names of the objectives, without importing torch; listings and documentation are made from this table."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ObjectiveEntry:
    """What a user needs to know before choosing an objective.

    Attributes:
        options: hyper-parameters and their defaults, as published.
        needs: what the loss reads: `labels` and outputs of `student` and `teacher`.
    """

    summary: str
    paper: str
    year: int
    needs: tuple[str, ...]
    options: dict[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


OBJECTIVES = {
    "cross_entropy": ObjectiveEntry(
        "the labels, with optional smoothing",
        "Szegedy et al., Rethinking the Inception architecture (label smoothing)",
        2016,
        ("student_logits", "labels"),
        {"label_smoothing": 0.0},
        ("ce",),
    ),
    "kd": ObjectiveEntry(
        "the teacher's softened probabilities",
        "Hinton et al., Distilling the knowledge in a neural network",
        2015,
        ("student_logits", "teacher_logits"),
        {"temperature": 4.0},
        ("hinton", "soft_targets"),
    ),
}
