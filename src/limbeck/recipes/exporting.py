"""The verb `export`: a student by name or in memory, checked and calibrated on given images or those of its run."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limbeck.cost import RunCost
from limbeck.data.image_set import ImageSet, unreadable
from limbeck.data.loading import as_image_set
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.own_splits import TEST
from limbeck.data.place import FROM_PYTHON
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.exporting.export import Exported, check_folder, export_classifier
from limbeck.exporting.inputs import Shape, input_shape
from limbeck.exporting.settings import ExportSettings
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress, Silent
from limbeck.recipes.evaluation_images import Say, load_evaluation_images, run_of
from limbeck.recipes.image_sizes import KnownSize, size_for_network, size_of_saved
from limbeck.recipes.inputs import PythonObjects, load_inputs, size_for_images
from limbeck.recipes.loading import load as load_images
from limbeck.recipes.making import last_source
from limbeck.recipes.networks import load_network
from limbeck.recipes.reading import written_data, written_recipe
from limbeck.recipes.run import find_inputs
from limbeck.recipes.settings import DatasetSettings
from limbeck.recipes.sources import is_transfer_set, load_training_images
from limbeck.recipes.yaml_files import load_mapping
from limbeck.training.run_folder import RunFolder

Images = ImagesLike | TransferSet
_STAND_IN, _STAND_INS = "dead-leaves", 64


def export_saved(
    what: str | Path,
    out: Path | None,
    settings: ExportSettings,
    *,
    model: str | None = None,
    test: str | None = None,
    split: str | None = None,
    calibration: str | None = None,
    progress: Progress | None = None,
    loading: Mapping[str, Any] | None = None,
) -> Exported:
    """Exports a network by name; `out` defaults to runs/<name>-<format>. Otherwise as `export_network`."""
    out = Path("runs") / f"{_name_of(Path(what))}-{settings.format}" if out is None else out
    check_folder(out)
    network = load_network(what, model=model)
    images = {"test": test, "split": split, "calibration": calibration, "loading": loading or {}}
    return export_network(network, out, settings, source=what, progress=progress, **images)


def export_network(
    network: Classifier,
    out: Path,
    settings: ExportSettings,
    *,
    source: str | Path | None = None,
    test: Images | None = None,
    split: str | None = None,
    calibration: Images | None = None,
    loading: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Exports a network; see `limbeck.export`.

    Args:
        network: the student.
        out: a new folder.
        settings: what is written.
        source: where it was loaded from; if that is a run, images that are not given are those of the run.
        test: images to check and evaluate it on.
        split: of `test`, if that is a name; by default as in `load_evaluation_images`.
        calibration: images for int8.
        loading: options of `limbeck.load`, for images by name.
        progress: reports progress.

    Raises:
        UserError: see `limbeck.export`.
    """
    progress = progress or Silent()
    run = None if source is None else run_of(source)
    check_folder(out)
    settings.check_runtime()  # after the network was found: an unknown network is reported first
    if calibration is not None and not settings.int8:
        raise UserError("`calibration` images are of int8; say `int8`, too, or leave them out.")
    if settings.int8 and calibration is None and run is None:
        raise UserError(
            "`int8` needs images such as the network will see: `calibration`, a data set, folder or transfer set. The "
            "folder of a run brings those that it was taught on."
        )
    options = {} if loading is None else dict(loading)
    if settings.size is not None:
        options.setdefault("size", settings.size)
    images = _images_to_check(network, settings, source, test, split, options, progress.say)
    shape = input_shape(network, settings, images)
    calibrating = _calibration(network, shape, run, calibration, options) if settings.int8 else None
    return export_classifier(network, out, settings, images=images, calibration=calibrating, progress=progress)


def _name_of(path: Path) -> str:
    """A folder's name; for a run of a comparison with comparison and arm, as every arm has a `seed-0`."""
    match path.parts[-4:]:
        case (comparison, "runs", arm, seed) if (path.parents[2] / "recipe.yaml").is_file():
            return f"{comparison}-{arm}-{seed}"
        case _:
            return path.name


def _images_to_check(
    network: Classifier,
    settings: ExportSettings,
    source: str | Path | None,
    test: Images | None,
    split: str | None,
    loading: Mapping[str, Any],
    say: Say,
) -> ImageSet:
    run, known_size = None if source is None else run_of(source), size_for_network(network, source)
    if test is not None:
        images = _read(
            test,
            split or TEST,
            "test",
            lambda name: load_evaluation_images(run, name, split, known_size, say, **loading),
        )
        if images.skipped:
            warnings.warn(f"left out {unreadable(images.skipped)} of {images.name!r}.", stacklevel=4)
        return images
    why = "nothing says on what to check the file"
    if run is not None:
        try:
            return _evaluation_images(run)
        except UserError as error:
            why = f"the images of the run {str(run)!r} cannot be read ({error})"
    if settings.size is None and network.input_size is None and known_size is not None:
        shape = (network.channels, *known_size.size)
        why += f", and the file takes images of {known_size}: {known_size.source}"
    else:
        try:
            shape = input_shape(network, settings, None)
        except UserError as error:
            raise (error if run is None else UserError(f"{why}, and {error}")) from None
    warnings.warn(
        f"{why}; it is checked on {_STAND_INS} procedural images, {_STAND_IN}. Give `test` to check and judge it on "
        "real ones.",
        stacklevel=4,
    )
    channels = 3 if shape[0] == 3 else 1  # gray images are repeated to any number of channels
    return load_images(_STAND_IN, "train", images=_STAND_INS, size=shape[1:], channels=channels)


def _evaluation_images(run: Path) -> ImageSet:
    """Test images of a run, else its validation images, else its training images."""
    data = written_data(run)
    if isinstance(data.test, DatasetSettings):
        _check_named(data.test)
        data = data.model_copy(update={"train": None, "validation": 0})
    else:
        _check_named(data.train)
    inputs = load_inputs(data, PythonObjects(), lambda: _size_in(run))
    images = inputs.test or inputs.validation or inputs.train
    if images is None:
        raise UserError("it has none")
    return images


def _calibration(
    network: Classifier, shape: Shape, run: Path | None, calibration: Images | None, loading: Mapping[str, Any]
) -> ImageSet:
    if calibration is None:
        assert run is not None
        try:
            return _training_set_of(run)
        except UserError as error:
            raise UserError(
                f"`int8` needs calibration images, and those that {str(run)!r} was taught on cannot be read ({error}); "
                "give others as `calibration` (--calibration on the command line), a data set's name or a folder."
            ) from error
    options = {"size": shape[1:], "labels": False, **loading}
    images = _read(calibration, "train", "calibration", lambda name: _load_calibration(name, options))
    if images.shape[0] != network.channels and network.channels in (1, 3):
        raise UserError(
            f"`calibration` images must have the {network.channels} channel(s) that {network.name} takes, got "
            f"{images.shape[0]} of {images.name!r}; load them with `channels={network.channels}` if they are such as "
            "the network will see."
        )
    return images


def _load_calibration(name: str | Path, options: Mapping[str, Any]) -> ImageSet:
    source = DatasetSettings.model_construct(name=str(name))
    return load_training_images(source).images if is_transfer_set(source) else load_images(name, "train", **options)


def _read(images: Images, split: str, argument: str, load: Callable[[str | Path], ImageSet]) -> ImageSet:
    if isinstance(images, TransferSet):
        return images.decoded().images
    return load(images) if isinstance(images, str | Path) else as_image_set(images, split, argument)


def _check_named(source: DatasetSettings | None) -> None:
    if source is not None and source.name.startswith(FROM_PYTHON):
        raise UserError("they were handed over in Python")


def _training_set_of(run: Path) -> ImageSet:
    """The transfer set of a run; if it grew, as it was after the last round."""
    data = written_data(run)
    _check_named(data.train)
    if load_mapping(run / "recipe.yaml").get("transfer") is None:
        inputs = load_inputs(data, PythonObjects(), lambda: _size_in(run))
        assert inputs.train is not None, "recipes without a maker have training images"
        return inputs.train
    recipe = written_recipe(run)
    source, _ = last_source(recipe, find_inputs(recipe, _home(run), PythonObjects()), run, Silent())
    steps = RunCost.from_dict(RunFolder(run).read("cost.json", {})).teaching.steps
    last = 0 if source.steps_per_round is None else max(steps - 1, 0) // source.steps_per_round
    return source.images(last).decoded().images


def _size_in(run: Path) -> KnownSize | None:
    """What the run brought images of several sizes to."""
    try:
        return size_for_images(written_recipe(run), PythonObjects())
    except UserError:
        return size_of_saved(run)  # of a recipe with a function that was handed over in Python


def _home(run: Path) -> Path:
    """The folder that holds a run's trained teacher: its own, or that of the comparison that it belongs to."""
    comparison = run.absolute().parents[2:3]
    return next((folder for folder in (run, *comparison) if (folder / "teacher").is_dir()), run)
