"""The class behind every name of the catalogue."""

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
from limbeck.objectives.objective import Objective
from limbeck.objectives.pkt import PKT
from limbeck.objectives.rkd import RKD
from limbeck.objectives.rrd import RRD
from limbeck.objectives.semckd import SemCKD
from limbeck.objectives.simkd import SimKD
from limbeck.objectives.sp import SP
from limbeck.objectives.srrl import SRRL
from limbeck.objectives.vid import VID
from limbeck.objectives.wsld import WSLD

BUILDERS: dict[str, type[Objective]] = {
    "cross_entropy": CrossEntropy,
    "kd": KD,
    "fitnet": FitNet,
    "at": AT,
    "sp": SP,
    "cc": CC,
    "vid": VID,
    "rkd": RKD,
    "pkt": PKT,
    "ab": AB,
    "ft": FT,
    "fsp": FSP,
    "nst": NST,
    "crd": CRD,
    "icd": ICD,
    "rrd": RRD,
    "kdsvd": KDSVD,
    "ega": EGA,
    "itrd": ITRD,
    "wsld": WSLD,
    "semckd": SemCKD,
    "srrl": SRRL,
    "simkd": SimKD,
    "dkd": DKD,
    "dist": DIST,
    "mlkd": MLKD,
    "ea_kd": EAKD,
}
