"""All that a recipe may say, from the classes that check it, and the recipes that come with limbeck."""

import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel

from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.schema import Recipe
from limbeck.training.optimizer_catalogue import OPTIMIZERS
from limbeck.training.schedule_catalogue import SCHEDULES
from limbeck.transfer.catalogue import MAKERS, settings_of
from limbeck.transfer.settings import MakerSettings
from site_pages.fields import allowed, default, descriptions, shown
from site_pages.markdown import code, contents, page, table

Pages = dict[str, str]
Model = type[BaseModel]


def recipe_pages() -> Pages:
    """Path below the folder of generated pages -> Markdown."""
    makers = {f"settings/{name}": settings_page(f"transfer: {name}", settings_of(name)) for name in MAKERS.built_in}
    return {
        **makers,
        "settings/recipe": settings_page("All keys of a recipe", Recipe),
        "settings/packaged": _packaged(),
        "settings/optimizers": _optimizers(),
        "settings/index": page(
            "Recipes",
            "A recipe is a YAML file; `limbeck cp digits-demo my.yaml` makes one of your own, `limbeck validate "
            "my.yaml` says all that is wrong with it at once, and `-s training.steps=100` changes a key of it for one "
            "run.",
            contents(
                {
                    "packaged": "The recipes that come with limbeck.",
                    "recipe": "All keys of a recipe: data, teacher, student, training, compare and the rest.",
                    **{name: f"Under `transfer`, {maker.summary}." for name, maker in MAKERS.built_in.items()},
                    "optimizers": "What `training.optimizer` and `training.schedule` may name.",
                }
            ),
            "`objective` names [an objective](../objectives/index.md), `select.criterion` [a criterion]"
            "(../criteria/index.md), `training.views` [views](../views/index.md) and `model` [a network]"
            "(../models/index.md).",
        ),
    }


def page_of_settings(settings: type) -> str:
    """The page that describes their fields, "" where none does."""
    roots = {"recipe": Recipe, **{name: settings_of(name) for name in MAKERS.built_in}}
    pages = (name for name, root in roots.items() for _, group in nested(root) if group is settings)
    return next(pages, "")


def _packaged() -> str:
    rows = []
    for name, path in packaged_recipes().items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        choices = "; ".join(
            f"{key}: {', '.join(map(str, values))}" for key, values in content.get("choices", {}).items()
        )
        rows.append((code(name), str(content.get("summary", "")), choices))
    return page(
        "Packaged recipes",
        "`limbeck run NAME` runs one, `limbeck validate NAME` shows it whole. Choices are made by `-s`, as in `limbeck "
        "run cifar100-crd -s pair=resnet56-resnet20`.",
        table(("name", "what it does", "choices"), rows),
    )


def _optimizers() -> str:
    optimizers = [
        (code(name), shown(entry.summary), ", ".join(map(code, entry.settings)))
        for name, entry in OPTIMIZERS.built_in.items()
    ]
    schedules = [(code(name), shown(entry.summary)) for name, entry in SCHEDULES.built_in.items()]
    return page(
        "Optimisers and schedules",
        "What `training.optimizer` and `training.schedule` may name. Torch's own go by the names of their classes, "
        "with options as torch has them: `optimizer: {RAdam: {eps: 1.0e-6}}`, `schedule: {StepLR: {step_size: 100}}`; "
        "[those of your own](../../plugins.md) by their import path.",
        "## Optimisers",
        table(("`optimizer`", "", "settings of `training` that it takes"), optimizers),
        "## Schedules",
        table(("`schedule`", "the learning rate after the warm-up"), schedules),
    )


def settings_page(title: str, model: Model) -> str:
    """A section for a class of settings and for each that its fields hold."""
    parts: list[str] = []
    for place, (name, group) in enumerate(nested(model)):
        parts += [f"## {name}"] if place else []
        parts += [_prose(group), *([] if place else [_about_methods(group)]), _fields(group)]
    return page(title, *parts)


def _about_methods(model: Model) -> str:
    if "method" not in model.model_fields:
        return ""
    maker = model.model_fields["maker"].default
    return (
        f"Defaults stand here as they are where the method says nothing; each of [the methods](../{maker}/index.md) "
        "has a page with the settings that it stands for."
    )


def nested(model: Model) -> Iterator[tuple[str, Model]]:
    """The class, and those of its fields, by the keys at which each stands; makers have pages of their own."""
    places: dict[Model, list[str]] = {model: [""]}
    waiting = [model]
    while waiting:
        parent = waiting.pop(0)
        for key, field in parent.model_fields.items():
            for child in dict.fromkeys(_models_in(field.annotation)):
                if child is MakerSettings:
                    continue
                if child not in places:
                    waiting.append(child)
                name = f"{key}.NAME" if _is_mapping(field.annotation) else key
                places.setdefault(child, []).append(f"{places[parent][0]}.{name}".lstrip("."))
    yield from ((", ".join(names), group) for group, names in places.items())


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict


def _models_in(annotation: Any) -> Iterator[Model]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _prose(model: Model) -> str:
    """The docstring up to its sections."""
    text = inspect.cleandoc(model.__doc__ or "")
    return re.split(r"\n\n(?:Attributes|Args|Example|Raises|Sources?):", text)[0]


def _fields(model: Model) -> str:
    schema = model.model_json_schema(mode="validation")
    described = descriptions(model)
    rows = [
        (code(name), _takes(name, field.annotation, schema), default(field), shown(described.get(name, "")))
        for name, field in model.model_fields.items()
    ]
    return table(("key", "what it takes", "default", ""), rows)


def _takes(name: str, annotation: Any, schema: dict[str, Any]) -> str:
    if MakerSettings in _models_in(annotation):
        return "the keys of a maker: " + ", ".join(f"[{maker}]({maker}.md)" for maker in MAKERS.built_in)
    return allowed(schema["properties"][name], schema)
