"""The generated reference: all that a recipe may say has a description, its range, its values and its default there."""

import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS))  # as its conf.py does

from site_pages.fields import allowed, descriptions, shown, written  # noqa: E402
from site_pages.methods import method_pages as made_pages  # noqa: E402
from site_pages.methods import options_of_objective  # noqa: E402
from site_pages.options import options_of_model, options_of_normalised_view, options_of_view  # noqa: E402
from site_pages.recipes import nested, recipe_pages  # noqa: E402
from site_pages.reference import reference_pages  # noqa: E402

from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS  # noqa: E402
from limbeck.data.view_catalogue import VIEWS  # noqa: E402
from limbeck.docstrings import documented  # noqa: E402
from limbeck.models.catalogue import MODELS, TIMM  # noqa: E402
from limbeck.objectives.catalogue import OBJECTIVES  # noqa: E402
from limbeck.recipes.schema import Recipe  # noqa: E402
from limbeck.transfer.catalogue import MAKERS, settings_of  # noqa: E402
from limbeck.transfer.part_options import PART_OPTIONS, option_text  # noqa: E402
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES  # noqa: E402

MODELS_OF = {"recipe": Recipe, **{name: settings_of(name) for name in MAKERS.built_in}}
SETTINGS = {model: f"{page}: {name}" for page, root in MODELS_OF.items() for name, model in nested(root)}
LEAST = 3
"""Least number of words in a description."""
method_pages = cache(made_pages)


@pytest.mark.parametrize("settings", SETTINGS, ids=SETTINGS.values())
def test_every_setting_says_what_it_is(settings: type[BaseModel]) -> None:
    texts = descriptions(settings)
    silent = [name for name in settings.model_fields if len(texts.get(name, "").split()) < LEAST]
    assert not silent, f"no description of {silent} in {settings.__name__}"
    assert texts.keys() <= {*settings.model_fields, *dir(settings)}, "a description of what is not there"


def test_all_settings_are_found() -> None:
    """Those of every part of a recipe that is written as a group of keys."""
    names = {setting.__name__ for setting in SETTINGS}
    assert {"DatasetSettings", "TrainingSettings", "CacheSettings", "Arm", "RacingSettings", "Sharpness"} <= names
    assert {"PoolSettings", "Threshold", "Losses", "Generator", "Experts", "Curriculum", "Mask", "Use"} <= names


def limits(schema: Any, whole: dict[str, Any]) -> Iterator[str]:
    """Every number and word by which a schema limits a value, except in groups of keys."""
    if isinstance(schema, list):
        for item in schema:
            yield from limits(item, whole)
    if not isinstance(schema, dict):
        return
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength"):
        if key in schema:
            yield f"{schema[key]:g}"
    yield from (
        written(value) for value in [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]
    )
    if "$ref" in schema:
        target = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        yield from () if "properties" in target else limits(target, whole)
    for key in ("anyOf", "oneOf", "items", "prefixItems"):
        yield from limits(schema.get(key), whole)


@pytest.mark.parametrize("settings", SETTINGS, ids=SETTINGS.values())
def test_ranges_and_values_are_on_the_page(settings: type[BaseModel]) -> None:
    whole = settings.model_json_schema(mode="validation")
    for name in settings.model_fields:
        schema = whole["properties"][name]
        missing = [limit for limit in limits(schema, whole) if limit not in allowed(schema, whole)]
        assert not missing, f"{missing} of `{name}`"


def test_options_of_every_part_say_what_they_are() -> None:
    rows = {
        **{f"objective {name}": options_of_objective(name, part) for name, part in OBJECTIVES.built_in.items()},
        **{f"view {name}": options_of_view(name) for name in VIEWS.built_in},
        **{f"normalised view {name}": options_of_normalised_view(name) for name in NORMALISED_VIEWS.built_in},
        **{f"model {name}": options_of_model(part.options) for name, part in {**MODELS.built_in, "timm": TIMM}.items()},
    }
    silent = [f"{part}: {row[0]}" for part, options in rows.items() for row in options if len(row[2].split()) < 2]
    assert not silent


def test_options_of_criteria_say_what_they_are() -> None:
    families = (REPRESENTATIONS, SCORES, ALLOCATIONS)
    options = {option for family in families for part in family.built_in.values() for option in part.options}
    assert options == set(PART_OPTIONS)
    of_both = [option_text("clusters", ALLOCATIONS[name].options["clusters"]) for name in ("k-means", "manifold")]
    assert ["silhouette" in text for text in of_both] == [True, False], "manifold has 100 clusters, and seeks no number"
    pages = method_pages()
    assert "null for 0.3 where" in pages["allocations/coverage"]
    assert "| come first by default | the lowest, as of the hardest images |" in pages["scores/minimal-margin"]


def test_no_page_shows_python_for_a_default() -> None:
    pages = {**recipe_pages(), **method_pages()}
    for path, text in pages.items():
        rows = [line for line in text.splitlines() if line.startswith("|") and "`" in line]
        assert not [line for line in rows if "=None" in line or "`None`" in line or " see `None" in line], path


def test_every_method_says_where_it_is_from_and_what_it_needs() -> None:
    pages = {path: text for path, text in method_pages().items() if not re.match(r"(views|models)/|.*/index$", path)}
    assert {"generate/bsr", "criteria/herding", "borrow/margin", "scores/el2n", "allocations/k-means"} <= set(pages)
    source, needs = r"^\| (paper|source)( of [^|]+)? \| \S", r"^\| needs \| \S"
    assert not [path for path, text in pages.items() if not re.search(source, text, re.MULTILINE)]
    assert not [path for path, text in pages.items() if not re.search(needs, text, re.MULTILINE)]


def test_every_part_of_a_criterion_has_a_paper_or_none() -> None:
    entries = [part for family in (REPRESENTATIONS, SCORES, ALLOCATIONS) for part in family.built_in.values()]
    assert all(re.search(r", \"?.+ (19|20)\d\d$|^none, ", entry.paper) for entry in entries)


def test_pages_of_criteria_show_all_parts_and_what_these_need() -> None:
    pages = method_pages()
    assert "limbeck.transfer.greedy.herding" in pages["criteria/herding"]
    assert "limbeck.transfer.greedy.k_centre" in pages["criteria/k-centre"]
    assert "limbeck.transfer.allocation.coverage" in pages["criteria/coverage"]
    assert "| needs | a teacher, labels |" in pages["criteria/coverage"]
    assert "| paper of herding-per-class | Welling," in pages["criteria/herding"]
    assert "| needs | labels, a network that is trained first |" in pages["criteria/forgetting"]
    assert "| needs | nothing but the images |" in pages["criteria/random"]


def test_a_description_becomes_a_sentence_in_yamls_words() -> None:
    assert shown("share of each; None for all") == "Share of each; `null` for all."
    assert shown("as `lb.load(labels=False)`") == "As `lb.load(labels=False)`."


def test_sections_of_docstrings_are_read() -> None:
    text = "Sums.\n\nArgs:\n    a, b: of both,\n        a number.\n    c: of one.\n\nRaises:\n    d: never."
    assert documented(text, "Args") == {"a": "of both, a number.", "b": "of both, a number.", "c": "of one."}


def test_headings_go_down_one_level_at_a_time() -> None:
    """Otherwise the site's builder, which takes warnings as errors, fails."""
    for path, text in {**recipe_pages(), **method_pages()}.items():
        levels = [len(hashes) for hashes in re.findall(r"^(#+) ", text, re.MULTILINE)]
        assert levels[0] == 1, path
        assert all(after <= before + 1 for before, after in pairwise(levels)), path


def test_links_between_generated_pages_lead_somewhere() -> None:
    pages = {**recipe_pages(), **method_pages(), **reference_pages()}
    for path, text in pages.items():
        for target in re.findall(r"\]\(([^)#:]+\.md)\)", text):
            page = (DOCS / "generated" / path).parent / target
            linked = page.resolve().relative_to(DOCS.resolve())
            assert (DOCS / linked).exists() or str(linked.relative_to("generated"))[:-3] in pages, (path, target)
