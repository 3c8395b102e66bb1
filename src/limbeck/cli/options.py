"""Arguments and options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

NETWORK = (
    "run folder, folder or file of weights, published weights by name (`limbeck ls models`), timm:NAME, or owner/name "
    "on the Hugging Face hub"
)
"""What stands for a network with weights, wherever one is asked for; see `limbeck.models.weights.sources`."""

RecipeName = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A packaged recipe (`limbeck ls recipes`) or a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=VALUE", help="Change the recipe, e.g. training.epochs=5; repeatable."),
]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; by default runs/<recipe's name>.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds, for more steps if need be.")]
Split = Annotated[str, typer.Option(help="Split whose images are used.")]
TeacherName = Annotated[str | None, typer.Option(help=f"For criteria that ask one: {NETWORK}.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="Of the criterion's parts, e.g. clusters=20; repeatable."),
]
BareModel = Annotated[
    str | None,
    typer.Option(
        help="Network of a bare weights file, or my_pkg:Net of a module of your own; by default what the weights say."
    ),
]
ComputesIn = Annotated[str, typer.Option(help="fp32, bf16, or auto for the fastest here.")]
Workers = Annotated[
    int,
    typer.Option(
        help="Runs of a comparison that go on side by side, each in a process with its part of the cores, or on the "
        "Ray cluster that RAY_ADDRESS names. The threads of a run shape rounding; they are settled when a comparison "
        "begins, one where steps are small, else cores / workers, and --resume keeps them."
    ),
]
