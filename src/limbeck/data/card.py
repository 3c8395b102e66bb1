"""Dataset cards: writing that of a transfer set, and reading which files the cards of other data sets list."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from limbeck.errors import UserError
from limbeck.yaml_text import yaml_text

_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16"}

_TEXT = """
# {name}: a transfer set

{images:,} images of {channels}x{height}x{width}{classes}, made by
[limbeck](https://pypi.org/project/limbeck/) to teach a student network on.

```python
from datasets import load_dataset
from limbeck.data import TransferSet

rows = load_dataset("<this folder>", split="train")
transfer_set = TransferSet.load("<this folder>")
```

| column | meaning |
|---|---|
{columns}

How it was made:

```yaml
{about}
```
"""

_USE = """
A student is taught on it rightly by `limbeck distill <this folder>`, with no further argument:

```yaml
{use}
```
"""

_MORE = {
    "floats": "Students are taught on the {value} images in pixels.safetensors; the PNGs are their 8-bit form.",
    "per_image": "Each image holds {value}, a square of parts that are cut out and enlarged before they are used.",
}

_MEANINGS = {
    "image": "the image, PNG, lossless",
    "id": "its id in the set that it was taken from, distinct",
    "label": "its class",
    "source": "where it comes from",
    "source_id": "its id there, in the set that it was taken from",
    "score": "what it was chosen by",
    "maker": "what made or chose it",
    "criterion": "by what it was chosen",
    "predicted_class": "the class that the teacher gives it",
    "confidence": "the teacher's probability of that class",
    "native_class": "what its source calls it",
    "copy": "which showing of the image it is, 0 for the first",
}


def features(
    *, classes: Sequence[str] | None, soft_labels: bool, provenance: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Columns of a transfer set in the form that `datasets` stores in a Parquet file.

    Args:
        classes: class names, None for an unlabelled set.
        soft_labels: whether there is a column of soft labels.
        provenance: column -> name of its Arrow type.
    """
    columns: dict[str, dict[str, Any]] = {"image": {"_type": "Image"}, "id": _value("int64")}
    if classes is not None:
        columns["label"] = {"names": list(classes), "_type": "ClassLabel"}
    if soft_labels:
        # `datasets` 4 renamed this type to List and still reads the old name, which older releases need.
        columns["soft_label"] = {"feature": _value("float32"), "_type": "Sequence"}
    return columns | {name: _value(_NAMES.get(kind, kind)) for name, kind in provenance.items()}


def dataset_card(config: Mapping[str, Any], *, features: Mapping[str, Any], file_bytes: int, bytes_: int) -> str:
    """README.md with the front matter that the hub and `datasets` read.

    Args:
        config: the configuration that `TransferSet.save` writes, with its `use` in words.
        features: see `features`.
        file_bytes: size of the Parquet file.
        bytes_: size of its rows in memory.
    """
    split = {"name": "train", "num_bytes": bytes_, "num_examples": config["images"]}
    front = {
        "pretty_name": config["name"],
        "task_categories": ["image-classification"],
        "tags": ["knowledge-distillation", "transfer-set", "limbeck"],
        "dataset_info": {
            "features": [_front_matter(name, feature) for name, feature in features.items()],
            "splits": [split],
            "download_size": file_bytes,
            "dataset_size": bytes_,
        },
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}],
    }
    channels, height, width = config["shape"]
    text = _TEXT.format(
        name=config["name"],
        images=config["images"],
        channels=channels,
        height=height,
        width=width,
        classes=f" in {len(config['classes'])} classes" if config["classes"] else "",
        columns="\n".join(f"| `{name}` | {_meaning(name, config)} |" for name in features),
        about=yaml_text(config["about"] or {"maker": "unknown"}, allow_unicode=True).strip(),
    )
    for key, words in _MORE.items():
        text += f"\n{words.format(value=config[key])}\n" if config.get(key) else ""
    if config.get("use"):
        text += _USE.format(use=yaml_text(config["use"], allow_unicode=True).strip())
    return f"---\n{yaml_text(front, allow_unicode=True)}---\n{text}"


def stated_files(folder: Path) -> dict[str, set[Path]] | None:
    """split -> files, as the card (README.md) in `folder` lists them; None where it lists none of this folder.

    Raises:
        UserError: it lists several configurations, and none as the default.
    """
    listed = _default_files(folder)
    if isinstance(listed, str | list) and not any(isinstance(entry, Mapping) for entry in listed):
        listed = {"train": listed}
    if isinstance(listed, list):
        listed = {entry.get("split"): entry.get("path") for entry in listed if isinstance(entry, Mapping)}
    if not isinstance(listed, Mapping):
        return None
    patterns = {str(split): [path] if isinstance(path, str) else list(path or ()) for split, path in listed.items()}
    plain = [pattern for several in patterns.values() for pattern in several]
    if not all(isinstance(pattern, str) and re.fullmatch(r"(?!/|.*\.\./|.*://).+", pattern) for pattern in plain):
        return None
    return {
        split: set().union(*(_matches(folder, pattern) for pattern in several)) for split, several in patterns.items()
    }


def _matches(folder: Path, pattern: str) -> set[Path]:
    """The files that match `pattern`; a trailing `**` stands for all files below, as in `datasets`."""
    return set(folder.glob(re.sub(r"\*\*$", "**/*", pattern)))


def _default_files(folder: Path) -> Any:
    """`data_files` of the only or the default configuration of the card in `folder`, unchanged."""
    try:
        front = re.match(r"---\n(.*?)\n---", (folder / "README.md").read_text(encoding="utf-8", errors="replace"), re.S)
        content = yaml.safe_load(front[1]) if front else None
    except (OSError, yaml.YAMLError):
        return None  # no card, or another kind of text: splits are told by file names then
    configs = content.get("configs") if isinstance(content, Mapping) else None
    configs = configs if isinstance(configs, list) else []
    listed = [config for config in configs if isinstance(config, Mapping) and config.get("data_files")]
    chosen = [config for config in listed if config.get("default") or config.get("config_name") == "default"] or listed
    if len(chosen) > 1:
        names = ", ".join(repr(config.get("config_name")) for config in chosen)
        raise UserError(
            f"the card in {str(folder)!r} lists several configurations, {names}; load the folder or file of one."
        )
    return chosen[0]["data_files"] if chosen else None


def _meaning(column: str, config: Mapping[str, Any]) -> str:
    if column == "id" and "source_id" in config.get("provenance", ()):
        return "its id in this set, distinct"
    soft_labels = config.get("soft_labels")
    if column != "soft_label" or not soft_labels:
        return _MEANINGS.get(column, "provenance")
    return f"a teacher's {soft_labels['kind']} at temperature {soft_labels['temperature']:g}, one number per class"


def _value(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "_type": "Value"}


def _front_matter(name: str, feature: Mapping[str, Any]) -> dict[str, Any]:
    kind = feature["_type"]
    if kind == "Image":
        return {"name": name, "dtype": "image"}
    if kind == "ClassLabel":
        names = {str(number): label for number, label in enumerate(feature["names"])}
        return {"name": name, "dtype": {"class_label": {"names": names}}}
    if kind == "Sequence":
        return {"name": name, "sequence": feature["feature"]["dtype"]}
    return {"name": name, "dtype": feature["dtype"]}
