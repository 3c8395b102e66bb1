"""Options of the verb `evaluate`: those of networks, and those of transfer sets, on which networks are taught first."""

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.options import NETWORK

What = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDENT|SETS",
        help=f"A network: {NETWORK}. Or transfer sets of the same classes, on each of which fresh networks are taught.",
    ),
]
Data = Annotated[str | None, typer.Option(help="Of networks: data set, folder, file or hub id to judge on.")]
JudgedSplit = Annotated[
    str | None, typer.Option(help="Split to judge on; by default test, else validation, else all there is.")
]
Teacher = Annotated[
    str | None,
    typer.Option(
        help="Network whose agreement is measured, or that is asked while students are taught; named as STUDENT is. By "
        "default none."
    ),
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="File to write the numbers to, too; by default none.")]

Test = Annotated[str | None, typer.Option(help="Of sets: what networks taught on them are judged on.")]
Networks = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        metavar="MODEL",
        help="Of sets: a network to teach, or '{model: convnet_d3, options: {width: 64}}'; repeatable. By default "
        "the one that the set is made for.",
    ),
]
Seeds = Annotated[int, typer.Option(help="Of sets: how many networks of each kind, of seeds from 0.")]
Targets = Annotated[
    str,
    typer.Option(help="Of sets: labels as they are (kept), hard, soft, or a teacher's to every view (teacher)."),
]
ProtocolName = Annotated[
    str, typer.Option(help="Of sets: teach as they say (kept), or as sre2l, sre2l-small or rded with a teacher.")
]
Rate = Annotated[
    str | None,
    typer.Option(
        help="Of sets: learning rate, or search for the best of five, or several (0.01,0.1), among which "
        "--validation chooses; by default theirs."
    ),
]
Validation = Annotated[
    str | None, typer.Option(help="Of sets: images that choose rates, or '{name: cifar10, count: 5000}'.")
]
Training = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Of sets: change their training, as epochs=300; repeatable."),
]
SideBySide = Annotated[int, typer.Option(help="Of sets: runs that go on side by side.")]
Ranks = Annotated[bool, typer.Option("--dd-ranking", help="Of a set: DD-Ranking's scores; needs --train and --full.")]
Train = Annotated[str | None, typer.Option(help="Of --dd-ranking: the real images that the set stands for.")]
Full = Annotated[
    str | None,
    typer.Option(help="Of --dd-ranking: accuracy after all of them, as 0.848, or '{epochs: 50}' to find it."),
]
SetsOut = Annotated[Path | None, typer.Option(help="Of sets: folder of runs, numbers and report; go on there.")]
