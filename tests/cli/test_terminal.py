"""What the terminal cannot show."""

import io
import sys

import pytest

from limbeck.cli import main


def test_a_name_that_the_terminal_cannot_show_ends_nothing(monkeypatch: pytest.MonkeyPatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys.modules["limbeck.cli.main"], "app", lambda prog_name: print("caf\xe9 \udce9"))
    main()
    assert written.getvalue() == b"caf\\xe9 \\udce9\n"
