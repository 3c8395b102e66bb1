"""What the folder of a finished run says about its student, read once for its model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limbeck.cost import RunCost
from limbeck.data.catalogue import DATASETS, DatasetInfo, in_catalogue
from limbeck.data.place import FROM_PYTHON, hub_id
from limbeck.errors import UserError
from limbeck.report import reading
from limbeck.report.transfer_set.page import evidence_of_run

Row = dict[str, Any]
STUDENT = "student"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # five times as fast, for comparisons of many runs
_MEND = "Resume the run with --resume, which writes it again."


@dataclass(frozen=True)
class RunFacts:
    """What a run's files say; empty where one is missing, as in folders of earlier versions.

    Attributes:
        title: the name of the run.
        recipe: resolved.
        inputs: teacher, images and transfer set by name, size and fingerprint.
        evaluations: of the student after the last step, and of the validation-chosen one.
        cost: of the run.
        records: of metrics.jsonl.
        environment: versions and hardware.
        student: its description, config.json.
        over_seeds: the row of the comparison's table that the run is one of, with `n`, `mean` and `half_width`.
        made: how the transfer set was made, a sentence without its full stop.
    """

    title: str
    recipe: Row
    inputs: Row
    evaluations: Row
    cost: RunCost
    records: list[Row]
    environment: Row
    student: Row
    over_seeds: Row | None
    made: str

    @property
    def last(self) -> Row:
        """The evaluation after the last step."""
        return self.evaluations.get("last") or {}

    def data(self, split: str) -> Row:
        """What the recipe says of the images of a split."""
        return _mapping(_mapping(self.recipe.get("data"), "test").get(split), "name")

    @property
    def teacher(self) -> Row:
        """What the recipe says of the teacher; empty without one."""
        return _mapping(self.recipe.get("teacher"), "weights")

    @property
    def transfer(self) -> Row:
        """What the recipe says of the transfer set; empty where all images are taught on."""
        chosen = self.recipe.get("select")  # as earlier versions wrote it down
        return self.recipe.get("transfer") or ({"maker": "select", **_mapping(chosen, "criterion")} if chosen else {})

    def described(self, what: str) -> Row:
        """Name, size and fingerprint of an input of the run, such as "teacher" or "train"."""
        return self.inputs.get(what) or {}


def read_run(folder: Path, results: Mapping[str, Any] | None = None) -> RunFacts:
    """The facts of a run.

    Args:
        folder: of the run.
        results: of the comparison that it is one of; by default as they lie in its folder.

    Raises:
        UserError: a file in the folder is broken.
    """

    def json_of(name: str) -> Row:
        return reading.json_file(folder / name, _MEND) or {}

    evidence = evidence_of_run(folder, pictures=False)
    place = folder.resolve()
    return RunFacts(
        title=f"{place.parent.name}, {place.name}" if place.name.startswith("seed-") else place.name,
        recipe=_recipe(folder / "recipe.yaml"),
        inputs=json_of("inputs.json"),
        evaluations=json_of("evaluation.json"),
        cost=RunCost.from_dict(json_of("cost.json")),
        records=reading.metrics(folder / "metrics.jsonl"),
        environment=json_of("environment.json"),
        student=json_of(f"{STUDENT}/config.json"),
        over_seeds=_over_seeds(place, results),
        made=evidence.headline if evidence is not None else "",
    )


def catalogue_entry(name: object) -> DatasetInfo | None:
    """What limbeck's own catalogue says of a data set that a recipe names."""
    if not isinstance(name, str) or not in_catalogue(name) or name.partition(":")[0] not in DATASETS.built_in:
        return None
    return DATASETS.get(name)


def dataset_id(name: object) -> str | None:
    """The repository on the hub of a data set that a recipe names; None for data from elsewhere."""
    info = catalogue_entry(name)
    if info is not None:
        return info.hub_id
    if not isinstance(name, str) or name.startswith(FROM_PYTHON) or Path(name).exists():
        return None
    place = hub_id(name)
    return None if place is None else place[0]


def _mapping(value: Any, key: str) -> Row:
    """Settings as a mapping; a lone string stands for the setting `key`."""
    return value if isinstance(value, dict) else {key: value} if isinstance(value, str) else {}


def _recipe(path: Path) -> Row:
    text = reading.text_file(path)
    try:
        recipe = yaml.load(text, _LOADER) if text else {}
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())
        raise UserError(f"{str(path)!r} is no YAML ({what}); bring back the one of the run.") from error
    return recipe if isinstance(recipe, dict) else {}


def _over_seeds(folder: Path, results: Mapping[str, Any] | None) -> Row | None:
    """The row over all seeds, where the run is one of a comparison that has been evaluated."""
    comparison = folder.parents[2] if len(folder.parents) > 2 else folder
    if folder.parent.parent.name != "runs":
        return None
    content: Row = dict(results) if results is not None else reading.json_file(comparison / "results.json", _MEND) or {}
    own_folder = folder.relative_to(comparison).as_posix()
    run = next((row for row in content.get("runs", ()) if row.get("folder") == own_folder), None)
    if run is None:
        return None
    rows = (row for row in content.get("table", ()) if (row["arm"], row["budget"]) == (run["arm"], run["budget"]))
    return next(rows, None)
