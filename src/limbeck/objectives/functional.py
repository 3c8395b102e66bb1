"""The losses as pure functions."""

from limbeck.objectives.ab import ab
from limbeck.objectives.at import at
from limbeck.objectives.cc import cc
from limbeck.objectives.crd import info_nce, nce
from limbeck.objectives.cross_entropy import cross_entropy
from limbeck.objectives.dist import dist
from limbeck.objectives.dkd import dkd
from limbeck.objectives.ea_kd import ea_kd
from limbeck.objectives.ega import ega
from limbeck.objectives.fitnet import fitnet
from limbeck.objectives.fsp import fsp
from limbeck.objectives.ft import ft, whole_factors
from limbeck.objectives.icd import icd
from limbeck.objectives.itrd import itrd
from limbeck.objectives.kd import kd
from limbeck.objectives.kdsvd import kdsvd
from limbeck.objectives.logits import standardised
from limbeck.objectives.mlkd import mlkd
from limbeck.objectives.nst import nst
from limbeck.objectives.pkt import pkt
from limbeck.objectives.rkd import rkd
from limbeck.objectives.rrd import rrd
from limbeck.objectives.semckd import semckd
from limbeck.objectives.simkd import simkd
from limbeck.objectives.sp import sp
from limbeck.objectives.srrl import srrl
from limbeck.objectives.vid import vid
from limbeck.objectives.wsld import wsld

__all__ = [
    "ab",
    "at",
    "cc",
    "cross_entropy",
    "dist",
    "dkd",
    "ea_kd",
    "ega",
    "fitnet",
    "fsp",
    "ft",
    "icd",
    "info_nce",
    "itrd",
    "kd",
    "kdsvd",
    "mlkd",
    "nce",
    "nst",
    "pkt",
    "rkd",
    "rrd",
    "semckd",
    "simkd",
    "sp",
    "srrl",
    "standardised",
    "vid",
    "whole_factors",
    "wsld",
]
