from pathlib import Path

import pytest
from tests.transfer.borrow.fake_pools import pool_of

from limbeck.errors import UserError
from limbeck.transfer.borrow.same_pools import check_same


def test_runs_of_a_comparison_borrow_from_the_same_images(tmp_path: Path) -> None:
    pool, other = pool_of("a", range(24)), pool_of("b", range(24))
    described = {"a": {"fingerprint": "1" * 32}, "b": {"fingerprint": "2" * 32}}
    check_same([pool], described, tmp_path, ["cat"], ["ant", "cat"])
    check_same([pool, other], described, tmp_path, ["cat"], ["ant", "cat"])
    changed = described | {"a": {"fingerprint": "3" * 32}}
    with pytest.raises(UserError, match=r"the pool 'a' holds other images than .* \(fingerprint 1{12} then, 3{12} now"):
        check_same([pool, other], changed, tmp_path, ["cat"], ["ant", "cat"])
    check_same([pool], changed, tmp_path, [], ["ant", "cat"])  # with other classes left out, it is another pool
