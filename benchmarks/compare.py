"""How much faster a comparison is by two workers than by one: whole commands, in one run, alternating.

    python benchmarks/compare.py [--workers 2] [--repeats 3] [--recipe digits-demo]

Every repeat runs `limbeck compare` with one worker and with several, each with empty caches and, right after, with the
caches that it filled, and prints seconds from start to end of the command, processes that were started, and the ratios
of the medians. Students are compared byte by byte. Run it on an idle machine; what else is at work is told.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits-demo")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{psutil.cpu_count()} cores, {psutil.cpu_percent(1):.0f} % of them busy before")
    seconds: dict[tuple[str, int], list[float]] = {}
    counts = (1, options.workers)
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(options.repeats):
            for workers in counts if repeat % 2 == 0 else counts[::-1]:
                for caches in ("empty", "warm"):
                    out = Path(folder) / f"{repeat}-{workers}-{caches}"
                    cache = Path(folder) / f"cache-{repeat}-{workers}"
                    took, processes = timed(options, workers, out, cache)
                    seconds.setdefault((caches, workers), []).append(took)
                    print(f"{caches} caches, {workers} workers: {took:.1f} s, {processes} processes", flush=True)
        first, *others = (students(out) for out in sorted(Path(folder).glob("[0-9]*-*-*")))
        print(f"students {'equal' if all(other == first for other in others) else 'NOT EQUAL'} to the bit")
    for caches in ("empty", "warm"):
        single, parallel = (statistics.median(seconds[caches, workers]) for workers in counts)
        ratios = sorted(a / b for a, b in zip(*(seconds[caches, workers] for workers in counts), strict=True))
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}, n = {len(ratios)}"
        print(
            f"{caches} caches: {single:.1f} s by 1, {parallel:.1f} s by {options.workers}: "
            f"{single / parallel:.2f} x ({spread})"
        )


def timed(options: argparse.Namespace, workers: int, out: Path, cache: Path) -> tuple[float, int]:
    """Seconds of the whole command, and how many processes it had."""
    command = [sys.executable, "-m", "limbeck", "compare", options.recipe, "--out", str(out)]
    command += [part for override in options.overrides for part in ("--set", override)]
    began, children = time.perf_counter(), set[int]()
    process = subprocess.Popen(
        [*command, "--workers", str(workers)],
        env={**os.environ, "LIMBECK_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        try:
            children |= {child.pid for child in psutil.Process(process.pid).children(recursive=True)}
        except psutil.NoSuchProcess:
            break
        time.sleep(0.1)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return time.perf_counter() - began, 1 + len(children)


def students(folder: Path) -> dict[str, bytes]:
    files = folder.glob("runs/*/*/student*/*.safetensors")
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


if __name__ == "__main__":
    main()
