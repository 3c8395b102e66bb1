"""Fingerprints of what a recipe names, recorded when its run begins and checked when it resumes."""

import hashlib
from typing import Any

import torch

from limbeck.caching import cache_key
from limbeck.catalogue import FAMILIES
from limbeck.data.image_set import ImageSet
from limbeck.data.soft_targets import SoftTargets
from limbeck.data.use import packed_use
from limbeck.environment import describe_environment
from limbeck.errors import UserError
from limbeck.models.classifier import Classifier
from limbeck.models.fingerprint import fingerprint
from limbeck.progress import Progress
from limbeck.recipes.inputs import Inputs, load_weights
from limbeck.recipes.named_files import FILE, WEIGHTS, files_of
from limbeck.recipes.plugged import plugins_of
from limbeck.recipes.schema import Recipe
from limbeck.training.run_folder import INPUTS_FILE, RunFolder

Fingerprints = dict[str, dict[str, Any] | None]

_WHAT = {
    "teacher": "the teacher",
    "student": "the student's first weights",
    "train": "the training images",
    "soft_labels": "the soft labels",
    "use": "what the transfer set carries for its use",
    "validation": "the validation images",
    "test": "the test images",
    "transfer_set": "the transfer set",
}


def fingerprints_of(recipe: Recipe, inputs: Inputs) -> Fingerprints:
    """Name, size and fingerprint of teacher, student and images, and the plug-ins that are used.

    Reads every image once, unless it was read before.
    """
    teacher = inputs.teacher if recipe.teacher is not None else None
    starts = load_weights(recipe.student) if recipe.student.weights is not None else None
    return {
        "teacher": _network(teacher),
        "student": _network(starts),
        "train": describe_images(inputs.train),
        "soft_labels": _soft_labels(inputs.soft_labels),
        **({} if inputs.use is None else {"use": {"fingerprint": cache_key(packed_use(inputs.use)[0])}}),
        "validation": describe_images(inputs.validation),
        "test": describe_images(inputs.test),
        **files_of(recipe),
        **plugins_of(recipe, teacher),
    }


def describe_images(images: ImageSet | None) -> dict[str, Any] | None:
    """What distinguishes a set from others of its name: its fingerprint, and numbers for messages."""
    if images is None:
        return None
    classes = list(images.classes) if images.labels is not None else []
    return {"name": images.name, "images": len(images), "classes": classes, "fingerprint": images.fingerprint}


def check_fingerprints(run_folder: RunFolder, fingerprints: Fingerprints, progress: Progress, *, begun: bool) -> None:
    """Compares `fingerprints` with those recorded in `run_folder`, and records the new ones.

    Args:
        run_folder: open, in the process that writes.
        fingerprints: any of those of `fingerprints_of`, or more.
        progress: is told if a run that has begun has none recorded, as by an earlier version.
        begun: whether the run has done any work.

    Raises:
        UserError: the same names now stand for something else.
    """
    noted = run_folder.read(INPUTS_FILE)
    if noted is None and begun:
        progress.say(
            f"{str(run_folder.path)!r} was begun by an earlier version, which did not write down what the names "
            "in its recipe stood for; going on with what they stand for now"
        )
    before = noted or {}
    if differences := changed(before, fingerprints):
        versions = _other_versions(run_folder)
        raise UserError(
            f"what the recipe names is not what the run in {str(run_folder.path)!r} was begun with: "
            f"{'; '.join(differences)}.{versions} Bring back what it was begun with, or choose another --out."
        )
    run_folder.write(INPUTS_FILE, before | fingerprints)


def changed(before: Fingerprints, now: Fingerprints) -> list[str]:
    """The differences in words; what was not recorded is not compared."""
    lines = [_difference(name, before[name], fingerprint) for name, fingerprint in now.items() if name in before]
    return [line for line in lines if line]


def _network(network: Classifier | None) -> dict[str, Any] | None:
    return None if network is None else {"name": network.name, "fingerprint": fingerprint(network)}


def _soft_labels(soft_labels: SoftTargets | None) -> dict[str, Any] | None:
    if soft_labels is None:
        return None
    values = soft_labels.values.detach().cpu().contiguous()
    header = repr((values.dtype, tuple(values.shape), soft_labels.kind, soft_labels.temperature))
    digest = hashlib.blake2b(header.encode(), digest_size=16)
    digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return {"shape": list(values.shape), "fingerprint": digest.hexdigest()}


def _difference(name: str, before: dict[str, Any] | None, now: dict[str, Any] | None) -> str:
    """The difference in words, or ""; the name may differ, as when a folder was moved."""
    compared = [
        None if entry is None else {key: entry[key] for key in entry if key != "name"} for entry in (before, now)
    ]
    if compared[0] == compared[1]:
        return ""
    if before and now and before.get("from") != now.get("from"):  # different origins make the rest irrelevant
        before, now = {"from": before["from"]}, {"from": now["from"]}
    return f"{_what(name)} ({_words(before)} then, {_words(now)} now)"


def _what(name: str) -> str:
    if name in _WHAT:
        return _WHAT[name]
    family, _, part = name.partition("/")
    return f"the {family if family in (FILE, WEIGHTS) else FAMILIES[family][0]} {part!r}"


def _words(described: dict[str, Any] | None) -> str:
    if described is None:
        return "none"
    if "from" in described:
        return ", ".join([described["from"], *(f"code {described[key][:12]}" for key in ("code",) if key in described)])
    name = [str(described["name"])] if "name" in described else []
    size = [f"{described['images']:,} images of {len(described['classes'])} classes"] if "images" in described else []
    return ", ".join([*name, *size, f"fingerprint {described['fingerprint'][:12]}"])


def _other_versions(run_folder: RunFolder) -> str:
    """Changed versions of libraries in words: another decoder, for one, changes fingerprints."""
    before, now = (
        environment.get("packages", {})
        for environment in (run_folder.read("environment.json", {}), describe_environment())
    )
    differing = [
        f"{name} {before[name]} then, {version} now"
        for name, version in now.items()
        if name in before and before[name] != version
    ]
    return f" Versions differ, too: {'; '.join(differing)}." if differing else ""
