"""Images per second of views, of distilling, of the usual way to write it, and of the limit the networks set.

    python benchmarks/throughput.py [--pair resnet56 resnet20] [--pair resnet32x4 resnet8x4] [--device auto]
        [--rounds 3] [--steps 40] [--batch-size 128] [--compile [graphs]] [--beside 1 4] [--repdistiller CHECKOUT]
        [--data cifar10] [--only e d] [--cpu-time] [--views "[pad-crop-flip, mixup]"] [--views-per-image 4]

Everything is measured in one process, in turn, `--rounds` times over; quote the ratios, which are taken round by round.

(a) views alone: uint8 CIFAR-sized images in memory to augmented batches (pad 4, crop, flip, or `--views`);
(b) limbeck distilling a pair, ResNet-56 -> ResNet-20 by default, and asking the teacher;
(f) the same with a view cache that is empty, and so asks the teacher and writes;
(e) the same steps again with the view cache that they filled; about the 1st, 2nd, 4th, 8th ... step, a run compares 32
    outputs that it found with the teacher, which a short measurement shows and a long run does not (`--steps 200`);
(c) the same the usual way: PIL transforms in a DataLoader with workers, float32, NCHW, teacher asked every step;
(g) the same by the loop, networks and loss of a checkout of HobbitLong/RepDistiller, where one is given;
(d) the bare student's forward and backward and the bare teacher's forward on one batch on the device, in the precision
    and memory order that (b) uses there, the teacher's weights cast once. 1 / (1/student + 1/teacher) is the limit
    of (b).

With `--beside N`, (b), (e) and (c) are run by N processes at once, too, which begin together: `(b) x 4` is the sum of
what each of four made. Pixels are random unless `--data` names images: neither convolutions nor crops care. The
networks are the zoo's, with random weights. Where others use the machine, `--cpu-time` counts the process's own seconds
of processor; give it one thread (`OMP_NUM_THREADS=1`), and measure neither (c), (g) nor processes side by side so.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping

import torch
import yaml
from rich.console import Console
from rich.table import Table

from limbeck.device import resolve_device
from pairs import Bench, computing


def main() -> None:
    options, console = parse(), Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIMBECK_CACHE"] = f"{folder}/cache"
        for teacher, student in options.pair or [["resnet56", "resnet20"]]:
            options.teacher, options.student = teacher, student
            measure_pair(options, console)


def measure_pair(options: argparse.Namespace, console: Console) -> None:
    bench, rounds = Bench(options), []
    measures = bench.measures()
    if "f" not in options.only and "e" in options.only:
        bench.cold()
    for number in range(options.rounds):
        rounds.append({name: measure() for name, measure in measures.items()})
        rates = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in rounds[-1].items())
        console.print(f"round {number + 1}: {rates}")
    show(console, rounds, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pair", nargs=2, action="append", metavar=("TEACHER", "STUDENT"), help="of the zoo")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40, help="timed steps of all but (a)")
    parser.add_argument("--batch-size", type=int, default=128)
    optional = {"nargs": "?", "choices": ["true", "graphs"], "const": "true", "default": "false"}
    parser.add_argument("--compile", **optional, help="torch.compile in (b), (e), (f) and (d), or CUDA graphs as well")
    parser.add_argument("--beside", type=int, nargs="+", default=[1], metavar="N", help="processes at once")
    parser.add_argument("--repdistiller", metavar="CHECKOUT", help="folder of HobbitLong/RepDistiller, for (g)")
    parser.add_argument("--loaders", type=int, default=2, help="worker processes of the loaders of (c) and (g)")
    parser.add_argument("--data", help="name, folder or file of images in place of random ones")
    parser.add_argument(
        "--views", type=yaml.safe_load, default="pad-crop-flip", help="of (a), (b), (e) and (f), in YAML"
    )
    parser.add_argument("--views-per-image", type=int, help="of (a), (b), (e) and (f), where they are few")
    parser.add_argument("--only", nargs="+", choices=list("abcdefg"), default=list("abcdefg"), help="what to measure")
    parser.add_argument("--cpu-time", action="store_true", help="seconds of this process, not of the wall")
    options = parser.parse_args()
    options.compile = {"true": True, "false": False}.get(options.compile, options.compile)
    options.device = resolve_device(options.device)
    return options


def show(console: Console, rounds: list[dict[str, float]], options: argparse.Namespace) -> None:
    dtype, channels_last = computing(options.device)
    where = f"{torch.get_num_threads()} threads"
    if options.device.type == "cuda":
        where = torch.cuda.get_device_name(options.device)
    computed = f"{str(dtype).removeprefix('torch.')}, {'channels-last' if channels_last else 'contiguous'}"
    title = f"{options.teacher} -> {options.student}: images/s, batch {options.batch_size}, {where}, {computed}"
    table = Table(title=title, box=None)
    for column in ("", "median", "min", "max"):
        table.add_column(column, justify="right" if column else "left")
    for name in rounds[0]:
        rates = [measured[name] for measured in rounds]
        table.add_row(name, *(f"{value:,.0f}" for value in (statistics.median(rates), min(rates), max(rates))))
    table.add_section()
    for name, (part, whole) in ratios(rounds[0]).items():
        values = [part(measured) / whole(measured) for measured in rounds]
        table.add_row(name, *(f"{value:.2f}" for value in (statistics.median(values), min(values), max(values))))
    console.print(table)


Rates = Mapping[str, float]


def ratios(rates: Rates) -> dict[str, tuple[Callable[[Rates], float], Callable[[Rates], float]]]:
    """Name -> dividend and divisor, of what was measured."""
    operands = {
        "(b) / (c)": ("(b) limbeck distilling", "(c) the usual way"),
        "(b) / (g)": ("(b) limbeck distilling", "(g) RepDistiller"),
        "(f) / (b)": ("(f) limbeck, cold cache", "(b) limbeck distilling"),
        "(e) / (c)": ("(e) limbeck, warm cache", "(c) the usual way"),
        "(e) / (g)": ("(e) limbeck, warm cache", "(g) RepDistiller"),
        "(e) / bare student": ("(e) limbeck, warm cache", "(d) bare student"),
        "bare student / (c)": ("(d) bare student", "(c) the usual way"),
    }
    operands |= {f"{name} / one": (name, name.rpartition(" x ")[0]) for name in rates if " x " in name}
    quotients = {name: (_of(a), _of(b)) for name, (a, b) in operands.items() if {a, b} <= rates.keys()}
    if {"(b) limbeck distilling", "(d) bare student", "(d) bare teacher"} <= rates.keys():
        quotients["(b) / limit of (d)"] = (_of("(b) limbeck distilling"), limit)
    return quotients


def _of(name: str) -> Callable[[Rates], float]:
    return lambda rates: rates[name]


def limit(rates: Rates) -> float:
    return 1 / (1 / rates["(d) bare student"] + 1 / rates["(d) bare teacher"])


if __name__ == "__main__":
    main()
