"""Judging classifiers: accuracy, calibration, fidelity to a teacher, footprint, energy, the linear
probe, and what seeds can tell.

Modules: `metrics` and `fidelity` hold pure functions of logits.
"""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.evaluation.energy import EnergyMeter
    from limbeck.evaluation.evaluation import Evaluation, evaluate, evaluate_logits
    from limbeck.evaluation.model_size import footprint
    from limbeck.evaluation.prediction import predict
    from limbeck.evaluation.probing import Probe, probe
    from limbeck.evaluation.statistics import mean_interval, paired_difference, standard_deviation
    from limbeck.models.forward import evaluating

__all__ = [
    "EnergyMeter",
    "Evaluation",
    "Probe",
    "evaluate",
    "evaluate_logits",
    "evaluating",
    "footprint",
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
        "evaluate_logits": "limbeck.evaluation.evaluation",
        "evaluating": "limbeck.models.forward",
        "footprint": "limbeck.evaluation.model_size",
        "mean_interval": "limbeck.evaluation.statistics",
        "paired_difference": "limbeck.evaluation.statistics",
        "predict": "limbeck.evaluation.prediction",
        "probe": "limbeck.evaluation.probing",
        "standard_deviation": "limbeck.evaluation.statistics",
    },
)
