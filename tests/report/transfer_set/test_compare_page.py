"""The page of several folders that `limbeck select` made."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.report.test_pages import markup, outline
from tests.report.transfer_set.test_section import values

import limbeck as lb
from limbeck.errors import UserError
from limbeck.report import write_selections_report
from limbeck.transfer.details import NUMBERS, TABLE, save_details

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the folder of a selection from handwritten digits, as `limbeck select` does."""
    images = lb.load("digits")

    def made(criterion: str, name: str = "", budget: str = "100", seed: int = 0) -> Path:
        folder = tmp_path / (name or criterion)
        selection = lb.select(images, criterion=criterion, budget=budget, seed=seed)
        selection.transfer_set(images).save(folder)
        save_details(folder, images, selection)
        return folder

    return made


def words_of(page: Path) -> str:
    return markup(page).replace("\N{NO-BREAK SPACE}", " ")


def ids(folder: Path) -> np.ndarray:
    table = pq.read_table(folder / TABLE)
    return table["id"].to_numpy()[table["chosen"].to_numpy()]


def test_selections_are_set_against_one_another(tmp_path: Path, make: Make) -> None:
    folders = [make(name) for name in ("entropy", "variance", "random", "balanced-random")]
    page = write_selections_report(folders, tmp_path / "shared.html")
    found = {frozenset((row["arm"], row["other"])): row for row in values(page, "overlap-0")}
    assert len(found) == 6
    both = len(np.intersect1d(ids(folders[0]), ids(folders[1])))
    assert found[frozenset(("entropy", "variance"))]["both"] == both
    words = words_of(page)
    for part in (
        "<h1>digits/train, 4 selections</h1>",
        "Shared by two selections at 100 images",
        "Each chose 100 of 1,437 images. Two draws by chance would share 7.0 %",
        "share more than chance.",
        "Left out, highest entropy",
        "entropy: 100 of 1,437 images (7.0 %), chosen by entropy",
    ):
        assert part in words, part
    assert "Chosen again" not in words
    assert "balanced random and random share" not in words, "the headline tells of what somebody asked for"
    assert outline(page).scripts == 1


def test_numbers_of_images_are_compared_with_their_equals(tmp_path: Path, make: Make) -> None:
    folders = [make("entropy"), make("variance"), make("kmeans", budget="50"), make("entropy", "small", budget="50")]
    folders.append(make("variance", "alone", budget="20"))
    page = write_selections_report(folders, tmp_path / "shared.html")
    assert len(values(page, "overlap-0")) == len(values(page, "overlap-1")) == 1
    assert "No other chose as many images: alone (20)." in words_of(page)


def test_selections_from_tables_of_scores_have_ids_too(tmp_path: Path, make: Make) -> None:
    images = lb.load("digits")
    table = lb.score_table(images, tmp_path / "scores.parquet", criteria=["entropy"])
    selection = lb.select_from_scores(table, criterion="entropy", budget="100")
    selection.transfer_set(images).save(tmp_path / "from-table")
    save_details(tmp_path / "from-table", images, selection)
    assert (tmp_path / "from-table" / NUMBERS).exists()
    page = write_selections_report([make("entropy"), tmp_path / "from-table"], tmp_path / "shared.html")
    assert values(page, "overlap-0")[0]["share"] == 1


def test_folders_of_one_name_are_told_apart_by_their_paths(tmp_path: Path, make: Make) -> None:
    page = write_selections_report([make("entropy", "a/same"), make("variance", "b/same")], tmp_path / "shared.html")
    assert str(tmp_path / "a/same") in words_of(page)


def test_refusals(tmp_path: Path, make: Make) -> None:
    page, entropy = tmp_path / "shared.html", make("entropy")
    with pytest.raises(UserError, match=r"each once, got .*entropy and .*entropy"):
        write_selections_report([entropy, entropy], page)
    with pytest.raises(UserError, match=r"equally many images, got 100 in .* and 50 in .*; use one budget"):
        write_selections_report([entropy, make("entropy", "half", budget="50")], page)
    other = lb.load("digits", "test")
    selection = lb.select(other, criterion="entropy", budget="100")
    selection.transfer_set(other).save(tmp_path / "other")
    save_details(tmp_path / "other", other, selection)
    with pytest.raises(UserError, match=r"same images, got 'digits/train' in .* and 'digits/test' in .*other"):
        write_selections_report([entropy, tmp_path / "other"], page)
    (entropy / "data/train-00000-of-00001.parquet").unlink()
    with pytest.raises(UserError, match=r"lacks data/train.*where the ids are\. Copy the whole folder"):
        write_selections_report([entropy, make("variance")], page)
    assert not page.exists()
