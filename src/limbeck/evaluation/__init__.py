"""Evaluation of classifiers: accuracy, calibration, fidelity to a teacher, footprint, energy, the
linear probe, and statistics over seeds.

Modules: `metrics` and `fidelity` hold pure functions of logits.
"""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.evaluation.dd_ranking import augmentation_robust_score, label_robust_score
    from limbeck.evaluation.energy import EnergyMeter
    from limbeck.evaluation.evaluation import Evaluation, evaluate, evaluate_logits
    from limbeck.evaluation.frontier import images_needed
    from limbeck.evaluation.model_size import footprint
    from limbeck.evaluation.prediction import predict
    from limbeck.evaluation.probing import Probe, probe
    from limbeck.evaluation.statistics import (
        holm,
        mean_interval,
        paired_difference,
        seeds_needed,
        standard_deviation,
    )
    from limbeck.models.forward import evaluating

__all__ = [
    "EnergyMeter",
    "Evaluation",
    "Probe",
    "augmentation_robust_score",
    "evaluate",
    "evaluate_logits",
    "evaluating",
    "footprint",
    "holm",
    "images_needed",
    "label_robust_score",
    "mean_interval",
    "paired_difference",
    "predict",
    "probe",
    "seeds_needed",
    "standard_deviation",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "EnergyMeter": "limbeck.evaluation.energy",
        "Evaluation": "limbeck.evaluation.evaluation",
        "Probe": "limbeck.evaluation.probing",
        "augmentation_robust_score": "limbeck.evaluation.dd_ranking",
        "evaluate": "limbeck.evaluation.evaluation",
        "evaluate_logits": "limbeck.evaluation.evaluation",
        "evaluating": "limbeck.models.forward",
        "footprint": "limbeck.evaluation.model_size",
        "holm": "limbeck.evaluation.statistics",
        "images_needed": "limbeck.evaluation.frontier",
        "label_robust_score": "limbeck.evaluation.dd_ranking",
        "mean_interval": "limbeck.evaluation.statistics",
        "paired_difference": "limbeck.evaluation.statistics",
        "predict": "limbeck.evaluation.prediction",
        "probe": "limbeck.evaluation.probing",
        "seeds_needed": "limbeck.evaluation.statistics",
        "standard_deviation": "limbeck.evaluation.statistics",
    },
)
