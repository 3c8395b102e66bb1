import pytest
import torch
from torch.nn.functional import kl_div

from limbeck.errors import UserError
from limbeck.transfer.generate.replay import gaps, learned


def test_the_gap_is_the_divergence() -> None:
    teacher, student = torch.randn(2, 9, 5, generator=torch.Generator().manual_seed(0)) * 4
    expected = kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="none").sum(1)
    torch.testing.assert_close(gaps(teacher, student), expected)
    assert gaps(teacher, teacher + 3).abs().max() < 1e-5
    assert bool(gaps(teacher * 1e3, student * 1e3).isfinite().all())


def test_those_who_agree_best_leave() -> None:
    found = torch.tensor([0.3, 0.1, 0.9, 0.1, 0.0])
    assert learned(found, 3).tolist() == [4, 1]
    assert learned(found, 5).tolist() == learned(found, 9).tolist() == []
    assert learned(found, 0).tolist() == [4, 1, 3, 0, 2]
    assert learned(torch.empty(0), 3).tolist() == []


def test_message() -> None:
    with pytest.raises(UserError, match=r"`student_logits` must be \[2, 3\], as the teacher's, got \[2, 4\]"):
        gaps(torch.rand(2, 3), torch.rand(2, 4))
