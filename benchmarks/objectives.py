"""Time and peak memory of forward and backward of every loss, beside the reference implementations, in one run.

    python benchmarks/objectives.py [--only nst,fsp] [--batch-size 64 256] [--rounds 9] [--reference PATH ...]

The references are cloned from GitHub into a temporary folder, or taken from checkouts: `--reference` may be given many
times, and a checkout's folder is named like the repository. Each loss gets random outputs of the shapes of a CIFAR-100
pair, with gradients to the student's outputs and to whatever learns beside it; memories know 50,000 images, with
16,384 negatives. The reference of crd draws its negatives from all images, ours from other classes.

Time: both sides in one fresh process, in turn, some steps a round; medians, and the ratio theirs / ours of every round.
Memory: one step in a fresh process for each side, after a first one. On a CPU the growth of the resident set to its
high-water mark (Linux), with a malloc that returns freed blocks at once; on a GPU that of the allocated bytes.

Where others use the machine, `--clock cpu` counts the process's own seconds, best with one thread.
"""

import argparse
import ctypes
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from limbeck.models import Outputs, create
from limbeck.objectives import Setup
from limbeck.objectives.catalogue import OBJECTIVES, objective_class
from references import LOSSES, REPOSITORIES, Checkout, Theirs, clone, without_cuda

PAIRS = {"resnet56-resnet20": ("resnet56", "resnet20"), "wrn_40_2-wrn_16_2": ("wrn_40_2", "wrn_16_2")}
CLASSES, IMAGES = 100, 50_000
ROUND_SECONDS = 0.15
OUTPUTS = ("logits", "embedding", "stages", "pre_activations")
MIB = 2**20
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """One loss on one pair at one batch size, and where its reference lies."""

    loss: str
    pair: str
    batch_size: int
    checkouts: dict[str, Path]
    threads: int
    clock: str

    def side(self, which: str) -> Step:
        """Forward and backward once, of "ours" or "theirs"."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        setup, signals = self._setup(device), self._signals(device)
        loss, modules = self._ours(setup) if which == "ours" else self._theirs(setup)
        for module in modules:
            module.to(device)
        leaves = [leaf for value in signals.values() for leaf in (value if isinstance(value, tuple) else (value,))]
        learned = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad]
        learned += [parameter for module in modules for parameter in module.parameters()]

        def step() -> None:
            for tensor in learned:
                tensor.grad = None
            loss(signals).backward()
            if device.type == "cuda":
                torch.cuda.synchronize()

        return step

    def _ours(self, setup: Setup) -> tuple[Callable[[dict[str, Any]], Tensor], tuple[nn.Module, ...]]:
        name, _, memory = self.loss.partition(" ")
        objective = objective_class(name)(**({"memory": memory.strip("()")} if memory else {}))
        objective.build(setup)
        return lambda signals: objective(**{need: signals[need] for need in objective.needs}), (objective,)

    def _theirs(self, setup: Setup) -> Theirs:
        without_cuda()
        torch.manual_seed(0)
        repository, make = LOSSES[self.loss]
        return make(Checkout(self.checkouts[repository]), setup)

    def _shapes(self, batch_size: int) -> dict[str, Outputs]:
        """Outputs of teacher and student, for their shapes."""
        outputs = {}
        for role, name in zip(("teacher", "student"), PAIRS[self.pair], strict=True):
            network = create(name, num_classes=CLASSES).eval()
            with torch.no_grad():
                outputs[role] = network(torch.zeros(1, 3, 32, 32), want=OUTPUTS)
        return {role: tensors.map(lambda x: x.new_empty(batch_size, *x.shape[1:])) for role, tensors in outputs.items()}

    def _setup(self, device: torch.device) -> Setup:
        shapes = self._shapes(1)
        assert shapes["teacher"].embedding is not None
        return Setup(
            shapes["student"],
            shapes["teacher"],
            ids=torch.arange(IMAGES, device=device),
            labels=torch.arange(IMAGES) % CLASSES,
            batch_size=self.batch_size,
            teacher_head=nn.Linear(shapes["teacher"].embedding.shape[1], CLASSES),
        )

    def _signals(self, device: torch.device) -> dict[str, Any]:
        """The same for both sides; stages are at least 0, as after a ReLU."""
        torch.manual_seed(1)
        signals: dict[str, Any] = {"progress": 1.0, "ids": torch.randperm(IMAGES)[: self.batch_size].to(device)}
        signals["labels"] = signals["ids"] % CLASSES
        for role, shapes in self._shapes(self.batch_size).items():

            def leaf(shape: Tensor, student: bool = role == "student") -> Tensor:
                tensor = torch.randn(shape.shape)
                return (tensor.relu() if tensor.ndim == 4 else tensor).to(device).requires_grad_(student)

            signals |= {f"{role}_{part}": value for part, value in shapes.map(leaf)._asdict().items()}
        return signals


def times(case: Case, rounds: int) -> list[tuple[float, float]]:
    """Seconds a step of ours and of theirs, round by round."""
    torch.set_num_threads(case.threads)
    steps = [case.side(side) for side in ("ours", "theirs")]
    clock = CLOCKS[case.clock]
    counts = [max(1, int(ROUND_SECONDS / min(_seconds(clock, step, 1) for _ in range(3)))) for step in steps]
    return [(_seconds(clock, steps[0], counts[0]), _seconds(clock, steps[1], counts[1])) for _ in range(rounds)]


def _seconds(clock: Callable[[], float], step: Step, count: int) -> float:
    start = clock()
    for _ in range(count):
        step()
    return (clock() - start) / count


def peak(case: Case, which: str) -> float:
    """MiB that a step needs on top of what is there before and after it."""
    torch.set_num_threads(case.threads)
    if torch.cuda.is_available():
        step = case.side(which)
        step()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / MIB
    # Blocks of 64 KiB and more come from the system and go back to it.
    libc = ctypes.CDLL(None)
    libc.mallopt(-3, 2**16)
    libc.mallopt(-1, 0)
    step = case.side(which)
    step()
    libc.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    step()
    return _resident("VmHWM") - before


def _resident(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


@dataclass(frozen=True)
class Measured:
    rounds: list[tuple[float, float]]
    ours: float
    theirs: float


def measure(case: Case, rounds: int) -> Measured:
    return Measured(
        fresh(times, case, rounds),
        fresh(peak, case, "ours"),
        fresh(peak, case, "theirs"),
    )


def fresh(function: Callable[..., Any], *given: Any) -> Any:
    """The result of a function in a process of its own, forked from this one, which itself computes nothing."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, given)


def main() -> None:
    options = parse()
    console = Console(width=None if sys.stdout.isatty() else 140)
    local = {path.resolve().name: path.resolve() for path in options.reference}
    with tempfile.TemporaryDirectory() as temporary:
        repositories = dict.fromkeys(LOSSES[name][0] for name in options.only)
        checkouts = {name: local.get(name) or clone(name, Path(temporary)) for name in repositories}
        for pair, batch_size in product(options.pair, options.batch_size):
            table = empty_table(pair, batch_size, options)
            for name in track(options.only, f"{pair}, batch {batch_size}", console=Console(stderr=True)):
                case = Case(name, pair, batch_size, checkouts, options.threads, options.clock)
                try:
                    add_row(table, name, measure(case, options.rounds))
                except Exception as error:  # whatever code of others may raise
                    table.add_row(name, *[""] * 8, f"does not run: {error!r}")
            console.print(table, "\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=names, default=list(LOSSES), help="losses, separated by commas")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--pair", nargs="+", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--reference", type=Path, action="append", default=[], help=f"a checkout; one of {', '.join(REPOSITORIES)}"
    )
    return parser.parse_args()


def names(text: str) -> list[str]:
    """Losses by name; "crd" stands for both of its memories."""
    chosen = [name.strip() for name in text.split(",")]
    unknown = [name for name in chosen if name not in LOSSES and name not in OBJECTIVES]
    if unknown or "cross_entropy" in chosen:
        raise argparse.ArgumentTypeError(f"no reference for {', '.join(unknown or chosen)}; there are {list(LOSSES)}")
    return [name for name in LOSSES if name in chosen or name.split()[0] in chosen]


def empty_table(pair: str, batch_size: int, options: argparse.Namespace) -> Table:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {options.threads} threads"
    conditions = f"{options.clock} time, {options.rounds} rounds, torch {torch.__version__}"
    table = Table(title=f"{pair}, batch {batch_size}; {device}; {conditions}", box=None)
    for column in ("", "ms ours", "theirs", "ratio", "min", "max", "MiB ours", "theirs", "ratio", "reference"):
        table.add_column(column, justify="left" if column in ("", "reference") else "right")
    return table


def add_row(table: Table, name: str, measured: Measured) -> None:
    ours, theirs = (1000 * statistics.median(side) for side in zip(*measured.rounds, strict=True))
    ratios = [b / a for a, b in measured.rounds]
    table.add_row(
        name,
        f"{ours:.2f}",
        f"{theirs:.2f}",
        f"{statistics.median(ratios):.2f}",
        f"{min(ratios):.2f}",
        f"{max(ratios):.2f}",
        f"{measured.ours:.1f}",
        f"{measured.theirs:.1f}",
        f"{measured.theirs / measured.ours:.2f}" if measured.ours else "",
        REPOSITORIES[LOSSES[name][0]],
    )


if __name__ == "__main__":
    main()
