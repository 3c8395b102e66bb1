import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", autouse=True)
def _checked() -> Iterator[None]:
    """Charts of these tests are held to the schema of Vega-Lite, which takes too long where pages are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.report.vega.specification", lambda chart: chart.to_dict())
        yield
