"""What docstrings say of arguments, read from the source, so that no module is imported for it."""

import ast
import inspect
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def arguments_of(module: str, name: str) -> dict[str, str]:
    """Argument -> its text, of a class or function of a module; empty where its docstring has none, or is not there.

    Where a text begins "as for `other`", the text of the same argument of that function of the module comes first.

    Example:
        >>> arguments_of("limbeck.objectives.crd", "CRD")["temperature"]
        'T > 0.'
    """
    texts = documented(_docstrings(module).get(name, ""), "Args")
    return {argument: _with_text_of_other(module, argument, text) for argument, text in texts.items()}


def documented(docstring: str, section: str) -> dict[str, str]:
    """Names and texts of a section of a docstring, as "Args"; of several names on one line each has the text."""
    found = re.search(rf"^{section}:\n((?:    .*\n?|\n)*)", inspect.cleandoc(docstring), re.MULTILINE)
    if found is None:
        return {}
    entries = re.findall(r"^    (\w[\w, ]*): ((?:.*\n?)(?:^     +.*\n?)*)", found[1], re.MULTILINE)
    return {name.strip(): " ".join(text.split()) for names, text in entries for name in names.split(",")}


def _with_text_of_other(module: str, argument: str, text: str) -> str:
    reference = re.match(r"as for `(\w+)`[;,.]? ?", text)
    if reference is None:
        return text
    other = documented(_docstrings(module).get(reference[1], ""), "Args").get(argument, "").rstrip(".")
    return "; ".join(part for part in (other, text[reference.end() :]) if part)


@cache
def _docstrings(module: str) -> dict[str, str]:
    """Class or function -> its docstring."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return {}
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    nodes = [node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    return {node.name: ast.get_docstring(node) or "" for node in nodes}
