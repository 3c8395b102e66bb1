"""The recipes that come along, and copies of them."""

import re
from pathlib import Path

import pytest
import yaml

from limbeck.errors import UserError
from limbeck.recipes.describe import describe
from limbeck.recipes.inheritance import copy_recipe
from limbeck.recipes.packaged import find_recipe, packaged_recipes, summary
from limbeck.recipes.reading import read_recipe


@pytest.mark.parametrize("name", packaged_recipes())
def test_it_is_valid_and_says_what_it_is_for(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name.startswith(name)
    assert summary(find_recipe(name)) == recipe.summary != ""
    assert f"valid: a recipe to {recipe.verb}" in describe(recipe)


def test_description_reads_back_and_counts_the_runs() -> None:
    recipe = read_recipe("digits-demo")
    text, verdict = describe(recipe).split("\nvalid: ")
    assert read_recipe(yaml.safe_load(text)) == recipe
    assert "69 runs, 3 seeds of each of:\n  50 images, 150 images, 450 images: entropy, generated, random, " in verdict
    assert "no-teacher\n  full, full-no-teacher" in verdict


def test_copy_is_the_users_own(tmp_path: Path) -> None:
    copied = copy_recipe("digits-demo", tmp_path)
    assert copied == tmp_path / "digits-demo.yaml"
    assert read_recipe(copied) == read_recipe("digits-demo")
    with pytest.raises(UserError, match="exists already and is never overwritten"):
        copy_recipe("digits-demo", copied)
    with pytest.raises(UserError, match=r"there is no folder .*nowhere"):
        copy_recipe("digits-demo", tmp_path / "nowhere" / "x.yaml")


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown recipe 'digits-dmo'; did you mean 'digits-demo'.*limbeck ls recipes"):
        find_recipe("digits-dmo")
    with pytest.raises(UserError, match=re.escape("`limbeck cp cifar10-distill my.yaml` would make one")):
        find_recipe("my.yaml")
