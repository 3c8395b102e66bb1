"""Verbs whose folder or file does not exist: they say so, and do not complain about what it should hold."""

from pathlib import Path

import pytest
from tests.cli.test_cli import refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "some/where", "--test", "digits"], "there is no folder 'some/where' to judge; transfer sets are"),
        (["evaluate", "nowhere", "--test", "digits"], "there is no folder 'nowhere' to judge; transfer sets are"),
        (
            ["evaluate", "some/where"],
            "there is no folder or file 'some/where' here; a network is judged on `--data`",
        ),
        (["evaluate", "nowhere", "--data", "digits"], "There is no folder or file of this name, either."),
        (["evaluate", "./nowhere", "--data", "digits"], "no classifier at './nowhere': no such folder or file"),
        (["evaluate", "runs/nowhere", "--data", "digits"], "no classifier at 'runs/nowhere': no such folder or file"),
        (["export", "runs/nowhere"], "no classifier at 'runs/nowhere': no such folder or file"),
        (["probe", "runs/nowhere", "digits"], "no classifier at 'runs/nowhere': no such folder or file"),
        (
            ["generate", "--teacher", "runs/nowhere", "--check"],
            "no classifier at 'runs/nowhere': no such folder or file",
        ),
        (["report", "runs/nowhere"], "there is no folder 'runs/nowhere' to report of; `limbeck ls runs` lists those"),
        (["report", "runs/nowhere", "runs/nor"], "there is no folder 'runs/nowhere' to report of; `limbeck ls runs`"),
        (["push", "runs/nowhere", "a/b", "--dry-run"], "there is no folder 'runs/nowhere' to push; `limbeck ls runs`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_not_there_is_said(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)
