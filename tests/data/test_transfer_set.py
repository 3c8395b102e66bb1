import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml

from limbeck.data import ImageSet, TransferSet, load
from limbeck.errors import UserError


@pytest.fixture
def full(small_set: ImageSet) -> TransferSet:
    generator = torch.Generator().manual_seed(0)
    return TransferSet(
        small_set,
        torch.rand(12, 3, generator=generator),
        {
            "source": ["one"] * 6 + ["other"] * 5 + [None],
            "source_id": torch.arange(100, 112),
            "score": torch.randn(12, generator=generator, dtype=torch.float64),
            "confidence": torch.rand(12, generator=generator),
            "kept": torch.arange(12) % 2 == 0,
            "weight": [0.1 * number for number in range(12)],
        },
        {"maker": "random", "budget": 12, "seed": 3},
    )


def test_round_trip_is_exact(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    same = TransferSet.load(tmp_path / "set")
    assert torch.equal(same.images.tensor(), full.images.tensor())
    assert same.images.fingerprint == full.images.fingerprint
    assert same.images.ids.tolist() == full.images.ids.tolist()
    assert (same.images.classes, same.images.name, len(same)) == (full.images.classes, "small", 12)
    assert same.soft_labels is not None
    assert full.soft_labels is not None
    assert torch.equal(same.soft_labels, full.soft_labels)
    assert same.about == full.about
    assert list(same.provenance) == list(full.provenance)
    for name, values in full.provenance.items():
        restored = same.provenance[name]
        if isinstance(values, torch.Tensor):
            assert isinstance(restored, torch.Tensor)
            assert restored.dtype == values.dtype
            assert torch.equal(restored, values)
        else:
            assert restored == values


def test_gray_unlabelled_subset_round_trip(tmp_path: Path):
    pixels = torch.randint(0, 256, (5, 1, 7, 3), dtype=torch.uint8)
    some = ImageSet(pixels, classes=["a", "b"]).subset([4, 1, 2])
    TransferSet(some, torch.zeros(3, 2, dtype=torch.bfloat16)).save(tmp_path / "set")
    same = TransferSet.load(tmp_path / "set")
    assert (same.images.labels, same.images.classes, same.provenance) == (None, ("a", "b"), {})
    assert same.images.fingerprint == some.fingerprint
    assert same.soft_labels is not None
    assert same.soft_labels.dtype == torch.float32


def test_datasets_opens_it(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "hf"))
    assert isinstance(rows, datasets.Dataset)
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["label"].names == ["ant", "bee", "cat"]
    assert rows.features["score"].dtype == "float64"
    assert full.soft_labels is not None
    for row, image, soft_label in zip(rows, full.images.tensor(), full.soft_labels, strict=True):
        assert isinstance(row, dict)
        assert np.array_equal(np.asarray(row["image"]).transpose(2, 0, 1), image.numpy())
        assert torch.equal(torch.tensor(row["soft_label"]), soft_label)
    assert rows["id"][:] == full.images.ids.tolist()
    assert rows["source"][-1] is None


def test_card_describes_it(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    _, front, text = (tmp_path / "set" / "README.md").read_text().split("---\n", 2)
    info = yaml.safe_load(front)["dataset_info"]
    assert info["splits"][0]["num_examples"] == 12
    assert info["features"][2] == {
        "name": "label",
        "dtype": {"class_label": {"names": {"0": "ant", "1": "bee", "2": "cat"}}},
    }
    assert "12 images of 3x4x4 in 3 classes" in text
    assert "maker: random" in text
    config = json.loads((tmp_path / "set" / "transfer_set.json").read_text())
    assert config["fingerprint"] == full.images.fingerprint


def test_load_reads_its_images(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    images = load(tmp_path / "set")
    assert torch.equal(images.tensor(), full.images.tensor())
    assert images.classes == full.images.classes


def test_existing_folder_is_never_overwritten(full: TransferSet, tmp_path: Path):
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match=r"'.*/set' exists already and is never overwritten"):
        full.save(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_contradictions_are_named(small_set: ImageSet):
    soft_labels = torch.zeros(12, 3)
    with pytest.raises(UserError, match=r"`soft_labels` must be \[12, 3\], one row per image .*, got \[12, 4\]"):
        TransferSet(small_set, torch.zeros(12, 4))
    with pytest.raises(UserError, match=r"`soft_labels` must be floats, got torch.int64"):
        TransferSet(small_set, soft_labels.long())
    soft_labels[5, 1] = torch.nan
    with pytest.raises(UserError, match="`soft_labels` must be finite, row 5 is not"):
        TransferSet(small_set, soft_labels)
    with pytest.raises(UserError, match=r"`provenance\['score'\]` must be \[12\], one per image, got \[3\]"):
        TransferSet(small_set, provenance={"score": [1, 2, 3]})
    with pytest.raises(UserError, match="`provenance` must not use the names image, label, id, soft_label, got 'id'"):
        TransferSet(small_set, provenance={"id": list(range(12))})


@pytest.mark.parametrize("values", [[[1]] * 12, ["a", 1] * 6])
def test_provenance_is_strings_or_numbers(small_set: ImageSet, values: list, tmp_path: Path):
    with pytest.raises(UserError, match=r"`provenance\['odd'\]` must be strings or numbers of one kind"):
        TransferSet(small_set, provenance={"odd": values}).save(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_transfer_set_is_named(full: TransferSet, tmp_path: Path):
    with pytest.raises(UserError, match=r"is no transfer set: it has no transfer_set.json"):
        TransferSet.load(tmp_path)
    full.save(tmp_path / "set")
    config = tmp_path / "set" / "transfer_set.json"
    config.write_text(config.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(UserError, match="must be of format 1, got 99; update limbeck"):
        TransferSet.load(tmp_path / "set")
    config.write_text("{")
    with pytest.raises(UserError, match=r"transfer_set.json' is damaged"):
        TransferSet.load(tmp_path / "set")
