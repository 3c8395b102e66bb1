"""The published methods as settings of one maker. torch is not imported.

Values that hold for all data sets are those of the authors' code; where its behaviour was an oversight, the corrected
behaviour is the default and the published one has a name. Values that depend on data set and images per class, as rates
and ranges of start epochs, are those of CIFAR-10 at one image per class (EDF: ImageNet's subsets at ten); the packaged
recipes have the others. Whether images are whitened is a setting of the network, not of a method: it is off unless
said, while the published rows of trajectories on CIFAR have it on, most of MTT and all of FTD, DATM, PAD and EDF.
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
    "use": {"batch_size": 256},
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

_EXPERTS_OF_FEATURES = {
    "epochs": 60,
    "milestones": (40, 50),
    "decay": 0.2,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "views": {"dsa": {"operations": ["colour", "crop"], "mode": "all"}},
}

METHODS: Mapping[str, Method] = {
    "mtt": Method(
        "steps on synthetic images that follow those of experts (Cazenavette et al., 2022)",
        _MTT,
        paper='Cazenavette et al., "Dataset distillation by matching training trajectories", CVPR 2022',
        idea=(
            "Experts are taught on all the data, and snapshots of their weights are kept. From such a snapshot a "
            "network is taught on the synthetic images for some steps; the images, and the learning rate, are "
            "changed so that it ends where the expert was some epochs later."
        ),
    ),
    "ftd": Method(
        "MTT with experts in flat places, and an average of the images (Du et al., 2023)",
        {
            **_MTT,
            "average": 0.9999,
            "experts": {"epochs": 50, "sharpness": {"rho": 0.01, "alpha": 0.3, "adaptive": True}},
        },
        paper='Du et al., "Minimizing the accumulated trajectory error to improve dataset distillation", CVPR 2023',
        idea=(
            "Errors of matched parts add up when a student is taught from its own start. Experts that are taught "
            "in flat places, by sharpness-aware steps, make such errors matter less; the images are a moving "
            "average over iterations."
        ),
    ),
    "datm": Method(
        "later and later epochs, and learned soft labels (Guo et al., 2024)",
        _DATM,
        paper=(
            'Guo et al., "Towards lossless dataset distillation via difficulty-aligned trajectory matching", ICLR 2024'
        ),
        idea=(
            "Early epochs teach easy patterns, late ones hard ones: few images hold the former, many the latter. "
            "The range of epochs that are matched grows to what the number of images can hold, and labels, which "
            "begin as logits of experts that are right, are learned as well."
        ),
    ),
    "pad": Method(
        "DATM with experts taught from easy to hard, and without the least of the loss (Li et al., 2024)",
        {
            **_DATM,
            "experts": {**_DATM["experts"], "curriculum": {}},
            "matching": {**_DATM["matching"], "drop": 0.0},  # above one image a class a quarter or half, see recipes
        },
        paper='Li et al., "Prioritize alignment in dataset distillation", arXiv 2408.03360, 2024',
        idea=(
            "As DATM, with information that fits the number of images from either side: experts are shown images "
            "from easy to hard, and the parameters that differ least, which are those of shallow layers above "
            "all, are left out of the loss."
        ),
    ),
    "edf": Method(
        "DATM without the common pattern, on the areas that tell classes apart (Wang et al., 2025)",
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
        paper=(
            'Wang et al., "Emphasizing discriminative features for dataset distillation in complex scenarios", '
            "CVPR 2025"
        ),
        idea=(
            "In images of a subject before a background, much of what is matched is common to all classes. The "
            "share of parameters with the least loss, which carries the common pattern, is left out (common "
            "pattern dropout); and gradients of pixels are multiplied by how much these made a network give the "
            "class, by Grad-CAM (discriminative area enhancement)."
        ),
    ),
    "dm": Method(
        "the mean features of random networks (Zhao and Bilen, 2023)",
        {
            "by": "distribution",
            "iterations": 20000,
            "labels": "hard",
            "initialise": "real",
            "distribution": {"networks": "random", "distance": "mean", "image_rate": 1.0, "real_batch": 256},
            "use": {"batch_size": 256},
        },
        paper='Zhao and Bilen, "Dataset condensation with distribution matching", WACV 2023',
        idea=(
            "The mean features of the synthetic images of a class become those of its real ones, in a freshly "
            "drawn network each time. Nothing is trained, so that it takes a fraction of the time of "
            "trajectories."
        ),
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
            "experts": {**_EXPERTS_OF_FEATURES, "count": 20, "batch_size": 128},
            "distribution": {
                "networks": "between",
                "distance": "characteristic",
                "real_batch": 1024,
                "optimizer": "adamw",
                "image_rate": 0.001,  # see `idea`
                "weight_decay": 5e-4,
                "patience": 500,
                "space": "images",
                "step": "class",
                "calibration": 1.0,
                "clamp": True,
            },
            "use": {
                "epochs": 2000,
                "optimizer": "adamw",
                "learning_rate": 0.001,
                "weight_decay": 0.01,
                "milestones": (0.2, 0.4, 0.6, 0.8),
                "decay": 0.5,
                "views": [  # two for every image and one of three, without cutout, as beside CutMix
                    {"dsa": {"operations": ["flip", "colour"], "mode": "all"}},
                    {"dsa": {"operations": ["crop", "scale", "rotate"]}},
                ],
            },
        },
        paper=(
            'Wang et al., "Dataset distillation with neural characteristic function: a minmax perspective", CVPR 2025'
        ),
        idea=(
            "Two distributions are the same where their characteristic functions are. Features of synthetic and "
            "real images are compared by theirs, at random frequencies, in amplitude and in phase, in networks "
            "between the first and the last snapshot of an expert. The rate of pixels is the 0.01 of its authors' "
            "files times the 0.1 (`lr_scale_adam`) by which their code multiplies it for all optimisers but SGD."
        ),
    ),
    "tgdd": Method(
        "mean features of networks on the way of experts, who are to be right, too (Ran et al., 2026)",
        {
            "by": "distribution",
            "iterations": 10000,
            "labels": "hard",
            "initialise": "real",
            "views": {"dsa": {"operations": ["colour", "crop", "cutout"], "mode": "all"}},
            "experts": {**_EXPERTS_OF_FEATURES, "count": 5, "batch_size": 64},
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
            "keep": "uint8",
            "use": {
                "epochs": 1500,
                "batch_size": 64,
                "milestones": (0.6667, 0.8333),
                "decay": 0.2,
                "views": [
                    {"dsa": {"operations": ["flip", "colour"], "mode": "all"}},
                    {"dsa": {"operations": ["crop", "scale", "rotate"]}},
                ],
                "image_views": {"cutmix": {"share": 0.5}},
            },
        },
        paper='Ran et al., "Trajectory guided dataset distillation with balanced distribution", AAAI 2026',
        idea=(
            "Mean features as in DM, in networks as they are on the way of an expert and not as drawn; a taught "
            "expert is to be right about the images, too. The rate of pixels is that of one image a class: its authors "
            "have 0.01 for each image of a class, and 0.1 for each on ImageNet's subsets (`distribution.image_rate`)."
        ),
    ),
    "rded": Method(
        "crops that a teacher is sure of, put together; nothing is optimised (Sun et al., 2024)",
        {
            "by": "crops",
            "iterations": 0,
            "labels": "teacher",
            "use": {
                "epochs": 300,
                "batch_size": None,
                "optimizer": "adamw",
                "learning_rate": 0.001,
                "weight_decay": 0.01,
                "schedule": "cosine",
                "views": None,
                "image_views": None,
                "temperature": 20.0,
            },
        },
        paper=(
            'Sun et al., "On the diversity and realism of distilled dataset: an efficient dataset distillation '
            'paradigm", CVPR 2024'
        ),
        idea=(
            "Crops of real images that a teacher is surest of are put together, four to an image where it is "
            "large enough. Nothing is optimised; what is learned comes from the teacher, who labels every view "
            "that a student is shown."
        ),
    ),
}
