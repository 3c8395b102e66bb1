"""The process of a worker: it is told to begin, then gets task after task, and may be told to stop."""

import os
import pickle
import platform
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Any

from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.progress import Progress
from limbeck.workers.relay import RelayedProgress
from limbeck.workers.shares import take_share

_SECONDS_TO_SAVE = 120
"""Time after which a worker whose master is gone ends, whatever it is doing."""

Work = Callable[[Any, Progress], Any]
"""The function that a worker calls with one task after another; its result must survive pickling."""


@dataclass(frozen=True)
class Surroundings:
    """What a worker takes on from its master, so that names and relative paths mean the same.

    Attributes:
        variables: environment variables.
        folder: working directory.
        shared: files and folders that it must see.
        exact: whether other variables are dropped, as on the same machine.
        threads: that it computes on.
        workers: how many share its machine, itself among them.
    """

    variables: dict[str, str]
    folder: str
    shared: tuple[str, ...] = ()
    exact: bool = True
    threads: int = 1
    workers: int = 1

    def take_on(self) -> None:
        """Applies them to this process; raises a UserError that names the paths it does not see."""
        unseen = [path for path in (self.folder, *self.shared) if not Path(path).exists()]
        if unseen:
            raise UserError(f"on {platform.node()} cannot see {', '.join(map(repr, unseen))}")
        if self.exact:
            for name in os.environ.keys() - self.variables.keys():
                del os.environ[name]
        os.environ.update(self.variables)
        os.chdir(self.folder)
        take_share(self.threads, self.workers)


@dataclass
class _Post:
    """The worker's end of the connection; sending is thread-safe, and does nothing once nobody listens."""

    connection: Connection
    inbox: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    stopping: bool = False
    at_work: bool = False
    sending: bool = False
    interrupted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, kind: str, *content: Any) -> None:
        """Sends a message whole, even if a signal comes meanwhile."""
        on_main_thread = threading.current_thread() is threading.main_thread()
        self.sending = self.sending or on_main_thread
        try:
            with self.lock:
                self.connection.send((kind, *content))
        except OSError:
            pass  # the master is gone; `listen` notices it, too
        finally:
            self.sending = self.sending and not on_main_thread
        if on_main_thread and self.at_work and self.interrupted:
            self.interrupt()

    def interrupt(self, number: int = 0, frame: FrameType | None = None) -> None:
        """The handler of signals outside of training, which has one that saves its state first."""
        self.interrupted = True
        if self.at_work and not self.sending:
            self.interrupted = False
            raise Interrupted("stopped")

    def listen(self) -> None:
        """Stops the current work when told to, or when the master is gone."""
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                message = ("leave",)
            if message[0] in ("stop", "leave"):
                self.stopping = True
                self.inbox.put(("leave",))
                if self.at_work:
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                if message[0] == "leave":
                    time.sleep(_SECONDS_TO_SAVE)
                    os._exit(1)
            else:
                self.inbox.put(message)


def serve(connection: Connection) -> None:
    """A worker's main loop: it receives "begin", "do", "stop" and "leave", and sends "ready", "event", "done" ..."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal also reaches the master, which passes it on
    post = _Post(connection)
    signal.signal(signal.SIGTERM, post.interrupt)
    threading.Thread(target=post.listen, daemon=True, name="limbeck-worker").start()
    warnings.showwarning = lambda message, category, *where: post.send("warning", category, str(message))
    work: Work | None = None
    while (message := post.inbox.get())[0] != "leave" and not post.stopping:
        if message[0] == "begin":
            work = _begin(post, message[1], message[2])
        else:
            assert work is not None, "workers begin before their first task"
            _do(post, work, message[1])


def _begin(post: _Post, surroundings: Surroundings, packed: bytes) -> Work | None:
    post.at_work = True
    try:
        surroundings.take_on()
    except UserError as error:
        return post.send("broken", str(error))
    try:
        # The master has shown the warnings of loading, as it loaded the same.
        with warnings.catch_warnings(action="ignore"):
            work = pickle.loads(packed)()
    except KeyboardInterrupt:
        return None
    except Exception as error:  # another machine may lack anything: a library, a file, a device
        return post.send("broken", f"on {platform.node()} cannot begin ({type(error).__name__}: {error})")
    finally:
        post.at_work = False
    post.send("ready")
    return work


def _do(post: _Post, work: Work, packed: bytes) -> None:
    progress = RelayedProgress(lambda event: post.send("event", event))
    post.at_work = True
    try:
        if post.stopping:
            raise Interrupted("stopped before it began")
        kind, content = "done", work(pickle.loads(packed), progress)
    except KeyboardInterrupt as stop:
        kind, content = "interrupted", str(stop)
    except Exception as error:
        error.add_note(f"In a worker: {traceback.format_exc()}")
        kind, content = "raised", _portable(error)
    finally:
        post.at_work = False
    post.send(kind, content)


def _portable(error: Exception) -> Exception:
    """The error, or one with its message where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
