"""What the terminal cannot show."""

import io
import sys

import pytest

from limbeck.cli import display, main


def test_a_name_that_the_terminal_cannot_show_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys.modules["limbeck.cli.main"], "app", lambda prog_name: print("caf\xe9 \udce9 92 ± 3▼"))
    main()
    assert written.getvalue() == b"caf\\xe9 \\udce9 92 +- 3v\n"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="ascii", errors="limbeck"))
    with pytest.raises(UnicodeDecodeError):
        sys.stdout.read()


def test_warnings_are_one_message_without_a_line_of_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    others = []
    monkeypatch.setattr(display, "_show_for_programmers", lambda *told: others.append(told[1]))
    display.show_warning(UserWarning("[odd] images"), UserWarning, "loading.py", 7)
    display.show_warning(DeprecationWarning("old"), DeprecationWarning, "torch.py", 7)
    assert capsys.readouterr().err == "warning: [odd] images\n"
    assert others == [DeprecationWarning]
