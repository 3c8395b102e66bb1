"""The verb `export`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.display import console, show_paragraph, show_table
from limbeck.cli.loading import loads_images, parse_size
from limbeck.cli.options import NETWORK, BareModel
from limbeck.cli.unused import refuse_unused, typed


@partial(loads_images, but=["size", "labels"])
def export(
    student: Annotated[
        str,
        typer.Argument(metavar="RUN", help=f"A network: {NETWORK}."),
    ],
    format: Annotated[
        str, typer.Option(help="onnx, pt2 (a program of torch.export) or safetensors (weights for lb.load_model).")
    ] = "onnx",
    out: Annotated[Path | None, typer.Option(help="A new folder; by default runs/<name>-<format>.")] = None,
    test: Annotated[
        str | None,
        typer.Option(help="Images to check the file on, and to judge it on if labelled; by default those of the run."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Of --test; by default its test images, else its validation images, else all.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="A quantised network beside it, too.")] = False,
    calibration: Annotated[
        str | None,
        typer.Option(help="Images for --int8 (of a data set, the train split); by default those of the run."),
    ] = None,
    normalisation: Annotated[
        str, typer.Option(help="inside: the file takes images in [0, 1]; outside: you normalise, as its README says.")
    ] = "inside",
    input_type: Annotated[str, typer.Option(help="float32, or uint8 for pixels 0..255.")] = "float32",
    size: Annotated[
        str | None, typer.Option(help="Of the images that the file takes, PIXELS or HEIGHTxWIDTH; else the network's.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="Version of ONNX's operators, 15 or newer; by default 18.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="By how much logits may differ from the student's, in units of the largest.")
    ] = 1e-4,
    latency: Annotated[bool, typer.Option(help="Time the file on this machine.")] = True,
    threads: Annotated[int | None, typer.Option(help="To time it with; by default as many as torch uses.")] = None,
    model: BareModel = None,
    *,
    loading: dict[str, Any],
) -> None:
    """Write a student as a file for another runtime (ONNX), checked against itself, with int8 and latency if wanted."""
    from limbeck.cli.progress import showing_progress
    from limbeck.exporting.settings import ExportSettings
    from limbeck.recipes.exporting import export_saved

    settings = ExportSettings(
        format=format,  # pyright: ignore[reportArgumentType]
        normalisation=normalisation,  # pyright: ignore[reportArgumentType]
        input_type=input_type,  # pyright: ignore[reportArgumentType]
        size=None if size is None else parse_size(size),
        opset=opset,
        int8=int8,
        tolerance=tolerance,
        latency=latency,
        threads=threads,
    )
    if test is None:
        refuse_unused({"--split": split}, "of --test; give it, or leave this out")
        if calibration is None:
            refuse_unused(typed(loading), "of --test and --calibration; give one of them, or leave this out")
    images = {"test": test, "split": split, "calibration": calibration, "loading": loading}
    with showing_progress() as progress:
        exported = export_saved(student, out, settings, model=model, progress=progress, **images)
    _show(exported)


def _show(exported: Any) -> None:
    from limbeck.exporting.describing import rows_of, times_of, title_of_times

    description = exported.description
    network_input, check = description["input"], description["check"]
    shape = ", ".join(map(str, network_input["shape"]))
    opset = f"; ONNX operators of version {description['opset']}" if "opset" in description else ""
    show_paragraph(
        f"input {network_input['name']}: {network_input['dtype']} [{shape}], {network_input['values']}{opset}"
    )
    header, rows = rows_of(description)
    title = f"beside the student, on {check['n']:,} images of {check['images']}"
    show_table(title, header, rows, numbers=range(1, len(header)))
    if "measured_on" in description:
        header, rows = times_of(description)
        show_table(title_of_times(description), header, rows, numbers=range(1, len(header)))
    console.print(
        f"wrote {exported.folder}: {', '.join(description['files'])}, README.md, export.json",
        markup=False,
        soft_wrap=True,
    )
