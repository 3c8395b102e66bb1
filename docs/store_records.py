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
    collected = collect(comparison, recipe)
    for shown in SHOWN:
        if (comparison / shown).exists():
            shutil.copyfile(comparison / shown, folder / shown)
    kept = [comparison / file for file in OF_ALL]
    for row in collected["runs"]:
        if row["state"] == "finished" and row["repeats"] is None:
            kept += [comparison / row["folder"] / file for file in OF_A_RUN]
    with tarfile.open(folder / "records.tar.xz", "w:xz") as archive:
        for path in (file for file in kept if file.exists()):
            archive.add(path, Path(folder.name) / path.relative_to(comparison), filter=_anyones)
    with TemporaryDirectory() as unpacked:  # without runs that were begun but not finished
        with tarfile.open(folder / "records.tar.xz") as archive:
            archive.extractall(unpacked, filter="data")
        kept_results = collect(Path(unpacked) / folder.name, recipe)
    (folder / "results.json").write_text(json.dumps(kept_results, separators=(",", ":")) + "\n", encoding="utf-8")
    return folder


def _anyones(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The entry without the owner of the file."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def main(arguments: list[str]) -> None:
    if not 1 <= len(arguments) <= 2:
        raise SystemExit(__doc__)
    folder = store_records(Path(arguments[0]), *arguments[1:])
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size / 1024:,.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
