"""What a run reports of the embeddings of teacher and student."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tests.report import report_factory as factory
from tests.report.test_pages import EVIL, markup, outline

from limbeck.errors import UserError
from limbeck.report import write_run_report
from limbeck.report.figures import similarity as figures


def classes(count: int) -> tuple[str, ...]:
    return tuple(f"class {place}" for place in range(count))


@pytest.mark.parametrize("count", [3, 10, 30])
def test_section_says_everything(tmp_path: Path, count: int) -> None:
    page = write_run_report(factory.write_inside(factory.write_run(tmp_path / "run"), classes=classes(count)))
    words = markup(page)
    for part in (
        "On 10,000 test images; nearest images among 120 of them",
        '<td class="number">0.06</td>',
        "the least of any class",
        "41.2 %",
        "8.4 %",
        "below the diagonal teacher",
        "Where they differ most",
        "each image&#39;s logits centred",
        "t-SNE (",
        "so trust the shares in the table",
    ):
        assert part in words, part
    assert ("in the legend" in words) == (count <= figures.MOST_NAMED)
    assert ("the menu below them" in words) == (count > figures.MOST_NAMED)
    assert outline(page).scripts == 1


def test_very_many_classes_are_pictures(tmp_path: Path) -> None:
    factory.write_inside(factory.write_run(tmp_path / "run"), classes=classes(300), maps=False)
    words = markup(write_run_report(tmp_path / "run"))
    assert words.count('class="matrix"') == 2
    assert 'data-chart="correlation"' not in words


def test_two_classes_have_no_correlation_to_show(tmp_path: Path) -> None:
    factory.write_inside(factory.write_run(tmp_path / "run"), classes=("cat", "dog"))
    words = markup(write_run_report(tmp_path / "run"))
    assert 'data-chart="correlation"' not in words
    assert 'data-chart="embedding"' in words


def test_network_without_an_embedding_has_no_map(tmp_path: Path) -> None:
    factory.write_inside(factory.write_run(tmp_path / "run"), maps=False)
    words = markup(write_run_report(tmp_path / "run"))
    assert 'data-chart="correlation"' in words
    assert 'data-chart="embedding"' not in words
    assert "nearest images" not in words


def test_runs_that_left_nothing_say_nothing(tmp_path: Path) -> None:
    assert "Inside teacher and student" not in markup(write_run_report(factory.write_run(tmp_path / "run")))


def test_maps_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = factory.write_inside(factory.write_run(tmp_path / "run"))
    first = write_run_report(folder).read_text()
    kept = load_file(folder / "maps.safetensors")
    assert {network: places.shape for network, places in kept.items()} == {"teacher": (120, 2), "student": (120, 2)}
    with monkeypatch.context() as patched:
        patched.setattr("limbeck.report.similarity.tsne_map", None)
        assert write_run_report(folder).read_text() == first
    (folder / "maps.safetensors").write_bytes(b"damaged")
    assert write_run_report(folder).read_text() == first
    factory.write_inside(folder, images=130)
    write_run_report(folder)
    assert len(load_file(folder / "maps.safetensors")["teacher"]) == 130


def test_broken_file_says_what_to_do(tmp_path: Path) -> None:
    folder = factory.write_run(tmp_path / "run")
    (folder / "inside.safetensors").write_bytes(b"{")
    with pytest.raises(UserError, match=r"inside\.safetensors cannot be read .* Delete it and report again"):
        write_run_report(folder)


def test_class_names_are_escaped(tmp_path: Path) -> None:
    names = (EVIL, *factory.CLASSES[1:])
    page = write_run_report(factory.write_inside(factory.write_run(tmp_path / "run"), classes=names))
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")


def test_pictures_show_both_networks() -> None:
    teacher, student = np.full((3, 3), 1.0), np.full((3, 3), -1.0)
    assert figures.largest_difference(teacher, student) == 2
    assert figures.largest_difference(teacher, teacher) == 0.01
    both, difference = figures.correlation_pictures(teacher, student)
    assert both != difference
    assert figures.correlation_still(teacher, student).count("<image") == 2
