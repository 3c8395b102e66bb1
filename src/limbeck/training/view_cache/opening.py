"""Opening the view cache for a set of images: once for a fixed set, and every round for one that changes."""

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from limbeck.data.augmentation import Augmentation
from limbeck.data.image_set import ImageSet
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

WORTH_SAYING = 100_000_000
"""Bytes of cache from which the user is told about it."""
_ROWS = 4096  # hashed at once


def open_view_cache(
    teacher: FrozenTeacher,
    images: ImageSet,
    views: Augmentation,
    settings: CacheSettings,
    *,
    say: Callable[[str], None],
) -> ViewCache | None:
    """The cache of a teacher's outputs for the views of `images`, or None (with a message) where there can be none.

    It costs a hash of every image of `images` that is not hashed yet, and of no others. Whether there is a cache
    depends on the arguments alone and never on its content, so that a full and an empty cache make the same student,
    and a resumed run the same as one that was never stopped.

    Args:
        teacher: with the device and precision of the run; its caches share a history, see `History`.
        images: all images that will be shown, in the run or in this round.
        views: of the training.
        settings: what to keep. Its `limit` is compared with the size of all views of `images`, without checksums.
        say: called with the place and largest size of the cache, from `WORTH_SAYING` on; or with why there is none.
            Each message is sent once per teacher, in the same words for every set of images.

    Raises:
        UserError: `settings.top_k` is not below the teacher's classes.
    """
    if views.distinct is None or views.key is None:
        if views.others and views.distinct is None:
            history_of(teacher).say_once(
                "mixtures",
                say,
                "the teacher is asked every time, because there is no end of mixtures; `training.views_per_image` lets "
                "its answers be kept.",
            )
        return None
    history = history_of(teacher)
    codecs = _codecs(teacher, images.shape, settings, history)
    each = views.distinct * sum(codec.size for codec in codecs.values())  # bytes an image
    what = f"{' and '.join(settings.keep)} of {teacher.classifier.name}"
    count = f"{views.distinct:,} view{'s' if views.distinct > 1 else ''}"
    if len(images) * each > settings.limit_bytes:
        history.say_once(
            "limit",
            say,
            f"the teacher is asked every time about sets of more than {settings.limit_bytes // each:,} images: keeping "
            f"{what} takes {write_size(each)} for {count} of an image, and `training.cache.limit` is {settings.limit} "
            "for one transfer set or round, checksums not counted. Raise it, or set `training.views_per_image`.",
        )
        return None
    shared = settings.trust_teacher or not history.identity.unseen
    cache = _open_in_folder(teacher, images, views, codecs, history, say, shared=shared)
    if cache is not None:
        _announce(cache, each, f"{what} for {count} of an image", history, say)
    return cache


def _open_in_folder(
    teacher: FrozenTeacher,
    images: ImageSet,
    views: Augmentation,
    codecs: dict[str, Codec],
    history: History,
    say: Callable[[str], None],
    *,
    shared: bool,
) -> ViewCache | None:
    """The cache in its folder, or None where that cannot be written; says so, and where it is not shared."""
    assert views.distinct is not None
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
    return cache


def _announce(cache: ViewCache, each: int, what: str, history: History, say: Callable[[str], None]) -> None:
    """Says what is kept and where if it may take much space, and warns if the disk may become full.

    The messages do not depend on the size of this set, so that over many sets each is shown only once.
    """
    images = cache.count // cache.distinct
    each += cache.distinct * CHECK.itemsize * len(cache.files)
    if images * each >= WORTH_SAYING:
        more = f"keeping {what} in {str(cache.folder)!r}: up to {write_size(1000 * each)} for every 1,000 images"
        history.say_once("room", say, f"{more}; `limbeck cache` lists and deletes what is kept.")
    free = free_bytes(cache.folder)
    if free < images * each and free < images * each * (1 - (cache.known() or 0) / cache.count):
        history.say_once(
            "disk",
            say,
            f"the disk of {str(cache.folder)!r} has no room for all that may be kept there; the teacher is asked every "
            "time for what finds none.",
        )


def _hashes(images: ImageSet, views: Augmentation) -> np.ndarray:
    """Hashes of all that determines an image's views, uint8 [N, 16]: its pixels, its id where views depend on ids, and
    the pixels of all images that are mixed into any of its views.

    In another set an image may have other partners; if one of them differs, none of its outputs is found.
    """
    digests = images.digests().numpy()
    if not views.by_id:
        return digests
    everyone = images.ids.sort().values
    hashes = []
    for rows in torch.arange(len(images)).split(_ROWS):
        ids = images.ids[rows]
        parts = [digests[rows.numpy()], ids.numpy().astype("<i8")[:, None].view(np.uint8)]  # [rows, 16], [rows, 8]
        for view in range(views.distinct or 0) if views.others else ():
            partners = views.partners(ids, torch.full_like(ids, view), everyone)
            parts += [digests[images.positions(partner).numpy()] for partner in partners]
        whole = np.concatenate(parts, axis=1)
        hashes += [hashlib.blake2b(row.tobytes(), digest_size=HASH_BYTES).digest() for row in whole]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, HASH_BYTES)


def _codecs(
    teacher: FrozenTeacher, shape: tuple[int, int, int], settings: CacheSettings, history: History
) -> dict[str, Codec]:
    """How each output is stored; a pass over an empty image gives their shapes."""
    key = (*settings.keep, settings.dtype, settings.top_k, shape)
    if key in history.codecs:
        return history.codecs[key]
    empty = torch.zeros(1, *shape, dtype=torch.uint8, device=teacher.device)
    example = named_outputs(teacher(empty, want=settings.keep), settings.keep)
    codecs: dict[str, Codec] = {
        name: Dense(tuple(output.shape[1:]), settings.dtype) for name, output in example.items()
    }
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
