"""The queue at any batch size and length."""

import pytest
import torch

from limbeck.objectives.queue import Queue


@pytest.mark.parametrize("length", [1, 5, 7, 8])
def test_it_holds_the_last_embeddings_whatever_the_batches(length: int) -> None:
    queue, pushed = Queue(length, 3), []
    for size in (3, 8, 1, 2, 9, 4):
        batch = torch.randn(size, 3)
        pushed.extend(batch)
        queue.push(batch)
        last = torch.stack(pushed[-length:])
        held = {tuple(row) for row in queue.keys.tolist()}
        assert {tuple(row) for row in last.tolist()} <= held


def test_backward_after_a_push_sees_the_old_content() -> None:
    queue = Queue(4, 3)
    x = torch.randn(2, 3, requires_grad=True)
    before = queue.keys.clone()
    loss = (x @ queue.keys.t()).sum()
    queue.push(torch.randn(4, 3))
    loss.backward()
    torch.testing.assert_close(x.grad, before.sum(0).expand(2, 3))
