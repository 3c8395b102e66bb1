"""YAML as people expect it: `1e-3` is a number, and a key that stands there twice is an error."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import UserError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, less two surprises."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} stands there twice", node.start_mark
            )
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a point and a sign, as in 1.0e-3; without this, 1e-3 would be text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def load_value(text: str, what: str) -> Any:
    """The value that `text` writes in YAML; `what` names it in the error."""
    try:
        return yaml.load(text, _Loader)  # a safe loader
    except yaml.YAMLError as error:
        raise UserError(f"{what} is no valid YAML: {error}") from error


def load_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        UserError: it cannot be read, is no YAML, or holds something else.
    """
    what = f"the recipe {str(path)!r}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what} cannot be read as text: {error}.") from error
    content = load_value(text, what)
    if not isinstance(content, dict):
        raise UserError(f"{what} must be a mapping of keys to values, got {type(content).__name__}.")
    return content
