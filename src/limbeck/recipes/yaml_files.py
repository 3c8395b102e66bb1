"""YAML as people expect it: `1e-3` is a number, and what YAML would silently read as something else is an error."""

import re
from collections.abc import Hashable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import yaml

from limbeck.errors import UserError
from limbeck.yaml_text import EXPONENTS


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without some surprises: duplicate keys, keys that are no text, and `010` for eight."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} stands there twice", node.start_mark
            )
        for key, _ in node.value:
            if key.tag in _NO_KEYS:
                _refuse(key, f"the key {key.value} is read as {self.construct_object(key)}")
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value = super().construct_yaml_int(node)
        if not re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", node.value):
            _refuse(node, f"{node.value} is read as {value}")
        return value

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        value = super().construct_yaml_float(node)
        if ":" in node.value:
            _refuse(node, f"{node.value} is read as {value}")
        return value


_NO_KEYS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "null", "float", "timestamp"))


def _refuse(node: yaml.Node, how: str) -> NoReturn:
    raise yaml.constructor.ConstructorError(
        None, None, f"{how}; quote it if it is text: '{node.value}'", node.start_mark
    )


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)

_Loader.add_implicit_resolver(*EXPONENTS)


def load_value(text: str, what: str) -> Any:
    """The value that `text` writes in YAML, its anchors written out; `what` names it in the error."""
    try:
        return unshared(yaml.load(text, _Loader), what)  # a safe loader
    except yaml.YAMLError as error:
        raise UserError(f"{what} is no valid YAML: {error}") from error


def unshared(content: Any, what: str = "the recipe", above: tuple[int, ...] = ()) -> Any:
    """A copy of `content` in which every mapping and list stands in one place, so that a change there changes no other.

    An anchor of YAML, or a dict that is used twice, is one object in several places; `copy.deepcopy` leaves it so.

    Args:
        content: mappings, lists, and anything else, which is not copied.
        what: names it in the error.
        above: ids of what holds it.

    Raises:
        UserError: it contains itself.

    Example:
        >>> training = {"steps": 5}
        >>> content = unshared({"training": training, "teacher": {"training": training}})
        >>> content["training"]["steps"] = 7
        >>> content["teacher"]["training"], training
        ({'steps': 5}, {'steps': 5})
    """
    if not isinstance(content, Mapping | list):
        return content
    if id(content) in above:
        raise UserError(f"{what} contains itself: an anchor (&) or a Python object is used inside of itself; drop it.")
    above = (*above, id(content))
    if isinstance(content, list):
        return [unshared(value, what, above) for value in content]
    return {key: unshared(value, what, above) for key, value in content.items()}


def name_or_mapping(text: str, option: str, key: str, example: str) -> dict[str, Any]:
    """The mapping that an option gives in YAML, or as a name, which is the value of `key`.

    Raises:
        UserError: `text` is neither.

    Example:
        >>> name_or_mapping("resnet8", "--student", "model", "{model: resnet8}")
        {'model': 'resnet8'}
    """
    if not text.lstrip().startswith("{"):
        return {key: text}
    value = load_value(text, f"`{option}` {text!r}")
    if not isinstance(value, dict):
        raise UserError(f"`{option}` must be a name or a mapping as {example}, got {text!r}.")
    return value


def named_value(text: str, option: str) -> tuple[str, Any]:
    """Key and value of an option of the form KEY=VALUE, the value in YAML.

    Raises:
        UserError: `text` has another form.

    Example:
        >>> named_value("learning_rate=0.1", "--training")
        ('learning_rate', 0.1)
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"`{option}` must look like learning_rate=0.1, got {text!r}.")
    return name.strip(), load_value(value, f"the value of {text!r}")


def load_text(text: str, what: str) -> Any:
    """As `load_value`, but every scalar stays text: `on` and `010` are what they look like."""
    try:
        return unshared(yaml.load(text, yaml.BaseLoader), what)  # makes text, lists and mappings alone
    except yaml.YAMLError as error:
        raise UserError(f"{what} is no valid YAML: {error}") from error


def load_mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UserError: the file cannot be read, is no YAML, or holds something else.
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


def misread(value: Any) -> str:
    """A hint to quote a value that YAML did not read as text; "" if it did.

    Example:
        >>> misread(False)
        ", which is how YAML reads no, off and false; quote it if it is text: 'no'"
    """
    if isinstance(value, bool):
        words = ("yes", "on", "true") if value else ("no", "off", "false")
        return f", which is how YAML reads {words[0]}, {words[1]} and {words[2]}; quote it if it is text: '{words[0]}'"
    if value is None:
        return ", which is how YAML reads null, ~ and nothing at all; quote it if it is text: 'null'"
    if isinstance(value, int | float | date):
        return f", which YAML reads in what is not quoted; quote it if it is text: '{value}'"
    return ""
