"""What others report for the CIFAR-100 pairs: to judge runs by, never measured here."""

from collections.abc import Mapping

PAIRS = (
    "wrn_40_2-wrn_16_2",
    "wrn_40_2-wrn_40_1",
    "resnet56-resnet20",
    "resnet110-resnet20",
    "resnet110-resnet32",
    "resnet32x4-resnet8x4",
    "vgg13-vgg8",
    "vgg13-MobileNetV2",
    "ResNet50-MobileNetV2",
    "ResNet50-vgg8",
    "resnet32x4-ShuffleV1",
    "resnet32x4-ShuffleV2",
    "wrn_40_2-ShuffleV1",
)
_LAST = "after the last epoch, README of HobbitLong/RepDistiller"
_OLD = "epoch not said, earlier README of giakoumoglou/distillers"
_BEST = "at the best test epoch, README of megvii-research/mdistiller"
_STANDARDISED = "at the best test epoch, README of sunshangquan/logit-standardization-KD"
_DIST = "mean of several runs, epoch not said, README of hunto/DIST_KD"

# Top-1 in %, in the order of the pairs; "-" where nothing is reported.
TABLE = {
    "kd": (_LAST, "74.92 73.54 70.66 70.67 73.08 73.33 72.98 67.37 67.35 73.81 74.07 74.45 74.83"),
    "kd, standardised": (_STANDARDISED, "76.11 74.37 71.43 71.48 74.17 76.62 74.36"),
    "fitnet": (_LAST, "73.58 72.24 69.21 68.99 71.06 73.50 71.02"),
    "at": (_LAST, "74.08 72.77 70.55 70.22 72.31 73.44 71.43"),
    "sp": (_LAST, "73.83 72.43 69.67 70.04 72.69 72.94 72.68"),
    "cc": (_LAST, "73.56 72.21 69.63 69.48 71.48 72.97 70.71"),
    "vid": (_LAST, "74.11 73.30 70.38 70.16 72.61 73.09 71.23"),
    "rkd": (_LAST, "73.35 72.22 69.61 69.25 71.82 71.90 71.48"),
    "pkt": (_LAST, "74.54 73.45 70.34 70.25 72.61 73.64 72.88"),
    "ab": (_LAST, "72.50 72.38 69.47 69.53 70.98 73.17 70.94"),
    "ft": (_LAST, "73.25 71.59 69.84 70.22 72.37 72.86 70.58"),
    "fsp": (_LAST, "72.91 - 69.95 70.11 71.89 72.62 70.23"),
    "nst": (_LAST, "73.68 72.24 69.60 69.53 71.96 73.30 71.53"),
    "crd": (_LAST, "75.48 74.14 71.16 71.46 73.48 75.51 73.94 69.73 69.11 74.30 75.11 75.65 76.05"),
    "crd, with-kd": (_OLD, "75.64 74.38 71.63 71.56 73.75 75.46 74.29 69.94 69.54 74.58 75.12 76.05 76.27"),
    "icd": (_OLD, "74.99 73.69 71.18 71.00 73.12 74.23 73.22 68.35 67.39 73.85 74.26 75.26 74.98"),
    "icd, with-kd": (_OLD, "76.06 74.76 71.81 72.03 73.62 75.09 73.95 69.77 70.03 74.08 76.01 76.95 76.51"),
    "rrd": (_OLD, "75.33 73.55 70.71 70.72 73.10 74.48 73.99 67.93 68.84 74.01 74.11 74.80 74.98"),
    "rrd, with-kd": (_OLD, "75.66 74.67 72.19 71.74 73.54 75.08 74.32 69.98 69.13 74.26 75.18 76.83 76.31"),
    "dkd": (_BEST, "76.24 74.81 71.97 - 74.11 76.32 74.68 69.71 70.35 - 76.45 77.07 76.70"),
    "dist": (_DIST, "- 74.43 71.75 - - 76.31 - - 68.66 - 76.34 77.35 -"),
    "mlkd": (_STANDARDISED, "76.63 75.35 72.19 71.89 74.11 77.08 75.18"),
}


def published(recipe: str, choices: Mapping[str, str]) -> str:
    """What is reported for a recipe of the CIFAR-100 pairs, in words; nothing where nothing is known.

    Args:
        recipe: its packaged name.
        choices: `pair`, and `variant` where there are some.

    Example:
        >>> published("cifar100-kd", {"pair": "resnet56-resnet20"})
        '70.66 % (after the last epoch, README of HobbitLong/RepDistiller)'
    """
    family, variant, pair = recipe.removeprefix("cifar100-"), choices.get("variant", ""), choices.get("pair")
    name = family if variant in ("", "plain", "alone") else f"{family}, {variant}"
    if name not in TABLE or pair not in PAIRS:
        return ""
    source, values = TABLE[name]
    value = dict(zip(PAIRS, values.split(), strict=False)).get(pair, "-")
    return "" if value == "-" else f"{value} % ({source})"
