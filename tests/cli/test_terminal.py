"""What the terminal cannot show."""

import io
import sys

import pytest
from rich.console import Console

from limbeck.cli import display, main


def test_a_name_that_the_terminal_cannot_show_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys.modules["limbeck.cli.main"], "app", lambda prog_name: print("caf\xe9 \udce9 92 ± 3▼"))
    main()
    assert buffer.getvalue() == b"caf\\xe9 \\udce9 92 +- 3v\n"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="ascii", errors="limbeck"))
    with pytest.raises(UnicodeDecodeError):
        sys.stdout.read()


def test_warnings_are_one_message_without_a_line_of_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    categories = []
    monkeypatch.setattr(display, "_show_for_programmers", lambda *arguments: categories.append(arguments[1]))
    display.show_warning(UserWarning("[odd] images"), UserWarning, "loading.py", 7)
    display.show_warning(DeprecationWarning("old"), DeprecationWarning, "torch.py", 7)
    assert capsys.readouterr().err == "warning: [odd] images\n"
    assert categories == [DeprecationWarning]


def test_tables_break_no_word_where_there_is_room(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "console", Console(width=40, highlight=False))
    rows = [["rrd", "student_temperature, memory", "relations between images and all the others"], ["heading"]]
    display.show_table("objectives", ["name", "options", ""], rows)
    shown = capsys.readouterr().out
    assert "student_temperature, " in shown
    assert max(map(len, shown.splitlines())) <= 40
    cells = ["a-method-of-someone", "a_long_temperature", "relations_between_images", "2020"]
    display.show_table("lists", ["name", "options", "", "year"], [cells, ["all"]], numbers=(3,))
    lines = ["lists", cells[0], "  options a_long_temperature", "  relations_between_images", "  year 2020", "all"]
    assert capsys.readouterr().out.splitlines() == lines
    display.show_table("", ["name"], [["a-name-that-is-longer-than-the-whole-terminal-is-wide"]])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40


@pytest.mark.parametrize("width", [60, 72, 80, 81, 95, 100, 120, 200])
def test_tables_show_all_that_they_have(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "console", Console(width=width, highlight=False))
    splits = ["train 50,000, test 10,000", "train 73,257, test 26,032, extra 531,131"]
    rows = [
        ["fashion-mnist", "zalando-datasets/fashion_mnist", "10", "28x28", splits[0]],
        ["svhn", "ufldl-stanford/svhn", "10", "160x160", splits[1]],
    ]
    display.show_table("data sets", ["name", "hub id", "classes", "pixels", "splits"], rows, numbers=(2, 3))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= width
    assert sorted(shown.replace(" ", "").replace("\n", "")) == sorted(
        "".join(["datasetsnamehubidclassespixelssplits", *(cell.replace(" ", "") for row in rows for cell in row)])
    )
