"""All that a recipe may say, from the classes that check it, and the recipes that come with limbeck."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from sphinx.pycode import ModuleAnalyzer

from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.schema import Recipe
from limbeck.transfer.catalogue import MAKERS, settings_of
from site_pages.markdown import code, page, table, toctree

Pages = dict[str, str]
Model = type[BaseModel]


def recipe_pages() -> Pages:
    """Path below the folder of generated pages -> Markdown."""
    makers = {f"settings/{name}": _settings(f"transfer: {name}", settings_of(name)) for name in MAKERS.built_in}
    return {
        **makers,
        "settings/recipe": _settings("Recipes", Recipe),
        "settings/packaged": _packaged(),
        "settings/index": page(
            "Recipes",
            "A recipe is a YAML file; `limbeck cp digits-demo my.yaml` makes one of your own, `limbeck validate "
            "my.yaml` says all that is wrong with it at once, and `-s training.steps=100` changes a key of it for one "
            "run.",
            toctree(["packaged", "recipe", *MAKERS.built_in]),
        ),
    }


def _packaged() -> str:
    rows = []
    for name, path in packaged_recipes().items():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        choices = "; ".join(f"{key}: {', '.join(map(str, one))}" for key, one in content.get("choices", {}).items())
        rows.append((code(name), str(content.get("summary", "")), choices))
    return page(
        "Packaged recipes",
        "`limbeck run NAME` runs one, `limbeck validate NAME` shows it whole. Choices are made by `-s`, as in `limbeck "
        "run cifar100-crd -s pair=resnet56-resnet20`.",
        table(("name", "what it does", "choices"), rows),
    )


def _settings(title: str, model: Model) -> str:
    """A section for a class of settings and for each that its fields hold."""
    parts: list[str] = []
    for place, (name, one) in enumerate(_nested(model)):
        parts += [f"## {name}"] if place else []
        parts += [_prose(one), _fields(one)]
    return page(title, *parts)


def _nested(model: Model) -> Iterator[tuple[str, Model]]:
    """The class, and those of its fields, by the key at which each stands first."""
    waiting, known = [("", model)], {model}
    while waiting:
        name, one = waiting.pop(0)
        yield name, one
        for key, field in one.model_fields.items():
            for held in _models_in(field.annotation):
                if held not in known:
                    known.add(held)
                    waiting.append((f"{name}.{key}".lstrip("."), held))


def _models_in(annotation: Any) -> Iterator[Model]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for one in get_args(annotation):
        yield from _models_in(one)


def _prose(model: Model) -> str:
    """The docstring up to its sections."""
    text = inspect.cleandoc(model.__doc__ or "")
    return re.split(r"\n\n(?:Attributes|Args|Example|Raises|Sources?):", text)[0]


def _fields(model: Model) -> str:
    schema = model.model_json_schema(mode="validation")
    described = _descriptions(model)
    rows = [
        (code(name), _allowed(schema["properties"][name], schema), _default(field), described.get(name, ""))
        for name, field in model.model_fields.items()
    ]
    return table(("key", "what it takes", "default", ""), rows)


def _descriptions(model: Model) -> dict[str, str]:
    """Of fields: what stands below each, or among the attributes of the class or of one that it extends."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if not (issubclass(one, BaseModel) and one is not BaseModel):
            continue
        found |= dict(_listed(inspect.cleandoc(one.__doc__ or "")))
        comments = ModuleAnalyzer.for_module(one.__module__).find_attr_docs()
        found |= {name: " ".join(lines) for (owner, name), lines in comments.items() if owner == one.__qualname__}
    return found


def _listed(docstring: str) -> Iterator[tuple[str, str]]:
    """Names and texts of the section of attributes."""
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", docstring, re.MULTILINE)
    if section is None:
        return
    for names, text in re.findall(r"^    (\w[\w, ]*): ((?:.*\n?)(?:^     +.*\n?)*)", section[1], re.MULTILINE):
        for name in names.split(","):
            yield name.strip(), " ".join(text.split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return code({None: "null", True: "true", False: "false"}.get(value, value) if _simple(value) else value)


def _simple(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _allowed(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """What JSON's schema says, in words."""
    if "$ref" in schema:
        found = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        return "a group of keys, see below" if "properties" in found else _allowed(found, whole)
    options = schema.get("anyOf") or schema.get("oneOf")
    if options:
        return " or ".join(dict.fromkeys(_allowed(one, whole) for one in options))
    if "enum" in schema or "const" in schema:
        return " or ".join(code(one) for one in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            several = [_allowed(one, whole) for one in schema.get("prefixItems", ())]
            return f"[{', '.join(several)}]" if several else f"a list of {_allowed(schema.get('items', {}), whole)}"
        case "object":
            return "a mapping"
        case "integer" | "number" as kind:
            return {"integer": "a whole number", "number": "a number"}[kind] + _bounds(schema)
        case kind:
            words = {"string": "text", "boolean": "`true` or `false`", "null": "`null`"}
            return words.get(str(kind), "text or a mapping")


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {schema[key]:g}," for key, sign in signs.items() if key in schema).rstrip(",")
