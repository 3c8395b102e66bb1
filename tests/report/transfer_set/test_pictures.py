import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.report import report_factory as factory

from limbeck.errors import UserError
from limbeck.report.transfer_set.old_layouts import read_gallery
from limbeck.report.transfer_set.pictures import data_uri, picture_groups
from limbeck.transfer.evidence import Evidence, Pictures


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_small_images_survive_to_the_pixel(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 8, 6), dtype=np.uint8)
    pixels = np.asarray(decoded(data_uri(image))).reshape(8, 6, channels)
    assert (np.moveaxis(pixels, -1, 0) == image).all()


def test_large_images_become_thumbnails() -> None:
    uri = data_uri(np.zeros((3, 300, 200), dtype=np.uint8))
    assert uri.startswith("data:image/jpeg")
    assert max(decoded(uri).size) == 112


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (500, 2)])
def test_odd_sizes_are_no_obstacle(size: tuple[int, int]) -> None:
    assert min(decoded(data_uri(np.zeros((1, *size), dtype=np.uint8))).size) >= 1


def test_groups_have_titles_classes_and_scores() -> None:
    groups = picture_groups(factory.evidence())
    assert [title for title, _ in groups][:2] == ["Chosen, highest entropy", "Chosen, lowest entropy"]
    assert len(groups) == 4
    assert all(picture.label in factory.CLASSES and picture.score for _, pictures in groups for picture in pictures)


def test_groups_that_know_less() -> None:
    images = torch.zeros(60, 1, 4, 4, dtype=torch.uint8)
    plain = Pictures(title="Round 1", images=images, ids=torch.arange(60))
    group = Pictures(title="Round 2", images=images[:2], ids=torch.arange(2), labels=torch.tensor([-1, 5]))
    empty = Pictures(title="Round 3", images=images[:0], ids=torch.arange(0))
    groups = picture_groups(Evidence(headline="Solid", pictures=[plain, group, empty], classes=["a"]))
    assert [(title, len(pictures)) for title, pictures in groups] == [("Round 1", 48), ("Round 2", 2)]
    assert {(picture.label, picture.score) for picture in groups[0][1]} == {(None, "")}
    assert [picture.label for picture in groups[1][1]] == [None, "5"]


def test_galleries_of_before(tmp_path: Path) -> None:
    factory.write_gallery(tmp_path / "g.safetensors", count=1, labelled=False, channels=1)
    classes, score, groups = read_gallery(tmp_path / "g.safetensors")
    assert (classes, score) == (list(factory.CLASSES), "entropy")
    assert [group.title for group in groups][3] == "Left out, lowest entropy"
    assert {group.labels for group in groups} == {None}
    assert read_gallery(tmp_path / "absent.safetensors") == ([], "", [])
    (tmp_path / "broken.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UserError, match=r"broken.safetensors cannot be read .* Delete it"):
        read_gallery(tmp_path / "broken.safetensors")
