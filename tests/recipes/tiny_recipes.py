"""A comparison on three of the digits that takes a second, and changes to it."""

import copy
from typing import Any

_DIGITS = {"name": "digits", "classes": [0, 1, 2]}
_NETWORK = {"model": "convnet_d3", "options": {"width": 4, "norm": "batch"}}
_TRAINING = {"steps": 12, "batch_size": 16, "learning_rate": 0.05, "views": "none", "validations": 2}


def comparison(**changes: Any) -> dict[str, Any]:
    """Two seeds of one arm at one budget; `changes` replace parts of `compare`."""
    content = {
        "name": "tiny",
        "data": {"train": _DIGITS, "test": _DIGITS, "validation": 30},
        "teacher": {**_NETWORK, "training": {**_TRAINING, "steps": 20}},
        "student": _NETWORK,
        "training": _TRAINING,
        "compare": {"budgets": [12], "seeds": [0, 1], **changes},
        "latency": False,
    }
    return copy.deepcopy(content)


def one_run(**changes: Any) -> dict[str, Any]:
    """Distilling on twelve images; `changes` replace parts of the recipe."""
    content = comparison()
    del content["compare"]
    return {**content, "select": {"budget": 12}, **copy.deepcopy(changes)}


def training(**changes: Any) -> dict[str, Any]:
    """From labels alone, on all the images."""
    content = one_run(**changes)
    del content["teacher"], content["select"]
    return content


def objectives(**changes: Any) -> dict[str, Any]:
    """Two seeds of two objectives on all of the data; `changes` replace parts of `compare`."""
    content = comparison()
    content["compare"] = {
        "arms": {"kd": {"objective": {"cross_entropy": 0.1, "kd": 0.9}}, "at": {"objective": {"ce": 1, "at": 1000}}},
        "seeds": [0, 1],
        **changes,
    }
    return copy.deepcopy(content)
