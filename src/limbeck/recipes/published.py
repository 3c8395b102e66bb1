"""Published results for pairs of networks, for comparison with runs; never measured here."""

from collections.abc import Mapping

PAIRS: tuple[str, ...] = (
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
# The first has 76.23 for wrn_40_2-wrn_16_2, nothing for resnet110-resnet20, and calls ShuffleV2 a MobileNet-V2.
_BEST = "at the best test epoch, READMEs of megvii-research/mdistiller and sunshangquan/logit-standardization-KD"
_STANDARDISED = "at the best test epoch, README of sunshangquan/logit-standardization-KD"
_ITRD = "epoch not said, README of roymiles/ITRD"
_REUSED = "epoch not said, README of DefangChen/SimKD"
_DIST = "mean of several runs, epoch not said, README of hunto/DIST_KD"

# Top-1 in %, in the order of the pairs; "-" where nothing is reported.
TABLE = {
    "kd": (_LAST, "74.92 73.54 70.66 70.67 73.08 73.33 72.98 67.37 67.35 73.81 74.07 74.45 74.83"),
    "kd, standardised": (_STANDARDISED, "76.11 74.37 71.43 71.48 74.17 76.62 74.36 68.61 69.02 - - 75.56 -"),
    "fitnet": (_LAST, "73.58 72.24 69.21 68.99 71.06 73.50 71.02 64.14 63.16 70.69 73.59 73.54 73.73"),
    "at": (_LAST, "74.08 72.77 70.55 70.22 72.31 73.44 71.43 59.40 58.58 71.84 71.73 72.73 73.32"),
    "sp": (_LAST, "73.83 72.43 69.67 70.04 72.69 72.94 72.68 66.30 68.08 73.34 73.48 74.56 74.52"),
    "cc": (_LAST, "73.56 72.21 69.63 69.48 71.48 72.97 70.71 64.86 65.43 70.25 71.14 71.29 71.38"),
    "vid": (_LAST, "74.11 73.30 70.38 70.16 72.61 73.09 71.23 65.56 67.57 70.30 73.38 73.40 73.61"),
    "rkd": (_LAST, "73.35 72.22 69.61 69.25 71.82 71.90 71.48 64.52 64.43 71.50 72.28 73.21 72.21"),
    "pkt": (_LAST, "74.54 73.45 70.34 70.25 72.61 73.64 72.88 67.13 66.52 73.01 74.10 74.69 73.89"),
    "ab": (_LAST, "72.50 72.38 69.47 69.53 70.98 73.17 70.94 66.06 67.20 70.65 73.55 74.31 73.34"),
    "ft": (_LAST, "73.25 71.59 69.84 70.22 72.37 72.86 70.58 61.78 60.99 70.29 71.75 72.50 72.03"),
    "fsp": (_LAST, "72.91 - 69.95 70.11 71.89 72.62 70.23"),
    "nst": (_LAST, "73.68 72.24 69.60 69.53 71.96 73.30 71.53 58.16 64.96 71.28 74.12 74.68 74.89"),
    "crd": (_LAST, "75.48 74.14 71.16 71.46 73.48 75.51 73.94 69.73 69.11 74.30 75.11 75.65 76.05"),
    "crd, with-kd": (_OLD, "75.64 74.38 71.63 71.56 73.75 75.46 74.29 69.94 69.54 74.58 75.12 76.05 76.27"),
    "icd": (_OLD, "74.99 73.69 71.18 71.00 73.12 74.23 73.22 68.35 67.39 73.85 74.26 75.26 74.98"),
    "icd, with-kd": (_OLD, "76.06 74.76 71.81 72.03 73.62 75.09 73.95 69.77 70.03 74.08 76.01 76.95 76.51"),
    "rrd": (_OLD, "75.33 73.55 70.71 70.72 73.10 74.48 73.99 67.93 68.84 74.01 74.11 74.80 74.98"),
    "rrd, with-kd": (_OLD, "75.66 74.67 72.19 71.74 73.54 75.08 74.32 69.98 69.13 74.26 75.18 76.83 76.31"),
    "dkd": (_BEST, "76.24 74.81 71.97 71.06 74.11 76.32 74.68 69.71 70.35 - 76.45 77.07 76.70"),
    "dkd, standardised": (_STANDARDISED, "76.39 74.89 72.32 71.85 74.29 77.01 74.81 69.98 70.45 - - 77.37 -"),
    "dist": (_DIST, "- 74.43 71.75 - - 76.31 - - 68.66 - 76.34 77.35 -"),
    "mlkd": (_STANDARDISED, "76.63 75.35 72.19 71.89 74.11 77.08 75.18 70.57 71.04 - - 78.44 -"),
    "mlkd, standardised": (_STANDARDISED, "76.95 75.56 72.33 72.27 74.32 78.28 75.22 70.94 71.19 - - 78.76 -"),
    "itrd": (_ITRD, "76.12 75.18 71.47 71.99 74.26 76.69 74.93 70.39 71.34 75.49 76.69 77.40 77.09"),
    "semckd": (_REUSED, "- - - - - 76.23"),
    "srrl": (_REUSED, "- - - - - 75.39"),
    "simkd": (_REUSED, "- - - - - 78.08"),
}

OTHER_PAIRS: tuple[str, ...] = (
    "resnet32x4-wrn_16_2",
    "resnet32x4-wrn_40_2",
    "wrn_40_2-resnet8x4",
    "wrn_40_2-MobileNetV2",
    "resnet32x4-vgg8",
)
"""Pairs of the same networks that no recipe names."""

OTHER_TABLE = {
    "kd": (_STANDARDISED, "74.90 77.70 73.97 68.36"),
    "kd, standardised": (_STANDARDISED, "75.26 77.92 77.11 69.23"),
    "dkd": (_STANDARDISED, "75.70 78.46 75.56 69.28"),
    "dkd, standardised": (_STANDARDISED, "76.19 78.95 76.75 70.01"),
    "mlkd": (_STANDARDISED, "76.52 79.26 77.33 70.78"),
    "mlkd, standardised": (_STANDARDISED, "77.53 79.66 77.68 71.61"),
    "semckd": (_REUSED, "- - - - 75.27"),
    "srrl": (_REUSED, "- - - - 73.23"),
    "simkd": (_REUSED, "- - - - 75.76"),
}
"""As `TABLE`, in the order of `OTHER_PAIRS`."""


WITHOUT_DATA: tuple[str, ...] = (
    "resnet34-resnet18",
    "vgg11-resnet18",
    "wrn_40_2-wrn_16_1",
    "wrn_40_2-wrn_40_1",
    "wrn_40_2-wrn_16_2",
)
"""The pairs of data-free distillation."""

_ONE_RUN = "at the best test epoch of one run"
_FAST_10 = f"{_ONE_RUN}, 10 inner steps, Fang et al. 2022"
_AS_IN_FAST = f"{_ONE_RUN}, as Fang et al. 2022 run it"
_CMI = f"{_ONE_RUN}, partly from images made before, Fang et al. 2021"
_BSR = f"{_ONE_RUN}, README of BSR"

TABLE_WITHOUT_DATA = {
    "cifar10": {
        "dafl": (_AS_IN_FAST, "92.22 81.10 65.71 81.33 81.55"),
        "zskt": (_AS_IN_FAST, "93.32 89.46 83.74 86.07 89.66"),
        "deep-inversion": (_AS_IN_FAST, "93.26 90.36 83.04 86.85 89.72"),
        "dfq": (_AS_IN_FAST, "94.61 90.84 86.14 91.69 92.01"),
        "cmi": (_CMI, "94.84 91.13 90.01 92.78 92.52"),
        "fast-meta": (_FAST_10, "94.05 90.53 89.29 92.51 92.45"),
        "bsr": (_BSR, "94.80 91.06 89.90 92.96 92.87"),
    },
    "cifar100": {
        "cmi": (_CMI, "77.04 70.56 57.91 68.88 68.75"),
        "fast-meta": (_FAST_10, "74.34 67.44 54.02 63.91 65.12"),
        "bsr": (_BSR, "75.24 68.74 56.11 66.18 66.58"),
    },
}
"""Data set -> method -> source, and top-1 in %, in the order of `WITHOUT_DATA`."""


_DATM_PAD = "ConvNet-3, as listed beside DATM and PAD"
_EDF_README = "ConvNet-5 at 128 px, README of EDF"

TABLE_CONDENSED = {
    "CIFAR-10": (
        _DATM_PAD,
        {"mtt": "46.2 65.4 71.6", "ftd": "46.0 65.3 73.2", "datm": "46.9 66.8 76.1", "pad": "47.2 67.4 77.0"},
    ),
    "CIFAR-100": (_DATM_PAD, {"datm": "27.9 47.2 55.0", "pad": "28.4 47.8 55.9"}),
    "Tiny ImageNet": (_DATM_PAD.replace("-3", "-4"), {"datm": "17.1 31.1 39.7", "pad": "17.7 32.3 41.6"}),
    "ImageNette": (
        _EDF_README,
        {"mtt": "47.7 63.0 -", "ftd": "52.2 67.7 -", "datm": "52.5 68.9 75.4", "edf": "52.6 71.0 77.8"},
    ),
    "ImageWoof": (
        _EDF_README,
        {"mtt": "28.6 35.8 -", "ftd": "30.1 38.8 -", "datm": "30.4 40.5 47.1", "edf": "30.8 41.8 48.4"},
    ),
    "ImageNet-100": (_EDF_README, {"datm": "9.8 20.9 42.7", "edf": "11.5 21.9 44.2"}),
}
"""Data set -> source, and method -> top-1 with 1, 10 and 50 images per class; "-" where none is known."""


def published(recipe: str, choices: Mapping[str, str]) -> str:
    """The published result for a recipe of published pairs, in words; "" if none is known.

    Args:
        recipe: its packaged name.
        choices: `pair`, and `variant`, `dataset` or `method` if the recipe has them.

    Example:
        >>> published("cifar100-kd", {"pair": "resnet56-resnet20"})
        '70.66 % (after the last epoch, README of HobbitLong/RepDistiller)'
    """
    if recipe == "generate-pairs":
        source, values = TABLE_WITHOUT_DATA.get(choices["dataset"], {}).get(choices["method"], ("", ""))
        value = dict(zip(WITHOUT_DATA, values.split(), strict=False)).get(choices["pair"])
        return f"{value} % ({source})" if value else ""
    family, variant, pair = recipe.removeprefix("cifar100-"), choices.get("variant", ""), choices.get("pair")
    name = family if variant in ("", "plain", "alone") else f"{family}, {variant}"
    for table, pairs in ((TABLE, PAIRS), (OTHER_TABLE, OTHER_PAIRS)):
        source, values = table.get(name, ("", ""))
        value = dict(zip(pairs, values.split(), strict=False)).get(str(pair), "-")
        if value != "-":
            return f"{value} % ({source})"
    return ""
