"""The reference's scores, thresholds and choices, and cases that we get right and the reference does not.

Numbers of https://github.com/shauryat97/SampleSelectionBasedKnowledgeDistillation, in tests/golden/transfer.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.transfer.borrow.choose import choose
from limbeck.transfer.borrow.chosen import Chosen
from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.borrow.settings import BorrowSettings, Threshold
from limbeck.transfer.borrow.thresholds import class_thresholds, passing
from limbeck.transfer.score_table.read import ScoreTable
from limbeck.transfer.scoring.score import score_function
from limbeck.transfer.scoring.scores import ScoreInputs

GOLDEN = Path(__file__).parents[2] / "golden" / "transfer"
CLASSES = 10
SETTINGS = {
    "margin": ("minimal-margin", {"of": "mean"}),
    "entropy": ("entropy", {"of": "best-share", "fixed_count": 100}),
}


def golden(name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    with np.load(GOLDEN / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return arrays, json.loads(str(arrays["hp"]))


def scores(found: dict[str, np.ndarray], which: str, by: str) -> torch.Tensor:
    logits = torch.from_numpy(found[f"in.{which}_logits"])
    head = torch.from_numpy(found["in.head_weight"]) if "in.head_weight" in found else None
    return score_function(criterion_by(by))(logits, ScoreInputs(torch.arange(len(logits)), None, 0, head))


def table(found: dict[str, np.ndarray], which: str, by: str) -> ScoreTable:
    logits = found[f"in.{which}_logits"]
    columns = {
        "id": np.arange(len(logits)),
        "source": ["pool"] * len(logits),
        "group": logits.argmax(1),
        criterion_by(by).column: scores(found, which, by).numpy(),
    }
    return ScoreTable(columns, {"groups": list(map(str, range(CLASSES)))})


def first_come(name: str, count: int, *, sure: bool) -> Chosen:
    (by, threshold), (arrays, _) = SETTINGS[name], golden(name)
    chosen_settings = BorrowSettings.model_validate(
        {
            "pools": ["pool"],
            "by": by,
            "budget": count,
            "fill": "first-come",
            "short": "leave",
            "threshold": {"calibration": "task", **threshold} if sure else None,
        }
    )
    calibration = table(arrays, "calibration", by)
    return choose(
        table(arrays, "pool", by),
        chosen_settings,
        count,
        pools=["pool"],
        calibration=calibration,
        order_of=lambda pool, ids: ids,  # the numbers are of a list whose order is already drawn
    )


@pytest.mark.parametrize("name", SETTINGS)
def test_scores_and_classes_are_equal(name: str) -> None:
    arrays, _ = golden(name)
    for which in ("calibration", "pool"):
        ours = scores(arrays, which, SETTINGS[name][0])
        torch.testing.assert_close(
            ours.float(), torch.from_numpy(arrays[f"out.{which}_score"]).float(), rtol=1e-5, atol=1e-6
        )
    if "out.pool_class" in arrays:
        assert np.array_equal(arrays["out.pool_class"], arrays["in.pool_logits"].argmax(1))


@pytest.mark.parametrize("name", SETTINGS)
def test_thresholds_are_equal(name: str) -> None:
    arrays, hp = golden(name)
    by, threshold = SETTINGS[name]
    expected = arrays["out.mean_threshold" if name == "margin" else "out.threshold"]
    ours = class_thresholds(
        scores(arrays, "calibration", by).numpy(),
        arrays["in.calibration_logits"].argmax(1),
        CLASSES,
        fixed_count=threshold.get("fixed_count"),
        highest=by != "entropy",
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-5)
    assert hp.get("k") == threshold.get("fixed_count")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_passes_is_filled_first_come_as_the_reference_does(name: str) -> None:
    arrays, hp = golden(name)
    chosen = first_come(name, hp["bucket"] * CLASSES, sure=True)
    assert sorted(chosen.rows.ids.tolist()) == sorted(arrays["out.selected"].tolist())


def test_without_a_threshold_it_is_the_first_of_every_class() -> None:
    arrays, hp = golden("entropy")
    chosen = first_come("entropy", hp["bucket"] * CLASSES, sure=False)
    assert sorted(chosen.rows.ids.tolist()) == sorted(arrays["out.balanced"].tolist())


def test_the_reference_divides_by_a_hundred_whatever_there_are_and_we_do_not() -> None:
    arrays, hp = golden("entropy")
    own, classes = (
        part[:800]
        for part in (scores(arrays, "calibration", "entropy").numpy(), arrays["in.calibration_logits"].argmax(1))
    )
    sizes = np.bincount(classes, minlength=CLASSES)
    assert (sizes < hp["k"]).any()
    theirs = class_thresholds(own, classes, CLASSES, highest=False, fixed_count=hp["k"])
    ours = class_thresholds(own, classes, CLASSES, highest=False)
    np.testing.assert_allclose(theirs[sizes < hp["k"]], (ours * sizes / hp["k"])[sizes < hp["k"]])
    tenth = class_thresholds(own, classes, CLASSES, highest=False, share=0.1)
    for label, size in enumerate(sizes):
        assert tenth[label] == pytest.approx(np.sort(own[classes == label])[: -(-size // 10)].mean())


def test_passing_is_the_same_for_rows_as_for_the_whole() -> None:
    arrays, _ = golden("margin")
    pool, criterion = table(arrays, "pool", "minimal-margin"), criterion_by("minimal-margin")
    threshold = Threshold(of="mean", calibration="task")
    sure = passing(pool, criterion, threshold, table(arrays, "calibration", "minimal-margin"), 0)
    np.testing.assert_allclose(sure.values, arrays["out.mean_threshold"], rtol=1e-5)
