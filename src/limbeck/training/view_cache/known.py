"""Puts a teacher's logits from making images into its view cache, so that they are not computed again.

They were computed in batches of another size, and with gradients. Where that was measured on a CPU (ConvNet,
ResNet-20 and VGG-8, 20 to 256 images, one thread and two, kernels for AVX2 and AVX-512) no bit of its logits differed
in float32; nor in bfloat16, except for views "none" of colour images, whose pixels had another order in memory: up to
17 % of the values, by up to 0.8 % of an image's largest. (For images half a gray level off, as before rounding to 8
bits, ConvNet differed in 28 to 34 % of the values and ResNet-20 in 75 to 93 %.)

Other networks may behave differently, and a student must be the same, bit for bit, whether outputs were in the cache or
not. So one block of known logits is computed again, and if any bit of it would be stored differently, none are taken.
GPUs choose their kernels by batch size: there nothing is taken.
"""

import numpy as np
import torch

from limbeck.data.augmentation import Augmentation
from limbeck.data.image_set import ImageSet
from limbeck.data.known_logits import KnownLogits
from limbeck.data.transfer_set import TransferSet
from limbeck.data.views import augmentation
from limbeck.models.classifier import Classifier
from limbeck.models.forward import FrozenTeacher, resolve_computing
from limbeck.progress import Progress
from limbeck.training.view_cache.cache import ViewCache
from limbeck.training.view_cache.opening import open_view_cache
from limbeck.training.view_cache.outputs import outputs_in_blocks
from limbeck.training.view_cache.settings import CacheSettings


def take_known(cache: ViewCache, images: ImageSet, views: Augmentation, known: KnownLogits) -> int:
    """Puts known logits that are not in a cache into it, if the teacher computes the same, bit for bit.

    Args:
        cache: of the `images`.
        images: N of them.
        views: of the cache; logits for other views are ignored.
        known: of these images.

    Returns:
        How many logits were put into the cache.
    """
    fits = known.views.key is not None and known.views.key == views.key and not views.by_id
    taken = cache.history.taken.get(cache.folder, 0)
    if not fits or taken is None or cache.outputs != {"logits"} or cache.teacher.device.type != "cpu":
        return 0
    places = cache.missing(cache.entries(torch.arange(len(images)), known.draws))  # int64 [n]
    draws = known.draws[places]
    if (taken + len(places)).bit_length() > taken.bit_length():  # the first time, and whenever their number doubles
        if len(places) < 2 * cache.block:  # not worth the check
            return 0
        some = torch.arange(cache.block) * (len(places) // cache.block)  # spread over all batches
        shown = views.render(images.gather(places[some]), draws[some])
        now = outputs_in_blocks(cache.teacher, shown, np.arange(cache.block), {"logits"}, cache.block)["logits"]
        if not cache.would_keep_alike(now, known.read(places[some])):
            cache.history.taken[cache.folder] = None
            return 0
    cache.put_logits(cache.entries(places, draws), known.read(places))
    cache.history.taken[cache.folder] = taken + len(places)
    return len(places)


def keep_known(made: TransferSet, teacher: Classifier, progress: Progress) -> None:
    """Puts what is known about a new transfer set into the view cache, for later runs.

    That is its `known_logits`, and its soft labels if they are logits: those of the images without views. Only runs in
    which the teacher computes as by default find them. The teacher computes at most 64 images, see `take_known`.

    Args:
        made: the set.
        teacher: whose logits these are.
        progress: gets messages about the cache.
    """
    known_logits = [] if made.known_logits is None else [made.known_logits]
    soft_labels = made.soft_labels
    if soft_labels is not None and made.soft_label_kind == "logits" and made.soft_label_temperature == 1:
        draws = torch.zeros(len(made), dtype=torch.int64)
        known_logits.append(KnownLogits(augmentation("none"), draws, soft_labels.float().__getitem__))
    computing = resolve_computing()
    frozen = FrozenTeacher(
        teacher, device=computing.device, dtype=computing.dtype, channels_last=computing.channels_last
    )
    for logits in known_logits:
        cache = open_view_cache(frozen, made.images, logits.views, CacheSettings(), say=progress.say)
        if cache is not None:
            take_known(cache, made.images, logits.views, logits)
            cache.close()
