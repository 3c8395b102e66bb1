import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from limbeck.errors import UserError
from limbeck.transfer.condense.synthetic import SyntheticSet

INPUTS = torch.arange(24.0).view(2, 3, 2, 2)
LOGITS = torch.tensor([[0.0, 1.0, 2.0], [3.0, 1.0, 2.0]])


def test_it_holds_copies() -> None:
    inputs, labels = INPUTS.clone(), LOGITS.clone()
    synthetic = SyntheticSet(inputs, labels, 0.02)
    inputs.zero_()
    labels.zero_()
    assert torch.equal(synthetic.inputs, INPUTS)
    assert torch.equal(synthetic.labels, LOGITS)
    assert synthetic.learned.all()


def test_soft_and_hard_labels() -> None:
    soft = SyntheticSet(INPUTS.half(), LOGITS.double(), torch.tensor(0.02))
    assert soft.soft
    assert soft.inputs.dtype == soft.labels.dtype == soft.rate.dtype == torch.float32
    assert soft.classes().tolist() == [2, 0]
    hard = SyntheticSet(INPUTS, torch.tensor([1, 0], dtype=torch.int32), 0.02)
    assert not hard.soft
    assert hard.classes().tolist() == [1, 0]
    assert hard.labels.dtype == torch.int64


@pytest.mark.parametrize("labels", [LOGITS, torch.tensor([2, 0])])
def test_its_state_comes_back_from_a_file(labels: Tensor) -> None:
    synthetic = SyntheticSet(INPUTS, labels, 0.02, torch.tensor([True, False]))
    other = SyntheticSet(torch.zeros_like(INPUTS), torch.zeros_like(labels), 1.0)
    other.load_state_dict(load(save(synthetic.state_dict())))
    for name, value in synthetic.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_states_of_other_sets_are_refused() -> None:
    synthetic = SyntheticSet(INPUTS, LOGITS, 0.02)
    with pytest.raises(
        UserError, match=r"`labels` of the synthetic set must be torch.float32 \[2, 3\], got torch.int64"
    ):
        synthetic.load_state_dict(SyntheticSet(INPUTS, torch.tensor([0, 1]), 0.02).state_dict())
    with pytest.raises(UserError, match=r"`rate` of the synthetic set must be .*, got none"):
        synthetic.load_state_dict({"inputs": INPUTS, "labels": LOGITS})


@pytest.mark.parametrize(
    ("inputs", "labels", "rate", "learned", "match"),
    [
        (INPUTS[0], LOGITS, 0.1, None, r"`inputs` must be images \[N, C, H, W\]"),
        (INPUTS[:0], LOGITS[:0], 0.1, None, "N at least 1"),
        (INPUTS, LOGITS[:1], 0.1, None, r"logits \[N, K\] or class numbers \[N\] of 2 images, got .* \[1, 3\]"),
        (INPUTS, LOGITS.argmax(1, keepdim=True), 0.1, None, r"`labels` must be logits"),
        (INPUTS, torch.tensor([0, -1]), 0.1, None, "class numbers from 0, got -1"),
        (INPUTS, LOGITS / 0, 0.1, None, "`labels` must be finite, got 6 that are not"),
        (INPUTS.log(), LOGITS, 0.1, None, "`inputs` must be finite, got 1 that are not"),
        (INPUTS, LOGITS, 0.0, None, r"`rate` must be one finite number > 0, got 0\.0"),
        (INPUTS, LOGITS, float("inf"), None, "`rate` must be one finite number > 0, got inf"),
        (INPUTS, LOGITS, torch.ones(1), None, r"`rate` must be one finite number > 0, got \[1\.0\]"),
        (INPUTS, LOGITS, 0.1, torch.ones(2), r"`learned` must be bool \[2\], one for each image"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    inputs: Tensor, labels: Tensor, rate: Tensor | float, learned: Tensor | None, match: str
) -> None:
    with pytest.raises(UserError, match=match):
        SyntheticSet(inputs, labels, rate, learned)
