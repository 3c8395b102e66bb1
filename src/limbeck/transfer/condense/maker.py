"""The maker `condense`: a handful of images that teach what all of them would."""

from typing import ClassVar

from limbeck.data.image_set import ImageSet
from limbeck.data.transfer_set import TransferSet
from limbeck.data.transfer_source import FixedSource, TransferSource
from limbeck.errors import UserError, collecting
from limbeck.files import disk_errors
from limbeck.transfer.condense.checks import check_initial, check_mask, naming
from limbeck.transfer.condense.condensation import MADE, Condensation, split_for
from limbeck.transfer.condense.counting import check_teacher, images_per_class
from limbeck.transfer.condense.crops import rows_of_crops
from limbeck.transfer.condense.find_experts import EXPERTS, open_experts
from limbeck.transfer.condense.flat_network import FlatNetwork
from limbeck.transfer.condense.frames import read_frames
from limbeck.transfer.condense.learning_inputs import CHECKPOINT
from limbeck.transfer.condense.matching_fit import warn_of_average
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.unread_settings import unread_settings
from limbeck.transfer.evidence import Evidence
from limbeck.transfer.maker import Made, MakerContext


class CondenseMaker:
    """Makes experts, begins with images of each class, learns them, and says how students are taught on them.

    The runs of a comparison find their experts in its shared folder; each run's cost includes theirs.

    Example:
        >>> context = MakerContext(folder=Path("made"), pool=images, classes=images.classes, shape=images.shape)
        >>> settings = CondenseSettings(budget="2/class", method="mtt", iterations=0)
        >>> len(CondenseMaker().make(settings, context).source.images(0))
        20
    """

    findable: ClassVar[tuple[str, ...]] = (EXPERTS,)
    checkpoints: ClassVar[tuple[str, ...]] = (CHECKPOINT,)
    rounding: ClassVar[tuple[str, ...]] = ("matching.chunk",)

    def count(self, settings: CondenseSettings, context: MakerContext) -> int:
        pool, count = _pool(context), 0
        if pool.labels is None:
            images_per_class(settings, pool)  # raises; further checks would only repeat that labels are missing
        problems: list[str] = []
        with collecting(problems):
            rest = split_for(settings, pool)[0]
            with collecting(problems):
                counts = (rest.class_counts() > 0) * images_per_class(settings, rest)
                count = int(counts.sum())
                check_initial(settings, rest, context)
                if settings.by == "crops":
                    rows_of_crops(rest, settings.crops, counts.tolist())
            with collecting(problems):
                _check_network(settings, rest, context)
        with collecting(problems):
            check_teacher(settings, pool, context.teacher)
        if problems:
            raise UserError("\n".join(problems))
        return count

    def make(self, settings: CondenseSettings, context: MakerContext) -> Made:
        self.count(settings, context)
        with disk_errors(context.folder):
            context.folder.mkdir(parents=True, exist_ok=True)
        for sentence in unread_settings(settings):
            context.progress.say(sentence)
        warn_of_average(settings)
        condensation = Condensation(settings, context, _pool(context))
        if settings.by == "crops":
            return condensation.crops()
        chosen = condensation.chosen()
        store, cost = condensation.experts()
        start = condensation.start(store, chosen)
        synthetic, learning_cost = condensation.learn(start, store)
        images, frames = condensation.transfer_set(synthetic, start), read_frames(context.folder)
        return condensation.finished(images, cost + start.cost + learning_cost, frames, store)

    def load(self, settings: CondenseSettings, context: MakerContext) -> TransferSource:
        try:
            return FixedSource(TransferSet.load(context.folder / MADE))
        except UserError as error:
            raise UserError(f"{error} Remove the folder {str(context.folder)!r}, so that it is made again.") from error

    def evidence(self, settings: CondenseSettings, context: MakerContext, source: TransferSource) -> Evidence | None:
        """None: there are no rounds, so nothing comes after the evidence of `make`."""


def _pool(context: MakerContext) -> ImageSet:
    assert context.pool is not None, "makers that need a pool are refused without one before"
    return context.pool


def _check_network(settings: CondenseSettings, pool: ImageSet, context: MakerContext) -> None:
    """Checks that images can be learned on the network, and that existing experts and masks fit."""
    with naming("network"):
        networks = FreshNetworks.unfitted(settings.network, pool)
        network = networks(0)
        if settings.reads_parameters:
            FlatNetwork(network)
    if settings.experts.folder is not None:  # their network is normalised by all images
        open_experts(settings, pool, lambda seed: FreshNetworks.of(settings.network, pool)(seed))
    check_mask(settings, networks, pool, context)
