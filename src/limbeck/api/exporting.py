"""`export`: a student as a file for another runtime."""

from pathlib import Path

from limbeck.api.objects import network_of
from limbeck.data.objects.reading import ImagesLike
from limbeck.data.transfer_set import TransferSet
from limbeck.exporting.export import Exported
from limbeck.exporting.settings import ExportSettings, Format, InputType, Normalisation
from limbeck.models.classifier import Classifier
from limbeck.progress import Progress
from limbeck.recipes.exporting import export_network


def export(
    student: Classifier | str | Path,
    out: str | Path,
    *,
    format: Format = "onnx",
    test: ImagesLike | TransferSet | None = None,
    calibration: ImagesLike | TransferSet | None = None,
    normalisation: Normalisation = "inside",
    input_type: InputType = "float32",
    size: int | tuple[int, int] | None = None,
    opset: int | None = None,
    int8: bool = False,
    tolerance: float = 1e-4,
    latency: bool = True,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Writes a student as a file for another runtime, checked against itself on images, with a README beside it.

    The file has one input, images `[batch, C, H, W]` for any batch, and one output, logits `[batch, K]`.

    Args:
        student: a classifier (of any module: `lb.wrap`), or whatever `load_model` takes.
        out: a new folder.
        format: "onnx" needs `pip install 'limbeck[export]'`; "pt2" is a program of `torch.export`; "safetensors" are
            weights that `lb.load_model` reads.
        test: images that the file is checked on, and judged on where they have labels: by default those of the run,
            else procedural ones, with a warning.
        calibration: images that int8 is calibrated on, at most 1,024 of them; by default those that the run was taught
            on. They need no labels.
        normalisation: "inside": the file takes images in [0, 1]; "outside": what its description makes of them.
        input_type: "float32", or "uint8" for pixels 0..255.
        size: pixels of the images that the file takes, one number or (height, width); by default the network's own.
        opset: version of ONNX's operators, 15 or newer; by default 18.
        int8: whether to write a quantised ONNX network beside it, judged on the same images.
        tolerance: by how much logits may differ from the student's, in units of its largest (of 1 if that is smaller).
        latency: whether to time ONNX files, in batches of 1 and 32 images.
        threads: that are timed with; by default as many as torch uses.
        progress: reports progress.

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
    settings = ExportSettings(
        format=format,
        normalisation=normalisation,
        input_type=input_type,
        size=size,
        opset=opset,
        int8=int8,
        tolerance=tolerance,
        latency=latency,
        threads=threads,
    )
    network = network_of(student, "student")
    return export_network(
        network,
        Path(out),
        settings,
        source=student if isinstance(student, str | Path) else None,
        test=test,
        calibration=calibration,
        progress=progress,
    )
