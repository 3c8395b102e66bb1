"""A memory of one student's and one teacher's embedding for every image, by id."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limbeck.errors import UserError
from limbeck.objectives.setup import Setup
from limbeck.randomness import words

NEGATIVES = ("other-classes", "any")
POSITIVES = ("own", "same-class")
DRAWS = ("distinct", "independent")
_KEYS_AT_ONCE = 2**22  # of distinct draws: 32 MB, and a few times that on the way


class MomentumMemory(nn.Module):
    """Embeddings of all images of a run, each a running mean over the times that the image was shown.

    Ids may be any integers; images of a subset have rows of their own.

    Args:
        setup: whose ids, and labels where `negatives` asks for them, are remembered.
        features: size D of an embedding.
        momentum: share of the old embedding that is kept, 0 <= momentum < 1.
        temperature: T > 0 of the scores.
        negatives: "other-classes" draws images of other classes, "any" draws from all.
        positives: an image is told by its "own" memory, or by that of any image of the "same-class".
        draws: the negatives of an image are "distinct" where there are as many, or "independent".

    Raises:
        UserError: "other-classes" without labels, or with images of a single class.
    """

    ids: Tensor
    student: Tensor
    teacher: Tensor
    log_norms: Tensor
    seed: Tensor
    draws: Tensor
    row_class: Tensor
    by_class: Tensor
    class_start: Tensor

    def __init__(
        self,
        setup: Setup,
        features: int,
        *,
        momentum: float,
        temperature: float,
        negatives: str = "any",
        positives: str = "own",
        draws: str = "distinct",
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.temperature = temperature
        self.own_positives = positives == "own"
        self.distinct = draws == "distinct"
        count, bound = len(setup.ids), math.sqrt(3 / features)
        ids, order = setup.ids.cpu().sort()
        self.register_buffer("ids", ids)
        for who in ("student", "teacher"):
            self.register_buffer(who, torch.empty(count, features).uniform_(-bound, bound))
        # Logarithms of what scores are divided by, of student and teacher; set by the first batch.
        self.register_buffer("log_norms", torch.full((2,), torch.nan))
        self._normed = False
        # Draws are a function of these two, so that a resumed run draws what an uninterrupted one does.
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))
        self._register_classes(setup, order, negatives)

    def _register_classes(self, setup: Setup, order: Tensor, negatives: str) -> None:
        """Rows in the order of their classes; all are of one class 0 with no members where classes do not matter."""
        labels = torch.zeros(len(order), dtype=torch.int64)
        sizes = torch.zeros(1, dtype=torch.int64)
        if negatives == "other-classes":
            if setup.labels is None:
                raise UserError("`negatives: other-classes` needs labelled images; set `negatives: any`.")
            labels = setup.labels.cpu()[order]
            sizes = labels.bincount()
            if len(labels) == int(sizes.max()):
                raise UserError("`negatives: other-classes` needs images of two classes; set `negatives: any`.")
        self._fewest = len(labels) - int(sizes.max())  # that a draw chooses from
        self.register_buffer("row_class", labels)
        self.register_buffer("by_class", labels.argsort(stable=True))
        self.register_buffer("class_start", F.pad(sizes.cumsum(0), (1, 0)))

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of images, int64 [B]."""
        rows = torch.searchsorted(self.ids, ids).clamp_max(len(self.ids) - 1)
        if ids.device.type == "cpu" and not torch.equal(self.ids[rows], ids):  # a GPU would wait for the answer
            strange = int(ids[self.ids[rows] != ids][0])
            raise UserError(f"the id {strange} is not among the {len(self.ids)} images that the memory was built for.")
        return rows

    def draw(self, rows: Tensor, count: int) -> Tensor:
        """Rows to score images against: first the positive one, then `count` random ones; int64 [B, 1 + count].

        They are without repetition if "distinct" is asked for and every class leaves as many, as in the reference
        implementation, else with.
        """
        first = self.class_start[self.row_class[rows]][:, None]
        members = self.class_start[self.row_class[rows] + 1][:, None] - first
        distinct = self.distinct and count <= self._fewest
        places = self._distinct(len(self.ids) - members, count) if distinct else self._bits(members, count)
        drawn = places % (len(self.ids) - members)
        # Places from the class's first on stand for those behind its last.
        drawn = self.by_class[drawn + members * (drawn >= first)]
        positive = rows[:, None]
        if not self.own_positives:
            positive = self.by_class[first + self._bits(members, 1) % members]
        return torch.cat([positive, drawn], dim=1)

    def _bits(self, like: Tensor, count: int) -> Tensor:
        """Random numbers [B, count], >= 0, others at every call, on the device of `like` [B, 1]."""
        counter = torch.arange(len(like) * count, device=like.device).view(len(like), count)
        bits = words(0, self.draws, counter + self.seed) & 0x7FFF_FFFF_FFFF_FFFF
        self.draws = self.draws + 1
        return bits

    def _distinct(self, limits: Tensor, count: int) -> Tensor:
        """`count` different places below each of the limits [B, 1]: those of the smallest random keys."""
        streams = self._bits(limits, 1)
        counter = torch.arange(len(self.ids), device=limits.device)
        images = max(1, _KEYS_AT_ONCE // len(counter))
        found = []
        for one, limit in zip(streams.split(images), limits.split(images), strict=True):
            keys = words(0, one, counter) & 0x7FFF_FFFF_FFFF_FFFF  # [images, N]
            keys = keys.masked_fill_(counter >= limit, 0x7FFF_FFFF_FFFF_FFFF)
            found.append(keys.topk(count, largest=False, sorted=False).indices)
        return torch.cat(found)

    def scores(self, student: Tensor, teacher: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """log(exp(e . m / T) / Z) of student's embeddings with the teacher's memories, and the reverse.

        Z is set by the first batch so that the mean is 1 / N, and stays.

        Args:
            student: unit embeddings [B, D].
            teacher: unit embeddings [B, D].
            rows: int64 [B, M], which memories each image is scored against.
        """
        found = [self._products(student, self.teacher, rows), self._products(teacher, self.student, rows)]
        if not self._normed:
            # Looked at once in a process, since a GPU would wait for the answer.
            if self.log_norms.isnan().any():
                means = [one.detach().logsumexp((0, 1)) - math.log(one.numel()) for one in found]
                self.log_norms = torch.stack(means) + math.log(len(self.ids))
            self._normed = True
        return found[0] - self.log_norms[0], found[1] - self.log_norms[1]

    def _products(self, embeddings: Tensor, memory: Tensor, rows: Tensor) -> Tensor:
        embeddings = embeddings / self.temperature
        # All products are one matrix product, and smaller than the gathered memories unless the images are many.
        if len(memory) <= rows.shape[1] * memory.shape[1]:
            return (embeddings @ memory.t()).gather(1, rows)
        return torch.einsum("bd,bmd->bm", embeddings, memory[rows])

    @torch.no_grad()
    def update(self, student: Tensor, teacher: Tensor, rows: Tensor) -> None:
        """Moves the memories of images `rows` [B] towards their new embeddings [B, D].

        The memory is a new tensor afterwards, as the backward pass may still need the old one.
        """
        # An image may be twice in a batch: its last embedding counts, whatever order a GPU writes in.
        places = torch.arange(len(rows), device=rows.device)
        last = torch.where(rows[:, None] == rows, places, -1).amax(1)
        for who, new in (("student", student), ("teacher", teacher)):
            memory = getattr(self, who)
            mixed = self.momentum * memory[rows] + (1 - self.momentum) * new.detach()[last]
            setattr(self, who, memory.index_copy(0, rows, F.normalize(mixed)))
