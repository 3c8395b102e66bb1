"""Processor seconds of an epoch of an expert, and bytes of its snapshots, beside DATM's; then what recipes come to.

    LIMBECK_DATA=... python benchmarks/experts.py [--repeats 3] [--reference PATH] [--images 2560] [--width 32]
                                                  [--epochs 2]

The reference is the repository named in `URL`, cloned into a temporary folder unless `--reference` names a copy. Its
program cannot be started for few images or another width; its epoch, sharpness-aware optimiser, augmentation and
network are imported, never copied, and its main loop is written anew: an epoch, a pass over the test images (a fifth as
many, as CIFAR-10 has), and the parameters, cloned (which its own code leaves out, so that on a CPU all epochs are
equal). At the end ten experts go into one file, here one.

Both sides teach the same number of images of CIFAR-10 at equal settings: ConvNet, batch 256, rate 0.01, GSAM (adaptive,
rho 0.01, alpha 0.3), DSA. Ours is `make_experts`, all of it: with its folder, its checkpoints and its snapshots.

Ratios are taken repeat by repeat, one side right after the other, in the other order each time. Times are those that
this process computes, on one thread, so that other work on the machine hardly counts (the load is printed).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import types
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table

from limbeck.data import ImageSet, load
from limbeck.training.settings import Sharpness
from limbeck.transfer.condense.expert_settings import Experts
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.check import bytes_of
from limbeck.transfer.condense.network import FreshNetworks

URL = "https://github.com/NUS-HPC-AI-Lab/DATM"
BATCH, RATE = 256, 0.01
RECIPES = {"CIFAR-10, 1 image per class": 6, "10": 22, "50": 42, "500": 62}
"""How many of its 101 snapshots DATM reads, counted from the one before the first step."""
EPOCHS, COUNT, SIZE = 100, 100, 320_010


class Measured(NamedTuple):
    """Processor seconds an epoch of one expert, and bytes of one of its snapshots."""

    seconds: float
    snapshot: float


def main() -> None:
    options = parse()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    whole = load("cifar10")
    images = whole.subset(whole.ids[: options.images])
    with tempfile.TemporaryDirectory() as temporary:
        reference = Reference(options.reference or clone(Path(temporary)), images, options)
        sides: dict[str, Callable[[Path], Measured]] = {"DATM": reference, "limbeck": Ours(images, options)}
        measured: dict[str, list[Measured]] = {name: [] for name in sides}
        for repeat in range(options.repeats):
            for name in sorted(sides, reverse=bool(repeat % 2)):
                measured[name].append(sides[name](Path(temporary) / f"{name}-{repeat}"))
    show(measured, options)


class Ours:
    """An expert by `make_experts`."""

    def __init__(self, images: ImageSet, options: Namespace) -> None:
        self.images = images
        self.epochs = options.epochs
        self.networks = FreshNetworks("convnet_d3", images, {"width": options.width})

    def __call__(self, folder: Path) -> Measured:
        settings = Experts(
            count=1, judges=0, epochs=self.epochs, batch_size=BATCH, learning_rate=RATE, sharpness=Sharpness()
        )
        began = time.process_time()
        make_experts(settings, self.networks, self.images, folder, snapshots=self.epochs + 1)
        seconds = (time.process_time() - began) / self.epochs
        store = ExpertStore.open(folder)
        assert all(store.precision(0, number).moved > 0 for number in store.kept[1:])
        files = [*(folder / "expert-0000" / "snapshots").iterdir()]
        return Measured(seconds, sum(file.stat().st_size for file in files) / len(files))


class Reference:
    """The same with DATM's parts."""

    def __init__(self, folder: Path, images: ImageSet, options: Namespace) -> None:
        # Its files import this, which may be missing and is needed for other data alone.
        sys.modules.setdefault("kornia", types.ModuleType("kornia"))
        sys.path[:0] = [str(folder), str(folder / "buffer")]
        import gsam  # pyright: ignore[reportMissingImports]
        import networks  # pyright: ignore[reportMissingImports]
        from utils import utils_gsam  # pyright: ignore[reportMissingImports]

        self.gsam, self.networks, self.parts = gsam, networks, utils_gsam
        self.width, self.epochs = options.width, options.epochs
        self.args = Namespace(
            device="cpu",
            dataset="CIFAR10",
            dsa=True,
            dsa_strategy="color_crop_cutout_flip_scale_rotate",
            dsa_param=utils_gsam.ParamDiffAug(),
        )
        pixels = images.tensor().float() / 255
        mean, std = pixels.mean((0, 2, 3), keepdim=True), pixels.std((0, 2, 3), keepdim=True)
        dataset = utils_gsam.TensorDataset((pixels - mean) / std, images.labels)
        test = torch.utils.data.Subset(dataset, range(len(images) // 5))
        self.loader = torch.utils.data.DataLoader(dataset, batch_size=BATCH, shuffle=True)
        self.test = torch.utils.data.DataLoader(test, batch_size=BATCH)

    def __call__(self, folder: Path) -> Measured:
        network = self.networks.ConvNet(3, 10, self.width, 3, "relu", "instancenorm", "avgpooling", (32, 32))
        inner = torch.optim.SGD(network.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.StepLR(inner, step_size=10**6, gamma=1)
        rho = self.gsam.ProportionScheduler(schedule, max_lr=RATE, min_lr=RATE, max_value=0.01, min_value=0.01)
        optimizer = self.gsam.GSAM(
            params=network.parameters(),
            base_optimizer=inner,
            model=network,
            gsam_alpha=0.3,
            rho_scheduler=rho,
            adaptive=True,
        )
        arguments = {"net": network, "criterion": torch.nn.CrossEntropyLoss(), "args": self.args, "scheduler": schedule}
        began = time.process_time()
        snapshots = [[parameter.detach().clone() for parameter in network.parameters()]]
        for _ in range(self.epochs):
            self.parts.epoch("train", dataloader=self.loader, optimizer=optimizer, aug=True, **arguments)
            self.parts.epoch("test", dataloader=self.test, optimizer=None, aug=False, **arguments)
            snapshots.append([parameter.detach().clone() for parameter in network.parameters()])
        folder.mkdir()
        torch.save([snapshots], folder / "replay_buffer_0.pt")
        seconds = (time.process_time() - began) / self.epochs
        return Measured(seconds, (folder / "replay_buffer_0.pt").stat().st_size / len(snapshots))


def show(found: dict[str, list[Measured]], options: Namespace) -> None:
    console = Console()
    load_average = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    console.print(
        f"{options.images} images an epoch, width {options.width}, {options.epochs} epochs, {options.repeats} repeats, "
        f"one thread, load {load_average}, torch {torch.__version__}"
    )
    table = Table("", "processor s an epoch", "bytes a snapshot", title="one expert")
    for name, measured in found.items():
        seconds = [expert.seconds for expert in measured]
        table.add_row(name, f"{statistics.mean(seconds):.2f} ± {_spread(seconds):.2f}", f"{measured[0].snapshot:,.0f}")
    ratios = [ours.seconds / theirs.seconds for ours, theirs in zip(found["limbeck"], found["DATM"], strict=True)]
    table.add_row("ratio", f"{statistics.mean(ratios):.2f} ± {_spread(ratios):.2f}", "")
    console.print(table)

    ratio = statistics.mean(ratios)
    table = Table("read", "epochs", "of theirs", "GB", "of theirs", title=f"{COUNT} experts and a judge, width 128")
    theirs = COUNT * (EPOCHS + 1) * 4 * SIZE
    for name, snapshots in RECIPES.items():
        epochs = COUNT * (snapshots - 1) + EPOCHS
        size = COUNT * bytes_of(Experts(), SIZE, snapshots)
        table.add_row(
            f"{name}: {snapshots} of {EPOCHS + 1}",
            f"{epochs:,}",
            f"{epochs / (COUNT * EPOCHS):.1%} x {ratio:.2f} of the time",
            f"{size / 1e9:.2f}",
            f"{size / theirs:.1%} of {theirs / 1e9:.1f}",
        )
    console.print(table)


def _spread(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def clone(temporary: Path) -> Path:
    folder = temporary / "DATM"
    command = ["git", "clone", "--quiet", "--depth", "1", URL, str(folder)]
    if subprocess.run(command, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}, check=False).returncode:
        sys.exit(f"cannot clone {URL}; offline, give a checkout: --reference PATH.")
    return folder


def parse() -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
