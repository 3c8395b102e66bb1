"""What `import limbeck` makes reachable, and that it does so without torch."""

import subprocess
import sys

import pytest

import limbeck as lb
from limbeck.lazy import lazy_exports

PACKAGES = ("data", "evaluation", "models", "objectives", "recipes", "training", "transfer")


def fresh(code: str) -> None:
    """Runs code in a new process, where nothing has been imported yet."""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_packages_and_their_modules_are_there_after_a_fresh_import() -> None:
    reached = "; ".join(f"lb.{name}" for name in (*PACKAGES, "transfer.select", "errors.UserError"))
    fresh(
        f"import sys, limbeck as lb; {reached}; lb.data.catalogue.DATASETS; assert 'torch' not in sys.modules; "
        "lb.models.untrained; lb.objectives.functional.kd; lb.transfer.select.select; lb.report.headline; "
        "lb.recipes.reading.read_recipe; lb.models.zoo.create"
    )


def test_what_is_not_there_is_an_attribute_error() -> None:
    for package, name in ((lb, "modls"), (lb.models, "zoos"), (lb, "_private"), (lb.transfer, "choose")):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute '{name}'"):
            getattr(package, name)
    assert not hasattr(lb, "__wrapped__")


def test_every_export_is_there() -> None:
    for package in (lb, lb.data, lb.models, lb.objectives, lb.evaluation, lb.training, lb.transfer.select):
        assert all(getattr(package, name) is not None for name in package.__all__), package.__name__


def test_prompts_see_exports_and_modules() -> None:
    fresh(
        "import limbeck as lb; assert {*lb.__all__, 'data', 'objectives', 'errors'} <= {*dir(lb)}; "
        "assert {'KD', 'functional', 'kd'} <= {*dir(lb.objectives)}; assert {'create', 'zoo'} <= {*dir(lb.models)}; "
        "assert {'load', 'image_set'} <= {*dir(lb.data)}"
    )


def test_exports_come_before_modules_of_the_same_name() -> None:
    get = lazy_exports("limbeck.models", {"taps": "limbeck.models.taps:Taps"})
    assert get("taps") is lb.models.Taps
    assert get("zoo").create is lb.create
