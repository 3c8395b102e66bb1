import json

import pytest
import torch
from safetensors import safe_open
from tests.transfer.conftest import image_set

from limbeck.errors import UserError
from limbeck.transfer.galleries import GROUPS
from limbeck.transfer.select import gallery, save_gallery, select


def test_groups_are_the_ends_of_each_fate(toy):
    selection = select(toy, criterion="entropy-whole", budget=20)
    tensors = gallery(toy, selection, per_group=5)
    score_of = dict(zip(toy.ids.tolist(), selection.scores.tolist(), strict=True))
    for group in GROUPS:
        ids = tensors[f"{group}.ids"]
        assert len(ids) == 5
        assert set(ids.tolist()) <= set(toy.ids[selection.chosen == group.startswith("chosen")].tolist())
        among = sorted(
            (score_of[one] for one in toy.ids[selection.chosen == group.startswith("chosen")].tolist()),
            reverse=group.endswith("highest"),
        )
        assert tensors[f"{group}.scores"].tolist() == pytest.approx(among[:5])
        assert torch.equal(tensors[f"{group}.images"], toy.gather(toy.positions(ids)))
        assert torch.equal(tensors[f"{group}.labels"], toy.labels[toy.positions(ids)])
        assert tensors[f"{group}.scores"].dtype == torch.float32


def test_nothing_rejected_and_no_labels():
    images = image_set(None, 4)
    tensors = gallery(images, select(images, criterion="random", budget=4))
    assert tensors["rejected_lowest.images"].shape == (0, 1, 2, 3)
    assert len(tensors["chosen_highest.ids"]) == 4
    assert not any(name.endswith(".labels") for name in tensors)


def test_the_file_says_what_the_numbers_mean(toy, tmp_path):
    selection = select(toy, budget=40)
    save_gallery(tmp_path / "gallery.safetensors", toy, selection)
    with safe_open(tmp_path / "gallery.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["classes"]) == list(toy.classes)
        assert file.metadata()["score"] == "entropy"
        assert file.get_tensor("chosen_highest.images").shape == (12, 1, 2, 3)
        assert file.get_tensor("rejected_highest.images").shape == (0, 1, 2, 3)


def test_at_least_one_image(toy):
    with pytest.raises(UserError, match="`per_group` must be >= 1, got 0"):
        gallery(toy, select(toy, budget=8), per_group=0)
