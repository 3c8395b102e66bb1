"""`limbeck ls`: what there is, without importing torch."""

import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from limbeck.cli.display import console, show_table
from limbeck.cli.runs import list_runs
from limbeck.errors import UserError, unknown_name


def list_datasets() -> None:
    from limbeck.data.catalogue import DATASETS

    rows = [
        [
            name,
            _origin(info),
            str(info.num_classes or ""),
            "any" if info.procedural else f"{info.size[0]}x{info.size[1]}" if all(info.size) else "",
            ", ".join(split + (f" {where.images:,}" if where.images else "") for split, where in info.splits.items()),
        ]
        for name, info in DATASETS.items()
        if ":" not in name
    ]
    show_table(
        "data sets", ["name", "hub id", "classes", "pixels", "splits"], [*rows, *unusable(DATASETS, 5)], numbers=(2, 3)
    )
    tell_sources(DATASETS)
    stated = {name: info.licence for name, info in DATASETS.items() if ":" not in name and not info.procedural}
    show_table("\nlicences, as the sources state them", ["licence", "of"], _by_value(stated))
    console.print("\nparts of them, some classes each", style="bold")
    console.print(", ".join(name for name in DATASETS.built_in if ":" in name))
    console.print("\nimages made on the fly, as many as `images` says, without labels", style="bold")
    rows = [
        [f"{name}:{variant}", summary, "by default" if variant == next(iter(info.variants)) else ""]
        for name, info in DATASETS.items()
        for variant, summary in info.variants.items()
    ]
    show_table("", ["name", "", ""], rows)


def _by_value(values: dict[str, str]) -> list[list[str]]:
    """Each value once, with the names that have it."""
    return [
        [value, ", ".join(name for name in values if values[name] == value)] for value in sorted(set(values.values()))
    ]


def _origin(info: Any) -> str:
    if info.procedural:
        return "made on the fly"
    return info.hub_id or ("a function" if info.made_by else "scikit-learn")


def list_models() -> None:
    from limbeck.models.catalogue import MODELS
    from limbeck.models.published import NAMED

    rows = [
        [name, f"{entry.parameters:,}" if entry.parameters else "", entry.summary, ", ".join(entry.options)]
        for name, entry in MODELS.items()
    ]
    rows += unusable(MODELS, 4)
    rows.append(["timm:<name>", "", "any network of timm", "pretrained, ..."])
    show_table("models", ["name", "parameters", "", "options"], rows, numbers=(1,))
    tell_sources(MODELS)
    console.print()
    rows = [[name, weights.model, f"{100 * weights.top1:.2f}"] for name, weights in NAMED.items()]
    show_table("named weights", ["name", "model", "top-1 %"], rows, numbers=(2,))


def list_objectives() -> None:
    from limbeck.objectives.catalogue import OBJECTIVES

    rows = [
        [
            name,
            ", ".join(entry.aliases),
            str(entry.year or ""),
            ", ".join(needs(entry)),
            f"{entry.weight:g}",
            ", ".join(entry.options),
        ]
        for name, entry in OBJECTIVES.items()
    ]
    rows += unusable(OBJECTIVES, 6)
    show_table("objectives", ["name", "also", "year", "needs", "weight", "options"], rows, numbers=(2, 4))
    tell_sources(OBJECTIVES)
    console.print("\n`limbeck ls objectives <name>` tells more of one, defaults and paper among it", style="dim")


def show_objective(name: str) -> None:
    from limbeck.docstrings import arguments_of
    from limbeck.objectives.catalogue import NAMES, OBJECTIVES
    from limbeck.recipes.packaged import packaged_recipes

    if name not in NAMES:
        raise unknown_name("objective", name, NAMES, "`limbeck ls objectives` lists them all")
    entry = OBJECTIVES[NAMES[name]]
    foreign = None if NAMES[name] in OBJECTIVES.built_in else OBJECTIVES.find(NAMES[name])
    recipe = f"cifar100-{NAMES[name]}"
    rows = [
        ["also", ", ".join(entry.aliases)],
        ["learns from", entry.summary],
        ["needs", ", ".join(needs(entry))],
        ["weight", f"{entry.weight:g}"],
        ["published in", written_sum(entry.typical) if entry.typical else ""],
        ["paper", f"{entry.paper} ({entry.year})" if entry.year else entry.paper],
        ["recipe", recipe if recipe in packaged_recipes() else ""],
        ["from", "" if foreign is None else foreign.source],
    ]
    show_table(NAMES[name], ["", ""], [row for row in rows if row[1]])
    if entry.options:
        texts = arguments_of(f"limbeck.objectives.{NAMES[name]}", entry.class_name) if foreign is None else {}
        options = [[option, shown(value), texts.get(option, "")] for option, value in entry.options.items()]
        console.print()
        show_table("", ["option", "default", ""], options)


def needs(entry: Any) -> list[str]:
    """What an objective reads, teacher and student taken together."""
    words = (need.removeprefix("student_").removeprefix("teacher_") for need in entry.needs)
    words = ("teacher's head" if word == "head" else word.replace("_", "-") for word in words)
    return list(dict.fromkeys(words))


def written_sum(weights: Mapping[str, float]) -> str:
    """A weighted sum as recipes write it."""
    return f"{{{', '.join(f'{name}: {weight:g}' for name, weight in weights.items())}}}"


def shown(value: object) -> str:
    """An option's default as a recipe has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def list_optimizers() -> None:
    from limbeck.training.optimizer_catalogue import OPTIMIZERS

    rows = [[name, ", ".join((*entry.settings, *entry.options)), entry.summary] for name, entry in OPTIMIZERS.items()]
    rows += [*unusable(OPTIMIZERS, 3), ["RAdam, ...", "learning_rate, ...", "any class of torch.optim by its name"]]
    show_table("optimizers", ["name", "goes by", ""], rows)
    tell_sources(OPTIMIZERS)


def list_schedules() -> None:
    from limbeck.training.schedule_catalogue import SCHEDULES

    rows = [[name, ", ".join(entry.options), entry.summary] for name, entry in SCHEDULES.items()]
    rows += [
        *unusable(SCHEDULES, 3),
        ["StepLR, ...", "step_size, ...", "any class of torch.optim.lr_scheduler by its name"],
    ]
    show_table("schedules", ["name", "options", ""], rows)
    tell_sources(SCHEDULES)


def list_views() -> None:
    from limbeck.data.view_catalogue import VIEWS

    rows = [[name, entry.distinct, ", ".join(entry.options), entry.summary] for name, entry in VIEWS.items()]
    show_table("views", ["name", "distinct views", "options", ""], [*rows, *unusable(VIEWS, 4)])
    tell_sources(VIEWS)
    console.print()
    list_normalised_views()


def list_normalised_views() -> None:
    from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS

    rows = [[name, ", ".join(entry.options), entry.summary] for name, entry in NORMALISED_VIEWS.items()]
    title = "normalised views, of floats between normalisation and network"
    show_table(title, ["name", "options", ""], [*rows, *unusable(NORMALISED_VIEWS, 3)])
    tell_sources(NORMALISED_VIEWS)


def list_criteria() -> None:
    from limbeck.transfer.borrow.settings import CRITERIA as TO_BORROW_BY
    from limbeck.transfer.criteria import CRITERIA
    from limbeck.transfer.parts import ORDERS

    rows = [
        [name, entry.representation, entry.score, entry.allocation, entry.order] for name, entry in CRITERIA.items()
    ]
    rows += unusable(CRITERIA, 5)
    show_table("selection criteria", ["name", "representation", "score", "allocation", "order"], rows)
    tell_sources(CRITERIA)
    console.print("\nor parts of your own, joined by slashes: hrgb/kmpc/ls\n", style="bold")
    for show in (list_representations, list_allocations, list_scores):
        show()
        console.print()
    orders = ", ".join(f"{name} ({short})" for name, short in ORDERS.items())
    console.print(f"orders: {orders}; by default that of the score, which prefers hard images")
    console.print()
    show_table("to borrow `by`", ["name", ""], list(map(list, TO_BORROW_BY.items())))


def list_representations() -> None:
    from limbeck.transfer.parts import REPRESENTATIONS

    _list_parts("representations", REPRESENTATIONS)


def list_allocations() -> None:
    from limbeck.transfer.parts import ALLOCATIONS

    _list_parts("allocations", ALLOCATIONS)


def list_scores() -> None:
    from limbeck.transfer.parts import SCORES

    rows = [
        [name, entry.hard_end or "highest", ", ".join(entry.options), entry.summary] for name, entry in SCORES.items()
    ]
    show_table("scores", ["name", "first by default", "options", ""], [*rows, *unusable(SCORES, 4)])
    tell_sources(SCORES)


def _list_parts(title: str, family: Mapping[str, Any]) -> None:
    rows = [[name, entry.short, ", ".join(entry.options), entry.summary] for name, entry in family.items()]
    show_table(title, ["name", "short", "options", ""], [*rows, *unusable(family, 4)])
    tell_sources(family)


def list_makers() -> None:
    from limbeck.transfer.catalogue import MAKERS, settings_of

    rows = []
    for name, entry in MAKERS.items():
        settings = settings_of(name)
        own = [key for key in settings.model_fields if key != "maker"]
        rows.append([name, ", ".join(own), ", ".join(settings.controls), entry.summary])
    show_table("makers of transfer sets", ["name", "settings", "controls", ""], [*rows, *unusable(MAKERS, 4)])
    tell_sources(MAKERS)


def list_methods() -> None:
    from limbeck.transfer.condense.methods import METHODS as OF_CONDENSE
    from limbeck.transfer.generate.methods import METHODS as OF_GENERATE

    for maker, methods in {"generate": OF_GENERATE, "condense": OF_CONDENSE}.items():
        rows = [[name, method.summary] for name, method in methods.items()]
        show_table(f"methods of `maker: {maker}`", ["name", ""], rows)
        console.print()


def list_generators() -> None:
    from limbeck.transfer.generate.networks.catalogue import GENERATORS

    rows = [[name, ", ".join(entry.options), entry.summary] for name, entry in GENERATORS.items()]
    show_table("generators", ["name", "options", ""], [*rows, *unusable(GENERATORS, 3)])
    tell_sources(GENERATORS)


def list_recipes() -> None:
    from limbeck.recipes.inheritance import load_recipe
    from limbeck.recipes.packaged import packaged_recipes, summary

    rows = [
        [name, summary(path), ", ".join(load_recipe(path).get("choices") or ())]
        for name, path in packaged_recipes().items()
    ]
    show_table("recipes", ["name", "", "choices"], rows)


def list_plugins() -> None:
    """Parts that installed packages offer, whether or not they can be used."""
    from limbeck.plugins import FAMILIES, catalogue_of, misspelt

    rows = []
    for family in FAMILIES:
        catalogue = catalogue_of(family)
        for name, part in catalogue.foreign.items():
            problem = catalogue.problem(name)
            why = part.problem or problem
            rows.append([part.source, catalogue.word, name, f"cannot be used: {why}" if problem else "fine"])
    if rows:
        show_table("parts beside limbeck's own", ["package", "", "name", "state"], sorted(rows))
    else:
        console.print("no installed package offers parts of its own; docs/plugins.md shows how one does")
    for remark in misspelt():
        warnings.warn(remark, stacklevel=2)
    console.print(f"\nfamilies: {', '.join(FAMILIES)}", style="dim")


def unusable(catalogue: Any, columns: int) -> list[list[str]]:
    """Rows for parts of packages that cannot be used, of which a warning says why."""
    rows = []
    for name, part in catalogue.foreign.items():
        if problem := catalogue.problem(name):
            warnings.warn(problem, stacklevel=2)
            rows.append([name, *[""] * (columns - 2), f"cannot be used ({part.source})"])
    return [row for row in rows if row[0] not in catalogue.built_in]


def tell_sources(catalogue: Any) -> None:
    """Prints where parts come from that are not limbeck's own."""
    sources = [f"{name}: {part.source}" for name, part in catalogue.foreign.items() if not catalogue.problem(name)]
    if sources:
        console.print(f"\nbeside limbeck's own, {'; '.join(sources)}", style="dim", markup=False)


LISTS: dict[str, Callable[[], None]] = {
    "datasets": list_datasets,
    "models": list_models,
    "objectives": list_objectives,
    "optimizers": list_optimizers,
    "schedules": list_schedules,
    "views": list_views,
    "normalised_views": list_normalised_views,
    "criteria": list_criteria,
    "representations": list_representations,
    "scores": list_scores,
    "allocations": list_allocations,
    "makers": list_makers,
    "methods": list_methods,
    "generators": list_generators,
    "plugins": list_plugins,
    "recipes": list_recipes,
    "runs": list_runs,
}


def ls(
    family: Annotated[
        str | None,
        typer.Argument(
            help="What to list, by default what there is to list: datasets, models, objectives, optimizers, schedules, "
            "views, normalised_views, criteria, representations, scores, allocations, makers, methods, generators, "
            "plugins, recipes or runs."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Argument(help="One of the objectives, to tell more of it; by default all.")
    ] = None,
) -> None:
    """List what there is."""
    if name is not None and family != "objectives":
        raise UserError(f"`limbeck ls {family}` takes no name; `limbeck ls objectives <name>` does, got {name!r}.")
    if name is not None:
        show_objective(name)
    elif family is None:
        for name in LISTS:
            console.print(f"limbeck ls {name}")
    elif family in LISTS:
        LISTS[family]()
    else:
        raise unknown_name("list", family, LISTS, f"`limbeck ls` knows {', '.join(LISTS)}.")
