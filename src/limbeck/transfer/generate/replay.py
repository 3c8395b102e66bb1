"""SSD-KD's small prioritised repository: images that the student has learned leave it."""

from collections.abc import Mapping

import torch
from torch import Tensor

from limbeck.data.augmentation import Augmentation
from limbeck.data.views import augmentation
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.forward import device_of
from limbeck.transfer.generate.repository import Appended, Repository
from limbeck.transfer.generate.settings import Replay
from limbeck.transfer.generate.synthesis import Batch
from limbeck.transfer.generate.synthesis.bits import view_of

_CHUNK = 256


def gaps(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """How far a student is from the teacher on each image: KL(softmax teacher || softmax student), float32 [n].

    Args:
        teacher_logits: [n, K].
        student_logits: [n, K].

    Example:
        >>> gaps(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([[2.0, 0.0], [2.0, 0.0]]))
        tensor([0.0000, 1.5232])
    """
    if teacher_logits.shape != student_logits.shape:
        raise UserError(
            f"`student_logits` must be {list(teacher_logits.shape)}, as the teacher's, got "
            f"{list(student_logits.shape)}."
        )
    teacher, student = (logits.detach().float().log_softmax(dim=1) for logits in (teacher_logits, student_logits))
    return (teacher.exp() * (teacher - student)).sum(dim=1).clamp_min(0)


def learned(gaps: Tensor, images: int) -> Tensor:
    """Places of those that are too many, smallest gaps first, of equal gaps the oldest: int64 [max(0, n - images)].

    Args:
        gaps: of n images, [n], the oldest first.
        images: that may stay.

    Example:
        >>> learned(torch.tensor([0.3, 0.1, 0.9, 0.1]), 2)
        tensor([1, 3])
    """
    return torch.argsort(gaps, stable=True)[: max(0, len(gaps) - images)]


class PrioritisedReplay:
    """Removes what is too many, the images on which student and teacher agree best: `Pruning` of an `Engine`.

    The teacher's logits are those that were stored when the images were made; the student is run anew every round, on
    the views that the teacher saw. Without a student the oldest images leave.

    Args:
        settings: how many images stay.
        views: as the teacher's; the repository notes for each image which of them the teacher saw.

    Example:
        >>> repository = Repository(Path("repository"), shape=(1, 8, 8), num_classes=10)
        >>> made = torch.randint(0, 256, (64, 1, 8, 8), dtype=torch.uint8)
        >>> appended = repository.append(made, logits=torch.randn(64, 10), round=0, call=0)
        >>> len(PrioritisedReplay(Replay(images=50)).leaving(repository, student))
        14
    """

    def __init__(self, settings: Replay, views: Augmentation | None = None) -> None:
        self.settings = settings
        self.views = augmentation("none") if views is None else views

    def added(self, appended: Appended, batch: Batch) -> None:
        """Nothing."""

    def removed(self, rows: Tensor) -> None:
        """Nothing."""

    def leaving(self, repository: Repository, student: Classifier | None, *, outliers: bool = True) -> Tensor:
        """Rows that are too many, int64 [m], the best learned first."""
        rows = repository.rows
        if len(rows) <= self.settings.images or student is None:
            return rows[: max(0, len(rows) - self.settings.images)]
        chunks = [
            gaps(repository.column("logits", part), self._student_logits(student, repository, part))
            for part in rows.split(_CHUNK)
        ]
        return rows[learned(torch.cat(chunks), self.settings.images)]

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Nothing: all that it depends on is in the repository and the student."""

    @torch.no_grad()
    def _student_logits(self, student: Classifier, repository: Repository, rows: Tensor) -> Tensor:
        """A student's logits for the teacher's views of the images at `rows` (int64 [B]), float32 [B, K]."""
        images, draws = repository.column("images", rows), repository.column("view", rows)
        shown = view_of(images.float(), images, self.views, draws)
        return student(shown.to(device_of(student))).logits.float().cpu()
