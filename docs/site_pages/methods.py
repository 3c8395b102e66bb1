"""A page for every method: objectives, parts of criteria, criteria, and the methods of makers."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

from limbeck.cli.listing import needs, written_sum
from limbeck.docstrings import arguments_of
from limbeck.objectives.catalogue import OBJECTIVES, ObjectiveEntry
from limbeck.recipes.packaged import packaged_recipes
from limbeck.recipes.published import PAIRS, TABLE, TABLE_CONDENSED, TABLE_WITHOUT_DATA, WITHOUT_DATA
from limbeck.transfer.borrow.settings import CRITERIA as BORROW
from limbeck.transfer.condense.methods import METHODS as CONDENSE
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.criteria import CRITERIA
from limbeck.transfer.generate.methods import METHODS as GENERATE
from limbeck.transfer.generate.settings import GenerateSettings
from limbeck.transfer.methods import Method
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES
from site_pages.criteria import allocation_page, borrowing_page, criterion_page, representation_page, score_page
from site_pages.fields import shown, written
from site_pages.illustrations import illustration
from site_pages.markdown import as_yaml, autodoc, code, contents, page, sentence, table
from site_pages.measured import measured
from site_pages.options import OPTION_HEADER, models_page, views_page

Pages = dict[str, str]


def method_pages() -> Pages:
    """Path below the folder of generated pages -> Markdown."""
    families: dict[str, tuple[str, str, Pages]] = {
        "objectives": (
            "Objectives",
            "What a student may learn from: one by name (`objective: kd`), or a weighted sum.",
            {name: _objective(name, entry) for name, entry in OBJECTIVES.built_in.items()},
        ),
        "criteria": (
            "Criteria",
            "How `select` chooses images: a representation, a score of it and an allocation of the budget. These "
            "combinations have a name.",
            {name: criterion_page(name) for name in CRITERIA.built_in},
        ),
        "representations": (
            "Representations",
            "What is seen of an image before it is scored.",
            {name: representation_page(name) for name in REPRESENTATIONS.built_in},
        ),
        "scores": (
            "Scores",
            "How an image is judged by what is seen of it.",
            {name: score_page(name) for name in SCORES.built_in},
        ),
        "allocations": (
            "Allocations",
            "How a budget is spread over the scores.",
            {name: allocation_page(name) for name in ALLOCATIONS.built_in},
        ),
        "borrow": (
            "Criteria of borrow",
            "By what images of others are borrowed ([how it works](../../borrow.md)). In `select` some of these names "
            "mean something else: `margin` and `minimal-margin` take what the teacher cannot tell there.",
            {name: borrowing_page(name, summary) for name, summary in BORROW.items()},
        ),
        "generate": (
            "Methods of generate",
            "Published methods of data-free distillation, as settings of one engine "
            "([how it works](../../generate.md)).",
            {name: _preset("generate", name, method) for name, method in GENERATE.items()},
        ),
        "condense": (
            "Methods of condense",
            "Published methods of dataset distillation, as settings of one maker ([how it works](../../condense.md)).",
            {name: _preset("condense", name, method) for name, method in CONDENSE.items()},
        ),
    }
    pages: Pages = {}
    for family, (title, summary, members) in families.items():
        pages |= {f"{family}/{name}": text for name, text in members.items()}
        lines = {name: text.split("\n\n")[1] for name, text in members.items()}
        pages[f"{family}/index"] = page(title, summary, illustration(family), contents(lines))
    return {**pages, "views/index": views_page(), "models/index": models_page()}


def _objective(name: str, entry: ObjectiveEntry) -> str:
    names = ", ".join(map(code, (name, *entry.aliases)))
    facts = [
        ("paper", f"{entry.paper} ({entry.year})"),
        ("name in recipes", names),
        ("needs", ", ".join(needs(entry))),
        ("weight where none is given", f"{entry.weight:g}"),
        ("published in", code(written_sum(entry.typical))),
    ]
    recipe = f"cifar100-{name}"
    return page(
        entry.class_name,
        sentence(entry.summary),
        table(("", ""), facts),
        "## In a recipe",
        as_yaml({"objective": {**entry.typical, name: _with_options(name, entry)}}),
        f"`limbeck run {recipe}` is its published setting, for thirteen pairs of networks."
        if recipe in packaged_recipes()
        else "",
        *(["## Its options", table(OPTION_HEADER, options_of_objective(name, entry))] if entry.options else []),
        "## The loss",
        *(_function("limbeck.objectives.functional", function) for function in entry.functions or (name,)),
        autodoc("autoclass", f"limbeck.objectives.{entry.class_name}", "no-index"),
        _reported(name),
        measured("objectives", name),
    )


def _with_options(name: str, entry: ObjectiveEntry) -> dict[str, Any]:
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in entry.options.items()}
    return {"weight": entry.typical.get(name, entry.weight), **rounded}


def options_of_objective(name: str, entry: ObjectiveEntry) -> list[tuple[str, str, str]]:
    """Option, default and text of each."""
    texts = arguments_of(f"limbeck.objectives.{name}", entry.class_name)
    rows = []
    for option, value in entry.options.items():
        default = round(value, 4) if isinstance(value, float) else value
        rows.append((code(option), written(default), shown(texts.get(option, ""))))
    return rows


def _function(module: str, name: str) -> str:
    """The documentation of an objective's function; empty for an objective that is a class alone."""
    exported = name in getattr(import_module(module), "__all__", ())
    return autodoc("autofunction", f"{module}.{name}", "no-index") if exported else ""


def _reported(name: str) -> str:
    """What others report on CIFAR-100."""
    reported = {key: column for key, column in TABLE.items() if key.partition(",")[0] == name}
    if not reported:
        return ""
    header = ("pair", *reported)
    columns = [numbers.split() for _, numbers in reported.values()]
    rows = [
        (pair.replace("-", " -> "), *(column[place] if place < len(column) else "-" for column in columns))
        for place, pair in enumerate(PAIRS)
    ]
    sources = "; ".join(f"{key}: {source}" for key, (source, _) in reported.items())
    return f"## Reported by others\n\nTop-1 on CIFAR-100, in %, not measured here ({sources}).\n\n" + table(
        header, rows
    )


def _preset(maker: str, name: str, method: Method) -> str:
    budget = "10/class" if maker == "condense" else 2560
    about = _generating(name) if maker == "generate" else _condensing(name)
    links = [(title, text) for title, text in (("paper", method.paper), ("source", method.source)) if text]
    facts = [*links, ("needs", "; ".join(about.needs))]
    return page(
        name,
        sentence(method.summary),
        table(("", ""), facts),
        method.idea,
        "## What is minimised" if about.formula else "",
        f"```text\n{about.formula}\n```" if about.formula else "",
        *(autodoc("autofunction", f"limbeck.transfer.{maker}.{function}", "no-index") for function in about.functions),
        "## In a recipe",
        as_yaml({"transfer": {"maker": maker, "method": name, "budget": budget}}),
        "## The settings that it stands for",
        "Whatever a recipe says under `transfer` is laid over these; "
        f"[all settings of {maker}](../settings/{maker}.md) have a default.",
        as_yaml(_plain(method.values)),
        _reported_without_data(name) if maker == "generate" else _reported_condensed(name),
        measured(maker, name),
    )


class _About(NamedTuple):
    """What the settings of a preset tell: what it needs, its loss, and functions of the maker that say more."""

    needs: list[str]
    formula: str
    functions: list[str]


def _generating(name: str) -> _About:
    settings = GenerateSettings(method=name, budget=2560)
    weights = {key: weight for key, weight in settings.losses.model_dump().items() if weight}
    terms = [key if weight == 1 else f"{weight:g} x {key}" for key, weight in weights.items()]
    needs = ["a teacher, no image"]
    if "batch_norm" in weights:
        needs.append("its batch norms, or feature statistics that were exported")
    if "adversarial" in weights:
        needs.append("a student to play against" if len(weights) == 1 else "a student for the adversarial loss alone")
    named = {"batch_norm": "batch_norm_distance", "total_variation_l2": "total_variation"}
    functions = [f"losses.{loss}" for loss in dict.fromkeys(named.get(key, key) for key in weights)]
    if settings.labels == "balanced":
        functions.append("labels.biased_labels")
    if settings.growth is not None:
        functions.append("weight.at_their_least")
    if settings.homogenise is not None:
        functions.append("outliers.outlier_factors")
    return _About(needs, " + ".join(terms), functions)


def _condensing(name: str) -> _About:
    settings = CondenseSettings(method=name, budget="10/class")
    needs = ["labelled images of the task"]
    if settings.by == "crops":
        return _About([*needs, "a teacher"], "", ["crops.images_of_crops"])
    if settings.by == "trajectories" or settings.distribution.networks != "random":
        needs.append(f"{settings.experts.count} experts of {settings.experts.epochs} epochs each")
    if settings.by == "distribution":
        characteristic = settings.distribution.distance == "characteristic"
        calibration = " + cross_entropy of an expert" * (settings.distribution.calibration > 0)
        function = "characteristic_distance" if characteristic else "mean_distance"
        return _About(needs, f"{function}(real, synthetic){calibration}", [f"distances.{function}"])
    drop = f", drop={settings.matching.drop:g}" if settings.matching.drop else ""
    functions = ["matching.matching_loss", "matching.matching_gradients"]
    if settings.labels == "soft":
        functions.insert(1, "step_gradients.soft_cross_entropy")
    if settings.mask is not None:
        needs.append("a network that shows where it sees the class, an expert or the teacher")
        functions.append("mask.discriminative.discriminative_mask")
    return _About(needs, f"matching_loss(final, start, target{drop})", functions)


def _reported_without_data(name: str) -> str:
    """What others report on CIFAR-10 and CIFAR-100."""
    reported = {data: methods[name] for data, methods in TABLE_WITHOUT_DATA.items() if name in methods}
    if not reported:
        return ""
    columns = [numbers.split() for _, numbers in reported.values()]
    rows = [
        (pair.replace("-", " -> "), *(column[place] for column in columns)) for place, pair in enumerate(WITHOUT_DATA)
    ]
    sources = "; ".join(f"{data}: {source}" for data, (source, _) in reported.items())
    return f"## Reported by others\n\nTop-1 in %, not measured here ({sources}).\n\n" + table(("pair", *reported), rows)


def _reported_condensed(name: str) -> str:
    """What others report with so many images per class."""
    rows = [
        (data, *methods[name].split(), source) for data, (source, methods) in TABLE_CONDENSED.items() if name in methods
    ]
    if not rows:
        return ""
    header = ("data", "1 a class", "10 a class", "50 a class", "network, source")
    return "## Reported by others\n\nTop-1 in % of students on the set alone, not measured here.\n\n" + table(
        header, rows
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
