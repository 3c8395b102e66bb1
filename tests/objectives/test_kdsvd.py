"""Singular vectors against the reference's numbers, and their gradient against torch's own."""

import torch
from tests.objectives.golden import Golden

from limbeck.objectives.functional import kdsvd
from limbeck.objectives.kdsvd import leading_vectors


def test_value_equals_the_reference() -> None:
    golden = Golden("kdsvd", "extras")
    golden.check(kdsvd(golden.stages("student"), golden.stages("teacher")))


def test_gradient_of_singular_vectors_equals_that_of_the_decomposition() -> None:
    stage = torch.randn(3, 6, 4, 4, requires_grad=True)
    mix = torch.randn(3, 6, 4)
    vectors = leading_vectors(stage, 4)[0]
    reference = torch.linalg.svd(stage.flatten(2).mT, full_matrices=False).Vh.mT[:, :, :4]
    torch.testing.assert_close(vectors, reference)
    # Of squares, which do not depend on the sign of a vector.
    grads = [torch.autograd.grad((mix * tensor.square()).sum(), stage)[0] for tensor in (vectors, reference)]
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-4)


def test_fewer_places_than_channels() -> None:
    stages = [torch.randn(2, 9, 2, 2, requires_grad=True) for _ in range(2)]
    kdsvd(stages, [torch.randn(2, 9, 4, 4) for _ in range(2)]).backward()
    assert all(stage.grad is not None and stage.grad.isfinite().all() for stage in stages)
