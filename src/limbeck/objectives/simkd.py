"""SimKD: the student's last stage becomes the teacher's, whose head then classifies for it."""

import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.models.classifier import Classifier
from limbeck.models.reused_head import Projector, with_reused_head
from limbeck.objectives.checks import check_choice, check_count
from limbeck.objectives.objective import Objective
from limbeck.objectives.setup import Setup, Unbuilt
from limbeck.objectives.stages import Stages, same_size


def simkd(student_stage: Tensor, teacher_stage: Tensor) -> Tensor:
    """Mean squared difference of two maps of one shape, the student's after its projector.

    Args:
        student_stage: [B, C, H, W].
        teacher_stage: [B, C, H, W]; receives no gradient.

    Source: Chen, Mei, Zhang, Wang, Feng and Chen, "Knowledge distillation with the reused teacher classifier",
    CVPR 2022.

    Example:
        >>> simkd(torch.zeros(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
        tensor(1.)
    """
    return F.mse_loss(student_stage, teacher_stage.detach())


class SimKD(Objective):
    """`simkd` on the deepest stage, with a learned projector and a frozen copy of the teacher's head.

    The stage is taken after its activation, as the teacher's head expects it; where stages are read before it, as of
    Wide ResNets, `last_map` is that one.

    As published the network that is taught, judged and saved is then the student's body with the projector and the
    teacher's head, at the cost of the projector. The student's own head is taught by other terms alone.

    Args:
        factor: how much narrower the projector is inside, a whole number >= 1.
        head: "teacher", or "own" to judge and save the student with its own head and without the projector, where
            `cross_entropy` or `kd` teach it.
    """

    reads_teacher_head = True

    def __init__(self, *, factor: int = 2, head: str = "teacher") -> None:
        super().__init__()
        check_count("factor", factor)
        check_choice("head", head, ("teacher", "own"))
        self.factor = factor
        self.head = head
        self.size = (1, 1)
        self.projector: nn.Module = Unbuilt()
        self.teacher_head: nn.Module = Unbuilt()

    def build(self, setup: Setup) -> None:
        student = _deepest(setup.student.stages, setup.student.last_map)
        teacher = _deepest(setup.teacher.stages, setup.teacher.last_map)
        self.size = (teacher.shape[2], teacher.shape[3])
        channels = teacher.shape[1]
        self.projector = Projector(student.shape[1], max(1, channels // self.factor), channels)
        self.teacher_head = setup.frozen_head("simkd", inputs=channels)

    def forward(
        self,
        student_stages: Stages,
        teacher_stages: Stages,
        student_last_map: Tensor | None = None,
        teacher_last_map: Tensor | None = None,
    ) -> Tensor:
        deepest = _deepest(student_stages, student_last_map), _deepest(teacher_stages, teacher_last_map)
        student, teacher = same_size(*deepest)
        return simkd(self.projector(student), teacher)

    def evaluated_network(self, student: Classifier) -> Classifier:
        if self.head == "own":
            return student
        assert isinstance(self.projector, Projector)
        assert isinstance(self.teacher_head, nn.Linear)
        return with_reused_head(student, self.projector, self.teacher_head, self.size)


def _deepest(stages: Stages, last_map: Tensor | None) -> Tensor:
    return stages[-1] if last_map is None else last_map
