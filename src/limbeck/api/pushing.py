"""`push`: a student to the Hugging Face hub."""

from pathlib import Path

from limbeck.recipes.pushing import prepare_push, send


def push(
    run: str | Path,
    repository: str,
    *,
    private: bool = False,
    license: str | None = None,
    token: str | None = None,
    dry_run: bool = False,
) -> str:
    """Uploads a run's student to the Hugging Face hub: weights, description and model card, nothing else of its folder.

    `lb.load_model(repository)` loads it on any machine. A card that somebody changed, here or there, stays as it is.

    Args:
        run: folder of a finished run.
        repository: "owner/name", made if there is none.
        private: nobody else may see it; a repository that is public already is refused then.
        license: of the student, as "apache-2.0"; by default what the recipe says, or unknown.
        token: of the hub, which may write there; by default that of `hf auth login`, or HF_TOKEN.
        dry_run: check everything here, and upload nothing.

    Returns:
        The address of the commit; "" of a dry run.

    Raises:
        UserError: no finished run, another form of name, no token, or whatever the hub refuses.

    Example:
        >>> lb.push("runs/teacher", "somebody/digits", license="mit", dry_run=True)
        ''
    """
    prepared = prepare_push(run, repository, private=private, license=license)
    return "" if dry_run else send(prepared, token=token)
