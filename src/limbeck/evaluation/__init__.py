"""Judging classifiers: accuracy, calibration, fidelity to a teacher, footprint, energy, the linear
probe, and what seeds can tell.

Modules: `metrics` and `fidelity` hold pure functions of logits.
"""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.evaluation.energy import EnergyMeter
    from limbeck.evaluation.evaluation import Evaluation, evaluate, judge
    from limbeck.evaluation.model_size import footprint
    from limbeck.evaluation.prediction import evaluating, predict
    from limbeck.evaluation.probing import Probe, probe
    from limbeck.evaluation.statistics import mean_interval, paired_difference, standard_deviation

__all__ = [
    "EnergyMeter",
    "Evaluation",
    "Probe",
    "evaluate",
    "evaluating",
    "footprint",
    "judge",
    "mean_interval",
    "paired_difference",
    "predict",
    "probe",
    "standard_deviation",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "EnergyMeter": "limbeck.evaluation.energy",
        "Evaluation": "limbeck.evaluation.evaluation",
        "Probe": "limbeck.evaluation.probing",
        "evaluate": "limbeck.evaluation.evaluation",
        "evaluating": "limbeck.evaluation.prediction",
        "footprint": "limbeck.evaluation.model_size",
        "judge": "limbeck.evaluation.evaluation",
        "mean_interval": "limbeck.evaluation.statistics",
        "paired_difference": "limbeck.evaluation.statistics",
        "predict": "limbeck.evaluation.prediction",
        "probe": "limbeck.evaluation.probing",
        "standard_deviation": "limbeck.evaluation.statistics",
    },
)
