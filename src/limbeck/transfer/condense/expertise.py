"""The experts of a run: those that are there, or those that are made for it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.cost import Cost
from limbeck.data.classes import few
from limbeck.errors import UserError
from limbeck.models.fingerprint import fingerprint
from limbeck.transfer.condense.expert_settings import Experts, Network
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.store import listed
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.network_at_hand import WHITENING_EPSILON
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.maker import MakerContext

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet
    from limbeck.models.classifier import Classifier

EXPERTS = "experts"
"""In the maker's folder, in that which the runs of a comparison share, or, of one that stands alone, in the cache."""
_GROWING = {"count", "judges", "folder"}


def snapshots_read(settings: CondenseSettings, epochs: int | None = None) -> tuple[int, ...]:
    """Numbers of the snapshots that learning reads of every expert, rising; number 0 is before the first step.

    Args:
        settings: of the maker.
        epochs: that experts are taught for; by default as settings have it.

    Example:
        >>> snapshots_read(CondenseSettings(budget="1/class", method="mtt"))
        (0, 1, 2, 3)
    """
    if not settings.reads_trajectories:
        return ()
    epochs = settings.experts.epochs if epochs is None else epochs
    if settings.by == "distribution":
        return settings.distribution.snapshots(epochs)
    if settings.matching.straight:
        return (0, epochs)
    return tuple(range(settings.matching.start_from, settings.matching.snapshots))


def snapshots_at_hand(settings: CondenseSettings, store: ExpertStore) -> tuple[int, ...]:
    """Numbers of the snapshots of these experts that learning reads; where it reads ways to their end, all of them."""
    if not settings.reads_trajectories:
        return ()
    if settings.by == "distribution" or settings.matching.straight:
        return store.kept
    return snapshots_read(settings)


def open_experts(
    settings: CondenseSettings, images: "ImageSet", networks: "Callable[[int], Classifier]"
) -> ExpertStore | None:
    """Experts in the folder that settings name, if they name one and read any.

    Of the images, and of networks that know their mean, is asked last: it may take a pass over all images.

    All of them, or the first so many where settings have another number than the method's own, and judges likewise.
    Where ways are read from end to end, these may be the folder's own ends, whatever `experts.epochs` is.

    Raises:
        UserError: there are none, too few snapshots, they are of another network or of other images, or were made
            otherwise than settings say.
    """
    folder = settings.experts.folder
    if folder is None or not (settings.reads_trajectories or settings.reads_judges):
        return None
    path, read = Path(folder).expanduser(), snapshots_read(settings)
    store = ExpertStore.open(path, containing=read, **_requested(settings))
    _check_made_alike(settings, store, folder)
    _check_snapshots(settings, store, folder)
    theirs, ours = store.network.classes, images.classes
    if theirs != ours and {*theirs} == {*ours}:  # images are numbered as a teacher does
        raise UserError(
            f"`experts.folder` {folder!r} holds experts that number the classes {few(theirs)}, and the images are "
            f"numbered {few(ours)}, as the teacher does; leave `experts.folder` out, which makes experts for that, or "
            "make some on images whose `classes` are in the teacher's order."
        )
    if store.about["images"] != images.fingerprint:  # before the network, whose normalisation is theirs
        choose, seed = settings.choose, settings.experts.seed
        rest = f", a tenth of which `choose: {choose}` holds out by `experts.seed` {seed}" if settings.holds_out else ""
        flag = f" -s choose={choose}" if settings.holds_out else ""
        raise UserError(
            f"`experts.folder` {folder!r} holds experts of other images than {images.name!r}{rest}; give these, or "
            f"make experts of yours by `limbeck experts{flag}`."
        )
    if store.about["network"] != fingerprint(networks(0)):
        raise UserError(
            f"`experts.folder` {folder!r} holds experts of another {store.network.name} than `network` "
            f"({settings.network.model}), in options, classes or {_normalised(settings.network, store)}; give the "
            "`network` that they were made with, or other experts."
        )
    return store


def _normalised(network: Network, store: ExpertStore) -> str:
    """How a network sees images, where experts are of others; their `whitening_epsilon` as far as they tell it."""
    if not (network.whitening and store.network.whitening):
        return "normalisation"
    epsilon = store.about.get(WHITENING_EPSILON)
    stored = "which the folder does not tell" if epsilon is None else f"which is {epsilon:g} there"
    return f"`network.whitening_epsilon` ({network.whitening_epsilon:g}, {stored})"


def _requested(settings: CondenseSettings) -> dict[str, int]:
    """How many experts and judges are wanted, as far as that is not the method's own choice."""
    changed = _changed(settings)
    return {name: changed[name] for name in ("count", "judges") if name in changed}


def _changed(settings: CondenseSettings) -> dict[str, Any]:
    """Settings of the experts that are not the method's own."""
    usual = Experts.model_validate(METHODS[settings.method].values.get("experts", {})).model_dump(mode="json")
    values = settings.experts.model_dump(mode="json")
    return {name: value for name, value in values.items() if value != usual[name]}


def _check_made_alike(settings: CondenseSettings, store: ExpertStore, folder: str) -> None:
    """Experts of another method's settings may be read, but not where a recipe says how they were made."""
    stored = {**store.about["settings"], "seed": store.about["seed"]}
    for name, value in _changed(settings).items():
        if name in stored and stored[name] != value:
            raise UserError(
                f"`experts.{name}` is {json.dumps(value)}, and the experts in `experts.folder` {folder!r} were made "
                f"with {json.dumps(stored[name])}; leave `experts.{name}` out, or give a folder of such experts."
            )


def _check_snapshots(settings: CondenseSettings, store: ExpertStore, folder: str) -> None:
    read, kept = snapshots_read(settings), {*store.kept}
    if {*read} <= kept:
        return
    if settings.by == "trajectories" and not settings.matching.straight:
        raise UserError(
            f"`experts.folder` {folder!r} must hold snapshots up to number {read[-1]}, got up to {store.kept[-1]}; "
            "`limbeck experts` with the same folder makes more, or lower `matching.start_to`, `grow_to` or "
            "`expert_epochs`."
            if max(read) > store.kept[-1]
            else f"`experts.folder` {folder!r} must hold snapshots {listed(read)}, got {listed(store.kept)}; `limbeck "
            "experts` with the same folder makes the others, or raise `matching.start_from`."
        )
    needed = snapshots_read(settings, int(store.about["epochs"]))
    if not {*needed} <= kept:
        raise UserError(
            f"`experts.folder` {folder!r} must hold snapshots {listed(needed)}, as its experts have {needed[-1]} "
            f"epochs, got {listed(store.kept)}; `limbeck experts` with the same folder, method and `--epochs "
            f"{needed[-1]}` makes the others."
        )


def experts_for(
    settings: CondenseSettings,
    images: "ImageSet",
    networks: FreshNetworks,
    context: MakerContext,
    *,
    before: Callable[[], None] | None = None,
    begun: Mapping[str, Any] | None = None,
) -> tuple[ExpertStore | None, Cost]:
    """Experts as settings need them, made now as far as they are not there, and what they took, whenever that was.

    Without any the first is None.

    Args:
        settings: of the maker.
        images: that they are taught on.
        networks: fresh ones.
        context: whose shared folder, if there is one, holds those of all runs of a comparison, and whose `kept` those
            that others may find.
        before: is called before the first expert is taught, if any is still to be.
        begun: how much of a folder of experts was read by the run that goes on, see `ExpertStore.extent`, and is now.

    Raises:
        UserError: see `open_experts` and `make_experts`.
        Interrupted: stopped; calling it again goes on.
    """
    if not (settings.reads_trajectories or settings.reads_judges):
        return None, Cost()
    if (store := open_experts(settings, images, networks)) is not None:
        store = store.part(**begun) if begun else store
        return store, store.cost()
    experts = settings.experts
    read = snapshots_read(settings)
    if not read and experts.judges:
        # Judges alone: experts are made as few and short as they can be.
        experts, read = experts.model_copy(update={"count": 1}), (0, 1)
    read = read or (experts.epochs,)
    if not settings.reads_judges:
        # Nobody is taught beyond what is read: the experts at their end are what nobody asks.
        experts = experts.model_copy(update={"judges": 0, "epochs": read[-1]})
    folder = (context.shared or context.kept or context.folder) / EXPERTS / _key(settings, images, networks)
    if context.shared is None and context.kept is not None:
        context.progress.say(f"experts stay in {folder}, where whoever needs such finds them (`limbeck cache`)")
    cost = make_experts(
        experts,
        networks,
        images,
        folder,
        snapshots=read,
        seed=settings.experts.seed,
        workers=context.workers,
        progress=context.progress,
        before=before,
        whitening_epsilon=settings.network.whitening_epsilon if settings.network.whitening else None,
    )
    return ExpertStore.open(folder, count=experts.count, snapshots=read, judges=experts.judges), cost


def _key(settings: CondenseSettings, images: "ImageSet", networks: FreshNetworks) -> str:
    """A name for all that experts and judges hang on, but how many there are."""
    growing = _GROWING if settings.reads_judges else {*_GROWING, "epochs"}
    content = {
        "experts": settings.experts.model_dump(mode="json", exclude=growing),
        "network": fingerprint(networks(0)),
        "images": images.fingerprint,
    }
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()
