"""Processes that have imported already what training needs, which takes a new Python longer than most scripts of tests.

They are forks of a process that has, and otherwise like `python -c`: with arguments, an environment and streams of
their own; they can be killed and waited for. They share its hash seed, where each new Python has its own, and limbeck's
own workers, where a test has started some, are forks of the same process.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
_IMPORTED = (
    "timm",
    "torch._dynamo",  # which the first optimiser imports
    "accelerate",
    "limbeck.training.loop",
    "tests.objectives.pairs",
    "tests.training.sources",
    "tests.training.tiny",
)


class Started:
    """A process that `start` has begun, with the methods of `subprocess.Popen`."""

    def __init__(self, script: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_IMPORTED))
        self._folder = tempfile.TemporaryDirectory()
        streams = [str(Path(self._folder.name) / name) for name in ("out", "errors")]
        self._process = context.Process(target=_run, args=(script, arguments, dict(environment), *streams))
        self._process.start()

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the number of the signal that killed it."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it printed and its errors, once it has ended.

        Raises:
            AssertionError: it runs longer than `timeout` seconds, and is killed.
        """
        self._process.join(timeout)
        late = self._process.exitcode is None
        if late:
            self._process.kill()
            self._process.join()
        out, errors = (_text(Path(self._folder.name) / name) for name in ("out", "errors"))
        self._folder.cleanup()
        assert not late, f"still running after {timeout} s; it said: {out}{errors}"
        return out, errors


def start(script: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Started:
    """Begins a script.

    Args:
        script: its text.
        arguments: `sys.argv` from the second on.
        environment: environment variables, by default those of this process.
    """
    return Started(script, arguments, os.environ if environment is None else environment)


def _run(script: str, arguments: tuple[str, ...], environment: dict[str, str], out: str, errors: str) -> None:
    for path, stream in ((out, 1), (errors, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(file, stream)
        os.close(file)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = ["-c", *arguments]
    warnings.simplefilter("ignore")
    try:
        exec(compile(script, "<script>", "exec"), {"__name__": "__main__"})
    except Exception:
        traceback.print_exc()
        raise SystemExit(1) from None
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
