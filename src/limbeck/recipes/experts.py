"""The verb `experts`: networks trained on all the images, whose snapshots `condense` reads."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from limbeck.data.class_names import printable
from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.progress import Progress
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.reading import parse_transfer
from limbeck.recipes.yaml_files import name_or_mapping
from limbeck.report.formats import duration, plural
from limbeck.transfer.condense.condensation import split_for
from limbeck.transfer.condense.counting import class_sizes
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.check import parameters
from limbeck.transfer.condense.experts.store import listed
from limbeck.transfer.condense.find_experts import snapshots_read
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import SNAPSHOTS_SAID, CondenseSettings
from limbeck.workers.shares import check_workers

_SENT = 2**28
"""Most bytes of decoded images that are sent to workers; of larger sets, each worker loads its own."""


class NamedImages:
    """Returns a data set's images when called: in this process the loaded ones, in another it loads them by name.

    Args:
        name, split, options: see `limbeck.load`.

    Example:
        >>> import pickle
        >>> named = NamedImages("digits", "test")
        >>> pickle.loads(pickle.dumps(named))().fingerprint == named().fingerprint
        True
    """

    def __init__(self, name: str | Path, split: str, **options: Any) -> None:
        self._how: tuple[str | Path, str, dict[str, Any]] = name, split, options
        self._open: ImageSet | None = load_images(name, split, **options)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_open": None}

    def __call__(self) -> ImageSet:
        if self._open is None:
            name, split, options = self._how
            self._open = load_images(name, split, **options)
        return self._open


class Rest:
    """Returns the images that `choose` leaves for training, here and in other processes.

    Args:
        images: all images.
        settings: of the maker.
    """

    def __init__(self, images: NamedImages, settings: CondenseSettings) -> None:
        self._images, self._settings = images, settings

    def __call__(self) -> ImageSet:
        return split_for(self._settings, self._images())[0]


def settings_for_experts(
    said: Mapping[str, Any], overrides: Sequence[str] = (), *, snapshots: int | None = None
) -> CondenseSettings:
    """Settings as a recipe has them under `transfer: {maker: condense, ...}`, as far as they concern experts.

    Args:
        said: the given settings; None is as good as absent.
        overrides: more settings, "key=value" each.
        snapshots: see `experts_of`; if given, it does not matter how many the method would read.

    Raises:
        UserError: lists everything that is wrong with the settings; a method that reads no experts.
    """
    stated = {name: value for name, value in said.items() if value is not None}
    content = {"maker": "condense", "budget": "1/class", **stated}
    settings = parse_transfer(content, overrides, alone=True, context={SNAPSHOTS_SAID: snapshots is not None})
    assert isinstance(settings, CondenseSettings)
    return settings


def experts_of(
    settings: CondenseSettings,
    images: ImageSet | NamedImages,
    folder: Path,
    *,
    snapshots: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> ExpertStore:
    """Makes the experts that `condense` reads with these settings, unless they are in `folder` already.

    Args:
        settings: of the maker.
        images: labelled. If `choose` holds out a tenth of them, experts are not trained on those.
        folder: of the experts; may hold some.
        snapshots: how many of each expert are kept; by default those that are read.
        workers, progress: see `make_experts`.

    Raises:
        UserError: see `make_experts`; `snapshots` below two, or more than the epochs allow; settings that read no
            experts, or name a folder of their own; images of one class.
    """
    experts = settings.experts
    _check_snapshots(snapshots, experts.epochs)
    last = () if experts.judges else (experts.epochs,)  # the last snapshot is then read of each expert
    read = range(snapshots) if snapshots is not None else snapshots_read(settings) or last
    if not read:
        raise UserError(
            f"{settings.title} reads no snapshots of experts; give `snapshots`, or a method that reads some, as 'datm'."
        )
    if experts.folder is not None:
        raise UserError(
            f"`experts.folder` names experts that are there, got {experts.folder!r}; leave it out, and give the folder "
            "to make them in (`--out`)."
        )
    all_images = images if isinstance(images, ImageSet) else images()
    class_sizes(settings, all_images)
    train = split_for(settings, all_images)[0]
    loader = train if isinstance(images, ImageSet) else Rest(images, settings)
    networks = FreshNetworks.of(settings.network, train)
    sent = train if train.is_decoded and len(train) * prod(train.shape) <= _SENT else loader
    epsilon = settings.network.whitening_epsilon if settings.network.whitening else None
    arguments = {"workers": workers, "progress": progress, "whitening_epsilon": epsilon}
    make_experts(experts, networks, sent, folder, snapshots=read, **arguments)
    return ExpertStore.open(folder, count=experts.count, snapshots=read, judges=experts.judges)


def _check_snapshots(snapshots: int | None, epochs: int) -> None:
    if snapshots is None:
        return
    if snapshots < 2:
        raise UserError(
            "`snapshots` must be at least 2, the one before the first step and one after it, between which an expert "
            f"goes its way, got {snapshots}; leave it out for those that the method reads."
        )
    if snapshots > epochs + 1:
        raise UserError(
            f"`snapshots` must be at most {epochs + 1}, one before the first step and one after each of the {epochs} "
            f"`experts.epochs`, got {snapshots}; lower it, or raise `experts.epochs`."
        )


def save_experts(
    said: Mapping[str, Any],
    folder: Path | None,
    *,
    data: str,
    split: str = "train",
    overrides: Sequence[str] = (),
    snapshots: int | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    **options: Any,
) -> str:
    """Makes experts as the command line asks; returns a summary of all experts in the folder.

    Args:
        said: `method`, `network` (a model's name, or a mapping in YAML) and `experts`.
        folder: of the experts; by default in runs/.
        data, split, options: see `limbeck.load`.
        overrides: more settings as "key=value".
        snapshots, workers, progress: see `experts_of`.

    Raises:
        UserError: see `experts_of`.
    """
    check_workers(workers)
    stated = dict(said)
    if isinstance(stated.get("network"), str):
        stated["network"] = name_or_mapping(stated["network"], "--network", "model", "{model: convnet_d3}")
    settings = settings_for_experts(stated, overrides, snapshots=snapshots)
    if folder is None:
        name = f"experts-{printable(Path(data).name)}-{settings.network.model}"
        folder = Path("runs") / name.replace(":", "-")
    images = NamedImages(data, split, **options)
    return summary(experts_of(settings, images, folder, snapshots=snapshots, workers=workers, progress=progress))


def summary(store: ExpertStore) -> str:
    """A summary of the experts: their number, how their loss fell, and what they cost."""
    size = sum(file.stat().st_size for file in store.folder.rglob("*") if file.is_file())
    judges = plural(int(store.about["judges"]), "judge")
    losses = " ".join(f"{loss:.3f}" for loss in store.mean_losses())
    lines = [
        f"{plural(store.count, 'expert')} of {store.network.name} ({parameters(store.network):,} parameters), "
        f"snapshots {listed(store.kept)}, {judges} -> {store.folder}",
        f"training loss between them: {losses}",
        f"{size / 2**20:,.1f} MiB, {duration(store.cost().seconds)} of training",
    ]
    return "\n".join(lines)
