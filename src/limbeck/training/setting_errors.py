"""What pydantic finds wrong with a setting, in our words: what is allowed there."""

from typing import Any

WORDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list of two",
    "dict": "a mapping of keys to values",
    "model": "a mapping of keys to values",
}
_SIGNS = {
    "greater than or equal to": ">=",
    "greater than": ">",
    "less than or equal to": "<=",
    "less than": "<",
}


def allowed_in_words(error: Any) -> str | None:
    """What the value must be, where pydantic says no more than that.

    Args:
        error: one of those that `ValidationError.errors` lists.

    Example:
        >>> allowed_in_words({"type": "greater_than", "msg": "Input should be greater than 0"})
        '> 0'
    """
    kind = error["type"].split("_")[0]
    if kind in WORDS and error["type"].endswith(("_type", "_parsing", "_from_float", "_number")):
        return WORDS[kind]
    message = error["msg"]
    if not message.startswith("Input should be "):
        return None
    words = message.removeprefix("Input should be ")
    for theirs, ours in _SIGNS.items():
        words = words.replace(theirs, ours)
    return words
