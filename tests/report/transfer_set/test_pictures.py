import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.report import report_factory as factory

from limbeck.errors import UserError
from limbeck.report.transfer_set.pictures import data_uri, gallery


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_small_images_survive_to_the_pixel(channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (channels, 8, 6), dtype=np.uint8)
    back = np.asarray(decoded(data_uri(image))).reshape(8, 6, channels)
    assert (np.moveaxis(back, -1, 0) == image).all()


def test_large_images_become_thumbnails() -> None:
    uri = data_uri(np.zeros((3, 300, 200), dtype=np.uint8))
    assert uri.startswith("data:image/jpeg")
    assert max(decoded(uri).size) == 112


def test_groups_have_titles_classes_and_scores(tmp_path: Path) -> None:
    factory.write_gallery(tmp_path / "g.safetensors", count=3)
    groups = gallery(tmp_path / "g.safetensors")
    assert [title for title, _ in groups] == [
        "Chosen, highest entropy",
        "Chosen, lowest entropy",
        "Left out, highest entropy",
        "Left out, lowest entropy",
    ]
    assert all(picture.label in factory.CLASSES and picture.score for _, pictures in groups for picture in pictures)


def test_unlabelled_gallery_has_no_classes(tmp_path: Path) -> None:
    factory.write_gallery(tmp_path / "g.safetensors", count=1, labelled=False, channels=1)
    assert {picture.label for _, pictures in gallery(tmp_path / "g.safetensors") for picture in pictures} == {None}


def test_absent_and_broken_files(tmp_path: Path) -> None:
    assert gallery(tmp_path / "absent.safetensors") == []
    (tmp_path / "broken.safetensors").write_bytes(b"not tensors")
    with pytest.raises(UserError, match=r"broken.safetensors cannot be read .* Delete it"):
        gallery(tmp_path / "broken.safetensors")
