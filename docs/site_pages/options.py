"""Pages of what has options and no page of its own: views and models."""

import inspect
from typing import Any

from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS
from limbeck.data.normalised_views.options import CropScaleRotateOptions, DsaOptions
from limbeck.data.view_catalogue import VIEWS
from limbeck.data.views import Mixed, augmentation
from limbeck.docstrings import documented
from limbeck.models.catalogue import MODELS, TIMM
from limbeck.models.options import Option
from site_pages.fields import descriptions, shown, written
from site_pages.illustrations import illustration
from site_pages.markdown import code, page, table

OPTION_HEADER = ("option", "default", "")
Rows = list[tuple[str, str, str]]

_NORMALISED = {"dsa": DsaOptions, "crop-scale-rotate": CropScaleRotateOptions}


def views_page() -> str:
    """Augmentations, with the options of each."""
    views = [(code(name), shown(entry.summary), entry.distinct) for name, entry in VIEWS.built_in.items()]
    normalised = [(code(name), shown(entry.summary)) for name, entry in NORMALISED_VIEWS.built_in.items()]
    return page(
        "Views",
        "Augmentations ([how they are written](../../views.md)).",
        illustration("views"),
        table(("`training.views`", "what it shows", "different views of an image"), views),
        "## Options of views",
        *_sections({name: options_of_view(name) for name in VIEWS.built_in}),
        "## Normalised views",
        "They work on floats between a network's normalisation and the network.",
        table(("`training.normalised_views`", "what it does"), normalised),
        *_sections({name: options_of_normalised_view(name) for name in NORMALISED_VIEWS.built_in}),
    )


def options_of_view(name: str) -> Rows:
    view = augmentation(name)
    kind = type(view.parts[0] if isinstance(view, Mixed) else view)
    texts, parameters = documented(kind.__doc__ or "", "Args"), inspect.signature(kind).parameters
    return [
        (code(option), written(_rounded(parameters[option].default)), shown(texts.get(option, "")))
        for option in VIEWS.built_in[name].options
    ]


def options_of_normalised_view(name: str) -> Rows:
    texts = descriptions(_NORMALISED[name]) if name in _NORMALISED else {}
    options = NORMALISED_VIEWS.built_in[name].options
    return [(code(option), written(value), shown(texts.get(option, ""))) for option, value in options.items()]


def models_page() -> str:
    """Networks by name, and the options of those that have some."""
    rows = [
        (code(name), model.family, "" if model.parameters is None else f"{model.parameters:,}", shown(model.summary))
        for name, model in MODELS.built_in.items()
    ]
    with_options: dict[str, Rows] = {}
    for model in MODELS.built_in.values():
        if model.options:
            with_options.setdefault(model.family, options_of_model(model.options))
    return page(
        "Models",
        "Networks by name, for `model` of students and teachers and for `lb.create`. Published weights, which are "
        "given as `weights`, are listed by `limbeck ls models`; [a module of your own](../../plugins.md) goes by its "
        "import path.",
        table(("`model`", "family", "parameters (100 classes, 3x32x32)", ""), rows),
        "## Options of models",
        *_sections(with_options),
        "## Models of timm",
        f"{shown(TIMM.summary)} Their options:",
        table(OPTION_HEADER, options_of_model(TIMM.options)),
    )


def options_of_model(options: Any) -> Rows:
    return [(code(name), written(option.default), shown(_in_words(option))) for name, option in options.items()]


def _in_words(option: Option) -> str:
    return f"{option.summary}; {option.allowed}"


def _sections(options: dict[str, Rows]) -> list[str]:
    return [part for name, rows in options.items() if rows for part in (f"### {name}", table(OPTION_HEADER, rows))]


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
