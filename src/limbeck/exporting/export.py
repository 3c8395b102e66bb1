"""A student written as a file for another runtime, checked against itself before anything is kept."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from limbeck.data.image_set import ImageSet
from limbeck.environment import describe_environment, processor_name
from limbeck.errors import UserError
from limbeck.exporting.checking import Answering, Checked
from limbeck.exporting.describing import DESCRIPTION, OUTPUT_NAME, README, WHITENING, about_input, metadata, readme
from limbeck.exporting.inputs import FileInputs, input_shape
from limbeck.exporting.int8 import quantise
from limbeck.exporting.onnx_file import onnx_model, set_metadata
from limbeck.exporting.runtime import BATCHES, OnnxNetwork
from limbeck.exporting.settings import FILES, INT8_FILE, ExportSettings
from limbeck.exporting.traced import Exportable, traced
from limbeck.files import atomic_folder
from limbeck.models.classifier import Classifier
from limbeck.models.readiness import check_ready
from limbeck.models.shared_memory import private_copy
from limbeck.models.weights.folder import load, save
from limbeck.models.weights.record import made_by_hand
from limbeck.progress import Progress, Silent

_DOUBTFUL = 0.9
"""Share of images of which int8 should give the student's class."""


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        folder: with the file, `export.json` and README.md.
        file: the network, or its weights for `lb.load_model`.
        description: what `export.json` holds: input, output, classes, how the files were checked, size and latency.

    Example:
        >>> exported = lb.export(student, "exported/weights", format="safetensors", test=test)
        >>> exported.file.name, exported.description["files"]["model.safetensors"]["agreement"]
        ('model.safetensors', 1.0)
    """

    folder: Path
    file: Path
    description: dict[str, Any]


def export_classifier(
    student: Classifier,
    folder: Path,
    settings: ExportSettings,
    *,
    images: ImageSet,
    calibration: ImageSet | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Writes a student into a new folder.

    Args:
        student: stays as it is; a copy on the CPU, in float32 and evaluation mode, is exported.
        folder: new.
        settings: what is written.
        images: that the file is checked on; with labels, its accuracy is measured, too.
        calibration: images that int8 is calibrated on, where that is wanted.
        progress: reports progress.

    Raises:
        UserError: the folder exists; the student cannot be exported, or the file does not answer as it does.
    """
    progress = progress or Silent()
    check_folder(folder)
    check_ready(student, "student")
    student = private_copy(student, "student").cpu().float().eval().requires_grad_(False)
    inputs = FileInputs(student, input_shape(student, settings, images), settings)
    progress.say(f"asking {student.name} about {len(images):,} images of {images.name}")
    checked = Checked(student, images, inputs)
    description = _description(student, inputs, checked)
    write = {"onnx": _write_onnx, "pt2": _write_pt2, "safetensors": _write_weights}[settings.format]
    with atomic_folder(folder) as temporary:
        progress.say(f"writing {FILES[settings.format]}")
        path, answering = write(student, temporary, inputs, images, description)
        what = "the ONNX file" if settings.format == "onnx" else f"the {settings.format} file"
        files = {path.name: {**checked.check(answering, settings.tolerance, what), "size_bytes": path.stat().st_size}}
        if settings.int8:
            assert calibration is not None, "refused before"
            progress.say("calibrating int8")
            files[INT8_FILE] = _write_int8(path, checked, calibration, description)
        if settings.format == "onnx" and settings.latency:
            description["measured_on"] = _measure(temporary, files, inputs)
        description["files"] = files
        (temporary / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False) + "\n", "utf-8")
        (temporary / README).write_text(readme(description, settings), "utf-8")
    return Exported(folder, folder / path.name, description)


def check_folder(folder: Path) -> None:
    """Raises a UserError if the folder exists or its name is that of a file.

    Example:
        >>> check_folder(Path("exported/new"))
    """
    if folder.suffix in {Path(file).suffix for file in FILES.values()}:
        raise UserError(
            f"`out` is a new folder, for the file and what describes it, got {str(folder)!r}; say "
            f"{str(folder.with_suffix(''))!r}."
        )
    if folder.exists():
        raise UserError(f"{str(folder)!r} exists already and is never overwritten; choose another `out`.")


def _description(student: Classifier, inputs: FileInputs, checked: Checked) -> dict[str, Any]:
    packages = describe_environment()["packages"]
    described: dict[str, Any] = {
        "limbeck": packages["limbeck"] or "",
        "network": student.name,
        "format": inputs.settings.format,
        "classes": list(student.classes),
        "input": about_input(student, inputs.shape, inputs.settings),
        "output": {"name": OUTPUT_NAME, "dtype": "float32", "shape": ["batch", student.num_classes]},
        "versions": {"torch": torch.__version__},
        "check": {"images": checked.images.name, "n": len(checked.images), "student_top1": checked.accuracy},
    }
    return described


def _traced(
    student: Classifier, inputs: FileInputs, images: ImageSet
) -> tuple[Exportable, ExportedProgram, torch.Tensor]:
    module, example = Exportable(student, inside=inputs.settings.inside).eval(), inputs.example(images)
    return module, traced(module, example), example


def _write_onnx(
    student: Classifier, folder: Path, inputs: FileInputs, images: ImageSet, description: dict[str, Any]
) -> tuple[Path, Answering]:
    import onnx
    import onnxruntime

    settings, path = inputs.settings, folder / FILES["onnx"]
    model = onnx_model(*_traced(student, inputs, images), input_name=settings.input_name, opset=settings.operators)
    description |= {"opset": settings.operators, "precision": "float32"}
    description["versions"] |= {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}
    set_metadata(model, metadata(description))
    onnx.save(model, path)
    _write_whitening(student, folder, settings)
    return path, OnnxNetwork(path, _threads(settings))


def _write_pt2(
    student: Classifier, folder: Path, inputs: FileInputs, images: ImageSet, description: dict[str, Any]
) -> tuple[Path, Answering]:
    path = folder / FILES["pt2"]
    _, program, _ = _traced(student, inputs, images)
    header = json.dumps(metadata(description), ensure_ascii=False)
    torch.export.save(program, path, extra_files={"limbeck.json": header})
    _write_whitening(student, folder, inputs.settings)
    answering = torch.export.load(path).module()

    def answer(taken: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return answering(taken)

    return path, answer


def _write_weights(
    student: Classifier, folder: Path, inputs: FileInputs, images: ImageSet, description: dict[str, Any]
) -> tuple[Path, Answering]:
    save(student, folder, taught_size=inputs.shape[1:])
    if made_by_hand(folder):
        description["model"] = student.name  # that `load_model` has to be given
    loaded = load(folder, model=student.network if made_by_hand(folder) else None)

    def answer(taken: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return loaded(taken).logits

    return folder / FILES["safetensors"], answer


def _write_whitening(student: Classifier, folder: Path, settings: ExportSettings) -> None:
    """Writes the whitening of a network whose inputs are whitened outside, as arrays that numpy alone reads."""
    if student.whitening is not None and not settings.inside:
        np.savez(
            folder / WHITENING,
            mean=student.whitening.mean.numpy(),  # [D], D = C * H * W
            matrix=student.whitening.matrix.numpy(),  # [D, D]
        )


def _write_int8(path: Path, checked: Checked, calibration: ImageSet, description: dict[str, Any]) -> dict[str, Any]:
    target = path.with_name(INT8_FILE)
    settings = checked.inputs.settings
    header = metadata({**description, "precision": "int8"})
    count = quantise(path, target, calibration, checked.inputs, header)
    comparison = checked.compare(OnnxNetwork(target, _threads(settings)))
    if comparison["agreement"] < _DOUBTFUL:
        warnings.warn(
            f"the int8 network gives the student's class for {comparison['agreement']:.1%} of {len(checked.images):,} "
            f"images of {checked.images.name!r}; calibrate it on other or more images (`calibration`), or take the "
            "float one.",
            stacklevel=4,
        )
    return {**comparison, "size_bytes": target.stat().st_size, "calibration": {"images": calibration.name, "n": count}}


def _measure(folder: Path, files: dict[str, Any], inputs: FileInputs) -> dict[str, Any]:
    """Times every file; returns the processor and the number of threads."""
    threads = _threads(inputs.settings)
    for name, measures in files.items():
        network = OnnxNetwork(folder / name, threads)
        measures["latency_ms"] = {str(batch): network.latency(inputs.shape, batch) for batch in BATCHES}
    return {"processor": processor_name(), "threads": threads}


def _threads(settings: ExportSettings) -> int:
    return settings.threads or torch.get_num_threads()
