"""How little is enough, in sentences, a chart and a table."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.report import report_factory as factory

from limbeck.recipes.enough import enough
from limbeck.report import headline, write_comparison_report
from limbeck.report.controls import Controls
from limbeck.report.enough import enough_sentences, images, interval, more_seeds
from limbeck.report.figures.enough import enough_chart, margins_chart
from limbeck.report.vega import figure

Row = dict[str, Any]


def with_answer(content: Row, margin: float = 0.01, **changes: Any) -> Row:
    result = enough(content["runs"], content["table"], margin, 0.934)
    assert result is not None
    return content | {"enough": result | changes}


def results(arms: int = 1, seeds: int = 3) -> Row:
    """Arms of which the first needs fewest and the last more than there are."""
    levels = {f"criterion-{place}": 0.86 - 0.015 * place for place in range(arms)}
    return factory.results(arms={**levels, "random": 0.84, "no-teacher": 0.7}, seeds=seeds)


def row(**changes: Any) -> Row:
    content = {"n": 3, "least": 50, "most": 300, "images": 214, "at_most": False, "low": 138, "high": 287}
    return content | {"seeds_needed": None, "control": False} | changes


@pytest.mark.parametrize(
    ("found", "needed", "between"),
    [
        (row(), "about 210", "140 to 290"),
        (row(high=None), "about 210", "140 to above 300"),
        (row(low=None, high=None), "about 210", "below 50 to above 300"),
        (row(images=None, high=None), "more than 300", "140 to above 300"),
        (row(images=None, low=300, high=None), "more than 300", "above 300"),
        (row(images=50, at_most=True, low=None, high=97), "at most 50", "below 50 to 97"),
        (row(images=50, at_most=True, low=None, high=50), "at most 50", "below 50"),
        (row(n=1, low=None, high=None), "about 210", ""),
        (row(least=300, images=None, low=300, high=None), "more than 300", "above 300"),
        (row(most=45_000, images=12_345, low=5_100, high=None), "about 12,000", "5,100 to above 45,000"),
    ],
)
def test_images_and_interval_in_words(found: Row, needed: str, between: str) -> None:
    assert (images(found), interval(found)) == (needed, between)


def test_seeds_in_words() -> None:
    assert [more_seeds(needed, 3) for needed in (None, 12, 4, 103, 104)] == [
        "",
        "about 9 more",
        "about 1 more",
        "about 100 more",
        "more than 100 more",
    ]


def answer(*arms: Row, **changes: Any) -> Row:
    costs = {"teacher_passes": 19_200, "seconds": 1.25, "energy_kwh": 4e-6}
    rows = [
        {"arm": f"arm-{place}", "costs": dict.fromkeys(("images", "low", "high"), costs), **arm}
        for place, arm in enumerate(arms)
    ]
    reference = {"name": "full", "mean": 0.991, "images": 1293, "n": 3}
    content = {"margin": 0.01, "reference": reference, "arms": rows, "fewest": None, "by_margin": []}
    return {"enough": content | changes, "table": [{"arm": "full", **costs, "seconds": 1.5}], "runs": []}


def test_the_first_sentence_answers_for_every_arm() -> None:
    sentences = enough_sentences(answer(row(images=None, low=180, high=None, seeds_needed=12), row()))
    assert sentences == [
        "To come within 1 point of full data (1,293 images, 99.1 %), arm-1 needs about 210 images (95 % interval 140 "
        "to 290) and arm-0 more than 300 (180 to above 300); n = 3 seeds",
        "A run of arm-1 with so few takes 19,200 teacher passes, 1.2 s and 0.004 Wh; one on full data, 19,200 teacher "
        "passes, 1.5 s and 0.004 Wh",
        "Seeds it would take to tell whether 300 images are enough: about 9 more for arm-0",
    ]


def test_which_pays_is_said_with_its_correction() -> None:
    known = {"n": 3, "p": 0.01}
    against = [
        {"arm": "arm-1", "beyond_noise": True, "seeds_needed": None, **known},
        {"arm": "arm-2", "beyond_noise": False, "seeds_needed": 12, **known},
    ]
    fewest = {"arm": "arm-0", "images": 214, "tests": 3, "against": against}
    assert enough_sentences(answer(row(), row(), row(), fewest=fewest))[1] == (
        "That arm-0 needs the fewest is beyond seed noise against arm-1 and within it against arm-2 (about 9 more "
        "seeds would tell), by Holm's correction over 3 pairs of arms"
    )
    alone = fewest | {"tests": 1, "against": [against[1] | {"seeds_needed": 4}]}
    assert enough_sentences(answer(row(), row(), fewest=alone))[1] == (
        "That arm-0 needs the fewest is within seed noise against arm-2 (about 1 more seed would tell)"
    )


def test_one_seed_and_other_references_are_said() -> None:
    alone = enough_sentences(answer(row(n=1, low=None, high=None)))[0]
    assert alone.endswith("arm-0 needs about 210 images; n = 1 seed, so seed noise is unknown")
    teacher = {"name": "teacher", "mean": 0.994, "images": None, "n": None}
    assert (
        "within 2.5 points of the teacher (99.4 %), arm-0"
        in enough_sentences(answer(row(), reference=teacher, margin=0.025))[0]
    )
    assert enough_sentences(answer(row(), margin=0.0))[0].startswith("To be as good as full data")


def test_arms_with_another_student_than_the_full_data_are_named() -> None:
    words = "criterion-0 teaches another student than full data does, so what it needs tells of the student, too"
    assert words in enough_sentences(with_answer(results(), other_students=["criterion-0"]))
    words = "criterion-0 and criterion-1 teach another student than full data does, so what they need"
    both = with_answer(results(2), other_students=["criterion-1", "criterion-0"])
    assert any(words in sentence for sentence in enough_sentences(both))
    assert not any("another student" in sentence for sentence in enough_sentences(with_answer(results())))


def test_of_many_arms_the_first_is_named_and_the_others_are_counted() -> None:
    arms = [row(images=60 + place, control=place < 1, seeds_needed=9) for place in range(6)]
    sentences = enough_sentences(answer(*arms, *[row(images=None, high=None, seeds_needed=9)] * 3))
    assert "6 of 9 arms need at most 300 images, the fewest of all arm-0 about 60 images (95 % interval" in sentences[0]
    assert ", and of those that are no controls arm-1 about 61" in sentences[0]
    assert sentences[-1].endswith(
        "about 6 more for arm-0, about 6 more for arm-1 and about 6 more for arm-2, more in the table for 6 others"
    )
    none, lacking = enough_sentences(answer(*[row(images=None, seeds_needed=9)] * 4, *[row(images=None)] * 3))
    assert ", 300 images are too few for the mean of any of 7 arms; n = 3 seeds" in none
    assert lacking.endswith("about 6 more for arm-2, more in the table for 1 other")


def test_of_arms_that_need_as_many_the_most_accurate_comes_first() -> None:
    fewest = {"arm": "arm-1", "images": 50, "tests": 1, "against": []}
    sentences = enough_sentences(answer(*[row(images=50, at_most=True, low=None, high=50)] * 2, fewest=fewest))
    assert "arm-1 needs at most 50 images (95 % interval below 50) and arm-0 at most 50 (below 50)" in sentences[0]
    assert sentences[1].startswith("A run of arm-1 with so few takes")


def test_of_controls_alone_the_answer_does_not_say_that_nothing_is_known() -> None:
    words = headline(with_answer(results()) | {"differences": []})
    assert "To come within 1 point of" in words
    assert "Nothing can be said of differences yet: no arm has a finished run beside" in words


def test_without_a_finished_run_of_the_full_data_that_is_said() -> None:
    content = factory.results()
    broken = [row | ({"state": "failed", "last": None} if row["arm"] == "full" else {}) for row in content["runs"]]
    sentence = "How little is enough cannot be told before a run of full data has finished"
    assert enough_sentences(content | {"runs": broken, "enough": None}) == [sentence]
    assert enough_sentences(content | {"runs": broken}) == []  # of an earlier version


def test_results_of_before_and_without_budgets_say_nothing_of_it() -> None:
    assert enough_sentences(factory.results()) == []
    assert enough_sentences(factory.results() | {"enough": None}) == []


@pytest.mark.parametrize("arms", [1, 8])
@pytest.mark.parametrize("seeds", [1, 3])
def test_charts_have_a_row_and_a_line_for_every_arm(arms: int, seeds: int) -> None:
    content = with_answer(results(arms, seeds))
    for chart, key in ((enough_chart(content), "a"), (margins_chart(content), "b")):
        drawn = figure(chart, key, "label").svg
        ElementTree.fromstring(drawn)
        assert "NaN" not in drawn
        assert "undefined" not in drawn
    drawn = figure(enough_chart(content), "a", "label").svg
    for words in ("criterion-0", "full data 45,000", "no teacher", "more than 11,250"):
        assert words in drawn, words


def test_the_page_begins_with_the_answer(tmp_path: Path) -> None:
    content = with_answer(results())
    factory.write_json(tmp_path / "results.json", content)
    page = write_comparison_report(tmp_path).read_text("utf-8")
    assert page.index("How little is enough") < page.index(">Frontier<")
    for words in ("Seeds to tell", "95 % interval", "Bands are the 95 % intervals", "rather too many images"):
        assert words in page, words
    assert 'class="plot fluid wide" data-chart="enough"' in page  # words at both sides leave a phone no room
    assert 'class="plot fluid" data-chart="enough-margins"' in page
    assert headline(content).startswith("To come within 1 point of full data (45,000 images")


def test_a_table_of_corrected_differences_says_so(tmp_path: Path) -> None:
    content = factory.results()
    corrected = {"p": 0.02, "p_adjusted": 0.04, "tests": 2, "seeds_needed": 12}
    content["differences"] = [difference | corrected for difference in content["differences"]]
    factory.write_json(tmp_path / "results.json", content)
    page = write_comparison_report(tmp_path).read_text("utf-8")
    for words in ("0.040", "about 9 more seeds would tell", "Holm", "As 2 arms are set against the same control"):
        assert words in page, words
    assert "by Holm&#39;s correction over 2 arms; n" in page
    assert Controls.of(content).full
