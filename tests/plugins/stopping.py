"""Runs that have begun and are cut off before the student is taught."""

from pathlib import Path
from typing import Any

import pytest

from limbeck.recipes import run as run_module
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import run


class PowerCut(BaseException):
    pass


def stop(content: dict[str, Any], folder: Path) -> None:
    real = run_module.fit

    def fit(*given: Any, **options: Any) -> Any:
        if options["run_folder"].path != folder / "teacher":
            raise PowerCut
        return real(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "fit", fit)
        with pytest.raises(PowerCut):
            run(read_recipe(content), folder)
