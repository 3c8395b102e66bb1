"""Selection from a table of a hundred million scores: seconds and the most memory, each in its own process.

    python benchmarks/selection_scale.py [--rows 100_000_000] [--classes 1000] [--folder DIR]

The table (id, label, two scores as float32, clusters of the whole and within every class; about 1.6 GiB) is made first,
in a temporary folder unless one is named, in which it is found again. Ids are shuffled over the integers, one score is
continuous, the other has many ties.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from limbeck.transfer.select import Criterion, select_from_scores

CHUNK = 2**20
COLUMN, TIES = "entropy:grayscale-histogram", "patch-entropy-sum:patch-entropies"
K_MEANS: dict[str, Any] = {"score": "entropy", "allocation": "k-means"}
K_MEANS_PER_CLASS: dict[str, Any] = {"score": "entropy", "allocation": "k-means-per-class"}
CLUSTERS = 20
CASES = {
    "top-n, 10 %": ({"score": "entropy", "allocation": "top-n"}, "10%"),
    "top-n, 0.1 %": ({"score": "entropy", "allocation": "top-n"}, "0.1%"),
    "per class, 10 %": ({"score": "entropy", "allocation": "top-n-per-class"}, "10%"),
    "per class, 10 %, many ties": ({"score": "patch-entropy-sum", "allocation": "top-n-per-class"}, "10%"),
    "random per class, 10 %": ({"score": "random", "allocation": "top-n-per-class"}, "10%"),
    "k-means, 10 %": (K_MEANS, "10%"),
    "k-means per class, 10 %": (K_MEANS_PER_CLASS, "10%"),
    "coverage, 10 % hardest out": ({"score": "entropy", "allocation": "coverage", "options": {"cutoff": 0.1}}, "10%"),
}


def main() -> None:
    options = parse()
    if options.case is not None:
        print(json.dumps(measure(options)))
        return
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        run_all(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        run_all(options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--case", choices=CASES, help="this case alone, here; prints JSON")
    return parser.parse_args()


def run_all(options: argparse.Namespace) -> None:
    path = table_path(options)
    console = Console()
    if not path.exists():
        began = time.perf_counter()
        make(path, options.rows, options.classes)
        console.print(f"made {path} in {time.perf_counter() - began:.0f} s")
    console.print(f"{options.rows:,} rows, {options.classes} classes, {path.stat().st_size / 2**30:.2f} GiB")
    table = Table("case", "chosen", "seconds", "processor seconds", "most memory, MiB")
    for case in CASES:
        command = [sys.executable, __file__, "--case", case, "--folder", str(options.folder)]
        command += ["--rows", str(options.rows), "--classes", str(options.classes)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        table.add_row(
            case,
            f"{result['chosen']:,}",
            f"{result['seconds']:.1f}",
            f"{result['processor']:.1f}",
            f"{result['mebibytes']:,.0f}",
        )
    console.print(table)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """One selection, written to a file; the number chosen is counted there."""
    spec, budget = CASES[options.case]
    began, begun = time.perf_counter(), time.process_time()
    chosen = select_from_scores(table_path(options), criterion=Criterion(**spec), budget=budget)
    target = options.folder / "chosen.parquet"
    chosen.to_parquet(target)
    seconds, processor = time.perf_counter() - began, time.process_time() - begun
    count = pq.ParquetFile(target).metadata.num_rows
    assert count == chosen.count
    target.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    return {"chosen": count, "seconds": seconds, "processor": processor, "mebibytes": peak}


def table_path(options: argparse.Namespace) -> Path:
    return options.folder / f"scores-{options.rows}-{options.classes}.parquet"


def make(path: Path, rows: int, classes: int) -> None:
    clusters = [Criterion(**spec).clusters_column for spec in (K_MEANS, K_MEANS_PER_CLASS)]
    kinds = {"id": pa.int64(), "label": pa.int64(), COLUMN: pa.float32(), TIES: pa.float32()}
    schema = pa.schema(list((kinds | dict.fromkeys(clusters, pa.int64())).items()))
    random = np.random.default_rng(0)
    temporary = path.with_suffix(".part")
    with pq.ParquetWriter(temporary, schema) as writer:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            # An odd factor permutes the integers below 2^63, so ids are distinct and in no order.
            ids = (np.arange(start, start + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(1)
            scores = random.normal(5, 1, count).astype(np.float32)
            labels, groups = random.integers(0, classes, count), random.integers(0, CLUSTERS, count)
            columns = [ids.astype(np.int64), labels, scores, np.round(scores, 1), groups, labels * CLUSTERS + groups]
            writer.write_table(pa.table(columns, schema=schema))
    temporary.rename(path)


if __name__ == "__main__":
    main()
