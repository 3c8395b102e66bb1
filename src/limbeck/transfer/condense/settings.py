"""What a recipe may say of `condense`; without importing torch."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.data.normalised_views.catalogue import NormalisedViewsSpec
from limbeck.training.numeric_fields import refuse_truth
from limbeck.training.settings import Sharpness
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.catalogue import settings_of
from limbeck.transfer.condense.consistency import contradictions
from limbeck.transfer.condense.controls import CONTROLS, controls_of
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.criteria import find_criterion
from limbeck.transfer.methods import with_published
from limbeck.transfer.settings import Control, MakerSettings

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]


class Part(BaseModel):
    """A group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _numbers = field_validator("*", mode="before")(refuse_truth)


class Network(Part):
    """The network on which images are learned: that of the experts.

    Attributes:
        model: see `limbeck ls models`; one whose parameters say all (no batch norm, which remembers more).
        options: of the model, as {width: 64}; `limbeck ls models` says what each has.
        mean: what it subtracts from images in [0, 1], a number for each channel; None for that of the training images.
        std: what it divides by after that, a number for each channel; None for that of the training images.
        whitening: whether it sees whitened images (ZCA of the training images) in place of normalised ones.
        whitening_epsilon: added to the variances that whitening divides by, in units of [0, 1] images squared.
    """

    model: str = "convnet_d3"
    options: Mapping[str, Any] = {}
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    whitening: bool = False
    whitening_epsilon: Positive = 0.1


class Curriculum(Part):
    """PAD's order of the training images: easy ones first, and the easiest not to the end.

    Attributes:
        score: how hard an image is: a criterion of `select` of which low is easy.
        first: share of each class that is shown in the first epoch.
        whole_from: epoch from which all are shown.
        drops: pairs of an epoch and the share of the easiest images that is left out from it on.
    """

    score: str = "grand"
    first: Share = 0.75
    whole_from: Count = 20
    drops: tuple[tuple[Count, Annotated[float, Field(ge=0, lt=1)]], ...] = ((40, 0.1), (60, 0.2))

    @field_validator("score")
    @classmethod
    def _of_a_criterion(cls, score: str) -> str:
        if find_criterion(score).needs_teacher:
            raise ValueError(
                f"must be a criterion that asks no teacher, got {score!r}; 'forgetting' trains a network of its own"
            )
        return score


class Experts(Part):
    """Networks taught on all the training images, whose ways through the space of weights are kept.

    Attributes:
        folder: of experts that are there already (`limbeck experts`); None makes them, or finds them where the runs of
            a comparison share theirs.
        count: how many experts. Of those in `folder` all are read, or the first so many where this is not the method's
            own number.
        epochs: how many epochs a whole training has. Only the snapshots that are read are made, unless labels or the
            choice of images need the networks at their end.
        steps_per_snapshot: how many steps lie between two snapshots; None for an epoch, and then "epochs" are such
            intervals everywhere.
        batch_size: images of a step of the experts' SGD.
        learning_rate: of the experts' SGD, constant.
        momentum: of the experts' SGD.
        weight_decay: of the experts' SGD.
        sharpness: sharpness-aware minimisation, as `sharpness` under `training`; None for plain SGD.
        curriculum: the order in which images are shown; None for all images all the time.
        views: of floats after normalisation, see `normalised_views` under `training`; None for the images as they are.
        format: of the files in which snapshots are kept: "float16", "float32", or "differences" (sums of bfloat16).
        judges: how many fully taught networks give labels and choose images; 0 for the experts' own last snapshots, all
            of which are then taught to the end. Of those in `folder` as with `count`.
        seed: of their weights, their images' order and views; whatever the seed of the set, so that sets of several
            seeds share their experts.
    """

    folder: str | None = None
    count: Count = 100
    epochs: Count = 50
    steps_per_snapshot: Count | None = None
    batch_size: Count = 256
    learning_rate: Positive = 0.01
    momentum: Decay = 0.0
    weight_decay: NotNegative = 0.0
    sharpness: Sharpness | None = None
    curriculum: Curriculum | None = None
    views: NormalisedViewsSpec = "dsa"
    format: Literal["float16", "float32", "differences"] = "float16"
    judges: Natural = 1
    seed: Natural = 0


class Matching(Part):
    """Trajectory matching: `synthetic_steps` on the images are to lead where `expert_epochs` led the expert.

    Attributes:
        synthetic_steps: how many steps of plain gradient descent at the learned rate (T).
        expert_epochs: how many snapshots lie between start and target (M).
        start_from: first epoch that may be a start.
        start_to: end of the epochs that may be a start, itself left out, at the beginning; above `start_from`.
        grow_to: where that end is after `grow_until` iterations, until which it grows steadily; at least `start_to`.
            None for no growth.
        grow_until: iteration at which the end has come to `grow_to`; the two go together.
        batch: images of one of the `synthetic_steps`; None for all of them.
        chunk: of the images of a step, so many at a time are seen by the network, whose memory grows with them, to the
            same gradients but for rounding; None for all of them, or, where memory is short at the beginning, as many
            as it holds.
        image_rate: learning rate of the pixels' SGD.
        image_momentum: of the pixels' SGD.
        label_rate: learning rate of the soft labels' SGD; 0 keeps them as they are.
        label_momentum: of the soft labels' SGD.
        rate: learning rate of the `synthetic_steps` at the beginning; it is learned, too, and stays > 0.
        rate_rate: learning rate of the SGD that learns `rate`; 0 keeps it as it is.
        rate_momentum: of the SGD that learns `rate`.
        skip_above: iterations with a greater loss change nothing; None for none such.
        drop: share of the parameters, those with the least loss, that is left out of loss and norm (EDF's common
            pattern dropout).
        gradient: how the gradient through the steps is computed: "exact" in memory that does not grow with T,
            "unrolled" (the same, and it grows), or "tesla", whose approximation takes each step's weights for
            constants.
        straight: whether experts are taken for straight lines from first to last snapshot (MCT).
        clamp: whether pixels are held in [0, 1] after every iteration.
    """

    synthetic_steps: Count = 20
    expert_epochs: Count = 2
    start_from: Natural = 0
    start_to: Count = 2
    grow_to: Count | None = None
    grow_until: Count | None = None
    batch: Count | None = None
    chunk: Count | None = None
    image_rate: Positive = 100.0
    image_momentum: Decay = 0.5
    label_rate: NotNegative = 0.0
    label_momentum: Decay = 0.9
    rate: Positive = 0.01
    rate_rate: NotNegative = 1e-5
    rate_momentum: Decay = 0.5
    skip_above: Positive | None = None
    drop: Annotated[float, Field(ge=0, lt=1)] = 0.0
    gradient: Literal["exact", "unrolled", "tesla"] = "exact"
    straight: bool = False
    clamp: bool = False

    @property
    def last_start(self) -> int:
        """The end of the range of start epochs, itself left out, where it is widest."""
        return max(self.start_to, self.grow_to or 0)

    @property
    def snapshots(self) -> int:
        """How many snapshots of an expert are read, counted from the one before its first step."""
        return self.last_start - 1 + self.expert_epochs + 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_from >= self.start_to:
            raise ValueError(
                f"`start_to` must be greater than `start_from`, which it does not take in, got {self.start_to} and "
                f"{self.start_from}"
            )
        if (self.grow_to is None) != (self.grow_until is None):
            raise ValueError("`grow_to` and `grow_until` go together: how far the range grows, and until when")
        if self.grow_to is not None and self.grow_to < self.start_to:
            raise ValueError(f"`grow_to` must be at least `start_to`, got {self.grow_to} and {self.start_to}")
        return self


class Mask(Part):
    """EDF's discriminative area enhancement: pixels where a network sees the class learn faster.

    Attributes:
        network: which network looks: "teacher", "expert" (a fully taught one), or weights: a run folder, a folder or
            file of weights, published weights by name, timm:NAME, or owner/name on the Hugging Face hub.
        layer: module path of the layer whose map is read; None for the last stage.
        size: pixels a side that images are brought to for the network that looks; None for its own input size. The
            reference implementation shows images of 128 to a network of 224 as they are.
        map: how the map of where the class is seen is made.
        threshold: which pixels learn faster: those where the map reaches its "mean", or a number.
        beta: what is added to the map where it reaches the threshold; elsewhere the gradient stays as it is.
        every: iterations after which maps are made anew.
        class_map: whether a network of other classes (ImageNet's thousand) is asked for the class of that name; False
            asks for the class of that number, as the reference implementation does.
    """

    network: str = "teacher"
    layer: str | None = None
    size: Count | None = None
    map: Literal["smooth-grad-cam++", "grad-cam++", "grad-cam"] = "smooth-grad-cam++"
    threshold: Annotated[float, Field(ge=0, le=1)] | Literal["mean"] = "mean"
    beta: NotNegative = 1.0
    every: Count = 100
    class_map: bool = True


class Distribution(Part):
    """Distribution matching: features of the synthetic images are to be distributed as those of the real ones.

    Attributes:
        networks: which networks give features: "random" ones that were never taught (DM), mixtures "between" first and
            last snapshot of an expert (NCFM), or snapshots of a "trajectory" (TGDD).
        distance: what is compared: the "mean" features, or their "characteristic" functions.
        frequencies: at how many frequencies characteristic functions are compared.
        phase: weight of the phase of characteristic functions; their amplitude has the rest of 1.
        real_batch: real images of a class in an iteration.
        synthetic_batch: synthetic images of a class in an iteration, as they are stored; None for all of them.
        optimizer: of the pixels.
        image_rate: learning rate of the pixels.
        image_momentum: of the pixels' "sgd"; "adamw" has none to set.
        weight_decay: of the pixels.
        patience: iterations without a lower loss after which the rate is halved; None for a constant one.
        space: what is learned, and which rate and decay are about: the network's "inputs", normalised or
            whitened (DM), or "images" in [0, 1] (NCFM, TGDD).
        step: when pixels are changed: after each "class" (NCFM, TGDD), or once for all classes in an "iteration" (DM).
        calibration: weight of an expert's cross entropy on the synthetic images.
        calibrate: when an expert's cross entropy is brought down: in a step with the distance, "together" (TGDD), or in
            one of its own after it, "apart" (NCFM).
        calibration_within: how late the expert that calibrates may be: the expert calibrates as it was at the snapshot
            that gives features or one of those after it, so many in all (TGDD); None for the last (NCFM).
        clamp: whether pixels are held in [0, 1] after every iteration.
    """

    networks: Literal["random", "between", "trajectory"] = "random"
    distance: Literal["mean", "characteristic"] = "mean"
    frequencies: Count = 4096
    phase: Annotated[float, Field(ge=0, le=1)] = 0.5
    real_batch: Count = 256
    synthetic_batch: Count | None = None
    optimizer: Literal["sgd", "adamw"] = "sgd"
    image_rate: Positive = 1.0
    image_momentum: Decay = 0.5
    weight_decay: NotNegative = 0.0
    patience: Count | None = None
    space: Literal["inputs", "images"] = "inputs"
    step: Literal["iteration", "class"] = "iteration"
    calibration: NotNegative = 0.0
    calibrate: Literal["together", "apart"] = "apart"
    calibration_within: Count | None = None
    clamp: bool = False

    def snapshots(self, epochs: int) -> tuple[int, ...]:
        """Numbers of the snapshots that are read of experts taught for so many epochs; none where none is needed."""
        if self.networks == "trajectory":
            return tuple(range(epochs + 1))
        last = (epochs,) if self.networks == "between" or self.calibration else ()
        return (0, *last) if self.networks == "between" else last

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.calibration_within is not None and self.networks != "trajectory":
            raise ValueError(
                f"`calibration_within` counts snapshots of `networks: trajectory`, got {self.calibration_within} with "
                f"{self.networks!r}; set it to null"
            )
        return self


class Crops(Part):
    """RDED: the crops of real images that the teacher is surest of, put together into images.

    Attributes:
        candidates: how many images of a class are looked at; more where more crops are needed.
        crops: how many crops of each image are looked at, of which the one that the teacher is surest of counts, and
            the next ones where images are few.
        area: smallest and largest share of an image that a crop has.
        pick: which of the images' crops are taken, the "easiest" by the teacher's cross entropy, or some "spread"
            evenly over easy and hard ones.
    """

    candidates: Count = 300
    crops: Count = 5
    area: tuple[Share, Share] = (0.08, 1.0)
    pick: Literal["easiest", "spread"] = "easiest"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.area[0] > self.area[1]:
            raise ValueError(f"`area` must be a smallest and a largest share, got {list(self.area)}")
        return self


class Use(Part):
    """How a student is to be taught on the set, which carries this.

    Attributes:
        epochs: how many passes over the set.
        batch_size: images of a step; all of them, where they are fewer.
        learning_rate: of sets that learn none; others are taught at the learned one.
        momentum: as under `training`.
        weight_decay: as under `training`.
        schedule: as under `training`.
        milestones: shares of the training at which a multi-step schedule lets the rate fall, as under `training`.
        views: of floats after normalisation, as `normalised_views` under `training`.
    """

    epochs: Positive = 1000
    batch_size: Count = 128
    learning_rate: Positive = 0.01
    momentum: Decay = 0.9
    weight_decay: NotNegative = 5e-4
    schedule: Literal["cosine", "multi-step", "constant"] = "multi-step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5,)
    views: NormalisedViewsSpec = "dsa"


class CondenseSettings(MakerSettings):
    """A handful of images with labels, learned so that training on them is like training on all the images.

    A `method` names published values of all that follows, and whatever is said beside it comes on top.

    Attributes:
        method: whose published values hold, see `limbeck ls methods`.
        by: what images are learned by: "trajectories", "distribution", or "crops" (nothing is learned).
        iterations: how many steps images are learned for; 0 leaves them as they are initialised.
        network: the network on which images are learned, which is that of the experts, and the one that students are
            made for; a lone name is its `model`.
        experts: the networks whose snapshots are followed.
        matching: how trajectories are matched, for `by: trajectories`.
        distribution: how distributions are matched, for `by: distribution`.
        crops: how crops are chosen, for `by: crops`.
        mask: where a network sees the class, so that these pixels learn faster (EDF); None for all alike.
        initialise: what images begin as: "real" images of each class at random, such as an expert gets "correct",
            "noise", or a maker's settings, as {maker: select, criterion: herding}, that choose them.
        labels: of the images: "hard"; "soft", logits averaged over the experts that are right about an image; or
            "teacher", its logits.
        learned: share of each class's images that are learned; the others stay as they were initialised (SelMatch).
        per_image: how many images each stored one is cut into and enlarged to when it is used (NCFM's factor
            squared).
        average: decay of a moving average of the pixels, which is then what is kept; None for none (FTD). Of what they
            begin as, decay^iterations stays in it: at FTD's 0.9999 and 5000 iterations 61 %.
        views: of floats after normalisation while images are learned, see `normalised_views` under `training`.
        keep: in which form images are stored: "uint8", "float16", or "auto", which is float16 where they are whitened,
            or 8 bits would change values by a twentieth of their range on average.
        choose: which iteration's images are kept: the "last", or the best on images held out for that, a share of the
            training images ("validation").
        evaluate_every: iterations after which `choose: validation` looks, and the report has pictures.
        use: how a student is taught on them.

    Example:
        >>> CondenseSettings(budget="1/class", method="datm", iterations=100).matching.skip_above
        1.1
    """

    maker: str = "condense"
    method: str = "datm"
    by: Literal["trajectories", "distribution", "crops"] = "trajectories"
    iterations: Natural = 5000
    network: Network = Network()
    experts: Experts = Experts()
    matching: Matching = Matching()
    distribution: Distribution = Distribution()
    crops: Crops = Crops()
    mask: Mask | None = None
    initialise: Literal["correct", "real", "noise"] | dict[str, Any] = "correct"
    labels: Literal["hard", "soft", "teacher"] = "soft"
    learned: Share = 1.0
    per_image: Literal[1, 4, 9] = 1
    average: Annotated[float, Field(gt=0, lt=1)] | None = None
    views: NormalisedViewsSpec = "dsa"
    keep: Literal["auto", "uint8", "float16"] = "auto"
    choose: Literal["last", "validation"] = "last"
    evaluate_every: Count = 500
    use: Use = Use()

    controls: ClassVar[Mapping[str, Control]] = CONTROLS

    @classmethod
    def controls_beside(cls, said: Mapping[str, Any]) -> Mapping[str, Control]:
        """Random images with hard labels and with those that the arm begins with, and the crops of RDED."""
        return controls_of(said)

    @field_validator("network", mode="before")
    @classmethod
    def _by_name(cls, network: Any) -> Any:
        return {"model": network} if isinstance(network, str) else network

    @field_validator("budget")
    @classmethod
    def _of_each_class(cls, budget: Any) -> Any:
        if parse_budget(budget).kind == "share":
            raise ValueError(f"must be images per class (1/class) or a count of images, got {budget!r}")
        return budget

    @model_validator(mode="before")
    @classmethod
    def _with_published(cls, values: Any) -> Any:
        return with_published(values, METHODS, cls.model_fields["method"].default)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if wrong := contradictions(self):
            raise ValueError("\n  ".join(wrong))
        return self

    @property
    def title(self) -> str:
        return f"condensing by {self.method!r}"

    @property
    def reads_trajectories(self) -> bool:
        """Whether snapshots of experts are read while images are learned."""
        if not self.iterations or self.by == "crops":
            return False
        if self.by == "trajectories":
            return True
        return self.distribution.networks != "random" or self.distribution.calibration > 0

    @property
    def reads_judges(self) -> bool:
        """Whether fully taught networks choose images, give labels, or look at images for a mask."""
        if self.by == "crops":
            return False
        looks = self.mask is not None and self.mask.network == "expert" and self.iterations > 0
        return self.labels == "soft" or self.initialise == "correct" or looks

    @property
    def own_labels(self) -> bool:
        """True, but for crops with a teacher's labels, who is to be asked about every view."""
        return self.by != "crops" or self.labels != "teacher"

    @property
    def initial(self) -> MakerSettings | None:
        """Of the maker that chooses what images begin as, if one does."""
        if not isinstance(self.initialise, dict) or self.by == "crops":
            return None
        budget = parse_budget(self.budget)
        amount = int(budget.amount) * self.per_image  # images that are put together
        name = str(self.initialise.get("maker", "select"))
        return settings_of(name).model_validate(
            {**self.initialise, "maker": name, "budget": f"{amount}/class" if budget.kind == "per-class" else amount}
        )

    @property
    def labelled_by_teacher(self) -> bool:
        """Whether a teacher gives labels, or rates images by theirs, so that it must know these classes."""
        return self.labels == "teacher" or self.by == "crops"

    @property
    def needs_teacher(self) -> bool:
        of_mask = self.mask is not None and self.mask.network == "teacher"
        of_initial = self.initial is not None and self.initial.needs_teacher
        return of_mask or of_initial or self.labelled_by_teacher

    @property
    def may_keep_floats(self) -> bool:
        return self.by != "crops" and self.keep != "uint8"

    @property
    def needs_labels(self) -> bool:
        return True
