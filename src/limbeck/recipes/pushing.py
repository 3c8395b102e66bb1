"""A run's student on the Hugging Face hub: weights, description and model card, and nothing else of its folder."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import UserError
from limbeck.models.weights.record import CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE, read_record
from limbeck.models.weights.sources import student_folder
from limbeck.report.model_card import CARD_FILE, is_own, meant_licence, model_card
from limbeck.training.run_folder import RunFolder

_TOKENS = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True)
class Push:
    """What is to go to the hub.

    Attributes:
        repository: "owner/name".
        private: whether nobody else may see it.
        files: name there -> the file here, or the bytes.
    """

    repository: str
    private: bool
    files: dict[str, Path | bytes]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each file, by name."""
        return {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in sorted(self.files.items())
        }


def prepare_push(run: str | Path, repository: str, *, private: bool = False, license: str | None = None) -> Push:
    """Collects what `send` will upload, without contacting the hub.

    The card is the one in the run folder if it was changed by hand; otherwise it says how to load from the hub.

    Args:
        run: a run folder, whose student after the last step is uploaded.
        repository: "owner/name".
        private: see `Push`.
        license: in place of that of the recipe.

    Raises:
        UserError: no folder of one finished run, a student without a description, an invalid name, an invalid card, or
            `license` given while the card was changed by hand.

    Example:
        >>> list(prepare_push("runs/teacher", "somebody/digits").sizes)
        ['README.md', 'config.json', 'model.safetensors']
    """
    _check_name(repository)
    if license is not None and (meant := meant_licence(license)) is not None:
        warnings.warn(
            f'the hub has no licence {license!r}, so that the card says "other"; did you mean {meant!r}?', stacklevel=3
        )
    folder = Path(run).expanduser()
    if not folder.exists():
        raise UserError(f"there is no folder {str(run)!r} to push; `limbeck ls runs` lists those below runs/.")
    if not (folder / "recipe.yaml").is_file():
        raise UserError(
            f"`push` takes the folder of one finished run, as `limbeck distill` makes it, got {str(run)!r}, which is "
            "none; `limbeck ls runs` lists those in runs/."
        )
    student = student_folder(folder)
    if not RunFolder(folder).finished:
        raise UserError(f"the run in {str(folder)!r} has not finished; finish it with --resume before it is pushed.")
    if not (student / CONFIG_FILE).is_file():
        raise UserError(
            f"nothing in {str(student)!r} says how its network is made, as an earlier version left it; save it again: "
            f"`lb.save_model(lb.load_model({str(student)!r}, model=...), {str(student)!r})`."
        )
    read_record(student)
    names = (CONFIG_FILE, WEIGHTS_FILE, WHITENING_FILE)
    files: dict[str, Path | bytes] = {name: student / name for name in names if (student / name).is_file()}
    if WEIGHTS_FILE not in files:
        raise UserError(f"{str(student)!r} holds no {WEIGHTS_FILE}; make the run again.")
    return Push(repository, private, files | {CARD_FILE: _card(folder, repository, license).encode()})


def send(push: Push, *, token: str | None = None) -> str:
    """Uploads what was prepared, in one commit; returns its address.

    Args:
        push: from `prepare_push`.
        token: of the hub; by default that of `hf auth login`, or HF_TOKEN.

    Raises:
        UserError: no token, or one that may not write there; no connection; the repository is public, but a private one
            was asked for.
    """
    import huggingface_hub  # imported late: it takes a while and is needed only here
    from huggingface_hub.utils import HfHubHTTPError

    if token is None and huggingface_hub.get_token() is None:
        raise UserError(
            f"pushing to {push.repository!r} needs a token of the Hugging Face hub that may write there; make one at "
            f"{_TOKENS}, then run `hf auth login` or set HF_TOKEN. Nothing was uploaded."
        )
    api = huggingface_hub.HfApi(token=token)
    errors: Any = (OSError, ValueError, *HfHubHTTPError.__bases__)  # errors of connections are those of another library
    try:
        visibility: dict[str, Any] = {"private": True} if push.private else {}  # otherwise the owner's default
        api.create_repo(push.repository, exist_ok=True, **visibility)
        remote = api.model_info(push.repository)
        _check_private(push, remote.private)
        added = push.files
        if _is_others(api, push.repository, [sibling.rfilename for sibling in remote.siblings or ()]):
            warnings.warn(
                f"the model card of {push.repository!r} on the hub was changed there and stays; that of the run was "
                "not uploaded.",
                stacklevel=2,
            )
            added = {name: file for name, file in added.items() if name != CARD_FILE}
        operations = [
            huggingface_hub.CommitOperationAdd(name, file if isinstance(file, bytes) else str(file))
            for name, file in sorted(added.items())
        ]
        commit = api.create_commit(push.repository, operations, commit_message="Student of a limbeck run")
    except UserError:
        raise
    except errors as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{push.repository!r} could not be pushed ({reason}). Check the name, the connection, and that the token "
            f"may write there (`hf auth whoami`; {_TOKENS})."
        ) from error
    return str(commit.commit_url)


def _check_name(repository: str) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        if not isinstance(repository, str) or repository.count("/") != 1:
            raise HFValidationError("one '/' stands between owner and name")
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(
            f"`repository` must be 'owner/name' as on the Hugging Face hub, got {repository!r} ({error})."
        ) from error


def _check_private(push: Push, private: bool | None) -> None:
    if push.private and not private:
        raise UserError(
            f"{push.repository!r} is public on the hub already, and --private cannot hide what is pushed there; make "
            "it private in its settings, or choose another name. Nothing was uploaded."
        )


def _card(folder: Path, repository: str, license: str | None) -> str:
    from huggingface_hub import ModelCard

    path = folder / CARD_FILE
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if not text or is_own(text):
        return model_card(folder, source=repository, licence=license, downloaded=True)
    if license is not None:
        raise UserError(f"`license` goes into the card, and {str(path)!r} was changed by hand; state it there instead.")
    try:
        ModelCard(text)
    except Exception as error:  # YAML, types and names may all be wrong
        raise UserError(
            f"the front matter of {str(path)!r} is none that the hub reads ({error}); mend it, or remove the file and "
            f"have `limbeck report {folder}` write it anew."
        ) from error
    return text


def _is_others(api: Any, repository: str, there: list[str]) -> bool:
    """Whether the card on the hub was written or changed by hand."""
    if CARD_FILE not in there:
        return False
    path = Path(api.hf_hub_download(repository, CARD_FILE))
    return not is_own(path.read_text(encoding="utf-8", errors="replace"))
