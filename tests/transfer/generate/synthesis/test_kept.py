import torch
from torch import Tensor

from limbeck.transfer.generate.synthesis.kept import Keep, Kept

TOTALS = [[3.0, 1.0, 2.0], [1.0, 2.0, 2.5], [2.0, 4.0, 0.0]]  # of three images, step by step


def kept(keep: Keep) -> Tensor:
    """The step that is kept of each image."""
    made = Kept(keep)
    for step, totals in enumerate(TOTALS):
        made.offer(torch.tensor(totals), {"step": torch.full((3,), step), "images": torch.full((3, 1, 2, 2), step)})
        resumed = Kept(keep)
        resumed.load_state_dict(made.state_dict(), torch.device("cpu"))
        made = resumed
    assert torch.equal(made.parts["images"][:, 0, 0, 0], made.parts["step"])
    return made.parts["step"]


def test_of_each_image_its_best_step_stays_or_the_best_of_all_or_the_last() -> None:
    assert kept("best-image").tolist() == [1, 0, 2]
    assert kept("best-batch").tolist() == [1, 1, 1]
    assert kept("last").tolist() == [2, 2, 2]


def test_of_equal_steps_the_first_stays() -> None:
    made = Kept("best-image")
    for step in range(2):
        made.offer(torch.zeros(2), {"step": torch.full((2,), step)})
    assert made.parts["step"].tolist() == [0, 0]
