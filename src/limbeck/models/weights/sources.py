"""What may stand for a network: the student of a run folder, a repository on the hub, and others."""

import re
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.models.catalogue import TIMM_PREFIX
from limbeck.models.published import NAMED
from limbeck.models.weights.record import CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE

ALLOWED = (
    "A network is a run folder, a folder of weights (limbeck's, or timm's on the hub), a weights file with `model`, "
    "published weights by name (`limbeck ls models`), 'timm:<name>', or 'owner/name' on the hub."
)
HUB = "hub:"
"""Prefix for a repository on the hub where a local folder has the same name."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_RUNS = "runs"
_OTHER = {
    "transfer_set.json": "is a transfer set; a student that was taught on it is in a run folder",
    "probe.json": "holds a probe of networks, not one of them",
}


def student_folder(folder: Path) -> Path:
    """The student in a run folder, after its last step; any other folder is returned as it is.

    Raises:
        UserError: a comparison, which holds many networks, or a run that has not finished.
    """
    student = folder / "student"
    if student.is_dir():
        return student
    if not (folder / "recipe.yaml").exists():
        return folder
    runs = sorted(str(path.parent) for path in folder.glob("runs/*/*/student"))
    if runs:
        raise UserError(f"{str(folder)!r} is a comparison of many networks; name one of its runs, as {runs[0]!r}.")
    raise UserError(f"the run in {str(folder)!r} has no student yet; finish it with --resume.")


def no_network(folder: Path) -> UserError:
    """The error for a folder without a network."""
    reason = next((text for name, text in _OTHER.items() if (folder / name).exists()), f"holds no {CONFIG_FILE}")
    return UserError(f"{str(folder)!r} {reason}. {ALLOWED}")


def repository(source: str | Path) -> str | None:
    """ "owner/name" where `source` can only be a repository on the hub, and no missing folder or file.

    What might be a mistyped path is not looked up on the network: neither below runs/ nor below an existing folder.

    Example:
        >>> repository("somebody/digits"), repository("runs/digits"), repository("hub:runs/digits")
        ('somebody/digits', None, 'runs/digits')
    """
    if not isinstance(source, str):
        return None
    name = source.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(name):
        return None
    owner = name.partition("/")[0]
    return name if source.startswith(HUB) or not (owner == _RUNS or Path(owner).exists()) else None


def found_anywhere(source: str) -> str:
    """`source` in a form that means the same network from any folder: local ones as absolute paths.

    Names of published weights, timm's and the hub's stay as they are, as `load` takes them.

    Example:
        >>> found_anywhere("cifar10-resnet20"), found_anywhere("somebody/digits")
        ('cifar10-resnet20', 'somebody/digits')
    """
    path = Path(source).expanduser()
    named = source.casefold() in NAMED or source.casefold().startswith(TIMM_PREFIX)
    return str(path.absolute()) if not named and path.exists() else source


def download(repository: str) -> Path:
    """A local folder with weights and description of a repository on the hub, downloaded the first time.

    Raises:
        UserError: there is no such repository, it may not be read, or the hub cannot be reached.
    """
    import huggingface_hub  # late: it takes a while, and nothing else needs it
    from huggingface_hub.utils import HfHubHTTPError

    # Errors of connections are those of an HTTP library that depends on the version.
    errors: Any = (OSError, ValueError, *HfHubHTTPError.__bases__)
    try:
        patterns = [CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE]  # no pickle is ever fetched
        folder = Path(huggingface_hub.snapshot_download(repository, allow_patterns=patterns))
    except errors as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"no classifier at {repository!r}: no such folder or file, and as a repository on the hub it cannot be "
            f"had ({reason}). Check the name and the connection; a private one needs `hf auth login`. {ALLOWED}"
        ) from error
    if not (folder / CONFIG_FILE).is_file():
        raise UserError(f"the repository {repository!r} on the hub holds no {CONFIG_FILE}. {ALLOWED}")
    return folder
