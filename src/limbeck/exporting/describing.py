"""What is written beside an exported file: its description as JSON, and a README that says how to run it."""

import json
from typing import Any

from limbeck.exporting.inputs import Shape
from limbeck.exporting.settings import FILES, ExportSettings
from limbeck.models.classifier import Classifier

DESCRIPTION, README, WHITENING = "export.json", "README.md", "whitening.npz"
OUTPUT_NAME = "logits"


def about_input(classifier: Classifier, shape: Shape, settings: ExportSettings) -> dict[str, Any]:
    """What the file takes.

    Returns:
        name, dtype, shape (`["batch", C, H, W]`), colours ("RGB" or "gray"), what its values are, and `normalisation`:
        "inside", or what is to be done outside: {"mean", "std"} per channel, or {"whitening": file}.
    """
    outside: dict[str, Any] = (
        {"mean": list(classifier.normalisation[0]), "std": list(classifier.normalisation[1])}
        if classifier.whitening is None
        else {"whitening": WHITENING}
    )
    values = {True: "pixels in 0..255" if settings.input_type == "uint8" else "pixels / 255, in [0, 1]"}
    normalised = "((pixels / 255).reshape(batch, -1) - mean) @ matrix" if classifier.whitening is not None else ""
    values[False] = normalised or "(pixels / 255 - mean) / std, per channel"
    return {
        "name": settings.input_name,
        "dtype": settings.input_type,
        "shape": ["batch", *shape],
        "colours": {1: "gray", 3: "RGB"}.get(shape[0], f"{shape[0]} channels"),
        "values": values[settings.inside],
        "normalisation": "inside" if settings.inside else outside,
    }


def metadata(description: dict[str, Any]) -> dict[str, str]:
    """What is stored in the file itself: texts, of which `input`, `output` and `classes` are JSON."""
    names = ("limbeck", "network", "classes", "input", "output", "precision")
    return {
        name: value if isinstance(value := description[name], str) else json.dumps(value, ensure_ascii=False)
        for name in names
        if name in description
    }


def readme(description: dict[str, Any], settings: ExportSettings) -> str:
    """Markdown: what the folder holds, how to run it, how it was checked."""
    spec, images = description["input"], description["check"]["images"]
    lines = [
        f"# {description['network']}, exported by limbeck",
        "",
        _runs(description, settings),
        "",
        f"- input `{spec['name']}`: {spec['dtype']} {_shape(spec['shape'])}, {spec['colours']}, "
        f"{spec['values']}; `batch` is any number",
        *_outside(spec["normalisation"]),
        f"- output `{OUTPUT_NAME}`: float32 {_shape(description['output']['shape'])}; the largest is the class",
        f"- classes, in this order: {', '.join(description['classes']) or 'without names'}",
        "",
        f"Checked on {description['check']['n']:,} images of {images}: the share to which a file gives the student's "
        "class, and the largest difference of a logit from the student's.",
        "",
        *_table(*rows_of(description)),
        "",
        *_times(description),
        f"All numbers, with what they were measured on: `{DESCRIPTION}`.",
        "",
    ]
    return "\n".join(lines)


def _outside(normalisation: Any) -> list[str]:
    """What is to be done before the file sees an image."""
    if normalisation == "inside":
        return []
    if "whitening" in normalisation:
        return [f"- `mean` [C * H * W] and `matrix` are arrays of `{normalisation['whitening']}` (`numpy.load`)"]
    return [f"- `mean` is {normalisation['mean']} and `std` is {normalisation['std']}"]


def rows_of(description: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of the files: size, accuracy, the share of images to which they give the student's
    class, the largest difference of a logit from the student's."""
    header = ["file", "size", "top-1\nin %", "same class\nin %", "largest\ndifference"]
    rows = [["student in PyTorch", "", _percent(description["check"]["student_top1"]), "", ""]]
    for name, measures in description["files"].items():
        cells = [_percent(measures["top1"]), _percent(measures["agreement"]), f"{measures['max_difference']:.2g}"]
        rows.append([name, _bytes(measures["size_bytes"]), *cells])
    return header, rows


def times_of(description: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table of latencies in milliseconds: median, 5th to 95th percentile."""
    files = {
        name: measures["latency_ms"] for name, measures in description["files"].items() if "latency_ms" in measures
    }
    header = ["file", *(f"batch of {batch}" for batch in next(iter(files.values()), {}))]
    rows = [
        [name, *(f"{ms['median']:.3g} ({ms['p5']:.3g} to {ms['p95']:.3g})" for ms in times.values())]
        for name, times in files.items()
    ]
    return header, rows


def title_of_times(description: dict[str, Any]) -> str:
    machine = description["measured_on"]
    return f"median milliseconds (5th to 95th percentile), {machine['threads']} thread(s), {machine['processor']}"


def _times(description: dict[str, Any]) -> list[str]:
    if "measured_on" not in description:
        return []
    title = title_of_times(description)
    return [f"{title[0].upper()}{title[1:]}:", "", *_table(*times_of(description)), ""]


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown."""
    lines = ([cell.replace("\n", " ") for cell in header], ["---"] * len(header), *rows)
    return [f"| {' | '.join(row)} |" for row in lines]


def _runs(description: dict[str, Any], settings: ExportSettings) -> str:
    file = FILES[settings.format]
    if settings.format == "safetensors" and "model" in description:
        return (
            'Weights and their description: `lb.load_model("this folder", model=make)`, where `make` is the class of '
            f"the network ({description['model']}), a function that makes it, or a module like it."
        )
    if settings.format == "safetensors":
        return 'Weights and their description: `lb.load_model("this folder")`.'
    if settings.format == "pt2":
        run = f'    logits = torch.export.load("{file}").module()({settings.input_name})'
        return f"A program of torch {description['versions']['torch']}, for that release and later ones:\n\n{run}"
    run = f'    logits = onnxruntime.InferenceSession("{file}").run(None, {{"{settings.input_name}": array}})[0]'
    return f"ONNX, operators of version {description['opset']}:\n\n{run}"


def _shape(shape: list[Any]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
