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

    Ids may be any integers; images of a subset have rows of their own. Rows are updated in place, since a copy of all
    of them would take longer than the rest of a step: a graph that has read them allows one backward pass.

    Args:
        setup: whose ids, and labels where `negatives` asks for them, are remembered.
        features: size D of an embedding.
        momentum: share of the old embedding that is kept, 0 <= momentum < 1.
        temperature: T > 0 of the scores.
        negatives: "other-classes" draws images of other classes, "any" draws from all.
        positives: an image is matched with its "own" memory, or with that of any image of the "same-class".
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
        self._readers: set[object] = set()  # products whose backward pass is still to come
        self._pending: tuple[Tensor, Tensor, Tensor] | None = None  # arguments of `update` until then
        self.register_state_dict_pre_hook(lambda memory, *_: memory._settle())
        self.register_load_state_dict_pre_hook(lambda memory, *_: memory._settle())
        self._reports = _LateReports()
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
        self._fewest = len(labels) - int(sizes.max())  # images that a draw chooses from
        self.register_buffer("row_class", labels)
        self.register_buffer("by_class", labels.argsort(stable=True))
        self.register_buffer("class_start", F.pad(sizes.cumsum(0), (1, 0)))

    def rows(self, ids: Tensor) -> Tensor:
        """Rows of images, int64 [B].

        Raises:
            UserError: ids that the memory was not built for; on a GPU a few calls later, as this one does not wait.
        """
        rows = torch.searchsorted(self.ids, ids).clamp_max(len(self.ids) - 1)  # [B]
        unknown = self.ids[rows] != ids
        first = unknown.long().argmax(0, keepdim=True)
        for wrong, image_id in self._reports.after(torch.cat([unknown.gather(0, first).long(), ids.gather(0, first)])):
            if wrong:
                raise UserError(
                    f"the id {image_id} is not among the {len(self.ids)} images that the memory was built for."
                )
        return rows

    def draw(self, rows: Tensor, count: int) -> Tensor:
        """Rows to score images against: first the positive one, then `count` random ones; int64 [B, 1 + count].

        They are distinct if "distinct" is asked for and every class leaves as many, as in the reference implementation;
        else they may repeat.
        """
        first = self.class_start[self.row_class[rows]][:, None]
        members = self.class_start[self.row_class[rows] + 1][:, None] - first
        distinct = self.distinct and count <= self._fewest
        places = self._distinct(len(self.ids) - members, count) if distinct else self._bits(members, count)
        drawn = places % (len(self.ids) - members)
        # Places from the class's first row on are shifted behind its last.
        drawn = self.by_class[drawn + members * (drawn >= first)]
        positive = rows[:, None]
        if not self.own_positives:
            positive = self.by_class[first + self._bits(members, 1) % members]
        return torch.cat([positive, drawn], dim=1)

    def _bits(self, like: Tensor, count: int) -> Tensor:
        """Random numbers [B, count], >= 0, different at every call, on the device of `like` [B, 1]."""
        counter = torch.arange(len(like) * count, device=like.device).view(len(like), count)
        bits = words(0, self.draws, counter + self.seed) & 0x7FFF_FFFF_FFFF_FFFF
        self.draws = self.draws + 1
        return bits

    def _distinct(self, limits: Tensor, count: int) -> Tensor:
        """`count` different places below each of the limits [B, 1]: those of the smallest random keys."""
        streams = self._bits(limits, 1)
        counter = torch.arange(len(self.ids), device=limits.device)
        images = max(1, _KEYS_AT_ONCE // len(counter))
        places = []
        for stream, limit in zip(streams.split(images), limits.split(images), strict=True):
            keys = words(0, stream, counter) & 0x7FFF_FFFF_FFFF_FFFF  # [images, N]
            keys = keys.masked_fill_(counter >= limit, 0x7FFF_FFFF_FFFF_FFFF)
            places.append(keys.topk(count, largest=False, sorted=False).indices)
        return torch.cat(places)

    def scores(self, student: Tensor, teacher: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """log(exp(e . m / T) / Z) of student's embeddings with the teacher's memories, and the reverse.

        Z is set by the first batch so that the mean is 1 / N, and stays.

        Args:
            student: unit embeddings [B, D].
            teacher: unit embeddings [B, D].
            rows: int64 [B, M], which memories each image is scored against.
        """
        self._settle()
        products = [self._products(student, self.teacher, rows), self._products(teacher, self.student, rows)]
        if not self._normed:
            # Checked once in a process, since a GPU would wait for the answer.
            if self.log_norms.isnan().any():
                means = [product.detach().logsumexp((0, 1)) - math.log(product.numel()) for product in products]
                self.log_norms = torch.stack(means) + math.log(len(self.ids))
            self._normed = True
        return products[0] - self.log_norms[0], products[1] - self.log_norms[1]

    def _products(self, embeddings: Tensor, memory: Tensor, rows: Tensor) -> Tensor:
        """Of embeddings [B, D] with rows [B, M] of a memory [N, D]."""
        embeddings = embeddings / self.temperature
        # All products are one matrix product, and smaller than the gathered memories unless the images are many.
        if len(memory) > rows.shape[1] * memory.shape[1]:
            return torch.einsum("bd,bmd->bm", embeddings, memory[rows])
        if embeddings.requires_grad:
            reader, readers = object(), self._readers
            readers.add(reader)
            embeddings.register_hook(lambda _: self._was_read(readers, reader))
        return (embeddings @ memory.t()).gather(1, rows)

    def _was_read(self, readers: set[object], reader: object) -> None:
        """Called when the backward pass no longer needs the memory for one of the products of a forward pass."""
        readers.discard(reader)
        if readers is self._readers and not readers:
            self._settle()

    @torch.no_grad()
    def update(self, student: Tensor, teacher: Tensor, rows: Tensor) -> None:
        """Moves the memories of images `rows` [B] towards their new embeddings [B, D].

        They move when the backward pass has read the old ones, or at once where there will be none.
        """
        self._settle()
        self._pending = student.detach(), teacher.detach(), rows
        if not self._readers:
            self._settle()

    @torch.no_grad()
    def _settle(self) -> None:
        """Makes the pending update; a backward pass that is still to come keeps the old memory."""
        if self._pending is None:
            return
        student, teacher, rows = self._pending
        self._pending = None
        # An image may be twice in a batch: its last embedding counts, whatever order a GPU writes in.
        places = torch.arange(len(rows), device=rows.device)
        last = torch.where(rows[:, None] == rows, places, -1).amax(1)
        for who, new in (("student", student), ("teacher", teacher)):
            memory = getattr(self, who)
            if self._readers:
                memory = memory.clone()
                setattr(self, who, memory)
            mixed = self.momentum * memory[rows] + (1 - self.momentum) * new[last]
            memory.index_copy_(0, rows, F.normalize(mixed))
        self._readers = set()


class _LateReports:
    """Numbers of a device that are read once they have arrived, so that no step waits for them."""

    def __init__(self) -> None:
        self._underway: list[tuple[Tensor, torch.cuda.Event]] = []

    def __deepcopy__(self, memo: object) -> "_LateReports":
        return _LateReports()

    def after(self, report: Tensor) -> list[list[int]]:
        """Sends an int64 report [M] to the CPU and returns those that have arrived; from a CPU, the report itself."""
        if report.device.type != "cuda":
            return [report.tolist()]
        arrived = torch.empty_like(report, device="cpu", pin_memory=True).copy_(report, non_blocking=True)
        sent = torch.cuda.Event()
        sent.record(torch.cuda.current_stream(report.device))
        self._underway.append((arrived, sent))
        count = sum(event.query() for _, event in self._underway)  # they arrive in order
        ready, self._underway = self._underway[:count], self._underway[count:]
        return [arrived.tolist() for arrived, _ in ready]
