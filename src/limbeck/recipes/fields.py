"""Names and options in recipes, checked before anything is loaded, trained or downloaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from limbeck.catalogue import Catalogue
from limbeck.data.catalogue import DATASETS, in_catalogue
from limbeck.data.normalised_views.catalogue import NORMALISED_VIEWS
from limbeck.data.place import FROM_PYTHON, path_text
from limbeck.data.view_catalogue import VIEWS
from limbeck.errors import UserError, unknown_name
from limbeck.import_paths import is_import_path
from limbeck.models.catalogue import MODELS, TIMM_PREFIX, canonical, entry
from limbeck.models.options import check_options
from limbeck.models.published import NAMED
from limbeck.objectives.catalogue import NAMES, OBJECTIVES
from limbeck.training.optimizer_catalogue import OPTIMIZERS
from limbeck.training.schedule_catalogue import SCHEDULES
from limbeck.training.settings import TrainingSettings


def _dataset(value: Any) -> Any:
    if isinstance(value, Path):
        return path_text(value)
    if isinstance(value, str):
        DATASETS.get(value)  # raises for a package's data set that cannot be used
    if not isinstance(value, str) or in_catalogue(value) or "/" in value or Path(value).exists():
        return value
    if value.startswith(FROM_PYTHON) or Path(value).suffix:
        return value  # a subset or a file: `load` reports what is wrong with it
    folders = "a folder is looked for from where the command runs"
    raise unknown_name("dataset", value, DATASETS, f"`limbeck ls datasets` lists them all; {folders}")


def _model(value: Any) -> Any:
    folded = {name.casefold() for name in MODELS}
    value = MODELS.named(value)
    if not isinstance(value, str) or value.startswith((TIMM_PREFIX, FROM_PYTHON)) or value.casefold() in folded:
        return value
    if value in MODELS:  # by its import path
        MODELS.get(value)
        return value
    if value.casefold() in NAMED:
        raise UserError(f"{value!r} names weights, not a model; give it as `weights`.")
    raise unknown_name("model", value, MODELS, "`limbeck ls models` lists them all; timm's are 'timm:<name>'")


def _weights(value: Any) -> Any:
    if isinstance(value, Path):
        return path_text(value)
    if not isinstance(value, str) or value.casefold().startswith((TIMM_PREFIX, FROM_PYTHON)):
        return value
    if value.casefold() in NAMED or "/" in value or Path(value).suffix or Path(value).exists():
        return value
    if is_import_path(value):
        raise UserError(f"{value!r} names a model of your own, not weights; give it as `model`.")
    raise unknown_name(
        "weights",
        value,
        NAMED,
        "`limbeck ls models` lists them all; a run folder, a file or 'timm:<name>' will do, too",
    )


def check_model_options(model: str | None, options: Mapping[str, Any]) -> None:
    """Raises a UserError for options that `model` does not have; without a name, loading the weights checks them."""
    if model is not None and (not model.startswith(FROM_PYTHON) or model in MODELS.handed_over):
        name = canonical(model)
        check_options(name, entry(name).options, options)


def _objective(value: Any) -> Any:
    value = OBJECTIVES.named(value)
    spec = {value: OBJECTIVES[NAMES[value]].weight} if isinstance(value, str) and value in NAMES else value
    for name in [spec] if isinstance(spec, str) else spec if isinstance(spec, Mapping) else []:
        if name not in NAMES:
            raise unknown_name("objective", str(name), NAMES, "`limbeck ls objectives` lists them all")
    if isinstance(spec, Mapping):
        from limbeck.objectives.sums import weighted_sum  # imports torch, which a wrong name need not wait for

        weighted_sum(spec)
    return spec


def _changed_training(changes: Any) -> Any:
    """Changed settings of training, with names in place of parts that were handed over in Python."""
    if not isinstance(changes, Mapping):
        return changes
    return {key: _HANDED[key].named(value) if key in _HANDED else value for key, value in changes.items()}


_HANDED: Mapping[str, Catalogue[Any]] = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "views": VIEWS,
    "normalised_views": NORMALISED_VIEWS,
}
"""Settings that name parts, which may be handed over in Python."""


def _training(settings: TrainingSettings) -> TrainingSettings:
    from limbeck.data.views import augmentation  # imports torch
    from limbeck.training.schedule import UNLEARNED_RATE, schedule_of

    augmentation(settings.views, per_image=settings.views_per_image)
    learned = settings.learning_rate == "learned"
    # A schedule of the user's own may not fit the optimiser, or fail at this number of steps.
    schedule_of(settings.steps or 100, settings.model_copy(update={"learning_rate": UNLEARNED_RATE} if learned else {}))
    return settings


DatasetName = Annotated[str, BeforeValidator(_dataset)]
ModelName = Annotated[str, BeforeValidator(_model)]
WeightsName = Annotated[str, BeforeValidator(_weights)]
ObjectiveSpec = Annotated[dict[str, Any], BeforeValidator(_objective, json_schema_input_type=str | dict[str, Any])]
Training = Annotated[TrainingSettings, AfterValidator(_training)]
ChangedTraining = Annotated[dict[str, Any], BeforeValidator(_changed_training)]
