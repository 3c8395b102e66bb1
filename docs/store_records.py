"""Keeps what a comparison found, without weights and images: `python docs/store_records.py RUNS/COMPARISON [NAME]`.

Writes `docs/results/<name>/`: the recipe, `results.json`, the chart, and `records.tar.xz`, which holds the same and the
small files of every run. Unpacked, it is a comparison's folder again: `limbeck report` shows it, and `limbeck compare
--resume` goes on with what it lacks.
"""

import json
import shutil
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from limbeck.recipes.reading import parse_recipe
from limbeck.recipes.results import collect
from limbeck.recipes.yaml_files import load_mapping

RESULTS = Path(__file__).parent / "results"
OF_A_RUN = ("recipe.yaml", "status.json", "environment.json", "inputs.json", "evaluation.json", "cost.json")
OF_ALL = (
    "recipe.yaml",
    "status.json",
    "environment.json",
    "inputs.json",
    "networks.json",
    "threads.json",
    "racing.json",
)
SHOWN = ("recipe.yaml", "arms.svg", "frontier.svg")


def store_records(comparison: Path, name: str | None = None, results: Path = RESULTS) -> Path:
    """Keeps the finished runs of a comparison, in the place of what was kept under that name.

    Args:
        comparison: its folder; runs may be missing.
        name: of the folder that is written, by default the comparison's.
        results: where that is.
    """
    recipe = parse_recipe(load_mapping(comparison / "recipe.yaml"))
    folder = results / (name or comparison.name)
    folder.mkdir(parents=True, exist_ok=True)
    found = collect(comparison, recipe)
    for shown in SHOWN:
        if (comparison / shown).exists():
            shutil.copyfile(comparison / shown, folder / shown)
    kept = [comparison / one for one in OF_ALL]
    for row in found["runs"]:
        if row["state"] == "finished" and row["repeats"] is None:
            kept += [comparison / row["folder"] / one for one in OF_A_RUN]
    with tarfile.open(folder / "records.tar.xz", "w:xz") as archive:
        for path in (one for one in kept if one.exists()):
            archive.add(path, Path(folder.name) / path.relative_to(comparison), filter=_anyones)
    with TemporaryDirectory() as unpacked:  # where runs that have begun and not finished are missing
        with tarfile.open(folder / "records.tar.xz") as archive:
            archive.extractall(unpacked, filter="data")
        kept_results = collect(Path(unpacked) / folder.name, recipe)
    (folder / "results.json").write_text(json.dumps(kept_results, separators=(",", ":")) + "\n", encoding="utf-8")
    return folder


def _anyones(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made the file."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        raise SystemExit(__doc__)
    folder = store_records(Path(arguments[0]), *arguments[1:])
    size = sum(one.stat().st_size for one in folder.iterdir())
    print(f"{folder}: {size / 1024:,.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
