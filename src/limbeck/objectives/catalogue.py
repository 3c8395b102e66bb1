"""The objectives by name, without importing torch: the only place that names limbeck's own.

What `limbeck.objectives` and `limbeck.objectives.functional` export, what recipes may ask for, listings and
documentation are all made from this table. Those of the user's own join it, see `limbeck.plugins`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from limbeck.catalogue import Aliases, Catalogue

if TYPE_CHECKING:
    from limbeck.objectives.objective import Objective

Option = float | bool | str
OwnOption = Option | None | list[Option | None] | tuple[Option | None, ...]
"""Options of objectives of the user's own."""

_SL, _TL, _SE, _TE = "student_logits", "teacher_logits", "student_embedding", "teacher_embedding"
_SS, _TS = "student_stages", "teacher_stages"
_PREPARING = 30 / 270


@dataclass(frozen=True)
class ObjectiveEntry:
    """What a user needs to know before choosing an objective, and what its module offers.

    The entry's name is the module's, too: `kd` is in `limbeck.objectives.kd`.

    Attributes:
        class_name: its class there.
        needs: what the loss reads: `labels`, `ids`, `progress` and outputs of `student` and `teacher`; `teacher_head`
            is the teacher's classifier head.
        options: hyper-parameters and their defaults, as published.
        typical: the weighted sum that it is published in, at its default options: name -> weight.
        weight: used where none is given; as in `typical`, but 1 for kd, as where it is added to another method.
        aliases: other names.
        functions: its losses as pure functions there; by default one of the entry's name.
        made_by: the class itself, where it is not limbeck's own.
    """

    class_name: str
    summary: str
    paper: str
    year: int
    needs: tuple[str, ...]
    options: Mapping[str, OwnOption] = field(default_factory=dict)
    typical: dict[str, float] = field(default_factory=dict)
    weight: float = 1.0
    aliases: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    made_by: "type[Objective] | None" = None


_MEMORY: dict[str, Option] = {
    "temperature": 0.07,
    "momentum": 0.5,
    "negatives": "other-classes",
    "positives": "own",
    "draws": "distinct",
}
_QUEUE: dict[str, Option] = {"enqueue": "before", "queue_start": "rows"}

_OWN = {
    "cross_entropy": ObjectiveEntry(
        "CrossEntropy",
        "the labels, with optional smoothing",
        "Szegedy et al., Rethinking the Inception architecture (label smoothing)",
        2016,
        (_SL, "labels"),
        {"label_smoothing": 0.0},
        typical={"cross_entropy": 1.0},
        aliases=("ce",),
    ),
    "kd": ObjectiveEntry(
        "KD",
        "the teacher's softened probabilities",
        "Hinton et al., Distilling the knowledge in a neural network",
        2015,
        (_SL, _TL),
        {"temperature": 4.0, "standardise": False},
        typical={"cross_entropy": 0.1, "kd": 0.9},
        aliases=("hinton", "soft_targets"),
    ),
    "fitnet": ObjectiveEntry(
        "FitNet",
        "a stage, through a learned convolution",
        "Romero et al., FitNets: hints for thin deep nets",
        2015,
        (_SS, _TS),
        {"stage": 2},
        typical={"cross_entropy": 1.0, "fitnet": 100.0},
        weight=100.0,
        aliases=("hint", "fitnets"),
    ),
    "at": ObjectiveEntry(
        "AT",
        "where in the image the stages are active",
        "Zagoruyko and Komodakis, Paying more attention to attention",
        2017,
        (_SS, _TS),
        {"stages": "1:"},
        typical={"cross_entropy": 1.0, "at": 1000.0},
        weight=1000.0,
        aliases=("attention",),
    ),
    "sp": ObjectiveEntry(
        "SP",
        "which images of a batch are alike",
        "Tung and Mori, Similarity-preserving knowledge distillation",
        2019,
        (_SS, _TS),
        {"stages": "-1:"},
        typical={"cross_entropy": 1.0, "sp": 3000.0},
        weight=3000.0,
        aliases=("similarity",),
    ),
    "cc": ObjectiveEntry(
        "CC",
        "differences from the teacher that neighbours in the batch share",
        "Peng et al., Correlation congruence for knowledge distillation",
        2019,
        (_SE, _TE),
        {"features": 128},
        typical={"cross_entropy": 1.0, "cc": 0.02},
        weight=0.02,
        aliases=("correlation",),
    ),
    "vid": ObjectiveEntry(
        "VID",
        "stages, each channel with a learned variance",
        "Ahn et al., Variational information distillation for knowledge transfer",
        2019,
        (_SS, _TS),
        {"stages": "1:", "variance": 5.0},
        typical={"cross_entropy": 1.0, "vid": 1.0},
    ),
    "rkd": ObjectiveEntry(
        "RKD",
        "distances and angles between images",
        "Park et al., Relational knowledge distillation",
        2019,
        (_SE, _TE),
        {"distance": 25.0, "angle": 50.0},
        typical={"cross_entropy": 1.0, "rkd": 1.0},
    ),
    "pkt": ObjectiveEntry(
        "PKT",
        "how likely images are each other's neighbours",
        "Passalis and Tefas, Learning deep representations with probabilistic knowledge transfer",
        2018,
        (_SE, _TE),
        typical={"cross_entropy": 1.0, "pkt": 30000.0},
        weight=30000.0,
    ),
    "ab": ObjectiveEntry(
        "AB",
        "which neurons are on, in a phase of its own",
        "Heo et al., Knowledge transfer via distillation of activation boundaries",
        2019,
        ("student_pre_activations", "teacher_pre_activations"),
        {"margin": 1.0, "stages": "1:", "preparing": _PREPARING},
        typical={"cross_entropy": 1.0, "ab": 1.0},
        aliases=("abound",),
    ),
    "ft": ObjectiveEntry(
        "FT",
        "factors of a stage, from an autoencoder that is learned first",
        "Kim et al., Paraphrasing complex network: network compression via factor transfer",
        2018,
        (_SS, _TS),
        {
            "factors": 0.5,
            "power": 2,
            "norm": 1,
            "stage": -1,
            "preparing": _PREPARING,
            "preparing_rate": 0.2,
            "form": "benchmark",
        },
        typical={"cross_entropy": 1.0, "ft": 200.0},
        weight=200.0,
        functions=("ft", "whole_factors"),
        aliases=("factor",),
    ),
    "fsp": ObjectiveEntry(
        "FSP",
        "products of neighbouring stages, in a phase of its own",
        "Yim et al., A gift from knowledge distillation",
        2017,
        (_SS, _TS),
        {"stages": "0:", "preparing": _PREPARING},
        typical={"cross_entropy": 1.0, "fsp": 50.0},
        weight=50.0,
    ),
    "nst": ObjectiveEntry(
        "NST",
        "how channels spread over positions",
        "Huang and Wang, Like what you like: knowledge distill via neuron selectivity transfer",
        2017,
        (_SS, _TS),
        {"stages": "1:"},
        typical={"cross_entropy": 1.0, "nst": 50.0},
        weight=50.0,
    ),
    "crd": ObjectiveEntry(
        "CRD",
        "telling an image's teacher embedding from those of others",
        "Tian et al., Contrastive representation distillation",
        2020,
        (_SE, _TE, "ids"),
        {"features": 128, "memory": "momentum", "negatives_count": 16384, **_MEMORY, **_QUEUE},
        typical={"cross_entropy": 1.0, "crd": 0.8},
        weight=0.8,
        functions=("info_nce", "nce"),
    ),
    "icd": ObjectiveEntry(
        "ICD",
        "telling embeddings of a batch apart, the same way in both directions",
        "Giakoumoglou and Stathaki, Discriminative and consistent representation distillation",
        2024,
        (_SE, _TE),
        {"features": 128, "alpha": 0.5, "max_scale": 10.0},
        typical={"cross_entropy": 1.0, "icd": 1.0},
        aliases=("dcd",),
    ),
    "rrd": ObjectiveEntry(
        "RRD",
        "how an image relates to many others",
        "Giakoumoglou and Stathaki, Relational representation distillation",
        2024,
        (_SE, _TE, "ids"),
        {
            "features": 128,
            "memory": "queue",
            "negatives_count": 16384,
            "student_temperature": 0.1,
            "teacher_temperature": 0.02,
            **_MEMORY,
            "teacher_projection": "random",
            **_QUEUE,
        },
        typical={"cross_entropy": 1.0, "rrd": 1.0},
    ),
    "kdsvd": ObjectiveEntry(
        "KDSVD",
        "how the main direction of features turns from stage to stage",
        "Lee et al., Self-supervised knowledge distillation using singular value decomposition",
        2018,
        (_SS, _TS),
        {"vectors": 1, "stages": "1:"},
        typical={"cross_entropy": 1.0, "kdsvd": 1.0},
    ),
    "ega": ObjectiveEntry(
        "EGA",
        "correlations between images, and of each with itself",
        "Ma et al., Distilling knowledge from self-supervised teacher by embedding graph alignment",
        2022,
        (_SE, _TE),
        {"node": 1.0, "edge": 0.3},
        typical={"cross_entropy": 1.0, "ega": 0.8},
        weight=0.8,
    ),
    "itrd": ObjectiveEntry(
        "ITRD",
        "correlated features, and the entropy of similarities",
        "Miles et al., Information theoretic representation distillation",
        2022,
        (_SE, _TE),
        {"alpha": 1.5, "correlation_weight": 2.0, "mutual_weight": 0.05},
        typical={"cross_entropy": 1.0, "itrd": 1.0},
    ),
    "wsld": ObjectiveEntry(
        "WSLD",
        "labels, and soft labels where the student lags behind",
        "Zhou et al., Rethinking soft labels for knowledge distillation: a bias-variance tradeoff perspective",
        2021,
        (_SL, _TL, "labels"),
        {"temperature": 2.0, "alpha": 2.5, "hard": 1.0, "standardise": False},
        typical={"wsld": 1.0},
    ),
    "semckd": ObjectiveEntry(
        "SemCKD",
        "each stage from all of the teacher's, by attention",
        "Chen et al., Cross-layer distillation with semantic calibration",
        2021,
        (_SS, _TS),
        {"stages": "1:", "softness": 1.0},
        typical={"cross_entropy": 1.0, "kd": 1.0, "semckd": 400.0},
        weight=400.0,
    ),
    "srrl": ObjectiveEntry(
        "SRRL",
        "the embedding, and what the teacher's head makes of it",
        "Yang et al., Knowledge distillation via softmax regression representation learning",
        2021,
        (_SE, _TE, _TL, "teacher_head"),
        {"form": "benchmark"},
        typical={"cross_entropy": 1.0, "kd": 1.0, "srrl": 1.0},
    ),
    "simkd": ObjectiveEntry(
        "SimKD",
        "the deepest stage, for the teacher's head to classify",
        "Chen et al., Knowledge distillation with the reused teacher classifier",
        2022,
        (_SS, _TS, "student_last_map", "teacher_last_map", "teacher_head"),
        {"factor": 2, "head": "teacher"},
        typical={"simkd": 1.0},
    ),
    "dkd": ObjectiveEntry(
        "DKD",
        "soft labels, the label's share and the other classes apart",
        "Zhao et al., Decoupled knowledge distillation",
        2022,
        (_SL, _TL, "labels", "progress"),
        {"alpha": 1.0, "beta": 8.0, "temperature": 4.0, "warmup": 20 / 240, "warmup_levels": 0, "standardise": False},
        typical={"cross_entropy": 1.0, "dkd": 1.0},
    ),
    "dist": ObjectiveEntry(
        "DIST",
        "correlations of soft labels over classes and over images",
        "Huang et al., Knowledge distillation from a stronger teacher",
        2022,
        (_SL, _TL),
        {"beta": 1.0, "gamma": 1.0, "temperature": 4.0, "standardise": False},
        typical={"cross_entropy": 1.0, "dist": 2.0},
        weight=2.0,
    ),
    "mlkd": ObjectiveEntry(
        "MLKD",
        "soft labels at five temperatures, and relations of images and of classes",
        "Jin et al., Multi-level logit distillation",
        2023,
        (_SL, _TL),
        {"temperature": 4.0, "confident": False, "standardise": False},
        typical={"cross_entropy": 0.1, "mlkd": 0.9},
        weight=0.9,
        aliases=("mld",),
    ),
    "ea_kd": ObjectiveEntry(
        "EAKD",
        "soft labels, more of those that teacher and student are unsure of",
        "Su et al., EA-KD: entropy-based adaptive knowledge distillation",
        2023,
        (_SL, _TL),
        {"temperature": 4.0, "entropy_temperature": 3.0, "entropy_bound": 0.0, "standardise": False},
        typical={"cross_entropy": 0.1, "ea_kd": 0.9},
        weight=0.9,
        aliases=("eakd",),
    ),
}

OBJECTIVES: Catalogue[ObjectiveEntry] = Catalogue(
    "objectives",
    _OWN,
    "limbeck.objectives.own_objectives:describe",
    lambda: {alias: f"another name of {name!r}" for alias, name in NAMES.own.items() if alias != name},
)
"""Every objective; limbeck's own are `built_in`."""

NAMES = Aliases(OBJECTIVES)
"""Every name and alias, and the name that it stands for."""

EXPORTS = {
    **{entry.class_name: f"limbeck.objectives.{name}" for name, entry in _OWN.items()},
    "Objective": "limbeck.objectives.objective",
    "Preparation": "limbeck.objectives.objective",
    "Setup": "limbeck.objectives.setup",
    "WeightedSum": "limbeck.objectives.sums",
    "weighted_sum": "limbeck.objectives.sums",
}
"""What `limbeck.objectives` exports: name -> the module that defines it."""

FUNCTIONAL_EXPORTS = {
    **{
        function: f"limbeck.objectives.{name}"
        for name, entry in _OWN.items()
        for function in entry.functions or (name,)
    },
    "standardised": "limbeck.objectives.logits",
}
"""The same of `limbeck.objectives.functional`."""


def objective_class(name: str) -> "type[Objective]":
    """The class behind a name of the catalogue; imports its module, and torch with it.

    Example:
        >>> objective_class("kd").__name__
        'KD'
    """
    entry = OBJECTIVES[name]
    if entry.made_by is not None:
        return entry.made_by
    return getattr(import_module(f"limbeck.objectives.{name}"), entry.class_name)
