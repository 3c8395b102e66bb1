"""From YAML and the command line's overrides to a `Recipe`; all errors are reported at once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limbeck.errors import UserError
from limbeck.import_paths import look_where_found
from limbeck.recipes.described_sets import with_use
from limbeck.recipes.errors import error_lines
from limbeck.recipes.inheritance import chosen, load_recipe, mapping_for, merge, with_bases
from limbeck.recipes.packaged import find_recipe
from limbeck.recipes.schema import FROM_LABELS, USUAL, USUAL_UNLABELLED, Recipe
from limbeck.recipes.settings import DataSettings
from limbeck.recipes.yaml_files import load_mapping, load_text, load_value, unshared
from limbeck.training.settings import TrainingSettings
from limbeck.transfer.catalogue import MAKERS, settings_of
from limbeck.transfer.settings import MakerSettings
from limbeck.yaml_text import yaml_text

# These exclude each other: setting one on the command line drops the other from the recipe.
_EITHER = {"steps": "epochs", "epochs": "steps"}
_KEYS = (*Recipe.model_fields, *Recipe.short_forms)


def read_recipe(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by packaged name, from a YAML file, or from a mapping.

    Args:
        source: name, path or mapping.
        overrides: `path.to.key=value` each, the value in YAML; later ones win. They also win over the changes of the
            recipe's `choices`, and may make these choices, as in `pair=resnet56-resnet20`.

    If `data.train` is a transfer set with a `use`, that supplies what the recipe leaves out.

    Raises:
        UserError: no such recipe, no YAML, or every error of the recipe: where, what is allowed, what came.

    Example:
        >>> read_recipe("digits-demo", ["training.steps=50"]).training.steps
        50
    """
    if isinstance(source, Mapping):
        origin, content = "the recipe", with_bases(unshared(source))
    else:
        origin, content = f"recipe {str(source)!r}", load_recipe(find_recipe(str(source)))
    # A key that is none of a recipe's can only be a choice, or a misspelt one.
    choosing = [override for override in overrides if override.partition("=")[0].strip().split(".")[0] not in _KEYS]
    for override in choosing:
        _apply(content, override, load_text)
    content = chosen(content, origin, _KEYS)
    for override in overrides:
        if override not in choosing:
            _take_carried_objective(content, override)
            _refuse_absent_objective(content, override)
            _apply(content, override)
    recipe = parse_recipe(with_use(content), origin)
    if recipe.compare is None and recipe.transfer is not None:
        _check_without_controls(recipe.transfer, "transfer.")
    return recipe


def parse_recipe(content: Mapping[str, Any], origin: str = "the recipe") -> Recipe:
    """A `Recipe` from plain data; raises one UserError that lists all errors."""
    lines, recipe = [], None
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        lines = [_as_written(line, content) for line in error_lines(error.errors(), Recipe)]
    for path, changed in _changed_trainings(content):
        lines += _training_lines(path, changed, content["training"])
    if recipe is None or lines:
        count = f"{len(lines)} error{'s' if len(lines) > 1 else ''}"
        raise UserError(f"{origin} has {count}:\n  " + "\n  ".join(lines))
    return recipe


def written_recipe(folder: Path) -> Recipe:
    """The recipe that a run or a comparison wrote into its folder; its parts are also searched where they were then.

    Raises:
        UserError: it cannot be read here, for instance because parts of the user's own are gone.
    """
    look_where_found(folder)
    return parse_recipe(load_mapping(folder / "recipe.yaml"), str(folder / "recipe.yaml"))


def written_data(folder: Path) -> DataSettings:
    """`data` of the recipe that a run wrote into its folder, without the rest of it, which may be of no use here: parts
    of the user's own may be gone, and functions that were handed over in Python are no names.

    Raises:
        UserError: there is none that can be read.
    """
    path = folder / "recipe.yaml"
    try:
        return DataSettings.model_validate(load_mapping(path).get("data")).each()
    except ValidationError as error:
        lines = error_lines(error.errors(), DataSettings)
        raise UserError("\n  ".join([f"`data` of {str(path)!r}:", *lines])) from None


def overridden(content: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`content` of a recipe with overrides, `path.to.key=value` each, applied to it.

    Example:
        >>> overridden({"training": {"steps": 5}}, ["training.epochs=2", "seed=1"])
        {'training': {'epochs': 2}, 'seed': 1}
    """
    result = unshared(content)
    for override in overrides:
        _refuse_absent_objective(result, override)
        _apply(result, override)
    return result


def parse_transfer(
    content: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    alone: bool = False,
    context: Mapping[str, Any] | None = None,
) -> MakerSettings:
    """The settings of a maker, as a recipe has them under `transfer`; raises one UserError that lists all errors.

    Args:
        content: of `transfer`.
        overrides: more settings, "key=value" each.
        alone: whether a transfer set is made on its own, while no student learns.
        context: of pydantic's validation, if the settings are not for making a transfer set.
    """
    content = dict(unshared(content))
    for override in overrides:
        _apply(content, override)
    if not isinstance(content["maker"], str):
        raise UserError(f"`maker` must be one of {', '.join(MAKERS)}, got {content['maker']!r}.")
    settings = settings_of(content["maker"])
    try:
        parsed = settings.model_validate(settings.alone(content) if alone else content, context=context)
    except ValidationError as error:
        lines = error_lines(error.errors(), settings)
        raise UserError(f"the settings of maker {content['maker']!r}:\n  " + "\n  ".join(lines)) from None
    _check_without_controls(parsed)
    return parsed


def _check_without_controls(settings: MakerSettings, where: str = "") -> None:
    """Raises a UserError for settings that only affect the controls of a comparison, outside of one.

    The runs of a comparison have them in their recipes, but those are not read from files.
    """
    for name in settings.about_controls:
        if getattr(settings, name) != type(settings).model_fields[name].default:
            raise UserError(
                f"`{where}{name}` is about the controls of a comparison, and none is made here; leave it out, or give "
                f"it in an arm, `compare: {{arms: {{made: {{transfer: {{maker: {settings.maker}, {name}: ...}}}}}}}}`."
            )


def _as_written(line: str, content: Mapping[str, Any]) -> str:
    """An error about `transfer`, with the path of the short form if `content` uses that."""
    if content.get("select") is not None and line.startswith("transfer"):
        return f"select{line.removeprefix('transfer')}"
    head, separator, rest = line.partition(".transfer")
    keys = head.split(".")
    arms = (content.get("compare") or {}).get("arms") if keys[:2] == ["compare", "arms"] else None
    arm = arms.get(keys[2]) if separator and len(keys) == 3 and isinstance(arms, Mapping) else None
    short = isinstance(arm, str) or (isinstance(arm, Mapping) and arm.get("select") is not None)
    return f"{head}.select{rest.removeprefix('.criterion')}" if short else line


def renewed(written: dict[str, Any]) -> dict[str, Any]:
    """A recipe written by an earlier version, with the defaults of settings that were added later.

    One that can no longer be read is returned unchanged: its run cannot be resumed, and the comparison says why.
    """
    try:
        fresh = parse_recipe(written).model_dump(mode="json")
    except UserError:
        return written
    return fresh if "compare" in written else {key: value for key, value in fresh.items() if key != "compare"}


def _changed_trainings(content: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and content of everything in a comparison that changes training settings."""
    compare = content.get("compare")
    if not isinstance(compare, Mapping) or not isinstance(content.get("training"), Mapping):
        return
    if isinstance(changes := compare.get("without_teacher"), Mapping):
        yield "compare.without_teacher", dict(changes)
    arms = compare.get("arms")
    for name, arm in arms.items() if isinstance(arms, Mapping) else ():
        if isinstance(arm, Mapping) and isinstance(changes := arm.get("training"), Mapping):
            yield f"compare.arms.{name}.training", dict(changes)


def _training_lines(path: str, changes: dict[str, Any], training: Mapping[str, Any]) -> list[str]:
    """Errors of changed training settings that the changes caused."""
    try:
        TrainingSettings.model_validate(merge(training, changes))
    except ValidationError as error:
        details = [detail for detail in error.errors() if not detail["loc"] or detail["loc"][0] in changes]
        return error_lines(details, TrainingSettings, path)
    return []


def _apply(content: dict[str, Any], override: str, load: Callable[[str, str], Any] = load_value) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise UserError(f"an override must look like training.epochs=5, got {override!r}.")
    value = load(text, f"the value of override {override!r}")
    keys = _in_one_form(content, keys)
    node = content
    for depth, key in enumerate(keys[:-1]):
        if not isinstance(node.get(key), dict):
            node[key] = _spelt_out(keys[: depth + 1], node.get(key), override)
        node = node[key]
    node[keys[-1]] = value
    if len(keys) > 1 and keys[-2] == "training":
        node.pop(_EITHER.get(keys[-1], ""), None)


def _in_one_form(content: Any, keys: list[str]) -> list[str]:
    """`keys` in the form, `select` or `transfer`, that `content` uses; `content` may be converted to fit them."""
    node: Any = content
    tail = keys
    if keys[:2] == ["compare", "arms"] and len(keys) > 3:
        compare = content.get("compare")
        arms = compare.get("arms") if isinstance(compare, dict) else None
        node, tail = arms.get(keys[2]) if isinstance(arms, dict) else None, keys[3:]
        if isinstance(arms, dict) and isinstance(node, str) and tail[0] == "transfer":
            node = arms[keys[2]] = mapping_for(keys[:3], node)
    if not isinstance(node, dict):
        return keys  # reported when the override is applied
    start = keys[: len(keys) - len(tail)]
    transfer, short = node.get("transfer"), node.get("select")
    if tail[0] == "select" and transfer is not None:
        if tail == ["select"] and not start:
            del node["transfer"]  # replaced as a whole
            return keys
        if isinstance(transfer, dict) and transfer.get("maker", "select") != "select":
            node["transfer"] = {"maker": "select"}  # drop the settings of another maker
        return [*start, "transfer", *(["criterion"] if start else []), *tail[1:]]
    if tail[0] == "transfer" and (start or isinstance(short, dict) or tail == ["transfer"]):
        node.pop("select", None)
        if short is not None and len(tail) > 1:
            node["transfer"] = {"maker": "select", **({"criterion": short} if start else short)}
    return keys


def _spelt_out(keys: Sequence[str], short: Any, override: str) -> dict[str, Any]:
    """The mapping that a recipe may write as a lone string, as `student: resnet20`."""
    if short is None or (isinstance(short, bool) and keys[-1] == "racing"):
        return {}
    whole = mapping_for(keys, short)
    if isinstance(whole, dict):
        return whole
    path = ".".join(keys)
    raise UserError(
        f"the override {override!r} reaches into `{path}`, which holds {short!r}; give `{path}=...` as a whole."
    )


def _reaches_objective(content: Mapping[str, Any], override: str) -> str:
    """The path of the objective that `override` reaches into where `content` gives none; "" where it does not."""
    keys = override.partition("=")[0].strip().split(".")
    places = [keys[:1], keys[:2] if keys[0] == "teacher" else [], keys[:4] if keys[:2] == ["compare", "arms"] else []]
    for place in places:
        if place[-1:] != ["objective"] or len(keys) == len(place):
            continue
        value: Any = content
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        return ".".join(place) if value is None else ""
    return ""


def _refuse_absent_objective(content: Mapping[str, Any], override: str) -> None:
    """Raises a UserError for an override that reaches into an objective that is not given.

    What it sets would become the whole sum, in place of the default.
    """
    path = _reaches_objective(content, override)
    if not path:
        return
    usual, unlabelled, from_labels = map(_written, (USUAL, USUAL_UNLABELLED, FROM_LABELS))
    default = f"the default is {from_labels}"
    if path == "objective":
        default = (
            f"the default is {usual} with a teacher or soft labels, {unlabelled} where images have no labels, and "
            f"{from_labels} without a teacher"
        )
    elif path.startswith("compare"):
        default = "by default it is the recipe's `objective`"
    raise UserError(
        f"the override {override!r} reaches into `{path}`, which is not given, so that it would replace the whole sum; "
        f"give `{path}={{...}}` as a whole; {default}."
    )


def _written(objective: Mapping[str, float]) -> str:
    return yaml_text(dict(objective), default_flow_style=True).strip()


def _take_carried_objective(content: dict[str, Any], override: str) -> None:
    """Adds to `content` the objective of the transfer set that it trains on, if `override` reaches into that."""
    if _reaches_objective(content, override) == "objective":
        carried = with_use(content)
        content |= {key: carried[key] for key in ("teacher", "objective") if key in carried}
