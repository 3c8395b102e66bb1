"""What each package of limbeck exports, from its docstrings."""

import inspect
from importlib import import_module

from pydantic import BaseModel

from limbeck.objectives.catalogue import OBJECTIVES
from site_pages.markdown import autodoc, contents, page
from site_pages.recipes import page_of_settings

PACKAGES = {
    "limbeck": "What `import limbeck as lb` offers.",
    "limbeck.data": "Image sets, transfer sets, their views and where they come from.",
    "limbeck.models": "Networks and what is needed to use them rightly.",
    "limbeck.objectives": "Objectives as modules.",
    "limbeck.objectives.functional": "Objectives as pure functions of tensors.",
    "limbeck.evaluation": "Accuracy, fidelity, calibration, energy, statistics.",
    "limbeck.training": "The loop and its settings.",
    "limbeck.transfer.select": "Choosing images.",
    "limbeck.testing": "The checks of every kind of part, for packages of your own.",
}


def reference_pages() -> dict[str, str]:
    """Path below the folder of generated pages -> Markdown."""
    documented: dict[object, str] = {}
    pages = {f"python/{name}": _package(name, summary, documented) for name, summary in PACKAGES.items()}
    pages["python/index"] = page("Python", "Every example here is run by limbeck's tests.", contents(PACKAGES))
    return pages


def _package(name: str, summary: str, documented: dict[object, str]) -> str:
    """What it exports; of what an earlier package exports, too, a line that says so."""
    module = import_module(name)
    sections, elsewhere = [], []
    for export in sorted(module.__all__, key=str.casefold):
        part = getattr(module, export)
        if not (inspect.isclass(part) or inspect.isfunction(part)):
            continue
        if documented.setdefault(part, name) != name:
            elsewhere.append(f"- `{export}`: see [{documented[part]}]({documented[part]}.md)")
        elif inspect.isclass(part):
            sections.append(autodoc("autoclass", f"{name}.{export}", *_members(part)))
            if described := page_of_settings(part):
                sections.append(f"Its fields stand in [the reference of recipes](../settings/{described}.md).")
        else:
            sections.append(autodoc("autofunction", f"{name}.{export}"))
    return page(name, summary, "\n".join(elsewhere), *sections)


def _members(part: type) -> list[str]:
    """Fields of settings have a page of their own, and the methods of objectives are the loop's affair."""
    if issubclass(part, BaseModel) or part.__name__ in {entry.class_name for entry in OBJECTIVES.built_in.values()}:
        return []
    return ["members"]
