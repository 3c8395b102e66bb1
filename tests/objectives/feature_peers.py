"""Golden numbers of semckd, simkd and srrl: three losses of one batch of teacher and student features."""

from collections.abc import Callable

import pytest
import torch
from tests.objectives.golden import Golden
from torch import nn

from limbeck.models import Outputs
from limbeck.objectives import Objective, Setup

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


class FeaturePeer:
    """The numbers of one of the losses, and what it was computed from.

    Args:
        loss: "semckd", "simkd" or "srrl".
        dtype: of all tensors.
    """

    def __init__(self, loss: str, dtype: torch.dtype) -> None:
        self.golden = Golden("features", "peers", case="0", loss=loss, dtype=dtype)
        self.loss, self.dtype = loss, dtype
        self.student, self.teacher = self._outputs("student"), self._outputs("teacher")
        self.head = nn.Linear(24, 11)
        self.head.load_state_dict(self.golden.state("head."))

    def build(self, objective: Objective, name: Callable[[str], str]) -> None:
        """Gives the objective the reference's weights.

        Args:
            objective: not built yet.
            name: of a weight of ours -> the reference's, which does not write the `weight` of layers without bias.
        """
        setup = Setup(self.student, self.teacher, ids=torch.arange(8), batch_size=8, teacher_head=self.head)
        objective.build(setup)
        parameters = self.golden.state(f"{self.loss}.")
        for own_name, parameter in objective.named_parameters():
            if not own_name.startswith("teacher_head."):
                peer_name = name(own_name)
                value = parameters.pop(peer_name if peer_name in parameters else peer_name.removesuffix(".weight"))
                parameter.data.copy_(value.view_as(parameter))
        assert not parameters, "all of the reference's weights are used"
        objective.to(self.dtype).train()

    def _outputs(self, who: str) -> Outputs:
        inputs = self.golden.inputs
        stages = tuple(inputs[f"{who}_stage.{index}"] for index in range(4))
        return Outputs(inputs["teacher_logits"], inputs[f"{who}_embedding"], stages)
