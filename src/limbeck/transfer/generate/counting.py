"""How many images and rounds settings come to, and which of them are impossible; without importing torch."""

from limbeck.errors import UserError
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.generate.settings import GenerateSettings

_PRUNED = 0.22
"""The share of BSR's images that leave as outliers, by the files of its authors."""


def images_wanted(settings: GenerateSettings, classes: int) -> int:
    """Images held at the end: the budget, and no more than a small prioritised repository holds.

    Raises:
        UserError: a budget that makes no sense without data, or that is smaller than a batch, or than what a round
            makes where nothing else is held.

    Example:
        >>> images_wanted(GenerateSettings(budget="50/class", batch_size=100), classes=10)
        500
    """
    budget = parse_budget(settings.budget)
    if budget.kind == "share":
        raise UserError(
            f"`budget` of {settings.title} must be a count of images (5000) or images per class (500/class), got "
            f"{budget.label}, and there are no images that it could be a share of."
        )
    count = int(budget.amount) * (classes if budget.kind == "per-class" else 1)
    if settings.replay is not None:
        if settings.replay.images > count:
            raise UserError(
                f"`replay.images` must be at most the budget, {count:,} images, got {settings.replay.images:,}; they "
                "are what is held at the end."
            )
        count = settings.replay.images
    if count < settings.batch_size:
        name = "`budget`" if settings.replay is None else "`replay.images`"
        raise UserError(
            f"{name} of {settings.title} must be at least a batch of {settings.batch_size:,} images "
            f"(`batch_size`), got {count:,}; raise it, or lower `batch_size`."
        )
    if settings.fresh and settings.steps_per_round is not None and count < images_per_round(settings):
        raise UserError(
            f"`budget` of {settings.title} must be at least {images_per_round(settings):,}, the images that a round "
            f"makes and the student is to see, got {count:,}; raise it, or lower `batch_size` or `fresh` (now "
            f"{settings.fresh} batches a call)."
        )
    return count


def images_per_round(settings: GenerateSettings) -> int:
    """Images that a round makes.

    Example:
        >>> images_per_round(GenerateSettings(budget=5000, method="dafl"))  # 5 fresh batches of 256
        1280
    """
    return settings.calls_per_round * settings.batch_size * max(1, settings.fresh)


def rounds_needed(settings: GenerateSettings, count: int) -> int:
    """Rounds that make `count` images, if none is removed and none made twice.

    Example:
        >>> rounds_needed(GenerateSettings(budget=1000), 1000)
        4
    """
    return -(-count // images_per_round(settings))


def rounds_of(settings: GenerateSettings, steps: int) -> int:
    """Rounds that are made over `steps` steps of a student, with the warm-up rounds before its first step.

    Example:
        >>> rounds_of(GenerateSettings(budget=107_520, steps_per_round=10).settled(10), steps=25)  # and 20 to warm up
        23
    """
    assert settings.steps_per_round is not None, "without rounds nothing is counted"
    return settings.warmup + -(-steps // settings.steps_per_round)


def steps_to_fill(settings: GenerateSettings, count: int) -> int:
    """Steps of a student after which the budget is probably made, for a method that ends then.

    Raises:
        UserError: the method goes on without end, so that its images say nothing.

    Example:
        >>> settings = GenerateSettings(budget=10_000, method="fast", steps_per_round=5).settled(classes=10)
        >>> steps_to_fill(settings, 10_000)  # 40 rounds, of which 4 to warm up
        180
    """
    if settings.fresh or settings.replay is not None:
        raise UserError(
            f"`steps` of the student must be given for {settings.title}: its images take each other's place without "
            "end, so that the budget says nothing."
        )
    assert settings.steps_per_round is not None
    pruned = _PRUNED if settings.homogenise is not None else 0.0
    rounds = round(rounds_needed(settings, count) / (1 - pruned)) - settings.warmup
    return max(1, rounds) * settings.steps_per_round


def check_warmup(settings: GenerateSettings, count: int) -> None:
    """Raises a UserError where warm-up takes every round, so that what waits for its end never comes.

    Args:
        settings: of the maker, settled.
        count: images wanted.
    """
    adversarial = settings.losses.adversarial if settings.steps_per_round is not None else 0.0
    parts = {"losses.adversarial": adversarial, "growth": settings.growth, "homogenise": settings.homogenise}
    waiting = [f"`{name}`" for name, part in parts.items() if part]
    endless = settings.rounds is None and (settings.fresh > 0 or settings.replay is not None)
    rounds = settings.rounds or rounds_needed(settings, count)
    if not waiting or endless or settings.warmup < rounds:
        return
    per_round = images_per_round(settings)
    budget = settings.rounds is None
    remedy = f"the `budget` above {settings.warmup * per_round:,} images" if budget else "`rounds`"
    raise UserError(
        f"`warmup_rounds` must be fewer than all rounds, got {settings.warmup:,}, and {rounds:,} of {per_round:,} "
        f"images make {'the budget' if budget else 'all images'}: what waits for the end of the warm-up "
        f"({', '.join(waiting)}) would never come. Leave `warmup_rounds` out, or lower it, or raise {remedy}."
    )


def check_steps(settings: GenerateSettings, count: int, steps: int | None) -> None:
    """Raises a UserError where a student's steps end before all images are made, however it goes.

    Args:
        settings: of the maker.
        count: images wanted.
        steps: of the student; None where they are not known, or where all is made before them.
    """
    if steps is None or settings.steps_per_round is None:
        return
    rounds, size = rounds_of(settings, steps), images_per_round(settings)
    needed = rounds_needed(settings, count)
    if rounds >= needed:
        return
    enough = (needed - settings.warmup) * settings.steps_per_round
    warming = f"{settings.warmup:,} of them before the student's first step, and " * (settings.warmup > 0)
    raise UserError(
        f"`training.steps` must be at least {enough - settings.steps_per_round + 1:,} for the {count:,} images of the "
        f"budget, got {steps:,}: that is {rounds:,} rounds, {warming}one every {settings.steps_per_round:,} steps, of "
        f"{size:,} images each, {rounds * size:,} in all. {needed:,} rounds make enough: set `training.steps: "
        f"{enough}`, a `budget` of {rounds * size:,}, or a smaller `steps_per_round`."
    )
