"""Work on Ray clusters that run already: joined, checked before the work, and left running."""

import importlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.recipes.test_workers import Listening, assert_same
from tests.recipes.tiny_recipes import comparison
from tests.transfer.borrow.fake_pools import as_pool, pool_of
from tests.transfer.borrow.test_by_workers import Dying
from tests.transfer.conftest import natural

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import create
from limbeck.recipes.compare import compare
from limbeck.recipes.reading import read_recipe
from limbeck.training import Silent
from limbeck.transfer.borrow.pool_table import pool_table
from limbeck.transfer.select import score_table
from limbeck.workers import ray_cluster, run_shards

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (limbeck[scale])"),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """Address of a head node of two processors on the loopback interface."""
    port = free_port()
    with tempfile.TemporaryDirectory(
        prefix="ray", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:  # short, for sockets
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
        address = ["--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={folder}"]
        # Its workers find limbeck, but neither this process's folder nor its variables.
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
        variables.pop("LIMBECK_CACHE", None)
        node = subprocess.Popen(
            [*command, *address, "--include-dashboard=false", "--disable-usage-stats"],
            cwd=folder,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for(port, node)
            yield f"127.0.0.1:{port}"
        finally:
            stop(node)


def wait_for(port: int, node: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert node.poll() is None, "the head node ended"
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.2)
    raise AssertionError("no head node within two minutes")


def stop(node: subprocess.Popen[bytes]) -> None:
    """Ends all processes of the node's session, by force if needed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(node.pid, number)
        with suppress(subprocess.TimeoutExpired):
            node.wait(5)


@pytest.fixture
def joining(head: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RAY_ADDRESS", head)
    monkeypatch.setattr("limbeck.transfer.scoring.features.PIXELS_PER_BATCH", 2**10)
    return head


def from_here(count: int, needed: str) -> ImageSet:
    """Images that are found by a relative path and an environment variable of this process."""
    assert Path(needed).exists(), f"{needed} from {Path.cwd()}"
    assert os.environ["LIMBECK_DATA"] == "somewhere"
    return natural(count)


def elsewhere(pid: int) -> ImageSet:
    """One pixel has another value in every process but this."""
    images = natural(150)
    pixels = images.tensor().clone()
    pixels[-1, 0, 0, 0] ^= int(os.getpid() != pid)
    return ImageSet(pixels, images.labels, ids=images.ids, classes=images.classes, name="blotches")


def test_a_running_cluster_is_joined_and_left_running(
    joining: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIMBECK_DATA", "somewhere")
    Path("needed").touch()
    load = partial(from_here, 150, "needed")
    alone = score_table(load, "one.parquet", shard=64)
    # More workers than the cluster has processors: those that cannot start take no shard.
    three = score_table(load, "three.parquet", shard=64, workers=3)
    assert three.read_bytes() == alone.read_bytes()
    assert not importlib.import_module("ray").is_initialized()
    socket.create_connection(("127.0.0.1", int(joining.rpartition(":")[2])), timeout=5).close()  # it runs on


def test_a_cluster_makes_the_same_table_of_pools_when_a_worker_dies(joining: str, tmp_path: Path) -> None:
    teacher = create("resnet8", num_classes=4, channels=1, seed=1, input_size=8).eval()
    pools = [pool_of("a", [*range(60)] * 5), pool_of("b", [*range(30, 60)] * 7, seed=1)]
    alone = pool_table(pools, teacher, tmp_path / "one")
    dying = as_pool("b", Dying(pools[1].images, tmp_path / "died", os.getpid()))
    two = pool_table([dying, pools[0]], teacher, tmp_path / "two", workers=2)
    assert (tmp_path / "died").exists()
    assert alone.table.path is not None
    assert two.table.path is not None
    assert two.table.path.read_bytes() == alone.table.path.read_bytes()


def test_a_comparison_by_a_cluster_is_that_of_one_process(joining: str, tmp_path: Path) -> None:
    recipe = read_recipe(comparison(seeds=[0]))
    compare(recipe, tmp_path / "here")
    progress = Listening()
    compare(recipe, tmp_path / "there", workers=2, progress=progress)
    assert_same(tmp_path / "there", tmp_path / "here")
    assert len([call for call in progress.heard if call[1] == "close"]) == 6
    assert any(call[1] == "update" for call in progress.heard)


def test_what_a_worker_does_not_see_is_said_before_the_work(joining: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"a worker on .* cannot see '.*/gone'; the machines of a Ray cluster must .* share .* the files of the "
        r"images, limbeck's cache and the folder that the result goes to.* unset RAY_ADDRESS",
    ):
        run_shards(dict, "pop", [0, 1], 2, Silent(), "nothing", [tmp_path / "gone"])
    with pytest.raises(
        UserError, match=r"a worker on .* cannot begin \(UserError: the images that 'blotches' names on"
    ):
        score_table(partial(elsewhere, os.getpid()), tmp_path / "scores.parquet", workers=2, shard=64)
    assert not list((tmp_path / "scores.parquet.parts").glob("*.parquet"))


def test_a_cluster_without_room_is_said(joining: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    @ray.remote(num_cpus=2)
    class All:
        def here(self) -> None: ...

    ray.init(address=joining, log_to_driver=False, configure_logging=False)
    try:
        taking = All.remote()
        ray.get(taking.here.remote())
        monkeypatch.setattr(ray_cluster, "PATIENCE", 1)
        with pytest.raises(UserError, match=r"started no worker within 1 s; it has 2 CPUs, 0 of them free"):
            run_shards(dict, "pop", [0, 1], 2, Silent(), "nothing")
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize(
    ("address", "error"),
    [("127.0.0.1:{free}", "ConnectionRefusedError"), ("nonsense", "ValueError: Invalid address"), ("gopher://x:1", "")],
)
def test_an_address_that_cannot_be_joined_is_named(monkeypatch: pytest.MonkeyPatch, address: str, error: str) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address.format(free=free_port()))
    with pytest.raises(
        UserError, match=rf"(?s)RAY_ADDRESS names a cluster that cannot be joined, '.*' \(.*{error}.*unset RAY_ADDRESS"
    ):
        run_shards(dict, "pop", [0, 1], 2, Silent(), "nothing")
