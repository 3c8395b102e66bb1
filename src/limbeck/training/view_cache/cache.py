"""The exact view cache: a frozen teacher is asked once for each view of each image, whoever needs the answer later.

Where an augmentation has finitely many views, an entry is (image's place in the whole set, view's number). The folder
is named by everything that shapes an answer: the teacher's weights, code and attributes, the pixels of the whole set,
the augmentation, and how the teacher computes. So shuffled and partial sets, other seeds, students and objectives,
resumed runs and several processes all share it, and a hit is never another question's answer. A run reads back what it
stores, so that it makes the same student whether the cache was full or empty.

Where a teacher has code or attributes that nobody can vouch for, its answers are kept for this process alone, unless
`trust_teacher` says that equal fingerprints mean equal answers. Every run asks again for some of what it finds there.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.data.image_set import ImageSet
from limbeck.data.views import Augmentation
from limbeck.errors import UserError
from limbeck.files import free_bytes
from limbeck.models.classifier import Outputs
from limbeck.models.fingerprint import identify
from limbeck.models.forward import FrozenTeacher
from limbeck.training.view_cache.agreement import agree, noise_of
from limbeck.training.view_cache.file import AnswerFile, Codec, Dense, TopLogits
from limbeck.training.view_cache.folder import note_use, view_folder
from limbeck.training.view_cache.settings import CacheSettings, write_size
from limbeck.training.view_cache.top_error import TopError

_COUNTED = 2**30  # files up to this size are read once to say how full they are


class ViewCache:
    """A teacher that remembers.

    Args:
        teacher: asked for what is not known.
        folder: of the files.
        codecs: output's name ("logits", "embedding", "stages.0" ...) -> how it is kept.
        entries: images of the whole set x views.
        say: told when something went wrong that does not stop the run.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(
        self,
        teacher: FrozenTeacher,
        folder: Path,
        codecs: dict[str, Codec],
        entries: int,
        say: Callable[[str], None],
    ) -> None:
        self.teacher = teacher
        self.folder = folder
        self.files = {
            name: AnswerFile(folder / f"{name}-{codec.name}.bin", entries, codec) for name, codec in codecs.items()
        }
        self.outputs = frozenset(name.split(".")[0] for name in codecs)
        self.say = say
        self.writes = True
        # Of what was there before this run, or is another process's: how much was read, and when to ask for it again.
        self.learnt = np.zeros(entries, bool)
        self.found, self.next_check = 0, 1
        self.misfitting: set[str] = set()
        # Answers are computed in blocks of one size: kernels chosen by batch size round differently.
        self.block = 32 if teacher.device.type == "cpu" else 64
        top = codecs.get("logits")
        self.error = TopError(folder / f"logits-{top.name}-error.json") if isinstance(top, TopLogits) else None

    def __call__(self, images: Tensor, entries: Tensor, want: Collection[str]) -> tuple[Outputs, int]:
        """The teacher's outputs, and to how many of the images they were known.

        Args:
            images: uint8 [B, C, H, W], the views.
            entries: int64 [B], their numbers.
            want: what of the outputs; where not all of it is kept, the teacher is asked for everything.
        """
        if not self.outputs.issuperset(want):
            return self.teacher(images, want={*want, "logits"}), 0
        numbers = entries.cpu().numpy()
        read = {name: file.read(numbers) for name, file in self.files.items() if name.split(".")[0] in want}
        known = np.logical_and.reduce([whole for _, whole in read.values()])
        answers = {name: values for name, (values, _) in read.items()}
        if not self._still_hold(images, entries, known):
            known[:] = False
        if not known.all():
            places = np.flatnonzero(~known)
            for name, values in self._learn(images, numbers, places).items():
                if name in answers:
                    answers[name][places] = values
        return self._assemble(answers), int(known.sum())

    def verify(self, images: Tensor, entries: Tensor) -> bool:
        """Asks again for some of what is known, and forgets everything where the teacher now says something else.

        The folder's name stands for all that can be seen of a teacher; this is for what cannot.

        Returns:
            Whether the answers agree, see `agree`, or there was nothing to compare.
        """
        numbers = entries.cpu().numpy()
        read = {name: file.read(numbers) for name, file in self.files.items()}
        places = np.flatnonzero(np.logical_and.reduce([whole for _, whole in read.values()]))[: self.block]
        if not len(places):
            return True
        asked = self._ask(images, places, self.outputs)
        noise = noise_of(self.teacher.device, self.teacher.dtype)
        for name, (values, _) in read.items():
            codec = self.files[name].codec
            if not agree(*codec.comparable(asked[name], values[places]), codec.dtype, noise):
                self.say(f"the answers kept in {str(self.folder)!r} are not this teacher's; they are thrown away.")
                for file in self.files.values():
                    file.clear()
                return False
        return True

    def _still_hold(self, images: Tensor, entries: Tensor, known: np.ndarray) -> bool:
        """Whether answers from before this run are still the teacher's: the first, and each time that many again."""
        found, before = int((known & ~self.learnt[entries.cpu().numpy()]).sum()), self.found
        self.found += found
        if not found or self.found < self.next_check:
            return True
        self.next_check = 2 * self.found
        holds = self.verify(images, entries)
        if not holds and before:
            self.say(f"{before:,} of them were read in this run before that was noticed; repeat the run.")
        return holds

    def known(self) -> int | None:
        """How many entries are there; None where counting would take long."""
        small = [file for file in self.files.values() if file.bytes <= _COUNTED]
        return min(file.filled() for file in small) if small else None

    def summary(self) -> dict[str, Any]:
        """What a run folder notes of it; `top_k_error` is over all answers that were ever kept there."""
        return {
            "outputs": sorted(self.outputs),
            "folder": self.folder.name,
            "bytes": sum(file.bytes for file in self.files.values()),
            "top_k_error": None if self.error is None else self.error.read(),
        }

    def close(self) -> None:
        if self.error is not None:
            self.error.save()
        for file in self.files.values():
            file.close()

    def _learn(self, images: Tensor, numbers: np.ndarray, places: np.ndarray) -> dict[str, Tensor]:
        """Asks for all that is kept, as one pass yields it, and gives the answers back as they will be read."""
        learnt = {}
        for name, values in self._ask(images, places, self.outputs).items():
            file = self.files[name]
            packed = file.codec.encode(values)
            kept = file.codec.decode(packed)
            fits = kept.flatten(1).isfinite().all(dim=1)
            self._write(file, numbers[places][fits.numpy()], packed[fits.numpy()])
            self.learnt[numbers[places]] = True
            self._tell_misfits(name, file, int((~fits).sum()))
            if self.error is not None and name == "logits":
                self.error.add(values[fits], kept[fits])
            learnt[name] = torch.where(fits.view(-1, *[1] * (values.ndim - 1)), kept, values)
        return learnt

    def _ask(self, images: Tensor, places: np.ndarray, want: Collection[str]) -> dict[str, Tensor]:
        """The teacher's own answers on the CPU; the last block is filled up with images that are in it already."""
        padded = torch.from_numpy(np.resize(places, -(-len(places) // self.block) * self.block))
        pixels = images.permute(0, 2, 3, 1)[padded.to(images.device)].permute(0, 3, 1, 2)
        parts = [_flatten(self.teacher(block, want=want), want) for block in pixels.split(self.block)]
        return {name: torch.cat([part[name] for part in parts])[: len(places)].cpu() for name in parts[0]}

    def _tell_misfits(self, name: str, file: AnswerFile, misfits: int) -> None:
        if misfits and name not in self.misfitting:
            self.misfitting.add(name)
            self.say(
                f"some of the teacher's {name} are beyond {file.codec.name} and are asked for every time; "
                "`training.cache.dtype: float32` would keep them."
            )

    def _write(self, file: AnswerFile, numbers: np.ndarray, packed: np.ndarray) -> None:
        if not self.writes:
            return
        try:
            file.write(numbers, packed)
        except OSError as error:
            self.writes = False
            self.say(f"no more answers of the teacher are kept: cannot write in {str(self.folder)!r} ({error}).")

    def _assemble(self, answers: dict[str, Tensor]) -> Outputs:
        here = {name: values.to(self.teacher.device) for name, values in answers.items()}
        logits = here.get("logits")
        stages = tuple(values for name, values in here.items() if name.startswith("stages."))
        count = len(next(iter(here.values())))
        logits = torch.empty(count, 0) if logits is None else logits
        return Outputs(logits, here.get("embedding"), stages, last_map=here.get("last_map"))


def open_view_cache(
    teacher: FrozenTeacher,
    images: ImageSet,
    views: Augmentation,
    settings: CacheSettings,
    *,
    say: Callable[[str], None],
) -> ViewCache | None:
    """The cache for a teacher's answers to the views of `images`, or None where there can be none, which is said.

    Args:
        teacher: as it will be asked.
        images: a whole set or a part of one.
        views: of the training.
        settings: what to keep.
        say: told how large the cache will be, where it is and how full; or why there is none.
    """
    if views.distinct is None or views.key is None:
        return None
    identity = identify(teacher.classifier)  # before it is asked anything, which may leave something behind
    codecs = _codecs(teacher, images, settings)
    entries = images.origin_size * views.distinct
    size = sum(entries * codec.size for codec in codecs.values())
    what = f"{' and '.join(settings.keep)} of {teacher.classifier.name} for {images.origin_size:,} images x " + (
        f"{views.distinct:,} view{'s' if views.distinct > 1 else ''}"
    )
    if size > settings.limit_bytes:
        say(
            f"the teacher is asked every time: keeping {what} would take up to {write_size(size)}, more than "
            f"`training.cache.limit` ({settings.limit}). Raise it, or set `training.views_per_image`."
        )
        return None
    shared = settings.trust_teacher or not identity.unseen
    folder = view_folder(teacher, identity.fingerprint, images, views, shared=shared)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cache = ViewCache(teacher, folder, codecs, entries, say)
    except (OSError, UserError) as error:
        say(f"the teacher is asked every time: its answers cannot be kept ({error}); LIMBECK_CACHE names a folder.")
        return None
    note_use(folder, teacher, images, views, shared=shared)
    if not shared:
        say(
            f"answers of {teacher.classifier.name} are kept for this process alone, because equal fingerprints need "
            f"not mean equal answers: {identity.reason} cannot be vouched for. `training.cache.trust_teacher: true` "
            "keeps them for others, too."
        )
    known = cache.known()
    full = "" if known is None else f"; {known / entries:.1%} are there already"
    room = "" if free_bytes(folder) > size else f" The disk has {write_size(free_bytes(folder))} left."
    checks = write_size(4 * entries * len(codecs))
    say(f"keeping {what}: up to {write_size(size)}, and {checks} of checksums, in {folder}{full}.{room}")
    return cache


def _codecs(teacher: FrozenTeacher, images: ImageSet, settings: CacheSettings) -> dict[str, Codec]:
    example = _flatten(teacher(images.gather(torch.zeros(1, dtype=torch.int64)), want=settings.keep), settings.keep)
    codecs: dict[str, Codec] = {name: Dense(tuple(one.shape[1:]), settings.dtype) for name, one in example.items()}
    if settings.top_k is not None:
        classes = example["logits"].shape[1]
        if settings.top_k >= classes:
            raise UserError(
                f"`training.cache.top_k` must be below the teacher's {classes} classes, got {settings.top_k}; "
                "leave it out to keep all logits."
            )
        codecs["logits"] = TopLogits(classes, settings.top_k, settings.dtype)
    return codecs


def _flatten(outputs: Outputs, want: Collection[str]) -> dict[str, Tensor]:
    """Output's name -> tensor, of what is wanted."""
    named = {"logits": outputs.logits, "embedding": outputs.embedding, "last_map": outputs.last_map}
    flat = {name: value for name, value in named.items() if name in want and value is not None}
    stages = outputs.stages if "stages" in want else ()
    return flat | {f"stages.{number}": stage for number, stage in enumerate(stages)}
