"""The recipes that come with limbeck; importing this needs neither torch nor pydantic."""

from importlib.resources import as_file, files
from pathlib import Path

from limbeck.errors import UserError, unknown_name


def packaged_recipes() -> dict[str, Path]:
    """Name -> file."""
    with as_file(files("limbeck.recipes") / "packaged") as folder:
        return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str) -> Path:
    """The file of a packaged recipe, or `name` as a path.

    Raises:
        UserError: neither a packaged name nor an existing file.
    """
    packaged = packaged_recipes()
    if name in packaged:
        return packaged[name]
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        raise UserError(
            f"{name!r} is a folder, neither a recipe file nor that of a transfer set, which `limbeck distill` takes "
            "and which holds transfer_set.json."
        )
    if path.suffix in (".yaml", ".yml"):
        raise UserError(f"there is no recipe file {name!r}; `limbeck cp cifar10-distill {name}` would make one.")
    if "/" in name:
        raise UserError(
            f"there is no recipe file {name!r}, and no folder of a transfer set; `limbeck cp cifar10-distill {name}` "
            "would make a recipe."
        )
    raise unknown_name(
        "recipe",
        name,
        packaged,
        "`limbeck ls recipes` lists them all; a file of your own ends in .yaml, and `limbeck distill` takes the folder "
        "of a transfer set, too, which there is none of this name",
    )


def summary(path: Path) -> str:
    """The recipe's `summary` line, without parsing the whole."""
    for line in path.read_text().splitlines():
        if line.startswith("summary:"):
            return line.removeprefix("summary:").strip().strip("'\"")
    return ""
