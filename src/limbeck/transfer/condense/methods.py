"""The published methods as settings of one maker; without importing torch.

Values that hold for all data sets are those of the authors' code; where its behaviour was an oversight, settings have
the corrected one by default and the published one by name. Values that change with data set and images per class, as
rates and ranges of start epochs, are here those of CIFAR-10 at one image per class (EDF: of ImageNet's subsets at ten);
the packaged recipes have the others.
"""

from collections.abc import Mapping

from limbeck.transfer.methods import Method

_MTT = {
    "by": "trajectories",
    "iterations": 5000,
    "labels": "hard",
    "initialise": "real",
    "experts": {"epochs": 50},
    "matching": {"synthetic_steps": 50, "start_to": 2, "image_rate": 100.0, "rate_rate": 1e-7, "skip_above": None},
}
_DATM = {
    "by": "trajectories",
    "iterations": 10000,
    "labels": "soft",
    "initialise": "correct",
    "experts": {"epochs": 100, "sharpness": {"rho": 0.01, "alpha": 0.3, "adaptive": True}},
    "matching": {
        "synthetic_steps": 80,
        "start_to": 4,
        "image_rate": 100.0,
        "label_rate": 5.0,
        "rate_rate": 1e-7,
        "skip_above": 1.1,
    },
}

METHODS: Mapping[str, Method] = {
    "mtt": Method("steps on synthetic images that follow those of experts (Cazenave et al., 2022)", _MTT),
    "ftd": Method(
        "mtt with experts in flat places, and an average of the images (Du et al., 2023)",
        {
            **_MTT,
            "average": 0.9999,
            "experts": {"epochs": 50, "sharpness": {"rho": 0.01, "alpha": 0.3, "adaptive": True}},
        },
    ),
    "datm": Method("later and later epochs, and learned soft labels (Guo et al., 2024)", _DATM),
    "pad": Method(
        "datm with experts taught from easy to hard, and without the least of the loss (Li et al., 2024)",
        {
            **_DATM,
            "experts": {**_DATM["experts"], "curriculum": {}},
            "matching": {**_DATM["matching"], "drop": 0.25},
        },
    ),
    "edf": Method(
        "datm without the common pattern, on the areas that tell classes apart (Wang et al., 2025)",
        {
            **_DATM,
            "matching": {
                **_DATM["matching"],
                "synthetic_steps": 40,
                "start_to": 10,
                "grow_to": 20,
                "grow_until": 1000,
                "image_rate": 1000.0,
                "label_rate": 2.0,
                "rate_rate": 1e-5,
                "skip_above": 1.5,
                "drop": 0.25,
            },
            "mask": {},
        },
    ),
    "dm": Method(
        "the mean features of random networks (Zhao and Bilen, 2023)",
        {
            "by": "distribution",
            "iterations": 20000,
            "labels": "hard",
            "initialise": "real",
            "distribution": {"networks": "random", "distance": "mean", "image_rate": 1.0, "real_batch": 256},
        },
    ),
    "ncfm": Method(
        "characteristic functions of features (Wang et al., 2025)",
        {
            "by": "distribution",
            "iterations": 20000,
            "labels": "hard",
            "initialise": "real",
            "per_image": 4,
            "views": {"dsa": {"operations": ["colour", "crop", "cutout"], "mode": "all"}},
            "experts": {"count": 20, "epochs": 60, "momentum": 0.9, "weight_decay": 5e-4},
            "distribution": {
                "networks": "between",
                "distance": "characteristic",
                "real_batch": 1024,
                "optimizer": "adamw",
                "image_rate": 0.01,
                "weight_decay": 5e-4,
                "patience": 500,
                "space": "images",
                "step": "class",
                "calibration": 1.0,
                "clamp": True,
            },
        },
    ),
    "tgdd": Method(
        "mean features of networks on the way of experts, who are to be right, too (Ran et al., 2026)",
        {
            "by": "distribution",
            "iterations": 10000,
            "labels": "hard",
            "initialise": "real",
            "views": {"dsa": {"operations": ["colour", "crop", "cutout"], "mode": "all"}},
            "experts": {"count": 20, "epochs": 60, "momentum": 0.9, "weight_decay": 5e-4},
            "distribution": {
                "networks": "trajectory",
                "distance": "mean",
                "real_batch": 128,
                "synthetic_batch": 200,
                "image_rate": 0.01,
                "space": "images",
                "step": "class",
                "calibration": 1.0,
                "calibrate": "together",
                "calibration_within": 7,
                "clamp": True,
            },
        },
    ),
    "rded": Method(
        "crops that a teacher is sure of, put together; nothing is optimised (Sun et al., 2024)",
        {"by": "crops", "iterations": 0, "labels": "teacher"},
    ),
}
