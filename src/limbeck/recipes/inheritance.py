"""Recipes made of others: a recipe may extend a `base`, and offer `choices` between named changes to itself.

Example:
    base: cifar100-kd                # another recipe; what stands here is laid over it
    name: mine
    choices:
      pair:
        small: {student: resnet20}   # laid over all of the above where `pair` is `small`
        large: {student: resnet56}
      speed:
        quick:
          training: {epochs: 10}
          pair:
            large: {training: {epochs: 20}}           # laid over everything where both are chosen
            tiny: {refuse: "nobody published that"}   # an error where both are chosen
    pair: small
    speed: quick
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from limbeck.errors import UserError, closest, unknown_name
from limbeck.import_paths import look_in
from limbeck.recipes.packaged import find_recipe, packaged_recipes
from limbeck.recipes.yaml_files import load_mapping
from limbeck.yaml_text import yaml_text

SHORT = {"teacher": "weights", "student": "model", "racing": "by"} | dict.fromkeys(
    ("data", "train", "test", "tracker"), "name"
)
"""Key -> the setting that a lone string is short for; in arms of comparisons it is `select`."""

_OWN = ("name", "summary")  # not inherited
_REFUSE = "refuse"  # why an option, or a pair of them, is not available
# Replaced as a whole, as their keys are a choice, not settings.
_WHOLE = ("objective", "views", "normalised_views", "criterion", "optimizer", "schedule")


def load_recipe(path: Path) -> dict[str, Any]:
    """The content of a file merged over its bases; the name defaults to the file's.

    Modules in the file's folder can be imported from now on.

    Raises:
        UserError: the file cannot be read, or its bases form a circle.
    """
    content = {"name": path.stem, **with_bases(load_mapping(path), path)}
    if path not in packaged_recipes().values():
        look_in(path.parent)  # for parts of the user's own, "my_parts:loss"
    return content


def with_bases(content: dict[str, Any], path: Path | None = None, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """`content` merged over its base, if any; `path` is the file of `content`, `above` are those that extend it."""
    content = dict(content)
    base = content.pop("base", None)
    if base is None:
        return content
    origin = "the recipe" if path is None else f"the recipe {str(path)!r}"
    if not isinstance(base, str):
        raise UserError(f"`base` of {origin} must be a packaged recipe or a file, got {base!r}.")
    sibling = None if path is None else path.parent / base
    try:
        base_path = sibling if sibling is not None and sibling.is_file() else find_recipe(base)
    except UserError as error:
        raise UserError(f"`base` of {origin}: {error}") from None
    chain = above if path is None else (*above, path.resolve())
    if base_path.resolve() in chain:
        names = " -> ".join(file.name for file in (*chain, base_path))
        raise UserError(f"the bases of {origin} lead in a circle ({names}); drop one `base`.")
    lower = with_bases(load_mapping(base_path), base_path, chain)
    return merge({key: value for key, value in lower.items() if key not in _OWN}, content)


def copy_recipe(name: str, destination: str | Path | None) -> Path:
    """Copies a packaged recipe, with its bases merged into it; returns the path of the copy.

    Args:
        name: a packaged recipe.
        destination: a file or an existing folder; by default `<name>.yaml` in the current folder.

    Raises:
        UserError: unknown name, or the destination exists.
    """
    source = find_recipe(name)
    target = Path(destination or f"{source.stem}.yaml")
    if target.is_dir():
        target = target / source.name
    if target.exists():
        raise UserError(f"{str(target)!r} exists already and is never overwritten; choose another destination.")
    if not target.parent.is_dir():
        raise UserError(f"there is no folder {str(target.parent)!r}; make it first, or choose another destination.")
    text = source.read_text()
    if "base" in load_mapping(source):
        text = yaml_text(load_recipe(source), default_flow_style=None, width=120)
    target.write_text(text, encoding="utf-8")
    return target


def made_by(folder: str | Path) -> str:
    """The command that makes a run folder in runs/, if a packaged recipe makes it; otherwise "".

    Example:
        >>> made_by("runs/cifar100-teacher-resnet56")
        'limbeck run cifar100-teacher -s network=resnet56'
    """
    run_folder = Path(folder)
    for recipe, path in packaged_recipes().items() if run_folder.parent == Path("runs") else ():
        if run_folder.name != recipe and not run_folder.name.startswith(f"{recipe}-"):
            continue
        choices = load_recipe(path).get("choices") or {}
        for spelling in _spelt(run_folder.name.removeprefix(recipe), list(choices.items())):
            return " ".join([f"limbeck run {recipe}", *(f"-s {choice}={option}" for choice, option in spelling)])
    return ""


def _spelt(rest: str, choices: list[tuple[str, Mapping[Any, Any]]]) -> Iterator[list[tuple[str, str]]]:
    """Choices whose options, in order and possibly with gaps, spell `rest` of a name, each after a dash."""
    if not rest:
        yield []
    for index, (choice, options) in enumerate(choices):
        for option in options:
            if rest == f"-{option}" or rest.startswith(f"-{option}-"):
                for following in _spelt(rest[len(str(option)) + 1 :], choices[index + 1 :]):
                    yield [(choice, str(option)), *following]


def mapping_for(keys: Sequence[str], value: Any) -> Any:
    """The mapping that `value`, what a recipe has at `keys`, is short for, or `value` where it is no such string.

    Example:
        >>> mapping_for(["student"], "resnet20"), mapping_for(["compare", "arms", "sure"], "margin")
        ({'model': 'resnet20'}, {'select': 'margin'})
    """
    key = "select" if _is_arm(keys) else SHORT.get(keys[-1])
    return {key: value} if isinstance(value, str) and key is not None else value


def _names_images(data: Any) -> bool:
    """Whether `data` says what to learn from, so that a lone name below it, of a whole data set, is replaced by it."""
    train = data.get("train") if isinstance(data, Mapping) else None
    return isinstance(train, str) or (isinstance(train, Mapping) and "name" in train)


def _is_arm(keys: Sequence[str]) -> bool:
    return list(keys[-3:-1]) == ["compare", "arms"]


def _with_transfer(content: Mapping[str, Any], *, arm: bool) -> dict[str, Any]:
    """The same with `transfer: {maker: select, ...}` in place of its short form `select`: settings, of arms the
    criterion."""
    short = content.get("select")
    if short is None or not (arm or isinstance(short, Mapping)) or content.get("transfer") is not None:
        return dict(content)
    rest = {key: value for key, value in content.items() if key not in ("select", "transfer")}
    return {**rest, "transfer": {"maker": "select", **({"criterion": short} if arm else short)}}


def merge(below: Mapping[str, Any], above: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """`above` over `below`: mappings are merged key by key; objectives, views and everything else are replaced.

    Args:
        below: of a recipe, or a part of one.
        above: what is laid over it.
        path: the keys that lead to both.
    """
    if "select" in {*below, *above} and "transfer" in {*below, *above}:
        below, above = (_with_transfer(content, arm=_is_arm(path)) for content in (below, above))
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if key == "transfer" and isinstance(old, Mapping) and isinstance(value, Mapping):
            old = old if value.get("maker", old.get("maker")) == old.get("maker") else None  # another maker's settings
        inside = (*path, key)
        if not (key == "data" and _names_images(value)):
            old = mapping_for(inside, old)
        if key not in _WHOLE and isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merge(old, value, inside)
        merged[key] = value
    # The last of these to be set wins: both together are an error.
    for key, other in (("steps", "epochs"), ("epochs", "steps")):
        if key in above and other not in above:
            merged.pop(other, None)
    return merged


def chosen(content: dict[str, Any], origin: str, keys: Collection[str]) -> dict[str, Any]:
    """`content` with the chosen options of its `choices` merged over it.

    The names of the options are appended to the recipe's, so that its runs have a folder of their own, except those of
    options that change nothing.

    Args:
        content: of a recipe, merged over its bases.
        origin: names the recipe in errors.
        keys: of recipes, which no choice may be called.

    Raises:
        UserError: `choices` of another shape, a choice that is not made, or an unknown option.
    """
    choices = content.get("choices") or {}
    _check_shape(choices, origin, keys)
    content = {key: value for key, value in content.items() if key != "choices"}
    for key in content.keys() - choices.keys() - set(keys):
        if near := closest(key, choices, 1):
            raise UserError(f"{origin}: unknown key {key!r}; did you mean {near[0]!r}?")
    picked: dict[str, str] = {}
    together: list[tuple[str, Mapping[Any, Any]]] = []
    for name, options in choices.items():
        if name not in content:
            raise UserError(f"{origin} leaves `{name}` open; choose {_listing(options)}.")
        by_option = {str(key): changes or {} for key, changes in options.items()}
        value = content.pop(name)
        if value is None or isinstance(value, bool):
            raise UserError(f"`{name}` of {origin} is {value}, for YAML reads yes, no, on, off and null so; quote it.")
        picked[name] = value = str(value)
        if value not in by_option:
            raise unknown_name(name, value, by_option, f"{origin} knows {_listing(by_option)}")
        changes = dict(by_option[value])
        together += [(other, changes.pop(other)) for other in choices if isinstance(changes.get(other), Mapping)]
        content = merge(content, changes)
        if by_option[value] and isinstance(content.get("name"), str):
            content["name"] += f"-{value}"
    for name, options in together:
        content = merge(content, _of_both(name, options, picked, choices, origin))
    if reason := content.pop(_REFUSE, ""):
        pairs = ", ".join(f"{name} {value}" for name, value in picked.items())
        raise UserError(f"{origin} does not go with {pairs}: {reason}.")
    return content


def _of_both(
    name: str, options: Mapping[Any, Any], made: Mapping[str, str], choices: Mapping[str, Any], origin: str
) -> Mapping[str, Any]:
    """What an option of another choice changes in combination with the chosen option of `name`."""
    names = [str(option) for option in choices[name]]
    for option in options:
        if str(option) not in names:
            raise unknown_name(name, str(option), names, f"{origin} knows {_listing(choices[name])}")
    changes = {str(key): changes or {} for key, changes in options.items()}.get(made[name], {})
    if not isinstance(changes, Mapping):
        raise UserError(f"`choices` of {origin} must map each {name} to what it changes, got {changes!r}.")
    return changes


def _check_shape(choices: Any, origin: str, keys: Collection[str]) -> None:
    mapped = isinstance(choices, Mapping) and all(
        isinstance(options, Mapping) and options for options in choices.values()
    )
    if not mapped or not all(
        isinstance(changes, Mapping | None) for options in choices.values() for changes in options.values()
    ):
        raise UserError(f"`choices` of {origin} must map names to options, and each option to what it changes.")
    taken = sorted(choices.keys() & set(keys))
    if taken:
        raise UserError(f"`choices` of {origin} must not name {taken[0]!r}, which is a part of every recipe.")


def _listing(options: Mapping[Any, Any]) -> str:
    names = [str(option) for option in options]
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
