"""Settings of `condense`. torch is not imported."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from limbeck.data.normalised_views.catalogue import NormalisedViewsSpec
from limbeck.data.view_catalogue import check_views
from limbeck.errors import UserError
from limbeck.transfer.budget import parse_budget
from limbeck.transfer.catalogue import settings_of
from limbeck.transfer.condense.consistency import contradictions
from limbeck.transfer.condense.controls import CONTROLS, controls_of
from limbeck.transfer.condense.expert_settings import Experts, Network
from limbeck.transfer.condense.method_settings import Crops, Distribution, Mask, Matching
from limbeck.transfer.condense.methods import METHODS
from limbeck.transfer.condense.network_of_experts import made_by, with_network_at_hand
from limbeck.transfer.methods import with_published
from limbeck.transfer.settings import Control, MakerSettings
from limbeck.transfer.settings_group import Count, Decay, Natural, NotNegative, Positive, SettingsGroup, Share

SNAPSHOTS_SAID = "snapshots_said"
"""Key in the context of a validation: whether the number of snapshots is given, so that the method's is not checked."""


def _views(spec: Any) -> Any:
    return None if spec is None else check_views(spec)


class Use(SettingsGroup):
    """How a student is to be taught on the set, which carries this.

    Attributes:
        epochs: how many passes over the set.
        batch_size: images of a step; all of them, where they are fewer. None for that of RDED: 10, 50 or 100 by images
            per class, and twice as many for 100 or 1000 classes, as CIFAR-100 and ImageNet have; 100 for the 200 of
            Tiny ImageNet.
        optimizer: as under `training`.
        learning_rate: of sets that learn none; others are taught at the learned one.
        momentum: as under `training`, of "sgd".
        weight_decay: as under `training`.
        schedule: as under `training`.
        milestones: shares of the training at which a multi-step schedule lets the rate fall, as under `training`.
        decay: what a multi-step schedule multiplies the rate by, as under `training`.
        views: of floats after normalisation, as `normalised_views` under `training`.
        image_views: of the 8-bit images, as `views` under `training`. None for those of RDED with `by: crops`,
            boxes of images whose crops are in another order each time, and CutMix, and otherwise for none.
        temperature: of the teacher who is asked about every view, for crops with `labels: teacher`; its answers are
            all that is learned.
    """

    epochs: Positive = 1000
    batch_size: Count | None = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: Positive = 0.01
    momentum: Decay = 0.9
    weight_decay: NotNegative = 5e-4
    schedule: Literal["cosine", "multi-step", "constant"] = "multi-step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5,)
    decay: Share = 0.1
    views: NormalisedViewsSpec = "dsa"
    image_views: Annotated[Any, BeforeValidator(_views)] = "none"
    temperature: Positive = 20.0


class CondenseSettings(MakerSettings):
    """A handful of images with labels, learned so that training on them is like training on all the images.

    A `method` names published values of all that follows, and whatever is said beside it comes on top.

    Attributes:
        method: whose published values hold, see `limbeck ls methods`.
        by: what images are learned by: "trajectories", "distribution", or "crops" (nothing is learned).
        iterations: how many steps images are learned for; 0 leaves them as they are initialised.
        network: the network on which images are learned, which is that of the experts, and the one that students are
            made for; a lone name is its `model`. Where none is said, that of the experts in `experts.folder`.
        experts: the networks whose snapshots are followed.
        matching: how trajectories are matched, for `by: trajectories`.
        distribution: how distributions are matched, for `by: distribution`.
        crops: how crops are chosen, for `by: crops`.
        mask: where a network sees the class, so that these pixels learn faster (EDF); None for all alike.
        initialise: what images begin as: "real" images of each class at random, such as an expert gets "correct",
            "noise", a maker's settings, as {maker: select, criterion: herding}, that choose them, or a transfer set on
            disk, as {set: runs/ten}.
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
        choose: which iteration's images are kept: the "last", or the best on images held out for that, a tenth of the
            training images ("validation"); "last-validated" keeps the last, and tells how good all were on these.
        evaluate_every: iterations after which images are judged on those held out, and the report has pictures.
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
    choose: Literal["last", "validation", "last-validated"] = "last"
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
        return {"model": network} if isinstance(network, str) or callable(network) else network

    @field_validator("budget", mode="before")
    @classmethod
    def _of_each_class(cls, budget: Any) -> Any:
        """Runs before the usual check, whose message would also offer a share."""
        try:
            fits = parse_budget(budget).kind != "share"
        except UserError:
            fits = False
        if not fits:
            raise ValueError(
                "must be images per class ('1/class'), or a count of images that is a multiple of the classes (50), "
                f"got {budget!r}"
            )
        return budget

    @model_validator(mode="before")
    @classmethod
    def _with_published(cls, values: Any) -> Any:
        return with_published(with_network_at_hand(values), METHODS, cls.model_fields["method"].default)

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if wrong := contradictions(self, snapshots_said=bool((info.context or {}).get(SNAPSHOTS_SAID))):
            raise ValueError("\n  ".join(wrong))
        return self

    def named_files(self) -> dict[str, str]:
        return {} if self.experts.folder is None else made_by(self.experts.folder)

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
    def reads_parameters(self) -> bool:
        """Whether the network must be known by its parameters alone: images are learned on it, or experts are read."""
        return self.by != "crops" and (self.iterations > 0 or self.reads_judges)

    @property
    def own_labels(self) -> bool:
        """Whether the set's labels are used as they are; False for crops whose teacher is asked about every view."""
        return self.by != "crops" or self.labels != "teacher"

    @property
    def holds_out(self) -> bool:
        """Whether some training images are held out to judge iterations."""
        return self.choose != "last"

    @property
    def initial(self) -> MakerSettings | None:
        """Settings of the maker that chooses what images begin as, if one does."""
        if not isinstance(self.initialise, dict) or self.initial_folder is not None or self.by == "crops":
            return None
        budget = parse_budget(self.budget)
        amount = int(budget.amount) * self.per_image  # images that are put together
        name = str(self.initialise.get("maker", "select"))
        return settings_of(name).model_validate(
            {**self.initialise, "maker": name, "budget": f"{amount}/class" if budget.kind == "per-class" else amount}
        )

    @property
    def initial_folder(self) -> str | None:
        """Folder of the transfer set that images begin as, if they begin as one."""
        return self.initialise.get("set") if isinstance(self.initialise, dict) else None

    @property
    def labelled_by_teacher(self) -> bool:
        """Whether a teacher gives labels or rates crops by class, so that it must know the images' classes."""
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
