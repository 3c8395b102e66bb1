"""Reports of several folders, of selections or of comparisons."""

from collections.abc import Sequence
from pathlib import Path

from limbeck.data.transfer_set_folder import CONFIG_NAME
from limbeck.errors import UserError
from limbeck.recipes.results import current_results
from limbeck.recipes.yaml_files import load_mapping
from limbeck.report import formats, write_merged_report, write_selections_report
from limbeck.report.reading import json_file

_LONGEST = 80  # characters of a generated folder name


def write_report_of_several(folders: Sequence[Path], path: Path | None = None) -> Path:
    """One report of several selections in the new file `path`, or of several comparisons in the folder `path`.

    A folder that holds the report of the same comparisons is rewritten; otherwise nothing is overwritten.

    Args:
        folders: of selections, or of comparisons.
        path: for comparisons, defaults to a folder beside the first, named after all.

    Raises:
        UserError: a folder is missing; folders hold different things, or neither; `path` is missing, exists already or
            is of another kind; see `write_selections_report` and `write_merged_report`.
    """
    for missing in (folder for folder in folders if not folder.is_dir()):
        raise no_folder(missing)
    kinds = {folder: kind_of(folder) for folder in folders}
    if set(kinds.values()) == {"a comparison"}:
        return _merge(folders, path)
    if set(kinds.values()) != {"a selection"}:
        contents = formats.listing(f"{kind} in {str(folder)!r}" for folder, kind in kinds.items())
        raise UserError(
            f"several folders make one report where all hold comparisons, or all selections; got {contents}."
        )
    if path is None:
        raise UserError("several selections make one page, a file; say where as --out FILE.html.")
    if path.exists():
        raise UserError(f"{str(path)!r} exists already and is never overwritten; choose another --out.")
    return write_selections_report(folders, path)


def no_folder(folder: Path) -> UserError:
    """The error for a report of a missing folder."""
    return UserError(f"there is no folder {str(folder)!r} to report of; `limbeck ls runs` lists those below runs/.")


def kind_of(folder: Path) -> str:
    """What a folder holds, in words."""
    if (folder / CONFIG_NAME).is_file():
        return "a selection"
    if (folder / "recipe.yaml").is_file() and (folder / "status.json").is_file():
        return "a comparison" if "compare" in load_mapping(folder / "recipe.yaml") else "a run"
    return "the report of several comparisons" if merged_folders(folder) else "neither"


def merged_folders(folder: Path) -> list[Path]:
    """The comparisons whose common report `folder` holds; empty if it holds something else."""
    results = json_file(folder / "results.json", "Remove it, and name the comparisons.")
    listed = results.get("merged") if isinstance(results, dict) else None
    return [folder / entry["folder"] for entry in listed or ()]


def _merge(folders: Sequence[Path], path: Path | None) -> Path:
    out = _beside(folders) if path is None else path
    if out.suffix == ".html" or out.is_file():
        raise UserError(
            f"`--out` must be a folder for the report of several comparisons and its tables, got {str(out)!r}; leave "
            "out the ending, or leave out --out."
        )
    ours = {folder.resolve() for folder in merged_folders(out)} == {folder.resolve() for folder in folders}
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise UserError(f"{str(out)!r} exists already and is never overwritten; choose another --out.")
    results = []
    for folder in folders:
        if not (folder / "networks.json").exists():
            raise UserError(f"the comparison in {str(folder)!r} has not begun its first run yet; go on with --resume.")
        results.append((folder, current_results(folder)))
    return write_merged_report(results, out)


def _beside(folders: Sequence[Path]) -> Path:
    names = [folder.resolve().name for folder in folders]
    name = "+".join(names)
    return folders[0].parent / (name if len(name) <= _LONGEST else f"{names[0][:_LONGEST]}+{len(names) - 1}")
