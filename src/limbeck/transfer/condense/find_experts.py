"""Finds the experts of a run in a folder, or makes them."""

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
from limbeck.transfer.condense.experts.falling import loss_that_does_not_fall
from limbeck.transfer.condense.experts.make import default_settings
from limbeck.transfer.condense.experts.store import listed
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.network_of_experts import WHITENING_EPSILON
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.maker import MakerContext

if TYPE_CHECKING:
    from limbeck.data.image_set import ImageSet
    from limbeck.models.classifier import Classifier

EXPERTS = "experts"
"""Folder of experts: in the cache, in the folder that the runs of a comparison share, or in the maker's own."""
_GROWING = {"count", "judges", "folder"}
_OF_FALLING_RATES = {"milestones", "decay"}
"""Settings left out of the key where the rate is constant: the experts of versions without them are found again."""


def snapshots_read(settings: CondenseSettings, epochs: int | None = None) -> tuple[int, ...]:
    """Numbers of the snapshots that learning reads of every expert, rising; number 0 is the one before the first step.

    Args:
        settings: of the maker.
        epochs: how long experts are taught; by default `experts.epochs`.

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
    """Numbers of the snapshots in a store that learning reads: all where it follows experts to their end."""
    if not settings.reads_trajectories:
        return ()
    if settings.by == "distribution" or settings.matching.straight:
        return store.kept
    return snapshots_read(settings)


def open_experts(
    settings: CondenseSettings, images: "ImageSet", networks: "Callable[[int], Classifier]"
) -> ExpertStore | None:
    """The experts in the folder that settings name; None where they name none or read no experts.

    These are all experts of the folder, or the first few where settings give another number than the method's; the same
    holds for judges. Where experts are followed from start to end, the ends may be the folder's, whatever
    `experts.epochs` is. What may take a pass over all images, their fingerprint and networks normalised by their mean,
    is checked last.

    Raises:
        UserError: there are no experts or too few snapshots; they are of another network, of other images, or were made
            with other settings than given.
    """
    folder = settings.experts.folder
    if folder is None or not (settings.reads_trajectories or settings.reads_judges):
        return None
    path, read = Path(folder).expanduser(), snapshots_read(settings)
    store = ExpertStore.open(path, containing=read, **_requested(settings))
    _check_made_alike(settings, store, folder)
    _check_snapshots(settings, store, folder)
    theirs, ours = store.network.classes, images.classes
    if theirs != ours and {*theirs} == {*ours}:  # the images take their numbering from a teacher
        raise UserError(
            f"`experts.folder` {folder!r} holds experts that number the classes {few(theirs)}, and the images are "
            f"numbered {few(ours)}, as the teacher does; leave `experts.folder` out, which makes experts for that, or "
            "make some on images whose `classes` are in the teacher's order."
        )
    if store.about["images"] != images.fingerprint:  # before the network, which is normalised by the images
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
    """What a message calls the normalisation in which networks differ: with whitening, epsilon here and there."""
    if not (network.whitening and store.network.whitening):
        return "normalisation"
    epsilon = store.about.get(WHITENING_EPSILON)
    stored = "which the folder does not tell" if epsilon is None else f"which is {epsilon:g} there"
    return f"`network.whitening_epsilon` ({network.whitening_epsilon:g}, {stored})"


def _requested(settings: CondenseSettings) -> dict[str, int]:
    """Numbers of experts and judges, where they are not the method's own."""
    changed = _changed(settings)
    return {name: changed[name] for name in ("count", "judges") if name in changed}


def _changed(settings: CondenseSettings) -> dict[str, Any]:
    """Settings of the experts that are not the method's own."""
    usual = Experts.model_validate(METHODS[settings.method].values.get("experts", {})).model_dump(mode="json")
    values = settings.experts.model_dump(mode="json")
    return {name: value for name, value in values.items() if value != usual[name]}


def _check_made_alike(settings: CondenseSettings, store: ExpertStore, folder: str) -> None:
    """Raises a UserError where the recipe sets how experts are made and these were made otherwise.

    Experts made with another method's settings may be read as long as the recipe leaves those settings out.
    """
    stored = {**default_settings(), **store.about["settings"], "seed": store.about["seed"]}
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
    """The experts that settings need, and what they cost, whenever they were made; missing ones are made now.

    The store is None where settings read no experts.

    Args:
        settings: of the maker.
        images: to teach experts on.
        networks: fresh networks of the experts' kind.
        context: its `shared` folder, if any, holds the experts of all runs of a comparison; its `kept` folder those
            that later runs may find.
        before: called before the first expert is taught, if any is missing.
        begun: how much of a folder of experts the run that is resumed has read, see `ExpertStore.extent`.

    Raises:
        UserError: see `open_experts` and `make_experts`.
        Interrupted: stopped; the same call resumes.
    """
    if not (settings.reads_trajectories or settings.reads_judges):
        return None, Cost()
    if (store := open_experts(settings, images, networks)) is not None:
        store = store.part(**begun) if begun else store
        return store, store.cost()
    experts = settings.experts
    read = snapshots_read(settings)
    if not read and experts.judges:
        # Only judges are needed: one expert of one epoch is the least that can be made.
        experts, read = experts.model_copy(update={"count": 1}), (0, 1)
    read = read or (experts.epochs,)
    if not settings.reads_judges:
        # No expert is taught beyond the last snapshot that is read: nothing asks fully taught ones.
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


def remarks_on_experts(settings: CondenseSettings, store: ExpertStore) -> list[str]:
    """What is wrong with the experts that learning reads, if anything; sentences without full stops."""
    if not (read := snapshots_at_hand(settings, store)):
        return []
    sentence = loss_that_does_not_fall(store.part(kept=list(read)))
    lower = "`matching.start_to` and `grow_to`" if settings.by == "trajectories" else "`experts.epochs`"
    return [] if sentence is None else [f"{sentence}; lower {lower}, or teach experts at another `learning_rate`"]


def remarks_on_their_number(settings: CondenseSettings, store: ExpertStore) -> list[str]:
    """A sentence where learning reads fewer experts than `experts.count`; without full stop."""
    if not settings.reads_trajectories or store.count >= settings.experts.count:
        return []
    return [
        f"{str(store.folder)!r} holds {store.count} of the {settings.experts.count} experts of `experts.count`, and no "
        "others are read; `limbeck experts` with the same folder makes more"
    ]


def _key(settings: CondenseSettings, images: "ImageSet", networks: FreshNetworks) -> str:
    """Hash of all that experts and judges depend on, except how many there are."""
    growing = _GROWING if settings.reads_judges else {*_GROWING, "epochs"}
    if not settings.experts.milestones:
        growing = {*growing, *_OF_FALLING_RATES}
    content = {
        "experts": settings.experts.model_dump(mode="json", exclude=growing),
        "network": fingerprint(networks(0)),
        "images": images.fingerprint,
    }
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).hexdigest()
