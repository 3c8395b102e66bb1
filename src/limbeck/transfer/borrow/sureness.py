"""The criteria for how sure a teacher is, as far as the teacher supports them."""

from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.settings import SURENESS
from limbeck.transfer.criteria import Criterion
from limbeck.transfer.scoring.context import head_weights


def criteria_for(teacher: Classifier) -> tuple[dict[str, Criterion], dict[str, str]]:
    """The criteria of `SURENESS` that this teacher supports, and why it does not support the others, both by name.

    Raises:
        UserError: the teacher has a single class, of which it is always sure.

    Example:
        >>> list(criteria_for(teacher)[0])
        ['minimal-margin', 'margin', 'entropy', 'confidence', 'energy']
    """
    if teacher.num_classes < 2:
        raise UserError(
            f"`teacher` must tell at least 2 classes apart to be sure of one, got {teacher.num_classes} of "
            f"{teacher.name}."
        )
    known = {name: criterion_by(name) for name in SURENESS}
    try:
        head_weights(teacher)
    except UserError as error:
        del known["minimal-margin"]
        return known, {"minimal-margin": str(error)}
    return known, {}
