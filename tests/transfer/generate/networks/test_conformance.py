"""Every network that makes images passes the checks of its family."""

import pytest

from limbeck.testing import Check, checks_for
from limbeck.transfer.generate.networks.catalogue import GENERATORS


@pytest.mark.parametrize("check", [check for name in GENERATORS for check in checks_for("generators", name)], ids=str)
def test_conformance(check: Check) -> None:
    check()
