"""Opening the view cache for a set of images, once for a fixed set and once a round for one that changes."""

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from limbeck.data.image_set import ImageSet
from limbeck.data.views import Augmentation
from limbeck.errors import UserError
from limbeck.files import free_bytes
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.codecs import Codec, Dense, TopLogits
from limbeck.training.view_cache.file import CHECK
from limbeck.training.view_cache.folder import note_use, view_folder
from limbeck.training.view_cache.history import History, history_of
from limbeck.training.view_cache.index import HASH_BYTES
from limbeck.training.view_cache.outputs import named_outputs
from limbeck.training.view_cache.settings import CacheSettings, write_size


def open_view_cache(
    teacher: FrozenTeacher,
    images: ImageSet,
    views: Augmentation,
    settings: CacheSettings,
    *,
    say: Callable[[str], None],
) -> ViewCache | None:
    """The cache for a teacher's outputs for the views of `images`, or None where there can be none, which is said.

    It costs a hash of every image of `images`, and of no others, where that is not known yet. Whether there is a cache
    depends on the arguments alone and never on what is kept already, so that a full and an empty one make the same
    student, and a resumed run the same as one that was never stopped.

    Args:
        teacher: as it will be asked; what it said is remembered for all caches that are opened for it.
        images: all that will be shown, now or in this round.
        views: of the training.
        settings: what to keep. Its `limit` is compared with what all views of `images` take, without checksums.
        say: told how large the cache may become, where it is and how full, again when that has doubled; or, once, why
            there is none.

    Raises:
        UserError: `settings.top_k` is not below the teacher's classes.
    """
    if views.distinct is None or views.key is None:
        return None
    history = history_of(teacher)
    codecs = _codecs(teacher, images.shape, settings, history)
    entries = len(images) * views.distinct
    size = entries * sum(codec.size for codec in codecs.values())
    what = f"{' and '.join(settings.keep)} of {teacher.classifier.name} for {len(images):,} images x " + (
        f"{views.distinct:,} view{'s' if views.distinct > 1 else ''}"
    )
    if size > settings.limit_bytes:
        history.say_once(
            "limit",
            say,
            f"the teacher is asked every time: keeping {what} would take up to {write_size(size)}, more than "
            f"`training.cache.limit` ({settings.limit}), which is for the images of one transfer set or round and does "
            "not count checksums. Raise it, or set `training.views_per_image`.",
        )
        return None
    shared = settings.trust_teacher or not history.identity.unseen
    folder = view_folder(teacher, history.identity.fingerprint, images.shape, views, shared=shared)
    hashes = _hashes(images, views)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cache = ViewCache(teacher, folder, codecs, hashes, views.distinct, history, say)
        note_use(folder, teacher, images.shape, views, shared=shared)
    except (OSError, UserError) as error:
        history.say_once(
            "folder",
            say,
            f"the teacher is asked every time: its answers cannot be kept ({error}); LIMBECK_CACHE names a folder.",
        )
        return None
    if not shared:
        history.say_once(
            "shared",
            say,
            f"answers of {teacher.classifier.name} are kept for this process alone, because equal fingerprints need "
            f"not mean equal answers: {history.identity.reason} cannot be vouched for. "
            "`training.cache.trust_teacher: true` keeps them for others, too.",
        )
    if size >= 2 * history.announced:
        history.announced = size
        say(f"keeping {what}: {_room(cache, size, CHECK.itemsize * entries * len(codecs))}")
    return cache


def _room(cache: ViewCache, size: int, checks: int) -> str:
    """How much, where, how full, and whether the disk has room."""
    known, free = cache.known(), free_bytes(cache.folder)
    full = "" if known is None else f"; {known / cache.count:.1%} are there already"
    room = "" if free > size else f" The disk has {write_size(free)} left."
    return f"up to {write_size(size)}, and {write_size(checks)} of checksums, in {cache.folder}{full}.{room}"


def _hashes(images: ImageSet, views: Augmentation) -> np.ndarray:
    """Of all that shapes an image's views, uint8 [N, 16]: the pixels, and the id where views hang on ids."""
    digests = images.digests().numpy()
    if not views.by_id:
        return digests
    pairs = zip(digests, images.ids.numpy().astype("<i8"), strict=True)
    mixed = [hashlib.blake2b(one.tobytes() + id.tobytes(), digest_size=HASH_BYTES).digest() for one, id in pairs]
    return np.frombuffer(b"".join(mixed), np.uint8).reshape(-1, HASH_BYTES)


def _codecs(
    teacher: FrozenTeacher, shape: tuple[int, int, int], settings: CacheSettings, history: History
) -> dict[str, Codec]:
    """How each output is kept; a pass over an empty image tells their shapes."""
    key = (*settings.keep, settings.dtype, settings.top_k, shape)
    if key in history.codecs:
        return history.codecs[key]
    empty = torch.zeros(1, *shape, dtype=torch.uint8, device=teacher.device)
    example = named_outputs(teacher(empty, want=settings.keep), settings.keep)
    codecs: dict[str, Codec] = {name: Dense(tuple(one.shape[1:]), settings.dtype) for name, one in example.items()}
    if settings.top_k is not None:
        classes = example["logits"].shape[1]
        if settings.top_k >= classes:
            raise UserError(
                f"`training.cache.top_k` must be below the teacher's {classes} classes, got {settings.top_k}; "
                "leave it out to keep all logits."
            )
        codecs["logits"] = TopLogits(classes, settings.top_k, settings.dtype)
    history.codecs[key] = codecs
    return codecs
