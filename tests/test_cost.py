"""The cost of runs, also of those that earlier versions wrote."""

from tests.report import report_factory as factory

from limbeck.cost import Cost, RunCost


def test_new_costs_have_all_their_parts() -> None:
    content = factory.cost(4500, 60_000, asked=20_000, saved=5) | {"teacher": Cost(steps=9).to_dict()}
    cost = RunCost.from_dict(content)
    assert cost.making is not None
    assert (cost.making.teacher_passes, cost.teaching.teacher_passes, cost.total.passes_saved) == (20_000, 60_000, 5)
    assert cost.teacher == Cost(steps=9)
    assert cost.share("teacher_passes") == 0.25
    assert cost.total == Cost.from_dict(content["total"])


def test_costs_of_before_are_all_teaching() -> None:
    content = factory.cost_of_before(4500, 60_000)
    cost = RunCost.from_dict(content)
    assert (cost.making, cost.teacher, cost.share("seconds")) == (None, None, None)
    assert (cost.total.teacher_passes, cost.total.steps, cost.total.measured) == (60_000, 1200, False)
    assert cost.total.kwh == content["energy"]["kwh"]
    assert RunCost.from_dict({"energy": {"kwh": 1.0, "kind": "measured"}}).total.measured


def test_rows_of_a_table_are_read_alike() -> None:
    rows = factory.results()["table"]
    for row in rows:
        before = {key: value for key, value in row.items() if key not in ("making", "teaching")}
        assert (
            RunCost.from_dict(before).total.teacher_passes
            == RunCost.from_dict(row).total.teacher_passes
            == row["teacher_passes"]
        )
        assert abs(RunCost.from_dict(before).total.kwh - RunCost.from_dict(row).total.kwh) < 1e-9


def test_nothing_known() -> None:
    assert RunCost.from_dict(None) == RunCost.from_dict({}) == RunCost(known=False)


def test_real_images_are_kept() -> None:
    cost = RunCost(images=50, real_images=1437)
    assert RunCost.from_dict(cost.to_dict()) == cost
    assert RunCost.from_dict({"images": 50, "teacher_passes": 3}).real_images is None
