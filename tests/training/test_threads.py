"""Small steps run on a single thread."""

import torch
from tests.training.tiny import network

from limbeck.training.threads import ONE_THREAD, threads_for, work_of_step

CPU = torch.device("cpu")


def test_small_work_has_one_thread_and_the_number_comes_back() -> None:
    before = torch.get_num_threads()
    with threads_for(ONE_THREAD - 1, CPU):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_large_work_and_other_devices_keep_their_threads() -> None:
    before = torch.get_num_threads()
    for work, device in ((ONE_THREAD, CPU), (0, torch.device("meta"))):
        with threads_for(work, device):
            assert torch.get_num_threads() == before


def test_work_counts_three_passes_of_the_student_and_one_of_the_teacher() -> None:
    alone = work_of_step(network(), None, (1, 8, 8), 10)
    assert work_of_step(network(), network(), (1, 8, 8), 10) == alone + alone / 3
