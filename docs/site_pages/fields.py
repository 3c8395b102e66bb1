"""What a field of settings is about, what it takes and what it is by default, in Markdown."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from limbeck.docstrings import documented
from site_pages.markdown import code

_YAML = {"None": "`null`", "True": "`true`", "False": "`false`"}
_LINKS = {
    "`limbeck ls models`": "../models/index.md",
    "`limbeck ls criteria`": "../criteria/index.md",
    "`limbeck ls datasets`": "../../data.md",
    "`limbeck.load`": "../python/limbeck.md",
}
"""Relative to pages that are one folder below the generated ones."""
_NUMBERS = {"integer": "a whole number", "number": "a number"}
_SIGNS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def descriptions(settings: type) -> dict[str, str]:
    """Field -> the text below it, or that among the attributes of its class or of a base class."""
    texts: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if base.__module__.startswith("limbeck."):
            texts |= documented(base.__doc__ or "", "Attributes") | _below(base.__module__).get(base.__qualname__, {})
    return texts


@cache
def _below(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class -> field -> the text that stands below it."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    return {node.name: dict(_texts(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _texts(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(node.body, node.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                yield name, " ".join(words.split())


def shown(text: str) -> str:
    """A description as it stands on a page: a sentence, in YAML's words, with links."""
    parts = re.split(r"(`[^`]*`)", text)
    words = [
        part if part.startswith("`") else re.sub(r"\b(None|True|False)\b", lambda match: _YAML[match[0]], part)
        for part in parts
    ]
    linked = "".join(f"[{word}]({_LINKS[word]})" if word in _LINKS else word for word in words)
    is_name = any(letter.isdigit() for letter in linked.partition(" ")[0])  # as resnet18
    sentence = linked if is_name else linked[:1].upper() + linked[1:]
    return sentence if not sentence or sentence.endswith((".", "...")) else f"{sentence}."


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    return "as below" if isinstance(value, BaseModel) else written(value)


def written(value: Any) -> str:
    """A value as a recipe has it."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000, sort_keys=False)
    return code(text.removesuffix("...\n").strip())


def _plain(value: Any) -> Any:
    """Plain values; of settings, those that differ from their defaults."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def allowed(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "$ref" in schema:
        definition = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        return "a group of keys, see below" if "properties" in definition else allowed(definition, whole)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        words = dict.fromkeys(allowed(option, whole) for option in options)
        if "a number" in words:
            words.pop("a whole number", None)
        return " or ".join(words)
    if "enum" in schema or "const" in schema:
        return " or ".join(written(value) for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return _list(schema, whole)
        case "object":
            return "a mapping"
        case "integer" | "number" as kind:
            return _NUMBERS[kind] + _bounds(schema)
        case "string":
            return "text" + (f" of at most {schema['maxLength']} characters" if "maxLength" in schema else "")
        case kind:
            return {"boolean": "`true` or `false`", "null": "`null`"}.get(str(kind), "a name or a mapping")


def _list(schema: Mapping[str, Any], whole: Mapping[str, Any]) -> str:
    if several := [allowed(item, whole) for item in schema.get("prefixItems", ())]:
        return f"[{', '.join(several)}]"
    items = allowed(schema.get("items", {}), whole)
    notes = ["one or more"] if schema.get("minItems") else []
    if " or " in items or items.startswith(("[", "a group")):
        return f"a list ({', '.join([*notes, f'each {items}'])})"
    return " ".join(["a list of", _plural(items), *(f"({note})" for note in notes)])


def _plural(words: str) -> str:
    return re.sub(r"^an? ([\w ]*?number|mapping)\b", r"\1s", words)


def _bounds(schema: Mapping[str, Any]) -> str:
    return "".join(f" {sign} {schema[key]:g}," for key, sign in _SIGNS.items() if key in schema).rstrip(",")
