"""How the student of a model card is loaded: code that runs, and what it requires."""

import json
import shlex

from limbeck.import_paths import FROM_PYTHON, is_import_path
from limbeck.models.weights.wrapped import class_name
from limbeck.report.model_card.facts import RunFacts
from limbeck.report.model_card.text import code

_SIZE = 32


def loading(facts: RunFacts, source: str, *, downloaded: bool) -> list[str]:
    """The section of a card about loading the student.

    Args:
        facts: of the run.
        source: what `limbeck.load_model` is called with.
        downloaded: whether that is a repository on the hub, which may not choose code to run.
    """
    student = facts.student
    name, module = student.get("name", "Net"), student.get("module")
    path = name if is_import_path(name) else (module or {}).get("path")
    handed_over = name.startswith(FROM_PYTHON)
    name = class_name(name)
    argument, setup, words = "", [], []
    if (module is not None or handed_over) and path is None:
        argument, words = (
            ", model=make",
            [
                f"It is a {code(name)} that was made outside limbeck and that no import path makes again: `make` is "
                "its class, a function that makes it, or a module like it (options follow as in `width=16`).",
                "",
            ],
        )
        setup = [f"from my_package import {name} as make  # wherever yours is", ""]
    elif path is not None:
        argument = f", model={json.dumps(path)}" if downloaded else ""
        words = [f"It is made by {code(path)}, which has to be importable.", ""]
    elif student.get("from"):
        words = [f"It is a model of {code(student['from'])}, which has to be installed or registered.", ""]
    # A module may need one size without stating it; the size that it was trained at works.
    height, width = student.get("input_size") or student.get("taught_size") or (_SIZE, _SIZE)
    channels = student.get("channels", 3)
    shape = f"{channels}, {height}, {width}"
    predictions = (
        "[student.classes[number] for number in logits.argmax(1)]"
        if student.get("classes")
        else "logits.argmax(1).tolist()"
    )
    command = f"limbeck evaluate {shlex.quote(source)} --data YOUR_IMAGES"
    command += f" --model {path or f'my_package:{name}'}" if argument else ""
    return [
        *words,
        "```python",
        "import torch",
        "",
        "import limbeck as lb",
        "",
        *setup,
        f"student = lb.load_model({json.dumps(source)}{argument})",
        f"images = torch.rand(2, {shape})  # yours: [N, C, H, W], uint8 or floats in [0, 1]",
        "with torch.no_grad():",
        "    logits = student(images).logits  # it normalises by itself, and resizes where it needs one size",
        f"print({predictions})",
        "```",
        "",
        f"On labelled images: {code(command)}. No pickle is read: the weights are safetensors, and `config.json` says "
        "the rest.",
    ]
