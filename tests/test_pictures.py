"""The pictures of the documentation's pages: each is drawn by a script in `docs`, and small."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from limbeck.data import ImageSet, TransferSet

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def drawing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    module = importlib.import_module("make_pictures")
    (tmp_path / "images").mkdir()
    monkeypatch.setattr("picture_sheets.IMAGES", tmp_path / "images")
    return module


def test_every_picture_is_drawn_by_the_script_and_shown() -> None:
    script = "".join(file.read_text(encoding="utf-8") for file in DOCS.glob("make*_pictures.py"))
    pages = [*DOCS.glob("*.md"), DOCS / "site_pages/illustrations.py"]
    shown = {name for page in pages for name in re.findall(r"\((?:\.\./)*images/([\w.-]+)\)", page.read_text("utf-8"))}
    assert {file.name for file in (DOCS / "images").iterdir()} == shown
    for name in shown:
        assert f'"{name}"' in script
        assert (DOCS / "images" / name).stat().st_size <= 60_000


def test_what_is_there_is_drawn(drawing: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    colours = np.array([[200, 0, 0], [0, 180, 0], [0, 0, 160], [90, 90, 90]], dtype=np.uint8)
    pixels = np.broadcast_to(colours[:, :, None, None], (4, 3, 8, 8)).copy()
    for by in ("margin", "boundary"):
        folder = tmp_path / f"runs/borrowed-{by}/evidence"
        folder.mkdir(parents=True)
        save_file(
            {f"{block}.images": pixels for block in range(6)}, folder / "pictures.safetensors"
        )  # of three classes
    TransferSet(ImageSet(pixels, labels=[1, 0, 1, 0], classes=["a", "b"])).save(tmp_path / "runs/made")
    drawing.main(tmp_path)
    with Image.open(tmp_path / "images/borrow.png") as drawn:
        assert drawn.size == (3 * 16 + 2 * 4, 4 * 16 + 3 * 4)
    with Image.open(tmp_path / "images/generate.png") as drawn:
        assert drawn.size == (2 * 48 + 4, 3 * 48 + 2 * 4)
        first, last = (drawn.convert("RGB").getpixel(place) for place in ((0, 52), (52, 104)))
    assert (first, last) == ((0, 180, 0), (0, 0, 160))  # the first of one class, the last of the other
    assert "no enough/frontier.svg" in capsys.readouterr().out


def test_a_chart_keeps_all_that_is_seen(drawing: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "runs/enough").mkdir(parents=True)
    chart = '<svg><path aria-label="a point" class="mark" role="mark" d="M0,0h9" fill="red"/></svg>'
    (tmp_path / "runs/enough/frontier.svg").write_text(chart, encoding="utf-8")
    drawing.main(tmp_path)
    assert (tmp_path / "images/compare.svg").read_text("utf-8") == '<svg><path d="M0,0h9" fill="red"/></svg>'
