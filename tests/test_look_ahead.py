import threading
from collections.abc import Iterator

import pytest

from limbeck.look_ahead import look_ahead


def test_order_is_kept() -> None:
    assert list(look_ahead(range(50))) == list(range(50))
    assert list(look_ahead([])) == []


def test_the_next_batch_is_read_while_one_is_in_use() -> None:
    events = [threading.Event() for _ in range(4)]

    def source() -> Iterator[int]:
        for number, event in enumerate(events):
            event.set()
            yield number

    for number in look_ahead(source()):
        if number < 3:
            assert events[number + 1].wait(10), "without asking for it"
        assert not any(event.is_set() for event in events[number + 2 :]), "and no more than one"


def test_errors_come_where_their_batch_would_have() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("cannot be read")

    batches = look_ahead(source())
    assert next(batches) == 1
    with pytest.raises(OSError, match="cannot be read"):
        next(batches)


def test_whoever_stops_leaves_no_thread() -> None:
    batches = look_ahead(iter(range(100)))
    assert next(batches) == 0
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look-ahead")]
