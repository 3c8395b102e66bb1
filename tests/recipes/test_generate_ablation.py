"""What arms of the packaged comparisons of data-free methods differ in, and that it is nothing else."""

import pytest

from limbeck.recipes.reading import read_recipe
from limbeck.report.settings_section import sweeps

NAME = "digits-generate-ablation"
PARTS = ("labels", "growth", "homogenise")


def test_arms_are_all_combinations_of_the_parts() -> None:
    compare = read_recipe(NAME).compare
    assert compare is not None
    transfers = {name: arm.transfer or {} for name, arm in compare.arms.items()}
    rest = [{key: value for key, value in transfer.items() if key not in PARTS} for transfer in transfers.values()]
    assert all(settings == rest[0] for settings in rest)
    assert rest[0]["inner_steps"] == 10
    combinations = {
        (transfer["labels"] == "balanced", transfer["growth"] is not None, transfer["homogenise"] is not None)
        for transfer in transfers.values()
    }
    assert len(combinations) == len(transfers) == 8
    assert all(
        (part in name or name == "all") == (transfers[name][part] is not None)
        for name in transfers
        for part in PARTS[1:]
    )


@pytest.mark.parametrize("setting", ["memory", "step"])
def test_studies_of_numbers_are_curves(setting: str) -> None:
    recipe = read_recipe(NAME, [f"study={setting}"])
    (sweep,) = sweeps(recipe.model_dump(mode="json"))
    assert sweep.setting == f"transfer.growth.{setting}"
    assert len(sweep.arms) == 5


def test_arms_that_keep_another_step_differ_in_nothing_else() -> None:
    compare = read_recipe(NAME, ["study=keep"]).compare
    assert compare is not None
    transfers = [arm.transfer or {} for arm in compare.arms.values()]
    assert {transfer["keep"] for transfer in transfers} == {"best-image", "best-batch", "last"}
    assert all({**transfer, "keep": None} == {**transfers[0], "keep": None} for transfer in transfers)


def test_digits_at_the_published_pace() -> None:
    """One step of the generator for every five of the student, ten of DFQ's, by the methods that keep no images."""
    compare = read_recipe("digits-generate", ["steps=published"]).compare
    assert compare is not None
    transfers = {name: arm.transfer or {} for name, arm in compare.arms.items()}
    assert {name: (transfer["inner_steps"], transfer["steps_per_round"]) for name, transfer in transfers.items()} == {
        "dafl": (1, 5),
        "zskt": (1, 5),
        "dfad": (1, 5),
        "dfq": (1, 10),
    }
