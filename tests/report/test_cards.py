"""The top of a comparison's page, one order of arms for all of it, and axes that end at 0 and 100 %."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.report import report_factory as factory

from limbeck.report import comparison_tables as tables
from limbeck.report import frontier_chart, sentences
from limbeck.report.blocks import Table
from limbeck.report.comparison_cards import comparison_cards
from limbeck.report.controls import arm_order
from limbeck.report.figures import ranking, style

USERS = {"zeta": 0.75, "herding": 0.70, "margin": 0.7, "alpha": 0.72}


def of_users(seeds: int = 3) -> dict[str, Any]:
    """Four arms of the user, not in alphabetical order."""
    results = factory.results(USERS | {arm: factory.LEVELS[arm] for arm in ("random", "balanced-random")}, seeds=seeds)
    for row in [*results["runs"], *results["table"]]:
        row["control"] = row["arm"] not in USERS
    return results | {"differences": factory.differences(results["runs"])}


def test_every_arm_has_a_card_with_its_verdict() -> None:
    results = of_users()
    cards = {card.label: card for card in comparison_cards(results)}
    labels = ["balanced random", "random", "full data", "full data without teacher"]
    assert list(cards) == ["teacher", *USERS, *labels]
    zeta = cards["zeta"]
    assert zeta.note.startswith("11,250 images; +")
    assert zeta.note.endswith(" to balanced random, beyond seed noise")
    assert (zeta.tone, cards["random"].tone, cards["random"].note) == ("good", "", "11,250 images")
    assert comparison_cards(of_users(seeds=1))[1].note.endswith("to balanced random, one seed only")


def test_the_lead_has_one_sentence_for_more_than_a_few_arms() -> None:
    (sentence,) = sentences.lead(of_users())
    assert sentence.startswith("Above balanced random beyond seed noise: zeta at 5 %, 10 % and 25 %")
    assert "; below balanced random beyond seed noise: " in sentence
    assert len(sentences.headlines(of_users())) == 4
    assert sentences.lead(factory.results()) == sentences.headlines(factory.results())
    nothing = of_users(seeds=1)
    assert sentences.lead(nothing) == ["All 4 arms are compared with balanced random on one seed only"]


@pytest.mark.parametrize("key", ["table", "differences", "cost", "runs"])
def test_tables_have_the_arms_in_the_order_of_the_recipe(tmp_path: Path, key: str) -> None:
    results = of_users()
    for run in results["runs"]:
        run["images"] = run["images"] or 11_250
    make = {
        "table": tables.arms_section,
        "differences": tables.differences_section,
        "cost": tables.cost_section,
        "runs": lambda results: tables.runs_section(tmp_path, results),
    }
    section = make[key](results)
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table) and block.columns[0] == "Arm"]
    first = [getattr(row[0], "text", row[0]) for row in table.rows]
    assert [arm for arm in dict.fromkeys(first) if arm in USERS] == list(USERS)


def test_a_colour_stays_with_its_arm_and_no_two_arms_look_alike() -> None:
    results = of_users()
    styles = style.arms(results)
    assert list(styles) == list(arm_order(results)) == [*USERS, "balanced-random", "random", "full", "full-no-teacher"]
    more = {"runs": [{"arm": f"a{place}", "control": False} for place in range(30)]}
    looks = [(arm.colour, arm.dash) for arm in style.arms(more).values()]
    assert len(set(looks)) == 30
    assert [arm.dash for arm in styles.values() if not arm.control] == [(1, 0)] * 4


def test_axes_end_at_all_and_at_none() -> None:
    """Intervals are cut where accuracy cannot go."""
    results = factory.results({"entropy": 0.87, "random": 0.86}, {"25 %": 11_250}, seeds=2)
    for run, row in zip(results["runs"], (1.0, 0.97, 0.98, 1.0), strict=False):
        run["last"] = row
    results["table"] = factory.table(results["runs"])
    results["teacher"]["evaluation"]["top1"] = 0.999
    for chart in (frontier_chart(results), ranking.ranking(results, style.arms(results))):
        content = json.loads(json.dumps(chart.to_dict()))
        domains = [domain for domain in found(content, "domain") if isinstance(domain, list)]
        shares = [domain for domain in domains if len(domain) == 2 and all(isinstance(end, float) for end in domain)]
        assert shares
        assert all(0 <= low < high <= 1 for low, high in shares)
        ends = [end for key in ("low", "high") for end in found(content, key) if end is not None]
        assert ends
        assert all(0 <= end <= 1 for end in ends)


def found(tree: Any, key: str) -> Any:
    """All values that a nested structure has under a key."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == key:
                yield value
            yield from found(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from found(value, key)
