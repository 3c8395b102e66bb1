"""What `limbeck distill` says where its argument is no transfer set."""

from pathlib import Path

import pytest
from tests.cli.test_cli import refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["nofolder"],
            "unknown recipe 'nofolder'. `limbeck ls recipes` lists them all; a file of your own",
        ),
        (
            ["nofolder"],
            "`limbeck distill` takes the folder of a transfer set, too, which there is none of this",
        ),
        (["some/where"], "there is no recipe file 'some/where', and no folder of a transfer set; `limbeck cp"),
        (["my.yaml"], "there is no recipe file 'my.yaml'; `limbeck cp cifar10-distill my.yaml` would make one"),
        (["empty"], "'empty' is a folder, neither a recipe file nor that of a transfer set, which `limbeck distill`"),
        (["nofolder", "--test", "digits"], "a transfer set, got 'nofolder', where there is no folder; change a recipe"),
        (["empty", "--test", "digits"], "a transfer set, got 'empty', a folder without transfer_set.json; change"),
        (["file.txt", "--test", "digits"], "--test must go with the folder of a transfer set, got 'file.txt'; change"),
    ],
)
def test_folders_that_are_none_are_told_apart(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file.txt").write_text("")
    assert message in refused("distill", *arguments)
