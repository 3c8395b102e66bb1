import torch

from limbeck.copies import arrival, copies_alone, to_cpu, to_device

CPU = torch.device("cpu")


def test_on_the_cpu_nothing_is_copied() -> None:
    tensor = torch.arange(3)
    assert not copies_alone(CPU)
    assert to_device(tensor, CPU) is tensor
    assert to_cpu(tensor) is tensor
    arrival(CPU)()


def test_a_gpu_copies_alone() -> None:
    assert copies_alone(torch.device("cuda", 1))
