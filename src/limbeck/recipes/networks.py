"""Networks by name, for all verbs and recipes alike."""

from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.weights.folder import load
from limbeck.recipes.inheritance import made_by


def load_network(source: str | Path, **options: Any) -> Classifier:
    """As `limbeck.load_model`, with the same options; if a packaged recipe makes a missing run, the error says how.

    Raises:
        UserError: see `limbeck.load_model`; the run has not been made.

    Example:
        >>> load_network("runs/teacher").num_classes
        10
    """
    if not Path(source).exists() and (command := made_by(source)):
        raise UserError(f"there is no run in {str(source)!r} yet; `{command}` makes it, or name another run folder.")
    return load(source, **options)
