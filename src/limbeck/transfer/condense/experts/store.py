"""Experts on disk: their snapshots by number, their network, and the judges."""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.nn.utils import vector_to_parameters

from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.weights.folder import load as load_model
from limbeck.training.run_folder import RunFolder
from limbeck.transfer.condense.experts.curriculum import cost_of_scores
from limbeck.transfer.condense.experts.formats import DIFFERENCE, Precision, decode
from limbeck.transfer.condense.experts.observer import PARAMETERS, snapshot_path
from limbeck.transfer.condense.network_of_experts import EXPERTS_FILE, NETWORK

COST_FILE = "cost.json"
"""File in the folder of an expert or judge."""
_ABOUT = ("count", "kept", "judges", "epochs", "network", "images")
_EXTENT = ("count", "kept", "judges", "epochs")
_BEGINNING = 4096
"""How many first parameters identify a snapshot: another training changes all of them."""
_REMADE = "remove the folder of its expert or judge, and make the experts again, which finds the others."


class Loss(NamedTuple):
    """Mean training loss of an expert up to a step, since the previous record."""

    step: int
    loss: float


def expert_folder(folder: Path, number: int) -> Path:
    return folder / f"expert-{number:04d}"


def cost_of(folder: Path) -> Cost:
    """What teaching the expert or judge in this folder cost."""
    return Cost.from_dict(RunFolder(folder).read(COST_FILE, {}))


def judge_path(folder: Path, number: int) -> Path:
    """The file of a judge's parameters, in the judge's folder."""
    return folder / f"judge-{number:04d}" / "judge.safetensors"


class ExpertStore:
    """Experts that `make_experts` taught; made by `open`.

    Args:
        folder: of the experts.
        about: the content of its `experts.json`.

    Attributes:
        folder: the same.
        about: the same: "count", "kept", "judges", "epochs", "settings", "images" (a fingerprint), "seed" ...

    Example:
        >>> from limbeck.transfer.condense.experts import make_experts
        >>> from limbeck.transfer.condense.network import FreshNetworks
        >>> from limbeck.transfer.condense.expert_settings import Experts
        >>> settings = Experts(count=2, epochs=2, views=None, learning_rate=0.1, batch_size=100)
        >>> networks = FreshNetworks("convnet_d3", images, {"width": 4})
        >>> cost = make_experts(settings, networks, images, "experts", snapshots=3)
        >>> store = ExpertStore.open("experts")
        >>> store.count, store.snapshots, store.theta(1, 2).dtype, len(store.judges)
        (2, 3, torch.float32, 1)
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self.about = about

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        count: int | None = None,
        snapshots: int | Sequence[int] | None = None,
        judges: int | None = None,
        containing: Sequence[int] = (),
    ) -> "ExpertStore":
        """The experts in a folder: all that was last made there, or a part of it.

        Args:
            folder: of `make_experts`.
            count: takes only the first so many, so that results do not depend on later ones.
            snapshots: takes only the first so many, from number 0 on, or these numbers.
            judges: takes only the first so many; 0 for the experts themselves at their end.
            containing: snapshots that are needed: where those last made lack one, the extent of an earlier call that
                has them all is taken, if there was one.

        Raises:
            UserError: there are no experts, fewer than asked for, or they are not finished.
        """
        folder = Path(folder)
        path = folder / EXPERTS_FILE
        if not path.is_file():
            begun = (folder / "plan.json").is_file()
            raise UserError(
                f"the experts in {str(folder)!r} are not finished; make them again with the same folder, which goes on."
                if begun
                else f"there are no experts in {str(folder)!r}; `limbeck experts` makes some."
            )
        about = _read_about(path)
        earlier = next((extent for extent in about.pop("earlier", []) if {*containing} <= {*extent["kept"]}), {})
        if not {*containing} <= {*about["kept"]}:
            about |= earlier
        kept = range(snapshots) if isinstance(snapshots, int) else snapshots
        requested = {"count": count, "kept": None if kept is None else sorted(kept), "judges": judges}
        store = cls(folder, {**about, **{name: value for name, value in requested.items() if value is not None}})
        store._check()
        return store

    def _check(self) -> None:
        """Raises a UserError where a snapshot or judge is missing."""
        if not self.kept or self.count < 1:
            raise UserError(f"`count` and `snapshots` must be at least 1, got {self.count} and {list(self.kept)}.")
        needed = {*self.kept, *([] if self.about["judges"] else [self.about["epochs"]])}
        for expert in range(self.count):
            folder = expert_folder(self.folder, expert)
            lacking = [number for number in sorted(needed) if not snapshot_path(folder, number).exists()]
            if lacking:
                raise UserError(
                    f"{str(self.folder)!r} lacks snapshots {listed(lacking)} of expert {expert}; `limbeck experts` "
                    "with the same folder makes more experts or snapshots, and finds the others."
                )
            for number in sorted(needed):
                _open_header(snapshot_path(folder, number))
        for number in range(self.about["judges"]):
            if not judge_path(self.folder, number).exists():
                raise UserError(
                    f"{str(self.folder)!r} lacks judge {number}; `limbeck experts` with the same folder and more "
                    "`judges` makes it."
                )

    @property
    def count(self) -> int:
        """How many experts there are."""
        return int(self.about["count"])

    @property
    def kept(self) -> tuple[int, ...]:
        """Numbers of the snapshots that are taken of every expert, rising; number 0 is before the first step."""
        return tuple(self.about["kept"])

    @property
    def snapshots(self) -> int:
        """One more than the last number of `kept`."""
        return self.kept[-1] + 1

    @property
    def extent(self) -> dict[str, Any]:
        """Which part of the folder is taken: "count", "kept", "judges" and "epochs"."""
        return {name: self.about[name] for name in _EXTENT}

    def part(self, **extent: Any) -> "ExpertStore":
        """The same experts, restricted to an extent, whatever the folder holds by now.

        Args:
            extent: entries of another store's `extent`, all or some.

        Raises:
            UserError: something of that is missing.
        """
        store = ExpertStore(self.folder, {**self.about, **extent})
        store._check()
        return store

    def digest(self, snapshots: Sequence[int], *, judges: bool) -> str:
        """Hash (32 hex digits) of the first parameters, which differ between trainings of other images or settings.

        Args:
            snapshots: numbers of the snapshots of every expert to include.
            judges: whether `judges` are included, too.
        """
        digest = hashlib.blake2b(digest_size=16)
        for expert in range(self.count):
            for number in snapshots:
                digest.update(self._theta(expert, number, _BEGINNING).numpy().tobytes())
        for number in range(self._judging if judges else 0):
            digest.update(self._judge_theta(number, _BEGINNING).numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def network(self) -> Classifier:
        """An untrained network of the experts' kind, in evaluation mode; not to be changed."""
        return load_model(self.folder / NETWORK)

    def theta(self, expert: int, snapshot: int) -> Tensor:
        """Parameters of an expert, float32 `[P]` on the CPU, in the order in which the network lists them.

        Args:
            expert: 0 .. `count` - 1.
            snapshot: one of `kept`.

        Raises:
            UserError: no such expert or snapshot; the file is damaged.
        """
        if not 0 <= expert < self.count:
            raise UserError(f"`expert` must be from 0 to {self.count - 1}, got {expert}; a higher `count` makes more.")
        if snapshot not in self.kept:
            raise UserError(
                f"`snapshot` must be one of those that are kept, {listed(self.kept)}, got {snapshot}; making the "
                "experts again with it finds the others."
            )
        return self._theta(expert, snapshot)

    def _theta(self, expert: int, snapshot: int, first: int | None = None) -> Tensor:
        # Backwards to the last whole snapshot, then forwards over the differences.
        chain, before = [], snapshot
        while before is not None:
            kept, before = _read(snapshot_path(expert_folder(self.folder, expert), before), first)
            chain.append(kept)
        theta = None
        for kept in reversed(chain):
            theta = decode(kept, theta)
        assert theta is not None
        if not torch.isfinite(theta).all():
            raise UserError(
                f"snapshot {snapshot} of expert {expert} in {str(self.folder)!r} holds values that are not finite; "
                f"{_REMADE}"
            )
        return theta

    @property
    def judges(self) -> list[Classifier]:
        """The fully taught networks, loaded anew, in evaluation mode."""
        return [self.judge(number) for number in range(self._judging)]

    @property
    def _judging(self) -> int:
        return int(self.about["judges"]) or self.count

    def judge(self, number: int) -> Classifier:
        """A single one of `judges`, as each of them takes memory."""
        return self.load(self._judge_theta(number))

    def _judge_theta(self, number: int, first: int | None = None) -> Tensor:
        if self.about["judges"]:
            return _read(judge_path(self.folder, number), first)[0]
        return self._theta(number, self.about["epochs"], first)

    def load(self, theta: Tensor) -> Classifier:
        """A new classifier with these parameters `[P]`, in evaluation mode."""
        whitening = self.network.whitening  # megabytes, so all classifiers share it
        classifier = deepcopy(self.network, {} if whitening is None else {id(whitening): whitening})
        vector_to_parameters(theta.detach().clone(), classifier.network.parameters())
        return classifier

    def precision(self, expert: int, snapshot: int) -> Precision:
        """What encoding a snapshot lost, and how far it is from the one before."""
        about = self._about(expert, snapshot)
        return Precision(float(about["error"]), float(about["moved"]))

    def losses(self, expert: int) -> list[Loss]:
        """The recorded training losses of an expert."""
        lines = RunFolder(expert_folder(self.folder, expert)).metrics()
        return [Loss(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]

    def mean_losses(self) -> list[float]:
        """Mean training loss over all experts between neighbours in `kept`; NaN where none was recorded.

        Start epochs are worth matching as long as it falls.
        """
        return [sum(losses) / len(losses) if losses else float("nan") for losses in self.losses_between()]

    def losses_between(self) -> list[list[float]]:
        """Recorded training losses of all experts between neighbours in `kept`."""
        between: list[list[float]] = [[] for _ in self.kept[1:]]
        for expert in range(self.count):
            steps = [int(self._about(expert, number)["step"]) for number in self.kept]
            for line in self.losses(expert):
                place = bisect_left(steps, line.step)
                if 0 < place < len(steps):
                    between[place - 1].append(line.loss)
        return between

    def cost(self) -> Cost:
        """The cost of teaching these experts and judges, and of scoring images for their curriculum."""
        folders = [expert_folder(self.folder, number) for number in range(self.count)]
        folders += [judge_path(self.folder, number).parent for number in range(self.about["judges"])]
        return sum((cost_of(folder) for folder in folders), cost_of_scores(self.folder))

    def _about(self, expert: int, snapshot: int) -> dict[str, str]:
        with safe_open(snapshot_path(expert_folder(self.folder, expert), snapshot), framework="pt") as file:
            return dict(file.metadata())


def _read(path: Path, first: int | None = None) -> tuple[Tensor, int | None]:
    """What a snapshot's file holds, or its first values alone, and the number of the snapshot it is a difference to.

    The number is None for a whole snapshot. With `first`, the rest of the file is not read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            kept, about = file.get_slice(PARAMETERS)[:first], file.metadata()
        return kept, int(about["before"]) if kept.dtype == DIFFERENCE else None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}); {_REMADE}") from error


def _open_header(path: Path) -> None:
    """Raises a UserError for a file that is truncated or no snapshot, now and not in the middle of learning."""
    try:
        with safe_open(path, framework="pt") as file:
            file.get_slice(PARAMETERS)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{str(path)!r} cannot be read ({error}); {_REMADE}") from error


def _read_about(path: Path) -> dict[str, Any]:
    """The content of `experts.json`, checked for its keys."""
    try:
        about = dict(json.loads(path.read_text()))
        if absent := [name for name in _ABOUT if name not in about]:
            raise ValueError(f"it lacks {', '.join(absent)}")
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{str(path)!r} is damaged ({error}); make the experts again with the same folder, which finds them."
        ) from error
    return about


def listed(numbers: Sequence[int]) -> str:
    """Rising numbers as text with ranges: "0 to 5, 50".

    Example:
        >>> listed([0, 1, 2, 5, 7, 8])
        '0 to 2, 5, 7 to 8'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{low}" if low == high else f"{low} to {high}" for low, high in ranges)
