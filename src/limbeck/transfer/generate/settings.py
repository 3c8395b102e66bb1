"""What a recipe may say of `generate`; without importing torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from limbeck.data.view_catalogue import check_views
from limbeck.errors import UserError
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.generate.generator_settings import AFTER_WARMUP, RENEWED_AFTER, Generator
from limbeck.transfer.generate.methods import METHODS
from limbeck.transfer.generate.unread_settings import unread_settings
from limbeck.transfer.methods import with_published
from limbeck.transfer.settings import Control, MadeBudgetSpec, MakerSettings, digests_of
from limbeck.transfer.settings_group import Count, Decay, Natural, NotNegative, Positive, SettingsGroup, Share

_WARMUP = "warmup_rounds"
_POOLS = [{"name": "dead-leaves"}, {"name": "fractals"}, {"name": "shaders"}]
_PROCEDURAL: Mapping[str, Any] = {"maker": "borrow", "pools": _POOLS, "by": "random"}
_RANDOM: Mapping[str, Any] = {"maker": "select", "criterion": "random", "dedupe": False}


class Losses(SettingsGroup):
    """Weights of what images are optimised for; 0 leaves a part out.

    Attributes:
        batch_norm: distance to the means and variances that the teacher's batch norms remember (DeepInversion).
        one_hot: cross entropy to the label that an image is to have.
        adversarial: disagreement of teacher and student, which is sought; without a student it is left out.
        activation: size of the teacher's embedding, which is sought (DAFL).
        balance: entropy of the mean prediction over a batch, which is sought (DAFL).
        total_variation: a prior of natural images: the mean absolute difference of neighbouring pixels (CMI).
        total_variation_l2: the norm of such differences over a whole batch, in its place (DeepInversion's own).
        l2: a prior of natural images: the norm of an image (DeepInversion).
        contrast: contrastive loss against images made before (CMI).
    """

    batch_norm: NotNegative = 0.0
    one_hot: NotNegative = 0.0
    adversarial: NotNegative = 0.0
    activation: NotNegative = 0.0
    balance: NotNegative = 0.0
    total_variation: NotNegative = 0.0
    total_variation_l2: NotNegative = 0.0
    l2: NotNegative = 0.0
    contrast: NotNegative = 0.0


class Growth(SettingsGroup):
    """BSR's dynamic weight of the one-hot loss: it grows when batch-norm and adversarial loss are both at their least.

    Attributes:
        step: what the weight grows by each time.
        memory: how many rounds the last one is compared with at most, itself counted.
        most: the weight grows no further; None for no limit, as published.
    """

    step: Positive = 0.1
    memory: Annotated[int, Field(ge=2)] = 8
    most: Positive | None = None


class Homogenise(SettingsGroup):
    """BSR's intra-class homogeneity: outliers by their local outlier factor leave the repository after every round.

    Attributes:
        neighbours: how many neighbours the outlier factor looks at; classes of as many images or fewer are left alone.
        spread: an image is an outlier whose factor is so many interquartile ranges beyond the quartiles.
        most: how many images of a class leave in a round at most; None for batch size / classes, rounded up.
        order: in which order outliers leave, until `most` have: "worst-first", or "oldest-first" as the reference
            implementation does.
        one_more: whether one more than `most` may leave, as in the reference implementation.
        until: the last round that removes any images, as a share of all rounds.
    """

    neighbours: Count = 10
    spread: Positive = 1.5
    most: Count | None = None
    order: Literal["worst-first", "oldest-first"] = "worst-first"
    one_more: bool = False
    until: Share = 1.0


class Replay(SettingsGroup):
    """A small prioritised repository (SSD-KD): when it is full, those on which student and teacher agree best leave.

    Attributes:
        images: how many images it holds.
    """

    images: Count


class GenerateSettings(MakerSettings):
    """Images made from nothing but the teacher, by inverting it; they grow in rounds while the student learns.

    A round makes images in `calls_per_round` calls of `inner_steps` steps each, keeps them, and removes some; then the
    student is taught for `steps_per_round` steps. A `method` names published values of all that follows, and whatever
    is said beside it comes on top. `budget` images are made, and what leaves as an outlier meanwhile is
    made up for where steps of the student are left; rounds after that make none.

    Attributes:
        method: whose published values hold, see `limbeck ls methods`.
        steps_per_round: steps that the student is taught for in a round. None makes all images before the student
            starts, without an adversary.
        warmup_rounds: how many of the first rounds only make images: in these no student is taught, nothing is
            adversarial, no weight grows and no outlier leaves. None for what is published for the method, but no more
            than a tenth of the rounds that the budget takes (one at least, where it takes two).
        rounds: how many rounds make images, where there is no student whose steps say how many, and `fresh` or `replay`
            have them never end; elsewhere None, for as many as the budget takes.
        calls_per_round: how many batches of images are made in a round.
        batch_size: how many images a call makes.
        inner_steps: how many steps the optimiser takes in a call.
        optimise: what is optimised: the "generator"; "generator-and-latents", the latents afresh in every call; or
            "pixels".
        learning_rate: of generator or pixels, by Adam.
        latent_rate: learning rate of the latents; None for that of the generator.
        betas: of Adam, the decay of its means of gradients and of their squares.
        meta: how the calls' clones teach the generator: "none" (one generator goes on), "fomaml" (the gradients of all
            inner steps are summed, as in Fast and BSR), "last" (the gradient of the last step, as in the textbook) or
            "reptile".
        meta_rate: learning rate at which the generator learns from the clones; None for learning rate x inner steps.
        fresh: batches that are drawn from the generator after a call, and shown in place of what was optimised (DAFL,
            ZSKT, DFAD, DFQ); 0 keeps what was optimised.
        keep: which state of an image stays: its "best-image" step, the step of the "best-batch" as published, or the
            "last".
        losses: weights of what images are optimised for.
        scale_losses: whether weights are pulls: each is divided by how hard its loss pulls at images when they are at
            their start, in units of the one-hot loss, so that 1 is as much for any teacher (`limbeck generate --check`
            says what that comes to); `contrast`, which compares images with earlier ones, keeps its weight.
        adversarial: how disagreement of teacher and student is measured: "kl-where-equal" (where both give the same
            class), "kl", "l1", "js", or "js-clamped" as published (DeepInversion, CMI).
        adversarial_temperature: what logits are divided by in the adversarial loss, of all its forms but "l1".
        statistics: a file of feature statistics that whoever holds the teacher's data has exported, for teachers
            without batch norm (`lb.export_statistics`); None for what its batch norms remember.
        momentum: that of the remembered batch statistics that stand in for a larger batch (Fast); 0 for none.
        labels: which labels the images of a call are to have: drawn "uniform", the same "sorted", "even" (equally
            many), "balanced" (BSR: rarer ones rather, from the second round after the warm-up on), or "argmax" (DAFL).
        growth: how the weight of the one-hot loss grows; None for a constant one.
        homogenise: how outliers leave the images that were made; None for never.
        replay: keep a small store of the images that were made, and teach on these; None for all of them.
        pool: images of other data, a name or what `maker: borrow` has among its `pools`, that a comparison sets beside
            these as one more control; nothing is made of them.
        asked_as_often: whether a comparison also sets procedural images beside these, and random real ones where there
            are some, whose student takes so many more steps that the teacher is asked as often, making these images
            among it; not by default, as that may be many times the steps of the arm.
        views: in which networks see images while they are optimised, as `views` under `training`.
        generator: the network that makes images.
        adversary_early: whether the adversary starts in the last warm-up round, as in Fast and BSR.
        floor: whether pixels are cut to 8 bits, as published, and not rounded.
        exact: whether networks see images in the 8 bits in which they are kept, with gradients as if nothing had been
            rounded, so that the teacher's last answers are those to what is kept; else, as published, they see them
            unrounded, and the teacher is asked about what is kept once more.

    Example:
        >>> GenerateSettings(budget=1000, method="fast-meta", inner_steps=5).losses.batch_norm
        10.0
    """

    maker: str = "generate"
    budget: MadeBudgetSpec
    method: str = "bsr"
    steps_per_round: Count | None = 400
    warmup_rounds: Natural | None = None
    rounds: Count | None = None
    calls_per_round: Count = 1
    batch_size: Count = 256
    inner_steps: Count = 10
    optimise: Literal["generator", "generator-and-latents", "pixels"] = "generator"
    learning_rate: Positive = 1e-3
    latent_rate: Positive | None = None
    betas: tuple[Decay, Decay] = (0.5, 0.999)
    meta: Literal["none", "fomaml", "last", "reptile"] = "none"
    meta_rate: Positive | None = None
    fresh: Natural = 0
    keep: Literal["best-image", "best-batch", "last"] = "best-image"
    losses: Losses = Losses()
    scale_losses: bool = False
    adversarial: Literal["kl-where-equal", "kl", "l1", "js", "js-clamped"] = "kl-where-equal"
    adversarial_temperature: Positive = 1.0
    statistics: str | None = None
    momentum: Decay = 0.0
    labels: Literal["uniform", "sorted", "even", "balanced", "argmax"] = "uniform"
    growth: Growth | None = None
    homogenise: Homogenise | None = None
    replay: Replay | None = None
    pool: str | dict[str, Any] | None = None
    asked_as_often: bool = False
    views: Annotated[Any, BeforeValidator(check_views)] = "pad-crop-flip"
    generator: Generator = Generator()
    adversary_early: bool = False
    floor: bool = False
    exact: bool = True

    guesses_labels: ClassVar[bool] = True
    needs_pool: ClassVar[bool] = False
    equal_passes: ClassVar[str] = "asked_as_often: true"
    about_controls: ClassVar[tuple[str, ...]] = ("pool", "asked_as_often")
    controls: ClassVar[Mapping[str, Control]] = {
        "noise": Control(
            label="noise",
            changes={"maker": "borrow", "pools": [{"name": "noise:white"}], "by": "random"},
            strict=1,
            taught_alike=True,
        ),
        "procedural": Control(label="procedural images", changes=_PROCEDURAL, strict=2, taught_alike=True),
        "borrowed": Control(label="images of other data", changes={"maker": "borrow"}, strict=3, taught_alike=True),
        "random": Control(label="random", changes=_RANDOM, from_labels=True),
        "procedural-asked": Control(
            label="procedural images, the teacher asked as often",
            changes=_PROCEDURAL,
            strict=1,
            taught_alike=True,
            asked_as_often=True,
        ),
        "random-asked": Control(
            label="random, the teacher asked as often",
            changes=_RANDOM,
            taught_alike=True,
            asked_as_often=True,
        ),
    }

    @classmethod
    def controls_beside(cls, said: Mapping[str, Any]) -> Mapping[str, Control]:
        """Images of other data are among them where a `pool` is named, and longer trainings where those are wanted."""
        pool, often = said.get("pool"), bool(said.get("asked_as_often"))
        controls = {
            name: control
            for name, control in cls.controls.items()
            if name != "borrowed" and (often or not control.asked_as_often)
        }
        if pool is None:
            return controls
        borrowed = cls.controls["borrowed"]
        return {**controls, "borrowed": replace(borrowed, changes={**borrowed.changes, "pools": [pool]})}

    @model_validator(mode="before")
    @classmethod
    def _with_published(cls, values: Any) -> Any:
        merged = with_published(values, METHODS, cls.model_fields["method"].default)
        if isinstance(values, Mapping) and values.get(_WARMUP) is None:
            method = METHODS[merged.get("method", cls.model_fields["method"].default)]
            merged[_WARMUP] = None if method.values.get(_WARMUP) else 0  # the published number waits for the budget
        return merged

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.steps_per_round is None and self.losses.adversarial:
            raise ValueError(
                "`steps_per_round: null` makes all images before there is a student, and `losses.adversarial` seeks "
                "what it gets wrong; set `losses.adversarial: 0`, or give `steps_per_round`"
            )
        endless = self.steps_per_round is None and (self.fresh or self.replay is not None)
        if endless and self.rounds is None:
            raise ValueError(
                f"`rounds` must be given, after which no more images are made: `{'fresh' if self.fresh else 'replay'}` "
                "puts new ones in the place of old ones without end, and there is no student whose steps say when"
            )
        if self.rounds is not None and not endless:
            raise ValueError(
                "`rounds` is for `fresh` or `replay` without a student (`steps_per_round: null`), got "
                f"{self.rounds}; elsewhere rounds end when the budget is made, or with the student's steps"
            )
        until = 1.0 if self.homogenise is None else self.homogenise.until
        if until < 1 and self.steps_per_round is None and self.rounds is None:
            raise ValueError(
                f"`homogenise.until` is a share of all rounds, got {until:g}, and without a student whose steps count "
                "them (`steps_per_round: null`) nobody knows how many come; leave it out"
            )
        if (self.optimise == "pixels") != (self.generator.network == "none"):
            raise ValueError(
                f"`optimise` is {self.optimise!r} and `generator.network` {self.generator.network!r}; pixels are "
                "optimised without a network: `optimise: pixels` and `generator: {network: none}` go together"
            )
        sizes = [name for name in ("width", "latents") if getattr(self.generator, name) != getattr(Generator(), name)]
        if self.optimise == "pixels" and sizes:
            raise ValueError(f"`generator` with `network: none` has no `{sizes[0]}`; leave it out, or name a network")
        if self.optimise == "pixels" and (self.fresh or self.meta != "none"):
            raise ValueError("`fresh` and `meta` are of a generator, and `optimise: pixels` has none; leave them out")
        if self.labels == "argmax" and (self.generator.conditional or self.generator.noisy):
            raise ValueError(
                "`labels: argmax` takes whatever the teacher says, and `generator.conditional` and `generator.noisy` "
                "make images by their labels; choose other `labels`, as 'uniform' or 'even'"
            )
        if self.statistics is not None and not self.losses.batch_norm:
            raise ValueError(
                "`statistics` are what `losses.batch_norm` compares images with, and its weight is 0; give it one, or "
                "leave `statistics` out"
            )
        if self.warmup_rounds != 0 and not any({**self.losses.model_dump(), "adversarial": 0}.values()):
            raise ValueError(
                "`warmup_rounds` have no adversary, and `losses` have nothing else but `adversarial`; set "
                "`warmup_rounds: 0`, or give another weight"
            )
        if not any(self.losses.model_dump().values()):
            raise ValueError("`losses` are all 0, so nothing says what images should look like; give a weight")
        if unread := unread_settings(self):
            raise ValueError("; ".join(unread) + ". Leave out what changes nothing, or change what it says")
        return self

    @model_validator(mode="after")
    def _can_grow(self) -> Self:
        if self.growth is None:
            return self
        start, most = self.losses.one_hot, self.growth.most
        if not start:
            raise ValueError(
                "`growth` is of the weight of the one-hot loss, and `losses.one_hot` is 0; give it one, or leave "
                "`growth` out"
            )
        if not (self.losses.batch_norm or self.losses.adversarial):
            raise ValueError(
                "`growth` waits until `losses.batch_norm` and `losses.adversarial` are at their least, and both are 0; "
                "give one of them a weight, or leave `growth` out"
            )
        if most is not None and most <= start:
            raise ValueError(
                f"`growth.most` must be above `losses.one_hot`, {start:g}, from which the weight grows, got {most:g}; "
                "raise it, or leave `growth` out"
            )
        return self

    @classmethod
    def alone(cls, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """All is made at once, and nothing is sought that a student gets wrong."""
        if said.get("steps_per_round") is not None:
            raise UserError(
                f"`steps_per_round` is of a student that learns meanwhile, and there is none, got "
                f"{said['steps_per_round']!r}; leave it out, or name a student."
            )
        method = METHODS.get(str(said.get("method", cls.model_fields["method"].default)))
        losses = said.get("losses", {})
        if method is None or not isinstance(losses, Mapping):
            return said
        weights = {**method.values["losses"], "adversarial": 0.0, **losses}
        if not any(weights.values()):
            name = said.get("method", cls.model_fields["method"].default)
            reason = " but what a student gets wrong, and there is none; name a student, or" if not losses else ";"
            raise UserError(f"`losses` of the method {name!r} seek nothing{reason} give other `losses` a weight.")
        return {**said, "steps_per_round": None, "losses": {"adversarial": 0.0, **losses}}

    def named_files(self) -> dict[str, str]:
        return {} if self.statistics is None else digests_of([self.statistics])

    def settled(self, classes: int) -> Self:
        """The same with numbers for what goes by the budget: `warmup_rounds`, and `generator.renew_once` by these.

        Example:
            >>> [GenerateSettings(budget=budget).settled(10).warmup_rounds for budget in (107_520, 5_000, "20/class")]
            [20, 2, 0]
        """
        warmup, generator, rounds = self.warmup_rounds, self.generator, self.rounds or self._rounds_to_fill(classes)
        if warmup is None:
            warmup = min(METHODS[self.method].values[_WARMUP], max(1, rounds // 10)) if rounds > 1 else 0
        if generator.renew_once == AFTER_WARMUP:
            generator = generator.model_copy(update={"renew_once": RENEWED_AFTER + warmup})
        return self.model_copy(update={_WARMUP: warmup, "generator": generator})

    @property
    def aims_at_classes(self) -> bool:
        """Whether anything makes an image one of the class that is drawn for it."""
        labelled = self.generator.conditional or self.generator.noisy
        return self.labels != "argmax" and bool(self.losses.one_hot or labelled)

    @property
    def warmup(self) -> int:
        """`warmup_rounds` of settings that are `settled`."""
        assert self.warmup_rounds is not None, "settled before anything is made"
        return self.warmup_rounds

    def _rounds_to_fill(self, classes: int) -> int:
        held = int(parse_budget(self.budget).about(images=0, classes=classes))
        return -(-held // (self.calls_per_round * self.batch_size * max(1, self.fresh)))

    def passes(self, classes: int, steps: int | None) -> int:
        """Teacher passes of making all images; where some leave as outliers, the fewest that there can be.

        Example:
            >>> settings = GenerateSettings(budget=1000, method="fast", batch_size=100, inner_steps=5)
            >>> settings.passes(classes=10, steps=None)  # 10 calls of 5 steps of 100 images
            5000
        """
        call, rounds = self.calls_per_round * self.batch_size, self._rounds_to_fill(classes)
        if self.fresh or self.replay is not None:  # which go on as long as the student does
            warmup = self.settled(classes).warmup
            rounds = self.rounds or warmup + -(-(steps or 0) // (self.steps_per_round or 1)) or rounds
        after = self.fresh or (not self.exact) + (self.generator.average is not None)
        views = 2 if self.losses.contrast else 1  # a whole one and a local one
        return rounds * call * views * (self.inner_steps + after)

    @property
    def title(self) -> str:
        return f"generating by {self.method!r}"

    @property
    def needs_teacher(self) -> bool:
        return True
