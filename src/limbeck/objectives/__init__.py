"""Distillation losses as modules on plain tensors, and weighted sums of them; as functions in `functional`."""

from typing import TYPE_CHECKING

from limbeck.lazy import lazy_exports

if TYPE_CHECKING:
    from limbeck.objectives.ab import AB
    from limbeck.objectives.at import AT
    from limbeck.objectives.cc import CC
    from limbeck.objectives.crd import CRD
    from limbeck.objectives.cross_entropy import CrossEntropy
    from limbeck.objectives.dist import DIST
    from limbeck.objectives.dkd import DKD
    from limbeck.objectives.ea_kd import EAKD
    from limbeck.objectives.ega import EGA
    from limbeck.objectives.fitnet import FitNet
    from limbeck.objectives.fsp import FSP
    from limbeck.objectives.ft import FT
    from limbeck.objectives.icd import ICD
    from limbeck.objectives.itrd import ITRD
    from limbeck.objectives.kd import KD
    from limbeck.objectives.kdsvd import KDSVD
    from limbeck.objectives.mlkd import MLKD
    from limbeck.objectives.nst import NST
    from limbeck.objectives.objective import Objective, Preparation
    from limbeck.objectives.pkt import PKT
    from limbeck.objectives.rkd import RKD
    from limbeck.objectives.rrd import RRD
    from limbeck.objectives.semckd import SemCKD
    from limbeck.objectives.setup import Setup
    from limbeck.objectives.simkd import SimKD
    from limbeck.objectives.sp import SP
    from limbeck.objectives.srrl import SRRL
    from limbeck.objectives.sums import WeightedSum, weighted_sum
    from limbeck.objectives.vid import VID
    from limbeck.objectives.wsld import WSLD

__all__ = [
    "AB",
    "AT",
    "CC",
    "CRD",
    "DIST",
    "DKD",
    "EAKD",
    "EGA",
    "FSP",
    "FT",
    "ICD",
    "ITRD",
    "KD",
    "KDSVD",
    "MLKD",
    "NST",
    "PKT",
    "RKD",
    "RRD",
    "SP",
    "SRRL",
    "VID",
    "WSLD",
    "CrossEntropy",
    "FitNet",
    "Objective",
    "Preparation",
    "SemCKD",
    "Setup",
    "SimKD",
    "WeightedSum",
    "weighted_sum",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "AB": "limbeck.objectives.ab",
        "AT": "limbeck.objectives.at",
        "CC": "limbeck.objectives.cc",
        "CRD": "limbeck.objectives.crd",
        "CrossEntropy": "limbeck.objectives.cross_entropy",
        "DIST": "limbeck.objectives.dist",
        "DKD": "limbeck.objectives.dkd",
        "EAKD": "limbeck.objectives.ea_kd",
        "EGA": "limbeck.objectives.ega",
        "FSP": "limbeck.objectives.fsp",
        "FT": "limbeck.objectives.ft",
        "FitNet": "limbeck.objectives.fitnet",
        "ICD": "limbeck.objectives.icd",
        "ITRD": "limbeck.objectives.itrd",
        "KD": "limbeck.objectives.kd",
        "KDSVD": "limbeck.objectives.kdsvd",
        "MLKD": "limbeck.objectives.mlkd",
        "NST": "limbeck.objectives.nst",
        "Objective": "limbeck.objectives.objective",
        "PKT": "limbeck.objectives.pkt",
        "Preparation": "limbeck.objectives.objective",
        "RKD": "limbeck.objectives.rkd",
        "RRD": "limbeck.objectives.rrd",
        "SP": "limbeck.objectives.sp",
        "SRRL": "limbeck.objectives.srrl",
        "SemCKD": "limbeck.objectives.semckd",
        "Setup": "limbeck.objectives.setup",
        "SimKD": "limbeck.objectives.simkd",
        "VID": "limbeck.objectives.vid",
        "WSLD": "limbeck.objectives.wsld",
        "WeightedSum": "limbeck.objectives.sums",
        "weighted_sum": "limbeck.objectives.sums",
    },
)
