"""limbeck teaches a small image classifier from a big one with as little data as you have.

Everything is a transfer set: `select` makes one out of your data, `borrow` one out of other people's, `generate` one
out of a teacher alone, `condense` one of a handful of learned images; `distill` teaches a student on it, `evaluate`
judges the student, `compare` puts runs beside their honest controls.
"""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck import data as data
    from limbeck import evaluation as evaluation
    from limbeck import models as models
    from limbeck import objectives as objectives
    from limbeck import recipes as recipes
    from limbeck import report as report
    from limbeck import training as training
    from limbeck import transfer as transfer
    from limbeck.api.condensing import condense
    from limbeck.api.evaluating import evaluate
    from limbeck.api.exporting import export
    from limbeck.api.generating import export_statistics, generate
    from limbeck.api.loaders import distillation_loader
    from limbeck.api.making_experts import experts
    from limbeck.api.pushing import push
    from limbeck.api.sets import evaluate_set, rank_set
    from limbeck.api.verbs import borrow, compare, distill, probe
    from limbeck.data.comp_dd import comp_dd
    from limbeck.data.image_set import ImageSet
    from limbeck.data.loading import load
    from limbeck.data.transfer_set import TransferSet
    from limbeck.errors import UserError
    from limbeck.evaluation.evaluation import Evaluation
    from limbeck.evaluation.probing import Probe
    from limbeck.models.classifier import Classifier
    from limbeck.models.weights.folder import load as load_model
    from limbeck.models.weights.folder import save as save_model
    from limbeck.models.zoo import create, wrap
    from limbeck.plugins import register
    from limbeck.recipes.run_result import RunResult
    from limbeck.training.settings import TrainingSettings
    from limbeck.transfer.budget import Budget
    from limbeck.transfer.choice import select_from_scores
    from limbeck.transfer.condense.mask.complexity_index import image_complexity
    from limbeck.transfer.criteria import Criterion
    from limbeck.transfer.score_table.write import score_table
    from limbeck.transfer.select.choose import select
    from limbeck.transfer.selection import Selection

    __version__: str

__all__ = [
    "Budget",
    "Classifier",
    "Criterion",
    "Evaluation",
    "ImageSet",
    "Probe",
    "RunResult",
    "Selection",
    "TrainingSettings",
    "TransferSet",
    "UserError",
    "borrow",
    "comp_dd",
    "compare",
    "condense",
    "create",
    "distill",
    "distillation_loader",
    "evaluate",
    "evaluate_set",
    "experts",
    "export",
    "export_statistics",
    "generate",
    "image_complexity",
    "load",
    "load_model",
    "probe",
    "push",
    "rank_set",
    "register",
    "save_model",
    "score_table",
    "select",
    "select_from_scores",
    "wrap",
]

_EXPORTS = {
    "__version__": "limbeck.version:VERSION",
    "Budget": "limbeck.transfer.budget",
    "Classifier": "limbeck.models.classifier",
    "Criterion": "limbeck.transfer.criteria",
    "Evaluation": "limbeck.evaluation.evaluation",
    "ImageSet": "limbeck.data.image_set",
    "Probe": "limbeck.evaluation.probing",
    "RunResult": "limbeck.recipes.run_result",
    "Selection": "limbeck.transfer.selection",
    "TrainingSettings": "limbeck.training.settings",
    "TransferSet": "limbeck.data.transfer_set",
    "UserError": "limbeck.errors",
    "borrow": "limbeck.api.verbs",
    "comp_dd": "limbeck.data.comp_dd",
    "compare": "limbeck.api.verbs",
    "condense": "limbeck.api.condensing",
    "create": "limbeck.models.zoo",
    "distill": "limbeck.api.verbs",
    "distillation_loader": "limbeck.api.loaders",
    "evaluate": "limbeck.api.evaluating",
    "evaluate_set": "limbeck.api.sets",
    "experts": "limbeck.api.making_experts",
    "export": "limbeck.api.exporting",
    "export_statistics": "limbeck.api.generating",
    "generate": "limbeck.api.generating",
    "image_complexity": "limbeck.transfer.condense.mask.complexity_index",
    "load": "limbeck.data.loading",
    "load_model": "limbeck.models.weights.folder:load",
    "probe": "limbeck.api.verbs",
    "push": "limbeck.api.pushing",
    "rank_set": "limbeck.api.sets",
    "register": "limbeck.plugins",
    "save_model": "limbeck.models.weights.folder:save",
    "score_table": "limbeck.transfer.score_table.write",
    "select": "limbeck.transfer.select.choose",
    "select_from_scores": "limbeck.transfer.choice",
    "wrap": "limbeck.models.zoo",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
