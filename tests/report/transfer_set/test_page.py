"""The page of a transfer set: of any maker, and of a folder that `limbeck select` made before there was evidence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.report import report_factory as factory
from tests.report.test_pages import EVIL, markup, outline
from tests.report.transfer_set.test_old_layouts import section, spec, values

from limbeck.errors import UserError
from limbeck.report import write_run_report, write_selection_report
from limbeck.transfer.evidence import Evidence, Pictures, table_rows
from limbeck.transfer.summary import summarise


def page_of(folder: Path, columns: dict[str, Any] | None = None, **words: Any) -> Path:
    """The page of a transfer set with hand-made evidence."""
    factory.write_json(folder / "transfer_set.json", {"name": "set", "classes": words.get("classes", [])})
    rows = None if columns is None else lambda: iter([columns])
    Evidence(**{"headline": "Solid colours, one more a round", "rows": rows, **words}).save(folder / "evidence")
    return write_selection_report(folder)


def test_transfer_set_says_everything(tmp_path: Path) -> None:
    page = write_selection_report(factory.write_transfer_set(tmp_path / "mine", groups=20))
    words = markup(page).replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "90 of 900 images of cifar10, by their entropy.",
        "<h1>mine</h1>",
        "of 900",
        "Left out, highest entropy",
        "seed: 3",
        "read that alone",
        "Images by score",
        "Images by cluster",
        "Share chosen of each cluster",
    ):
        assert part in words, part
    assert sum(row["to"] - row["from"] for row in values(page, "scores")) == 900
    assert words.count("90 of 900 images") == 1
    assert outline(page).scripts == 1


def test_makers_that_left_nothing_out_score_nothing_and_go_in_rounds(tmp_path: Path) -> None:
    rounds = np.repeat(np.arange(12), np.arange(1, 13))
    columns = {"id": np.arange(78), "chosen": np.ones(78, dtype=bool), "group": rounds}
    pictures = [factory.pictures(f"Round {place + 1}", place + 1, side=8) for place in range(3)]
    page = page_of(tmp_path, columns, group="round", group_order="first to last", pictures=pictures)
    words = section(page)
    for part in ("Each round holds 1 to 12 images.", "Images by round", "Round 3", ">The transfer set</h2>"):
        assert part in words, part
    for absent in ("left out", "Share chosen", "score", "class "):
        assert absent not in words.replace('class="', "").lower(), absent
    assert "12 rounds, first to last" in json.dumps(spec(page, "groups"))
    sizes = [row["chosen"] for row in values(page, "groups")]
    assert sizes == list(range(1, 13)), "in the order of the rounds"
    facts = markup(page)
    assert "<dt>images</dt><dd><strong>78</strong></dd>" in facts
    assert outline(page).scripts == 1


def test_sentences_alone_are_a_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, notes=["Nothing was looked at."], facts={"rounds": "none"})
    words = markup(page)
    for part in ("Solid colours, one more a round.", "Nothing was looked at.", "<dt>rounds</dt>"):
        assert part in words, part
    assert outline(page).scripts == 1


def test_several_sources_stand_side_by_side(tmp_path: Path) -> None:
    source = np.array(["flowers", "birds", "birds"] * 20)
    columns = {"id": np.arange(60), "source": source, "chosen": np.arange(60) % 4 == 0}
    page = page_of(tmp_path / "two", columns)
    assert {row["name"]: row["size"] for row in values(page, "source-balance")} == {"flowers": 20, "birds": 40}
    assert "the share of the source that was chosen" in section(page)
    single = page_of(tmp_path / "one", columns | {"source": np.full(60, "birds")})
    assert 'data-chart="source-balance"' not in markup(single)
    many = page_of(tmp_path / "many", columns | {"source": np.array([f"source {place}" for place in range(60)])})
    assert "The 8 sources of which most" in section(many)


@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
def test_any_number_of_classes(tmp_path: Path, count: int) -> None:
    labels = np.arange(9 * count) % count
    columns = {"id": np.arange(9 * count), "label": labels, "chosen": (np.arange(9 * count) % 5 < 2) | (labels == 0)}
    page = page_of(tmp_path, columns, classes=[f"kind {place}" for place in range(count)])
    words = section(page)
    if count == 1:
        assert "All images are of one class, kind 0." in words
    elif count <= 30:
        assert {row["name"] for row in values(page, "class-balance")} <= {f"kind {place}" for place in range(count)}
    else:
        assert f"{count:,} classes, most chosen first" in json.dumps(spec(page, "class-balance"))
    assert page.stat().st_size < 3_000_000


def test_all_of_many_even_classes(tmp_path: Path) -> None:
    columns = {"id": np.arange(500), "label": np.arange(500) % 100, "chosen": np.ones(500, dtype=bool)}
    assert "Each of the 100 classes has 5 images." in section(page_of(tmp_path, columns))


@pytest.mark.parametrize("chosen", [True, False])
def test_one_image(tmp_path: Path, chosen: bool) -> None:
    columns = {"id": np.array([7]), "label": np.array([0]), "score": np.array([0.5]), "chosen": np.array([chosen])}
    columns |= {"group": np.array([3]), "source": np.array(["one"])}
    page = page_of(tmp_path, columns, score="sureness", group="round", classes=["cat"])
    words = section(page)
    for part in ("All images have the score 0.5", "All images are of one class, cat.", "All images are of one round."):
        assert part in words, part
    assert outline(page).scripts == 1


def test_images_that_nobody_scored_or_labelled_are_counted(tmp_path: Path) -> None:
    scores = np.where(np.arange(50) < 10, np.nan, np.arange(50) / 7)
    columns = {"id": np.arange(50), "label": np.arange(50) % 5 // 2 - 1, "score": scores, "chosen": np.arange(50) > 40}
    page = page_of(tmp_path, columns, score="sureness")
    assert "Without a score: 10 images." in section(page)
    assert len(values(page, "class-balance")) == 2


def test_pages_stay_light(tmp_path: Path) -> None:
    pictures = [
        Pictures(
            title=f"Round {place}",
            images=torch.randint(0, 256, (48, 3, 64, 64), dtype=torch.uint8),
            ids=torch.arange(48),
        )
        for place in range(6)
    ]
    page = page_of(tmp_path, pictures=pictures)
    assert "Round 0" in section(page)
    assert "more groups of images would have made this page too heavy" in section(page)
    assert page.stat().st_size < 3_500_000


def test_everything_that_a_maker_writes_is_escaped(tmp_path: Path) -> None:
    columns = factory.table_rows(groups=4) | {"source": np.array([EVIL, "other"] * 450)}
    words: dict[str, Any] = dict.fromkeys(("headline", "score", "group", "group_order"), EVIL)
    words |= {"classes": [EVIL] * 10, "facts": {EVIL: EVIL}, "notes": [EVIL]}
    page = page_of(tmp_path / "mine", columns, pictures=[factory.pictures(EVIL)], **words)
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")
    folder = factory.write_run(tmp_path / "run")
    (tmp_path / "mine" / "evidence").rename(folder / "evidence")
    assert EVIL not in write_run_report(folder).read_text("utf-8")


def test_runs_show_their_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    factory.write_json(folder / "status.json", {"state": "finished", "error": None})
    factory.evidence(groups=5).save(folder / "evidence")
    page = write_run_report(folder)
    assert "90 of 900 images of cifar10, by their entropy." in section(page)
    assert values(page, "groups")


def test_selections_of_before_say_everything(tmp_path: Path) -> None:
    page = write_selection_report(factory.write_chosen(tmp_path / "mine"))
    words = markup(page).replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "90 of 900 images of cifar10/train (10.0 %), chosen by entropy: score entropy of grayscale-histogram",
        "<h1>mine</h1>",
        "of 900",
        "Left out, highest entropy",
        "seed: 3",
        "read that alone",
    ):
        assert part in words, part
    assert sum(row["to"] - row["from"] for row in values(page, "scores")) == 900
    assert words.count("90 of 900 images") == 1
    assert outline(page).scripts == 1


def test_numbers_stand_in_for_rows(tmp_path: Path) -> None:
    folder = factory.write_chosen(tmp_path / "mine")
    expected = write_selection_report(folder).read_text()
    summary = summarise(table_rows(folder / "selection" / "table.parquet"))
    factory.write_json(folder / "selection" / "summary.json", summary.to_dict())
    (folder / "selection" / "table.parquet").unlink()
    assert write_selection_report(folder).read_text() == expected
    (folder / "selection" / "summary.json").write_text(json.dumps({"whole": None}))
    with pytest.raises(UserError, match=r"summary\.json cannot be read .*another folder"):
        write_selection_report(folder)


def test_parts_and_options_are_understood(tmp_path: Path) -> None:
    parts = {"score": "entropy", "representation": "grayscale-histogram", "allocation": "k-means", "order": "lowest"}
    parts |= {"space": "grayscale-histogram", "options": {"clusters": 5}, "name": "hg/km/ls", "summary": ""}
    page = write_selection_report(factory.write_chosen(tmp_path / "mine", criterion=parts, groups=5))
    assert "hg/km/ls: score entropy of grayscale-histogram, allocation k-means in grayscale-histogram" in markup(page)
    assert "Images by cluster" in section(page)


def test_folders_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no transfer set: it has no transfer_set\.json"):
        write_selection_report(tmp_path)
    folder = factory.write_chosen(tmp_path / "mine")
    (folder / "selection" / "table.parquet").unlink()
    with pytest.raises(
        UserError, match=r"no evidence/ that tells how it came about; only .* `limbeck select`, leaves it"
    ):
        write_selection_report(folder)


def test_names_are_escaped(tmp_path: Path) -> None:
    page = write_selection_report(
        factory.write_chosen(tmp_path / "mine", name=EVIL, criterion={"score": "entropy", "name": EVIL})
    )
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")


def test_how_students_are_taught_on_a_set_is_on_its_page(tmp_path: Path) -> None:
    assert "How students are taught on it" not in markup(page_of(tmp_path / "plain"))
    folder = tmp_path / "set"
    mean = {"tensor": "student.whitening.mean", "hash": "0"}
    use = {"student": {"model": "convnet_d3", "whitening": {"mean": mean}}, "training": {"learning_rate": 0.043}}
    page_of(folder)
    config = {"name": "set", "classes": [], "use": use}
    factory.write_json(folder / "transfer_set.json", config)
    words = markup(write_selection_report(folder))
    assert "How students are taught on it" in words
    for part in ("model: convnet_d3", "mean: in use.safetensors", "learning_rate: 0.043"):
        assert part in words, part
