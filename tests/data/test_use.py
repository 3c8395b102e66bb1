"""Transfer sets that hold floats, and whatever else is needed to use them correctly."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, save_file

from limbeck.data import ImageSet, TransferSet
from limbeck.data import load as load_images
from limbeck.data.joined import join
from limbeck.errors import UserError

FLOATS = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2
"""Values far outside [0, 1], as learned pixels are."""


def learned(dtype: torch.dtype = torch.float16) -> ImageSet:
    return ImageSet.of_floats(
        FLOATS.to(dtype), [0, 1, 2, 0, 1, 2], ids=[5, 4, 3, 2, 1, 0], classes=["a", "b", "c"], name="learned"
    )


def use() -> dict[str, Any]:
    whitening = {"mean": torch.rand(3, 4, 4), "matrix": torch.rand(48, 48)}
    return {
        "student": {"model": "convnet_d3", "options": {"width": 32}, "whitening": whitening},
        "training": {"epochs": 1000, "learning_rate": 0.0123, "views": "none", "normalised_views": {"dsa": {}}},
        "objective": {"kd": {"weight": 1.0, "temperature": 1.0}},
    }


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.bfloat16])
def test_a_set_with_everything_comes_back_equal(dtype: torch.dtype, tmp_path: Path) -> None:
    whole = TransferSet(learned(dtype), torch.randn(6, 3), soft_label_kind="logits", use=use(), per_image=4)
    whole.save(tmp_path / "set")
    restored = TransferSet.load(tmp_path / "set")
    assert restored.floats is not None
    assert restored.floats.dtype == dtype
    assert torch.equal(restored.floats, FLOATS.to(dtype))
    assert restored.images.fingerprint == whole.images.fingerprint
    assert restored.images.labels is not None
    assert (restored.per_image, restored.images.labels.tolist()) == (4, [0, 1, 2, 0, 1, 2])
    assert whole.use is not None
    assert restored.use is not None
    for name in ("mean", "matrix"):
        assert torch.equal(restored.use["student"]["whitening"][name], whole.use["student"]["whitening"][name])
    for part in ("training", "objective"):
        assert restored.use[part] == whole.use[part]
    assert restored.use["student"]["options"] == {"width": 32}


def test_datasets_opens_its_images_in_eight_bits(tmp_path: Path) -> None:
    TransferSet(learned(), use=use()).save(tmp_path / "set")
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "hf"))
    assert isinstance(rows, datasets.Dataset)
    levels = (FLOATS.half().float() * 255).round().clamp(0, 255).to(torch.uint8)
    for row, image in zip(rows, levels, strict=True):
        assert isinstance(row, dict)
        assert np.array_equal(np.asarray(row["image"]).transpose(2, 0, 1), image.numpy())


def test_the_card_tells_how_to_use_it(tmp_path: Path) -> None:
    TransferSet(learned(), use=use(), per_image=4).save(tmp_path / "set")
    text = (tmp_path / "set" / "README.md").read_text()
    assert "limbeck distill <this folder>" in text
    assert "float16 images in pixels.safetensors" in text
    assert "Each image holds 4, a square of parts" in text
    front_matter = yaml.safe_load(text.split("```yaml")[-1].split("```")[0])
    assert front_matter["training"]["learning_rate"] == 0.0123
    assert front_matter["student"]["whitening"] == {"mean": "a tensor [3, 4, 4]", "matrix": "a tensor [48, 48]"}


def test_a_set_without_is_written_as_ever(tmp_path: Path) -> None:
    pixels = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    TransferSet(ImageSet(pixels)).save(tmp_path / "set")
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["README.md", "data", "transfer_set.json"]
    config = json.loads((tmp_path / "set" / "transfer_set.json").read_text())
    assert config["format"] == 1
    assert not {"use", "floats", "per_image"} & config.keys()
    restored = TransferSet.load(tmp_path / "set")
    assert (restored.use, restored.floats, restored.per_image) == (None, None, 1)


def test_earlier_versions_refuse_what_they_would_overlook(tmp_path: Path) -> None:
    TransferSet(ImageSet(torch.zeros(2, 3, 4, 4, dtype=torch.uint8)), use={}).save(tmp_path / "set")
    assert json.loads((tmp_path / "set" / "transfer_set.json").read_text())["format"] == 2


def test_subsets_and_joined_sets_keep_floats() -> None:
    images = learned()
    subset = images.subset([0, 4])  # ids, at positions 5 and 1
    assert torch.equal(subset.floats(), FLOATS.half()[[5, 1]])
    assert torch.equal(subset.with_labels(None, ["a"]).floats(), subset.floats())
    gray = ImageSet(torch.full((1, 3, 4, 4), 51, dtype=torch.uint8))
    both = join([images, gray], [1, 0], [0, 2], ids=[0, 1], classes=("a",), name="both")
    assert both.has_floats
    assert torch.equal(both.floats(), torch.stack([torch.full((3, 4, 4), 51) / 255, FLOATS.half()[2].float()]))
    assert not join([images, gray], [1], [0], ids=[0], classes=("a",), name="gray").has_floats


def test_floats_that_look_alike_are_told_apart() -> None:
    images, other = learned(), FLOATS.half().clone()
    other[0, 0, 0, 0] = 9  # white in 8 bits, as is whatever is beyond 1
    altered = ImageSet.of_floats(other, images.labels, ids=images.ids, classes=images.classes)
    beyond = FLOATS.half()[0, 0, 0, 0] > 1
    assert torch.equal(altered.tensor(), images.tensor()) == bool(beyond)
    assert altered.fingerprint != images.fingerprint


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(2, 3, 4, 4, dtype=torch.uint8),
            r"must be a tensor of floats in units of \[0, 1\], got torch.uint8",
        ),
        (torch.zeros(3, 4, 4), r"must be \[N, C, H, W\] with C 1 or 3, got \[3, 4, 4\]"),
        (torch.full((2, 3, 4, 4), torch.nan), "must be finite, image 0 is not"),
    ],
)
def test_what_are_no_floats_is_said(images: torch.Tensor, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageSet.of_floats(images)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("dsa", "`use` must be a mapping of student, training, objective, teacher, got str"),
        ({"trainings": {}}, "part of `use` 'trainings'; did you mean 'training'"),
        ({"training": 5}, r"`use\['training'\]` must be a mapping, as recipes have it, got 5"),
        ({"training": {"epochs": float("nan")}}, "training.epochs must be a finite number, text, .* got nan"),
        ({"training": {"a.b": 1}}, "the keys of training must be texts without dots, got 'a.b'"),
        ({"student": {"whitening": {"mean": torch.tensor([torch.inf])}}}, "student.whitening.mean must be floats"),
    ],
)
def test_a_use_that_cannot_be_written_down_is_refused(said: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TransferSet(learned(), use=said)


@pytest.mark.parametrize(
    ("per_image", "message"),
    [(2, "`per_image` must be a square, as 1, 4 or 9, got 2"), (9, "needs images of at least 3x3, got 2x2")],
)
def test_images_hold_so_many_others(per_image: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TransferSet(ImageSet(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)), per_image=per_image)


def test_folders_of_which_something_was_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    TransferSet(learned(), use=use()).save(folder)
    pixels, tensors = (
        load((folder / "pixels.safetensors").read_bytes()),
        load((folder / "use.safetensors").read_bytes()),
    )

    (folder / "use.safetensors").unlink()
    with pytest.raises(UserError, match=r"is not there in use.safetensors. Copy the whole folder again"):
        TransferSet.load(folder)
    save_file({**tensors, "student.whitening.mean": torch.ones(3, 4, 4)}, folder / "use.safetensors")
    with pytest.raises(UserError, match=r"student.whitening.mean is another in use.safetensors"):
        TransferSet.load(folder)
    save_file(tensors, folder / "use.safetensors")

    (folder / "pixels.safetensors").write_bytes(b"{}")
    with pytest.raises(UserError, match=r"pixels.safetensors' is damaged"):
        TransferSet.load(folder)
    save_file({"pixels": pixels["pixels"].flip(0).contiguous()}, folder / "pixels.safetensors")
    with pytest.raises(UserError, match=r"pixels.safetensors and data/train-00000-of-00001.parquet hold other images"):
        TransferSet.load(folder)
    save_file({"pixels": pixels["pixels"][:2].contiguous()}, folder / "pixels.safetensors")
    with pytest.raises(UserError, match=r"pixels.safetensors does not hold the 6 images"):
        TransferSet.load(folder)
    nearly = torch.where(pixels["pixels"] > 1, pixels["pixels"] * 2, pixels["pixels"])  # equal in 8 bits
    save_file({"pixels": nearly}, folder / "pixels.safetensors")
    with pytest.raises(UserError, match="holds other images, ids or labels"):
        TransferSet.load(folder)
    (folder / "pixels.safetensors").unlink()
    with pytest.raises(UserError, match=r"lacks pixels.safetensors; copy the whole folder"):
        TransferSet.load(folder)


@pytest.mark.parametrize("floating", [False, True])
def test_what_images_hold_is_taught_as_images(floating: bool) -> None:
    """Decoding 8-bit images gives floats, too, as enlarging them in 8 bits would round."""
    images = learned() if floating else ImageSet(learned().tensor(), learned().labels, classes=["a", "b", "c"])
    soft = torch.randn(6, 3)
    provenance = {"source": list("abcdef"), "row": torch.arange(6)}
    transfer_set = TransferSet(images, soft, provenance, soft_label_kind="logits", use=use(), per_image=4)
    whole = transfer_set.decoded()
    assert transfer_set.use is not None
    assert whole.use is not None
    assert (len(whole), whole.per_image, whole.use["training"]) == (24, 1, transfer_set.use["training"])
    assert whole.images.labels is not None
    assert whole.images.labels.tolist() == [label for label in [0, 1, 2, 0, 1, 2] for _ in range(4)]
    assert whole.soft_labels is not None
    assert torch.equal(whole.soft_labels, soft.repeat_interleave(4, dim=0))
    assert whole.provenance["source"] == [name for name in "abcdef" for _ in range(4)]
    assert torch.equal(torch.as_tensor(whole.provenance["row"]), torch.arange(6).repeat_interleave(4))
    exact = FLOATS.half().float() if floating else images.tensor().float() / 255
    corner = exact[:, :, :2, 2:].repeat_interleave(2, 2).repeat_interleave(2, 3)[:, :, ::3, ::3]  # of the second part
    assert whole.floats is not None
    assert torch.allclose(whole.floats[1::4, :, ::3, ::3], corner)
    assert torch.equal(TransferSet(images).decoded().images.tensor(), images.tensor())


def test_loading_the_images_alone_says_what_is_left(tmp_path: Path) -> None:
    TransferSet(learned(), use=use(), per_image=4).save(tmp_path / "set")
    message = "carries floats and several images in each and how students are taught on it, and only its 8-bit images"
    with pytest.warns(UserWarning, match=message):
        images = load_images(tmp_path / "set")
    assert torch.equal(images.tensor(), learned().tensor())
