"""`borrow` as a maker: images of other data sets, with the classes that the teacher predicts."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from limbeck.cost import Cost
from limbeck.data.joined import join
from limbeck.data.place import FROM_PYTHON
from limbeck.data.procedural.arguments import is_procedural
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.errors import UserError
from limbeck.models.forward import check_compiler
from limbeck.transfer.borrow.choose import choose
from limbeck.transfer.borrow.criteria import criterion_by, sureness_by
from limbeck.transfer.borrow.evidence import evidence_of
from limbeck.transfer.borrow.kept import load_borrowed, save_borrowed
from limbeck.transfer.borrow.pool_table import PoolTable, pool_table
from limbeck.transfer.borrow.pools import Pool, open_pools
from limbeck.transfer.borrow.quotas import shares_of_parts
from limbeck.transfer.borrow.same_pools import check_same
from limbeck.transfer.borrow.settings import BorrowSettings, PoolSettings
from limbeck.transfer.borrow.sureness import criteria_for
from limbeck.transfer.borrow.transfer_set import transfer_set_of
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.real_images import real_images
from limbeck.transfer.score_table.memory import PoolScores
from limbeck.transfer.scoring.context import make_context
from limbeck.transfer.words import image_count

if TYPE_CHECKING:
    from limbeck.models import Classifier

Overlap = Literal["refuse", "leave-out"]
_TO_CHOOSE_FROM = 10
"""Default number of procedural images per image of the budget."""
_SCORES, _CALIBRATION = "pools", "calibration"


class BorrowMaker:
    """Chooses from pools of other images, see `limbeck.borrow`; the transfer set is in the order of ids.

    The table of the pools is kept in the shared folder of a comparison, where every budget, seed and criterion finds
    it; each of them counts its cost.

    Example:
        >>> context = MakerContext(folder=Path("made"), pool=None, classes=teacher.classes, shape=(1, 8, 8),
        ...                        teacher=teacher)
        >>> made = BorrowMaker().make(BorrowSettings(pools=["digits"], by="random", budget=20), context)
        >>> len(made.source.images(0)), set(made.source.images(0).provenance["source"])
        (20, {'digits'})
    """

    findable: ClassVar[tuple[str, ...]] = (_SCORES, _CALIBRATION)

    def count(self, settings: BorrowSettings, context: MakerContext) -> int:
        _check_teacher(settings, context)
        _open_calibration(settings, context)
        return resolved(settings, _open(settings, context), context)

    def make(self, settings: BorrowSettings, context: MakerContext) -> Made:
        _check_teacher(settings, context)
        pools = _open(settings, context)
        count = resolved(settings, pools, context)
        calibration = _calibration(settings, context)
        scored = _table(pools, context, _SCORES, settings.overlap, compile=settings.compile)
        if context.shared is not None:
            check_same(pools, scored.table.about["pools"], context.shared, settings.exclude, context.classes)
        if parse_budget(settings.budget).kind == "share":  # of the images left to choose from, which are known only now
            count = resolved(settings, pools, context, distinct=len(scored.table))
        embeddings, began = _Embeddings(pools, context), time.perf_counter()
        chosen = choose(
            scored.table,
            settings,
            count,
            pools=[pool.name for pool in pools],
            seed=context.seed,
            calibration=None if calibration is None else calibration.table,
            features_of=embeddings,
        )
        transfer_set = transfer_set_of(chosen, scored.table, pools, settings, context.classes, _teacher(context))
        took = Cost(seconds=max(0.0, time.perf_counter() - began - embeddings.cost.seconds))
        save_borrowed(context.folder, transfer_set)
        cost = scored.cost + embeddings.cost + took + (Cost() if calibration is None else calibration.cost)
        real = real_images(context.pool, context.held_out, context.classes)
        evidence = evidence_of(
            chosen, scored.table, pools, transfer_set, _teacher(context), real, device=context.device
        )
        return Made(source=FixedSource(transfer_set), cost=cost, evidence=evidence)

    def load(self, settings: BorrowSettings, context: MakerContext) -> TransferSource:
        return FixedSource(load_borrowed(context.folder, _open(settings, context), context.classes))

    def evidence(self, settings: BorrowSettings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """None: there are no rounds, so the evidence of `make` is final."""


def resolved(
    settings: BorrowSettings, pools: Sequence[Pool], context: MakerContext, *, distinct: int | None = None
) -> int:
    """The budget as a number of images of these pools: a share is of all their images, "50/class" 50 times the classes.

    Once the images are scored, a share is of the `distinct` images that are left, which may be fewer.

    With `short: leave`, it may be more than the pools hold, as every class has a share that it may not fill. If no
    criterion works per class, there are no such shares, and it is at most what the pools hold.

    Raises:
        UserError: more than the pools hold, and images are neither repeated nor left short; or fewer than there are
            classes.
    """
    budget, available = parse_budget(settings.budget), sum(len(pool.images) for pool in pools)
    available = available if distinct is None else distinct
    classes = len(context.classes) if context.teacher is None else context.teacher.num_classes
    times = {"count": 1, "share": available, "per-class": classes}[budget.kind]
    count = max(1, round(budget.amount * times))
    label = budget.label if budget.kind == "count" else f"{budget.label} = {count:,}"
    if count > available and settings.short == "spread":
        each = ", ".join(f"{pool.name} {len(pool.images):,}" for pool in pools)
        raise UserError(
            f"`budget` must be at most the {image_count(available)} of the pools ({each}), got {label}; lower it, name "
            "more pools, or say what happens to what is lacking (`short: repeat` or `leave`)."
        )
    for by, part in shares_of_parts(settings.shares, count).items():
        if criterion_by(by).per_class and part < classes:
            raise UserError(
                f"`budget` must give each of the {classes} classes of the teacher an image, got {label}, of which "
                f"{part:,} by {by!r}; raise it, or borrow by 'random', which goes by no class."
            )
    by_class = any(criterion_by(by).per_class for by in settings.shares)
    return min(count, available) if settings.short == "leave" and not by_class else count


def _open(settings: BorrowSettings, context: MakerContext) -> tuple[Pool, ...]:
    _check_handed(settings.pools, context)
    return open_pools(
        [_counted(pool, settings, context) for pool in settings.pools],
        context.shape,
        exclude=settings.exclude,
        teacher_classes=context.classes,
        progress=context.progress,
        handed=context.handed,
    )


def _counted(pool: PoolSettings, settings: BorrowSettings, context: MakerContext) -> PoolSettings:
    """The settings of a pool, with a default number of images for procedural ones, of which there is no end."""
    budget = parse_budget(settings.budget)
    if pool.images is not None or budget.kind == "share" or pool.name in context.handed or not is_procedural(pool.name):
        return pool
    classes = len(context.classes) if context.teacher is None else context.teacher.num_classes
    times = 1 if list(settings.shares) == ["random"] else _TO_CHOOSE_FROM
    count = int(budget.amount) * (1 if budget.kind == "count" else classes)
    return pool.model_copy(update={"images": count * times})


def _check_handed(named: Sequence[PoolSettings], context: MakerContext) -> None:
    missing = [pool.name for pool in named if pool.name.startswith(FROM_PYTHON) and pool.name not in context.handed]
    if missing:
        raise UserError(f"the images {missing[0]!r} were handed over in Python; hand them over again to go on there.")


def _teacher(context: MakerContext) -> "Classifier":
    assert context.teacher is not None, "makers that ask a teacher are refused without one before"
    return context.teacher


def _check_teacher(settings: BorrowSettings, context: MakerContext) -> None:
    """Checks that the teacher can be used; one that is still to be trained is checked later."""
    teacher, channels = context.teacher, context.shape[0]
    if teacher is None:
        return
    if channels not in (1, teacher.channels) and teacher.channels != 1:
        raise UserError(
            f"the teacher {teacher.name} takes images of {teacher.channels} channel(s), and the student's, of "
            f"{channels}, cannot be made such; borrow for a student of 1 or {teacher.channels}."
        )
    if settings.compile:
        check_compiler()
    read = {criterion_by(by).score for by in settings.shares}
    read |= {sureness_by(by).score for by in settings.shares if settings.threshold is not None}
    lacks = criteria_for(teacher)[1]
    if wrong := [lacks[name] for name in sorted(read) if name in lacks]:
        raise UserError(wrong[0])
    if "k-centre" in settings.shares and not teacher.taps.embedding:
        raise UserError(
            f"`by` 'k-centre' measures distances in the teacher's embedding, and where that is in {teacher.name} is "
            "not known; choose another criterion, or `lb.wrap` it with its `embedding`."
        )


def _open_calibration(settings: BorrowSettings, context: MakerContext) -> Pool | None:
    named = None if settings.threshold is None else settings.threshold.calibration
    if named is None:
        return None
    _check_handed([named], context)
    return open_pools([named], context.shape, progress=context.progress, handed=context.handed)[0]


def _calibration(settings: BorrowSettings, context: MakerContext) -> PoolTable | None:
    """Scores of the calibration images, without those that students are judged on, which must not affect choices."""
    pool = _open_calibration(settings, context)
    return None if pool is None else _table([pool], context, _CALIBRATION, "leave-out", compile=settings.compile)


def _table(pools: Sequence[Pool], context: MakerContext, name: str, overlap: Overlap, *, compile: bool) -> PoolTable:
    folder = (context.shared or context.folder) / name
    return pool_table(
        pools,
        _teacher(context),
        folder,
        held_out=context.held_out,
        overlap=overlap,
        seed=context.seed,
        workers=context.workers,
        precision=context.precision,
        compile=compile,
        own=context.shared is None,
        progress=context.progress,
    )


class _Embeddings:
    """The teacher's embeddings of some images of the pools, see `FeaturesOf`; counts their cost."""

    def __init__(self, pools: Sequence[Pool], context: MakerContext) -> None:
        self.pools = {pool.name: pool.images for pool in pools}
        self.context = context
        self.cost = Cost()

    def __call__(self, names: Sequence[str], ids: np.ndarray) -> Tensor:
        order = list(self.pools)
        places = torch.tensor([order.index(name) for name in names])
        positions = torch.empty_like(places)
        for place, name in enumerate(order):
            in_pool = places == place
            if in_pool.any():
                positions[in_pool] = self.pools[name].positions(torch.from_numpy(ids)[in_pool])
        context = self.context
        sets, numbers = list(self.pools.values()), torch.arange(len(places))
        images = join(sets, places, positions, ids=numbers, classes=context.classes, name="candidates")
        scoring = make_context(
            context.teacher, None, context.seed, context.progress, device=context.device, precision=context.precision
        )
        folder = (context.shared or context.folder) / _SCORES
        scores = PoolScores(images, scoring, folder, context.progress, own=context.shared is None)
        features = scores.features(criterion_by("k-centre"))
        self.cost = sum(scores.costs.values(), self.cost)
        return features
