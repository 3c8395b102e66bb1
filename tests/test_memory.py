from pathlib import Path
from types import SimpleNamespace

import pytest

from limbeck import memory


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    return tmp_path


def limited(folder: Path, limit: str, used: int, names: tuple[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in zip((*names, "memory.stat"), (limit, used, "anon 5\ninactive_file 100"), strict=True):
        (folder / name).write_text(f"{content}\n")


def test_the_machine_has_some() -> None:
    assert memory.free_memory() > 2**20


def test_without_limits_it_is_the_machines(container: Path) -> None:
    assert memory.free_memory() == 1000
    limited(container, "max", 300, ("memory.max", "memory.current"))
    assert memory.free_memory() == 1000


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts(container: Path, version: int) -> None:
    names = ("memory.max", "memory.current")
    names = names if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limited(container if version == 2 else container / "memory", "900", 500, names)
    assert memory.free_memory() == 900 - 500 + 100, "what was read from files makes room"
    limited(container if version == 2 else container / "memory", "900", 1100, names)
    assert memory.free_memory() == 0
