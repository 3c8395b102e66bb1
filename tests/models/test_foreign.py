"""State dicts from elsewhere: found, stripped of prefixes, fitted, or refused with all differences listed."""

from collections import OrderedDict
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from limbeck.errors import UserError
from limbeck.models import Classifier, create, load_state
from limbeck.models.weights.read import read_state

State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    """Weights that differ from those of `fresh` in every value."""
    network = create("vgg8_w2", num_classes=4, seed=1).network
    return {key: value + 1 for key, value in network.state_dict().items()}


@pytest.fixture
def fresh() -> Classifier:
    return create("vgg8_w2", num_classes=4, seed=2)


def renamed(state: State, old: str, new: str) -> State:
    return {key.replace(old, new, 1) if key.startswith(old) else key: value for key, value in state.items()}


def arrived(classifier: Classifier, state: State) -> bool:
    return all(torch.equal(value, state[key]) for key, value in classifier.network.state_dict().items())


@pytest.mark.parametrize("nest", [None, "state_dict", "model", "model_state_dict", "net", "student"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "model.", "backbone.", "network."])
def test_nests_and_prefixes(tmp_path: Path, fresh: Classifier, state: State, nest: str | None, prefix: str) -> None:
    content = OrderedDict((prefix + key, value) for key, value in state.items())
    torch.save({nest: content, "epoch": 3, "best": torch.tensor(0.9)} if nest else content, tmp_path / "weights.pth")
    load_state(fresh, tmp_path / "weights.pth")
    assert arrived(fresh, state)


def test_nest_in_a_nest(fresh: Classifier, state: State) -> None:
    load_state(fresh, {"model": {"state_dict": state}})
    assert arrived(fresh, state)


def test_bare_module_takes_weights_too(state: State, fresh: Classifier) -> None:
    load_state(fresh.network, fresh.network.state_dict() | state)
    assert arrived(fresh, state)


def test_safetensors(tmp_path: Path, fresh: Classifier, state: State) -> None:
    safetensors.torch.save_file(state, tmp_path / "weights.safetensors")
    load_state(fresh, tmp_path / "weights.safetensors")
    assert arrived(fresh, state)


@pytest.mark.parametrize("head", ["fc", "linear", "classifier", "classifier.0", "last_linear"])
def test_head_of_another_name(fresh: Classifier, state: State, head: str) -> None:
    load_state(fresh, renamed(state, "head", head))
    assert arrived(fresh, state)


def test_two_heads_are_not_guessed(fresh: Classifier, state: State) -> None:
    both = renamed(state, "head", "fc") | {"linear.weight": state["head.weight"], "linear.bias": state["head.bias"]}
    with pytest.raises(UserError, match=r"2 missing: head.weight, head.bias; 4 unexpected: fc.weight, fc.bias"):
        load_state(fresh, both)


def test_old_files_lack_counters(fresh: Classifier, state: State) -> None:
    load_state(fresh, {key: value for key, value in state.items() if "num_batches" not in key})
    assert torch.equal(fresh.network.get_parameter("head.bias"), state["head.bias"])


def test_other_number_of_classes(fresh: Classifier) -> None:
    other = create("vgg8_w2", num_classes=9).network.state_dict()
    with pytest.raises(
        UserError,
        match=r"do not fit vgg8_w2; 2 of another shape: head.weight \(file \[9, 16\], network \[4, 16\]\), .*"
        "Only the head differs: give the `num_classes` that the weights have",
    ):
        load_state(fresh, other)


def test_another_network_changes_nothing(fresh: Classifier) -> None:
    before = {key: value.clone() for key, value in fresh.network.state_dict().items()}
    other = create("resnet8", num_classes=4).network.state_dict()
    with pytest.raises(
        UserError, match=r"in 'x.pth' do not fit vgg8_w2; \d+ missing: .* and \d+ more; \d+ unexpected: "
    ):
        load_state(fresh, other, source="x.pth")
    assert arrived(fresh, before)


def test_nan(fresh: Classifier, state: State) -> None:
    state["block1.0.weight"][0, 0, 0, 0] = float("nan")
    state["head.bias"][1] = float("inf")
    with pytest.raises(UserError, match=r"hold NaN or infinity in block1.0.weight, head.bias; the training"):
        load_state(fresh, state)


def test_one_name_twice(fresh: Classifier, state: State) -> None:
    both = {f"student.{key}": value for key, value in state.items()} | {f"model.{k}": v for k, v in state.items()}
    with pytest.raises(UserError, match=r"holds 'block0.0.weight' more than once, under different prefixes"):
        load_state(fresh, both)


def test_several_nests(fresh: Classifier, state: State) -> None:
    with pytest.raises(UserError, match=r"holds several state dicts \(model, student\)"):
        load_state(fresh, {"student": state, "model": state})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3}, "holds no weights; a state dict was looked for, found epoch"),
        ({}, "found nothing"),
        ([torch.zeros(1)], "must hold a state dict, got list"),
    ],
)
def test_no_weights(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(UserError, match=message):
        read_state(tmp_path / "weights.pt")


@pytest.mark.parametrize("number", [np.float64(93.1), np.float32(0.5), np.float16(0.5), np.int64(3), np.bool_(True)])
def test_numbers_of_numpy_beside_the_weights(tmp_path: Path, state: State, number: object) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"model": state, "best_acc": number}, path)
    read = read_state(path)
    assert all(torch.equal(read[key], value) for key, value in state.items())
    # As NumPy 1 named the module.
    path.write_bytes(pickled_by_numpy_1({"model": state, "best_acc": number}))
    assert read_state(path).keys() == state.keys()


def pickled_by_numpy_1(content: object) -> bytes:
    """What `torch.save` writes in its older format, which is one pickle after the other, with the older name."""
    file = BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


class Trojan:
    """An object that would run a command when unpickled."""

    def __reduce__(self) -> tuple:
        import os

        return os.system, ("exit 1",)


@pytest.mark.parametrize("content", [Trojan(), torch.nn.Linear(2, 2)])
def test_pickle_is_refused(tmp_path: Path, content: object) -> None:
    torch.save({"state_dict": content}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"needs pickle .for [a-z.A-Z]+.,.*is refused.*convert it once: `torch.save"):
        read_state(tmp_path / "weights.pth")


def test_objects_in_numbers_of_numpy_are_refused(tmp_path: Path) -> None:
    torch.save({"model": np.array([Trojan()], dtype=object)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=r"needs pickle"):
        read_state(tmp_path / "weights.pth")


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
@pytest.mark.parametrize("kept", [0, 10, 1000])
def test_truncated(tmp_path: Path, state: State, name: str, kept: int) -> None:
    path = tmp_path / name
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"is (damaged|no complete safetensors file).*copy it again"):
        read_state(path)


def test_text_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"is damaged or no file of torch.save"):
        read_state(tmp_path / "weights.pt")


def test_no_such_file_and_unknown_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no weights file '.*nothing.pth'; check the path"):
        read_state(tmp_path / "nothing.pth")
    (tmp_path / "weights.npz").touch()
    with pytest.raises(UserError, match=r"must be a file of type .safetensors, .pth"):
        read_state(tmp_path / "weights.npz")
