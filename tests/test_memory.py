import mmap
import os
import platform
import subprocess
import sys
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


COUNT_FAULTS = """
import resource, torch
from limbeck.memory import keep_freed_memory
keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(10 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(*[faults() for _ in range(20)])
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_freed_memory_is_kept_unless_the_user_tunes_the_allocator() -> None:
    def pages(**variables: str) -> list[int]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
        environment.pop("GLIBC_TUNABLES", None)
        command = [sys.executable, "-c", COUNT_FAULTS]
        done = subprocess.run(command, env=environment | variables, capture_output=True, text=True, check=True)
        return [int(number) for number in done.stdout.split()]

    whole = 10 * 2**20 * 4 // mmap.PAGESIZE
    assert sum(pages()[10:]) < whole, "of ten tensors none was taken anew"
    assert sum(pages(MALLOC_TRIM_THRESHOLD_="1000000")[10:]) >= 10 * whole
    assert sum(pages(GLIBC_TUNABLES="glibc.malloc.trim_threshold=1000000")[10:]) >= 10 * whole


HOLES = """
import psutil, torch
from limbeck.memory import keeping_freed_memory
held = lambda: psutil.Process().memory_info().rss
with keeping_freed_memory():
    before = held()
    blocks = [torch.ones(5 * 2**20) for _ in range(20)]
    del blocks[::2]
    inside = held() - before
print(inside, held() - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="the allocator is not glibc's")
def test_what_is_free_is_given_back_at_the_end() -> None:
    """Half of twenty blocks of 20 MiB, with others between them."""
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    inside, after = (int(number) / 2**20 for number in done.stdout.split())
    assert after < 250
    assert after < inside
