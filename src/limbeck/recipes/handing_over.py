"""How a comparison's workers get the same inputs: by names in the recipe, files in its folder, pickled objects."""

import dataclasses
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from limbeck.errors import UserError
from limbeck.files import atomic_path
from limbeck.recipes.fingerprints import Fingerprints, changed, fingerprints_of
from limbeck.recipes.inputs import Inputs, PythonObjects
from limbeck.recipes.run import find_inputs
from limbeck.recipes.schema import Recipe
from limbeck.training.distributed import share_token
from limbeck.workers.packing import pack

TEACHER_LOGITS = "shared/teacher-test-logits.safetensors"
"""In the folder of a comparison: the teacher's logits on the test images, computed once for all workers."""

_CALLED = {"make_student": "student"}


@dataclass(frozen=True)
class HandedOver:
    """A recipe, the Python objects that were handed over, and the fingerprints of both in the main process.

    Attributes:
        recipe: of the comparison.
        objects: name in `PythonObjects` -> pickled object.
        fingerprints: of the comparison's inputs.
        token: of the main process, which identifies a teacher that cannot be identified by its weights.
    """

    recipe: Recipe
    objects: dict[str, bytes]
    fingerprints: Fingerprints
    token: str

    def inputs(self, folder: Path) -> Inputs:
        """Loads the same inputs in another process.

        Raises:
            UserError: they are not the same there.
        """
        share_token(self.token)
        objects = PythonObjects(**{name: pickle.loads(packed) for name, packed in self.objects.items()})
        inputs = find_inputs(self.recipe, folder, objects)
        fingerprints = fingerprints_of(self.recipe, inputs)
        if differences := changed(self.fingerprints, fingerprints):
            raise UserError(f"what the recipe names is not the same there: {'; '.join(differences)}")
        logits = read_teacher_logits(folder, fingerprints)
        return inputs if logits is None else inputs.knowing(logits)


def pack_objects(objects: PythonObjects | None) -> dict[str, bytes]:
    """The objects that are not None, pickled.

    Raises:
        UserError: an object cannot be sent to workers.
    """
    packed = dict[str, bytes]()
    for field in dataclasses.fields(PythonObjects) if objects is not None else ():
        value: Any = getattr(objects, field.name)
        if value is None:
            continue
        try:
            packed[field.name] = pack(value)
        except Exception as error:  # pickling a user's object may raise anything
            name = _CALLED.get(field.name, field.name)
            raise UserError(
                f"`{name}` cannot be sent to workers ({type(error).__name__}: {error}); give one that can be pickled, "
                "as a function of a module, `pip install cloudpickle`, which takes more, or use 1 worker."
            ) from error
    return packed


def keep_teacher_logits(folder: Path, fingerprints: Fingerprints, inputs: Inputs) -> None:
    """Computes and saves the teacher's test logits, unless they are there already."""
    if inputs.teacher is None or inputs.test is None or read_teacher_logits(folder, fingerprints) is not None:
        return
    logits = inputs.teacher_test_logits
    assert logits is not None
    with atomic_path(folder / TEACHER_LOGITS) as temporary:
        save_file({"logits": logits.contiguous()}, temporary, metadata=_key(fingerprints))


def read_teacher_logits(folder: Path, fingerprints: Fingerprints) -> Tensor | None:
    """float32 `[N, K]`, or None if there are none of this teacher on these images."""
    try:
        with safe_open(folder / TEACHER_LOGITS, framework="pt") as file:
            return file.get_tensor("logits") if file.metadata() == _key(fingerprints) else None
    except (OSError, SafetensorError):
        return None


def _key(fingerprints: Fingerprints) -> dict[str, str]:
    return {name: (fingerprints[name] or {}).get("fingerprint", "") for name in ("teacher", "test")}
