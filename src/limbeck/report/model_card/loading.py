"""How the student of a model card is loaded: code that runs, and what it requires."""

import json
import shlex
from dataclasses import dataclass

from limbeck.import_paths import FROM_PYTHON, is_import_path
from limbeck.models.weights.wrapped import class_name
from limbeck.report.model_card.facts import Row, RunFacts
from limbeck.report.model_card.text import code

_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class _Network:
    """What a card says of the code that makes the network; empty for one that limbeck knows.

    Attributes:
        words: what has to be there, a sentence.
        argument: `model=...` of `limbeck.load_model`, with the comma before it.
        option: `--model` of `limbeck evaluate`, where there is an argument.
        setup: an import before the call.
    """

    words: str = ""
    argument: str = ""
    option: str = ""
    setup: str = ""


def loading(facts: RunFacts, source: str, *, downloaded: bool) -> list[str]:
    """The section of a card about loading the student.

    Args:
        facts: of the run.
        source: what `limbeck.load_model` is called with.
        downloaded: whether that is a repository on the hub, which may not choose code to run.
    """
    student = facts.student
    network = _network(student, downloaded=downloaded)
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
    command += f" --model {network.option}" if network.argument else ""
    return [
        *([network.words, ""] if network.words else []),
        "```python",
        "import torch",
        "",
        "import limbeck as lb",
        "",
        *([network.setup, ""] if network.setup else []),
        f"student = lb.load_model({json.dumps(source)}{network.argument})",
        f"images = torch.rand(2, {shape})  # yours: [N, C, H, W], uint8 or floats in [0, 1]",
        "with torch.no_grad():",
        "    logits = student(images).logits  # it normalises by itself, and resizes where it needs one size",
        f"print({predictions})",
        "```",
        "",
        f"On labelled images: {code(command)}. No pickle is read: the weights are safetensors, and `config.json` says "
        "the rest.",
    ]


def _network(student: Row, *, downloaded: bool) -> _Network:
    name, module = student.get("name", "Net"), student.get("module")
    path = name if is_import_path(name) else (module or {}).get("path")
    if path is not None:
        return _Network(
            words=f"It is made by {code(path)}, which has to be importable.",
            argument=f", model={json.dumps(path)}" if downloaded else "",
            option=path,
        )
    if module is not None or name.startswith(FROM_PYTHON):
        made_by = class_name(name)
        return _Network(
            words=f"It is a {code(made_by)} that was made outside limbeck and that no import path makes again: `make` "
            "is its class, a function that makes it, or a module like it (options follow as in `width=16`).",
            argument=", model=make",
            option=f"my_package:{made_by}",
            setup=f"from my_package import {made_by} as make  # wherever yours is",
        )
    if student.get("from"):
        return _Network(words=f"It is a model of {code(student['from'])}, which has to be installed or registered.")
    return _Network()
