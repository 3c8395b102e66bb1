import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair as alt
import pytest

from limbeck.report.figures import style

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _checked() -> Iterator[None]:
    """Validates the charts of these tests against the schema of Vega-Lite; for every written page that is too slow."""

    def specification(chart: style.AnyChart, **look: str) -> dict[str, Any]:
        return chart.properties(config=alt.Config(**style.look(**look))).to_dict()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.report.vega.specification", specification)
        yield
