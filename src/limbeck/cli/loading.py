"""The options of `limbeck.load` that verbs on data sets have, in one place."""

from collections.abc import Callable, Collection
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any

import typer

from limbeck.errors import UserError

OPTIONS: dict[str, Any] = {
    "size": Annotated[
        str | None,
        typer.Option(help="Resize and crop images to PIXELS a side, or HEIGHTxWIDTH; by default as they are."),
    ],
    "channels": Annotated[
        int | None, typer.Option(help="1 for gray images, 3 for colour; by default what the images have.")
    ],
    "image_column": Annotated[
        str | None, typer.Option(help="Column of the images; by default it is found by its name.")
    ],
    "label_column": Annotated[
        str | None, typer.Option(help="Column of the labels; by default it is found by its name.")
    ],
    "classes": Annotated[list[str] | None, typer.Option(help="Name of a class to keep, repeatable; by default all.")],
    "skip_unreadable": Annotated[
        bool | None, typer.Option("--skip-unreadable", help="Leave out broken images, count them.")
    ],
    "scale": Annotated[
        float | None,
        typer.Option(
            help="Stored value that is white, e.g. 4095 for 12-bit data in 16-bit files; by default that of their type."
        ),
    ],
    "in_memory": Annotated[bool | None, typer.Option(help="Hold images decoded; by default if they take up to 4 GiB.")],
    "labels": Annotated[
        bool | None,
        typer.Option(
            "--labels/--no-labels", help="Use the labels, or leave them aside; by default used where there are some."
        ),
    ],
    "images": Annotated[
        int | None, typer.Option(help="Of procedural images, as dead-leaves, how many there are; others have none.")
    ],
    "images_seed": Annotated[int | None, typer.Option(help="Of the draw of procedural images; by default 0.")],
}
"""Argument of `limbeck.load` -> its option; a verb is given those that the user gives, as the mapping `loading`.
`images_seed` is its `seed`, as verbs have a seed of their own."""


def loads_images(function: Callable[..., None], *, but: Collection[str] = ()) -> Callable[..., None]:
    """Gives a verb the options of `limbeck.load`, but for those in `but`, in place of its parameter `loading`."""
    names = [name for name in OPTIONS if name not in but]

    @wraps(function)
    def command(**arguments: Any) -> None:
        loading = {name: arguments.pop(name) for name in names}
        loading = {name: value for name, value in loading.items() if value is not None and value != []}
        if "size" in loading:
            loading["size"] = parse_size(loading["size"])
        function(**arguments, loading=loading)

    own = [parameter for name, parameter in signature(function, eval_str=True).parameters.items() if name != "loading"]
    options = [Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=OPTIONS[name]) for name in names]
    keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in own]
    command.__signature__ = signature(function).replace(parameters=[*keywords, *options])  # pyright: ignore
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*keywords, *options]}
    return command


def parse_size(text: str) -> int | tuple[int, int]:
    """Pixels a side, or (height, width), from "32" or "32x48".

    Raises:
        UserError: neither.

    Example:
        >>> parse_size("32x48")
        (32, 48)
    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdecimal() for side in sides):
        raise UserError(f"`--size` must be a number of pixels, or HEIGHTxWIDTH, got {text!r}.")
    numbers = [int(side) for side in sides]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
