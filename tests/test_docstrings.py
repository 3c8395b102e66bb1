"""Descriptions of arguments are read from docstrings without importing."""

import pytest

from limbeck.docstrings import arguments_of, documented
from limbeck.objectives.catalogue import OBJECTIVES


@pytest.mark.parametrize("name", OBJECTIVES.built_in)
def test_every_option_of_an_objective_is_described(name: str) -> None:
    entry = OBJECTIVES[name]
    texts = arguments_of(f"limbeck.objectives.{name}", entry.class_name)
    assert [option for option in entry.options if not texts.get(option)] == []
    assert not [text for text in texts.values() if text.startswith("as for `") and "`;" in text]


def test_sections_of_a_docstring() -> None:
    docstring = """Something.

    Args:
        one, two: of both,
            in two lines.
        three: the last.

    Returns:
        four: not an argument.
    """
    assert documented(docstring, "Args") == {"one": "of both, in two lines.", "two": "of both, in two lines."} | {
        "three": "the last."
    }
    assert documented(docstring, "Raises") == {}


def test_what_is_not_there_has_no_texts() -> None:
    assert arguments_of("limbeck.objectives.kd", "Other") == {}
    assert arguments_of("limbeck.nowhere", "KD") == {}
