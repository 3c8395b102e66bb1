"""`export`: a student as a file for another runtime."""

from pathlib import Path
from typing import Any

from limbeck.api.objects import network_of
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.transfer_set import TransferSet
from limbeck.exporting.export import Exported
from limbeck.exporting.settings import ExportSettings, Format
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.recipes.exporting import export_network, run_of


def export(
    student: Classifier | str | Path,
    out: str | Path,
    *,
    format: Format = "onnx",
    test: ImagesLike | TransferSet | None = None,
    calibration: ImagesLike | TransferSet | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Exported:
    """Writes a student as a file for another runtime, checked against itself on images, with a README beside it.

    The file has one input, images `[batch, C, H, W]` for any batch, and one output, logits `[batch, K]`.

    Args:
        student: a classifier (of any module: `lb.wrap`), weights by name or path, or a run folder.
        out: a new folder.
        format: "onnx" needs `pip install 'limbeck[export]'`; "pt2" is a program of `torch.export`; "safetensors" are
            weights that `lb.load_model` reads.
        test: images that the file is checked on, and judged on where they have labels: by default those of the run,
            else procedural ones, with a warning.
        calibration: images that int8 is calibrated on, at most 1,024 of them; by default those that the run was taught
            on. They need no labels.
        progress: who watches.
        settings: by name. For ONNX: `opset`, by default 18; `int8=True` for a quantised network beside it; `latency`
            and the `threads` that are timed with. For ONNX and pt2: `normalisation` "inside" (the file takes images in
            [0, 1]) or "outside"; `input_type` "float32" or "uint8"; `size` of the images, by default the network's own.
            For all: `tolerance`, by how much logits may differ from the student's, in units of the largest, by default
            1e-4.

    Raises:
        UserError: settings that do not fit, or are out of range; packages that are missing; `out` exists; images that
            are missing or of other channels or classes; a network that cannot be exported, with the reason; a file that
            does not answer as the student does.

    Example:
        >>> exported = lb.export(student, "exported/student", format="pt2", test=test)
        >>> program = torch.export.load(exported.file).module()
        >>> program(test.floats()).shape, exported.description["files"]["model.pt2"]["agreement"]
        (torch.Size([100, 10]), 1.0)
    """
    network = network_of(student, "student")
    run = run_of(student) if isinstance(student, str | Path) else None
    return export_network(
        network,
        Path(out),
        ExportSettings(format=format, **settings),
        run=run,
        test=test,
        calibration=calibration,
        progress=progress,
    )
