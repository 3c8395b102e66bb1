"""Discriminative and consistent distillation against the reference's numbers."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives import ICD


def test_value_and_gradient_equal_the_reference() -> None:
    golden = Golden("icd")
    objective = ICD(features=16, alpha=golden.hp["alpha"], max_scale=golden.hp["max_tau"])
    objective.build(golden.setup())
    golden.linear(objective.student_linear, "embed_s")
    golden.linear(objective.teacher_linear, "embed_t")
    # Scale and bias start where the reference's do.
    assert objective.log_scale == golden.parameters["params.tau"]
    assert objective.bias == golden.parameters["params.b"]
    golden.check(objective(**golden.inputs))


def test_scale_is_bounded() -> None:
    embeddings = torch.eye(4), torch.eye(4)
    losses = []
    for value in (2.5, 100.0):
        objective = ICD(max_scale=10)
        objective.student_linear = objective.teacher_linear = torch.nn.Identity()
        with torch.no_grad():
            objective.log_scale.fill_(value)
        losses.append(objective(*embeddings).item())
    assert losses[0] == losses[1]
