"""The verbs from Python, on objects or on names."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_dir, lazy_exports

if TYPE_CHECKING:
    from limbeck.api.condensing import condense
    from limbeck.api.evaluating import evaluate
    from limbeck.api.exporting import export
    from limbeck.api.generating import export_statistics, generate
    from limbeck.api.loaders import distillation_loader
    from limbeck.api.making_experts import experts
    from limbeck.api.pushing import push
    from limbeck.api.sets import evaluate_set, rank_set
    from limbeck.api.verbs import borrow, compare, distill, probe

__all__ = [
    "borrow",
    "compare",
    "condense",
    "distill",
    "distillation_loader",
    "evaluate",
    "evaluate_set",
    "experts",
    "export",
    "export_statistics",
    "generate",
    "probe",
    "push",
    "rank_set",
]

_VERBS = "limbeck.api.verbs"
_EXPORTS = {
    "borrow": _VERBS,
    "compare": _VERBS,
    "condense": "limbeck.api.condensing",
    "distill": _VERBS,
    "distillation_loader": "limbeck.api.loaders",
    "evaluate": "limbeck.api.evaluating",
    "evaluate_set": "limbeck.api.sets",
    "experts": "limbeck.api.making_experts",
    "export": "limbeck.api.exporting",
    "export_statistics": "limbeck.api.generating",
    "generate": "limbeck.api.generating",
    "probe": _VERBS,
    "push": "limbeck.api.pushing",
    "rank_set": "limbeck.api.sets",
}
__getattr__ = lazy_exports(__name__, _EXPORTS)
__dir__ = lazy_dir(__name__, _EXPORTS)
