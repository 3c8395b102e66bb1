"""Published methods as default settings of a maker, which recipes override; without importing torch."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from limbeck.errors import unknown_name


class Method(NamedTuple):
    """A published method.

    Attributes:
        summary: a line for listings.
        values: settings.
        paper: where it was published.
        idea: what it does, in a few sentences, for its page.
        variants: setting -> its value -> other settings, which apply if a recipe gives that value and sets none of the
            others.
        source: where it comes from, if no paper is named.
    """

    summary: str
    values: Mapping[str, Any]
    paper: str = ""
    idea: str = ""
    variants: Mapping[str, Mapping[Any, Mapping[str, Any]]] = {}
    source: str = ""


def with_published(values: Any, methods: Mapping[str, Method], default: str) -> Any:
    """The settings of a recipe on top of the published settings of its `method`; not a mapping: returned as it is.

    Args:
        values: of a recipe.
        methods: by name.
        default: the method if the recipe names none.

    Raises:
        UserError: there is no such method.

    Example:
        >>> with_published({"rate": 2}, {"plain": Method("", {"rate": 1, "steps": 5})}, "plain")
        {'rate': 2, 'steps': 5}
        >>> plain = Method("", {"rate": 1, "steps": 5}, variants={"steps": {2: {"rate": 3}}})
        >>> with_published({"steps": 2}, {"plain": plain}, "plain")
        {'rate': 3, 'steps': 2}
    """
    if not isinstance(values, Mapping):
        return values
    name = values.get("method", default)
    if name not in methods:
        raise unknown_name("method", str(name), methods, "`limbeck ls methods` lists them all")
    method = methods[name]
    below = dict(method.values)
    for setting, variants in method.variants.items():
        value = values.get(setting)
        variant = variants.get(value, {}) if isinstance(value, int | str) else {}
        if not any(values.get(key) is not None for key in variant):
            below |= variant
    return _over(below, values)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merges mappings key by key; other values are replaced, and so are `views`, whose keys are a choice."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key) if key != "views" else None
        if isinstance(value, BaseModel):
            value = value.model_dump()
        merged[key] = _over(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
