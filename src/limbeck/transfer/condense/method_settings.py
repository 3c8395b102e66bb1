"""Settings of the ways in which `condense` learns or chooses images. torch is not imported."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from limbeck.transfer.settings_group import Count, Decay, Natural, NotNegative, Positive, SettingsGroup, Share


class Matching(SettingsGroup):
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
            as it holds. Unrolled steps see all of them.
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
        """The exclusive end of the range of start epochs at its widest."""
        return max(self.start_to, self.grow_to or 0)

    @property
    def snapshots(self) -> int:
        """How many snapshots of an expert are read at most, counted from the one before its first step."""
        return self.last_start - 1 + self.expert_epochs + 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.start_from >= self.start_to:
            raise ValueError(
                f"`start_to` must be greater than `start_from`, which it does not take in, got {self.start_to} and "
                f"{self.start_from}"
            )
        if self.chunk is not None and self.gradient == "unrolled":
            raise ValueError(
                f"`chunk` splits the steps of `gradient: exact` and `tesla`, and 'unrolled' ones are whole, got "
                f"{self.chunk}; set it to null, or `gradient: exact`, which has the same gradients"
            )
        if (self.grow_to is None) != (self.grow_until is None):
            raise ValueError("`grow_to` and `grow_until` go together: how far the range grows, and until when")
        if self.grow_to is not None and self.grow_to < self.start_to:
            raise ValueError(f"`grow_to` must be at least `start_to`, got {self.grow_to} and {self.start_to}")
        return self


class Mask(SettingsGroup):
    """EDF's discriminative area enhancement: pixels where a network sees the class learn faster.

    Attributes:
        network: which network looks: "teacher", "expert" (a fully taught one), or weights: a run folder, a folder or
            file of weights, published weights by name, timm:NAME, or owner/name on the Hugging Face hub.
        layer: module path of the layer whose map is read; None for the last stage.
        size: pixels a side that images are brought to for the network that looks; None for its own input size. The
            reference implementation shows images of 128 to a network of 224 as they are.
        map: how the map of where the class is seen is made.
        threshold: which pixels learn faster: those where the map reaches its "mean" (the reference implementation's 0),
            or a number; 0 is all of them.
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


class Distribution(SettingsGroup):
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
        """Numbers of the snapshots that are read of experts taught for `epochs` epochs; empty where none is needed."""
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


class Crops(SettingsGroup):
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
