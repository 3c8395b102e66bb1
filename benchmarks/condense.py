"""Seconds and memory of an iteration of trajectory matching beside the loop of EDF, in one run.

    python benchmarks/condense.py [--repeats 5] [--reference PATH] [--width 32] [--size 32] [--per-class 1]
                                  [--steps 20] [--iterations 3] [--threads 1] [--wall]
    python benchmarks/condense.py --memory 5 10 20 40    # bytes of tensors at most, over so many steps
    python benchmarks/condense.py --fits 24              # from what size on theirs needs more GiB

The reference is the repository named in `URL`, cloned into a temporary folder unless `--reference` names a copy. As it
stands none of its configurations runs; here its `main` does, unchanged, on options, data and experts that are made for
it, with stand-ins for packages that only plot, whiten or log. Both sides are given the same sizes, DSA that shifts by a
quarter, soft labels, a drop of 0.25 and a mask of ones; both learn pixels, labels and rate.

Seconds are those between two iterations, the first ones left out; of this process's processor time unless `--wall`.
Ratios are taken repeat by repeat, one side right after the other, in the other order each time.

Both compute in one process, so the loop of EDF, too, profits from the memory that limbeck has glibc keep
(`benchmarks/allocation.py`).

Memory counts every tensor while it lives, on either side alike (`PeakMemory`), beyond what was there before.
"""

import argparse
import contextlib
import importlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from limbeck.models import create
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.estimate import PeakMemory
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.synthetic import SyntheticSet

URL = "https://github.com/NUS-HPC-AI-Lab/EDF"
CLASSES, SNAPSHOTS, EXPERT_EPOCHS, DROP = 10, 3, 2, 0.25
DEPTHS = {32: 3, 64: 4, 128: 5}
OURS = ("exact", "unrolled", "tesla")
Side = Callable[[int, int], list[float]]
"""(steps, iterations) -> seconds of each iteration."""


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    console = Console()
    with tempfile.TemporaryDirectory() as folder, reference(options.reference, Path(folder)) as edf:
        sides = {**{name: ours(name, options) for name in OURS}, "EDF": theirs(edf, options, Path(folder))}
        if options.memory:
            compare_memory(console, sides, options)
        elif options.fits:
            compare_sizes(console, edf, options, Path(folder))
        else:
            compare_seconds(console, sides, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a copy of the reference, instead of cloning it")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=32, help="of the ConvNet")
    parser.add_argument("--size", type=int, default=32, choices=DEPTHS, help="pixels a side")
    parser.add_argument("--per-class", type=int, default=1, help="images of each of ten classes, all in every step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--iterations", type=int, default=3, help="that are measured in a repeat")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--wall", action="store_true", help="by the clock on the wall, on a machine of its own")
    parser.add_argument("--memory", type=int, nargs="+", metavar="STEPS")
    parser.add_argument("--fits", type=float, metavar="GIB")
    parser.add_argument("--sizes", type=int, nargs="+", default=[*DEPTHS], choices=DEPTHS, help="for --fits")
    return parser.parse_args()


def compare_seconds(console: Console, sides: Mapping[str, Side], options: argparse.Namespace) -> None:
    repeats: list[dict[str, float]] = []
    for repeat in range(options.repeats):
        order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
        seconds = {name: sides[name](options.steps, options.iterations + 1)[1:] for name in order}
        repeats.append({name: statistics.median(times) for name, times in seconds.items()})
        console.print(f"repeat {repeat + 1}, load {os.getloadavg()[0]:.1f}")
    table = Table("", "s an iteration", "of EDF's", "of the repeats")
    for name in sides:
        ratios = sorted(medians[name] / medians["EDF"] for medians in repeats)
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        seconds = statistics.median(medians[name] for medians in repeats)
        table.add_row(name, f"{seconds:.3f}", f"{statistics.median(ratios):.2f}", spread)
    console.print(described(options), f"{options.steps} steps, {'wall' if options.wall else 'processor'} time")
    console.print(table)


def compare_memory(console: Console, sides: Mapping[str, Side], options: argparse.Namespace) -> None:
    table = Table("MiB at", *(f"{steps} steps" for steps in options.memory))
    for name, side in sides.items():
        peaks = [peak_of(side, steps) for steps in options.memory]
        table.add_row(name, *(f"{peak / 2**20:.1f}" for peak in peaks))
    console.print(described(options))
    console.print(table)


def compare_sizes(console: Console, edf: Any, options: argparse.Namespace, folder: Path) -> None:
    """Their memory grows with steps and images, ours with images alone: both are measured small and extrapolated."""
    images = (10, 100, 500)
    columns = [f"EDF's steps in {options.fits:g} GiB, {count} images" for count in images]
    table = Table("", "EDF, MiB a step and image", *columns, "ours, MiB an image")
    for size in options.sizes:
        sized = argparse.Namespace(**{**vars(options), "size": size, "width": 128, "per_class": 1})
        side = theirs(edf, sized, folder)
        at_one, at_three = (peak_of(side, steps) for steps in (1, 3))
        per_step = (at_three - at_one) / 2 / CLASSES
        steps = [int(options.fits * 2**30 / (per_step * count)) for count in images]
        per_image = peak_of(ours("exact", sized), 1) / CLASSES
        name = f"depth {DEPTHS[size]}, width 128, {size} pixels"
        table.add_row(name, f"{per_step / 2**20:.1f}", *map(str, steps), f"{per_image / 2**20:.1f}")
    console.print(table)


def peak_of(side: Side, steps: int) -> int:
    with PeakMemory() as memory:
        side(steps, 1)
    return memory.peak


def described(options: argparse.Namespace) -> str:
    return (
        f"ConvNet depth {DEPTHS[options.size]}, width {options.width}, {options.size} pixels, "
        f"{CLASSES * options.per_class} images a step, {options.threads} threads:"
    )


def clock(options: argparse.Namespace) -> float:
    return time.perf_counter() if options.wall else time.process_time()


def snapshots_of(options: argparse.Namespace) -> tuple[FlatNetwork, list[Tensor]]:
    """The network, and snapshots of an expert that moves away from its weights in a straight line."""
    depth = DEPTHS[options.size]
    network = create(f"convnet_d{depth}", num_classes=CLASSES, input_size=options.size, width=options.width)
    flat, source = FlatNetwork(network), torch.Generator().manual_seed(0)
    start, direction = flat.vector(network), torch.randn(flat.size, generator=source)
    return flat, [start + 0.005 * number * direction for number in range(SNAPSHOTS)]


def real_images(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    labels = torch.arange(CLASSES).repeat_interleave(options.per_class)
    return torch.randn(len(labels), 3, options.size, options.size, generator=source), labels


class Ones:
    """A mask of ones, which changes nothing but is multiplied as any other."""

    def due(self, iteration: int) -> bool:
        return True

    def __call__(self, images: Tensor, classes: Tensor, iteration: int) -> Tensor:
        return torch.ones_like(images[:, :1])

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        pass


class InMemory:
    """Snapshots of one expert."""

    def __init__(self, thetas: list[Tensor]) -> None:
        self.count, self.snapshots, self._thetas = 1, len(thetas), thetas

    def theta(self, expert: int, snapshot: int) -> Tensor:
        return self._thetas[snapshot]


def ours(gradient: str, options: argparse.Namespace) -> Side:
    network, thetas = snapshots_of(options)
    images, _ = real_images(options)
    logits = network.logits(thetas[-1], images)

    def run(steps: int, iterations: int) -> list[float]:
        matching = {
            "synthetic_steps": steps,
            "expert_epochs": EXPERT_EPOCHS,
            "start_to": 1,
            "grow_to": None,
            "grow_until": None,
            "drop": DROP,
            "skip_above": None,
            "gradient": gradient,
        }
        settings = CondenseSettings.model_validate(
            {"budget": f"{options.per_class}/class", "method": "edf", "matching": matching, "views": DSA}
        )
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        start = SyntheticSet(images, logits, 0.01)
        engine = MatchingEngine(settings, network, InMemory(thetas), start, mask=Ones(), seed=0, device=device)
        seconds = []
        for iteration in range(iterations):
            began = clock(options)
            engine.step(iteration)
            seconds.append(clock(options) - began)
        return seconds

    return run


DSA = {"dsa": {"shift": 0.25}}


def theirs(edf: Any, options: argparse.Namespace, folder: Path) -> Side:
    network, thetas = snapshots_of(options)
    images, labels = real_images(options)
    shapes = [parameter.shape for parameter in network.classifier.network.parameters()]
    sizes = [shape.numel() for shape in shapes]
    expert = [[part.view(shape) for part, shape in zip(theta.split(sizes), shapes, strict=True)] for theta in thetas]
    model = "ConvNet" if DEPTHS[options.size] == 3 else f"ConvNetD{DEPTHS[options.size]}"
    buffers = folder / f"experts-{options.size}-{options.width}"
    file = buffers / "CIFAR10" / model / "replay_buffer_0.pt"
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save([expert], file)

    def run(steps: int, iterations: int) -> list[float]:
        ticks: list[float] = []
        edf.wandb.log = lambda numbers, **_: ticks.append(clock(options)) if "Progress" in numbers else None
        edf.wandb.finish = lambda: ticks.append(clock(options))
        edf.get_dataset = lambda *_, **__: their_data(images, labels)
        edf.get_activation_maps = lambda *_, **__: torch.ones(len(images), options.size, options.size)
        sys.modules["utils.utils_baseline"].get_default_convnet_setting = lambda: (  # pyright: ignore
            options.width,
            3,
            "relu",
            "instancenorm",
            "avgpooling",
        )
        state = torch.get_rng_state()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            edf.main(their_options(model, buffers, steps, iterations, options.per_class))
        torch.set_rng_state(state)
        return [after - before for before, after in pairwise(ticks)]

    return run


def their_data(images: Tensor, labels: Tensor) -> tuple[Any, ...]:
    """What their `get_dataset` returns."""
    pairs = [(image, int(label)) for image, label in zip(images, labels, strict=True)]
    classes = {number: number for number in range(CLASSES)}
    size = tuple(images.shape[2:])
    return 3, size, CLASSES, [*map(str, classes)], [0.0] * 3, [1.0] * 3, pairs, pairs, pairs, {}, classes, classes


def their_options(model: str, place: Path, steps: int, iterations: int, per_class: int) -> argparse.Namespace:
    """The options of their `main`, in full: most have a default there, which their configurations then lack."""
    return argparse.Namespace(
        **{"dataset": "CIFAR10", "model": model, "buffer_path": str(place), "data_path": "", "subset": "", "res": 0},
        **{"ipc": per_class, "syn_steps": steps, "expert_epochs": EXPERT_EPOCHS, "batch_syn": None, "batch_real": 256},
        **{"lr_img": 1000.0, "lr_teacher": 0.01, "lr_y": 2.0, "Momentum_y": 0.9, "lr_lr": 1e-5, "threshold": 1e9},
        **{"min_start_epoch": 0, "current_max_start_epoch": 1, "max_start_epoch": 1, "expansion_end_epoch": 1000},
        **{"Sequential_Generation": True, "pix_init": "real", "loss_threshold": DROP, "Iteration": iterations - 1},
        **{"max_experts": None, "max_files": None, "load_all": False, "zca": True, "zca_trans": None, "eval_mode": "S"},
        **{"dsa": True, "no_aug": False, "dsa_strategy": "color_crop_cutout_flip_scale_rotate", "num_eval": 1},
        **{
            "skip_first_eva": True,
            "eval_it": 10**6,
            "parall_eva": True,
            "force_save": False,
            "project": "",
            "name": "",
        },
        **{"interval": 10**6, "beta": 1.0, "act_threshold": 0.5, "model_name": "", "target_layer_deep": ""},
        activation_model_path="",
    )


@contextmanager
def reference(path: Path | None, temporary: Path) -> Iterator[Any]:
    """The module of their loop, unchanged; only what it calls and is missing has a stand-in."""
    if path is None:
        path = temporary / "EDF"
        if subprocess.run(["git", "clone", "--quiet", "--depth", "1", URL, str(path)], check=False).returncode:
            sys.exit(f"cannot clone {URL}; offline, give a copy: --reference PATH.")
    for name, attributes in STAND_INS.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        sys.modules.setdefault(name, module)
    sys.path.insert(0, str(path.resolve()))
    yield importlib.import_module("distill.edf_distill")


class Configuration(dict):
    """Every option of it is None."""

    def __getattr__(self, name: str) -> Any:
        return None


def _init(config: argparse.Namespace, **_: Any) -> None:
    sys.modules["wandb"].config = types.SimpleNamespace(_items=vars(config))  # pyright: ignore


STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "wandb": {"init": _init, "Histogram": None, "Image": None},
    "kornia": {},
    "yacs": {},
    "yacs.config": {"CfgNode": Configuration},
    "scipy.ndimage.interpolation": {"rotate": None},
    "utils.gradcam": {"get_activation_maps": None},
}


if __name__ == "__main__":
    main()
