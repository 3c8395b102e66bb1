"""The published methods as settings of one engine; without importing torch.

Values are those of the authors' code for 32 px images, as far as it runs, and of its scripts; where its behaviour was
an oversight, settings have the corrected one by default and the published one by name, see `GenerateSettings`.
DAFL, ZSKT, DFAD and DFQ are as CMI and Fast implement them.
"""

from collections.abc import Mapping

from limbeck.transfer.methods import Method

_INVERSION = {
    "batch_size": 256,
    "inner_steps": 1,
    "steps_per_round": 5,
    "fresh": 5,
    "learning_rate": 1e-3,
    "views": "none",
}
_FAST = {
    "batch_size": 256,
    "inner_steps": 10,
    "steps_per_round": 400,
    "warmup_rounds": 20,
    "optimise": "generator-and-latents",
    "learning_rate": 2e-3,
    "latent_rate": 0.01,
    "momentum": 0.9,
    "losses": {"batch_norm": 10.0, "one_hot": 0.5, "adversarial": 1.33},
    "generator": {"latents": 256},
}
_META = {**_FAST, "meta": "fomaml", "generator": {"latents": 256, "renew_once": "after-warmup"}}
_RATES = {
    "inner_steps": {
        2: {"learning_rate": 5e-3, "latent_rate": 0.015},
        5: {"learning_rate": 3e-3, "latent_rate": 0.01},
    }
}

METHODS: Mapping[str, Method] = {
    "deep-inversion": Method(
        "pixels by the teacher's batch statistics and labels (Yin et al., 2020)",
        {
            "batch_size": 256,
            "inner_steps": 1000,
            "steps_per_round": 400,
            "optimise": "pixels",
            "learning_rate": 0.1,
            "betas": [0.5, 0.99],
            "losses": {"batch_norm": 10.0, "one_hot": 1.0, "adversarial": 1.0, "total_variation": 0.001},
            "adversarial": "js",
            "adversarial_temperature": 3.0,
            "labels": "sorted",
            "generator": {"network": "none"},
        },
        paper='Yin et al., "Dreaming to distill: data-free knowledge transfer via DeepInversion", CVPR 2020',
        idea=(
            "Batch norm remembers mean and variance of every layer's features over the data that the teacher was "
            "trained on. Noise is optimised, pixel by pixel, until its features have these, the teacher gives the "
            "class that is wanted, and, where a student is at hand, the two disagree. There is no generator, so "
            "that every batch begins anew and takes many steps."
        ),
    ),
    "dafl": Method(
        "a generator by the teacher's sureness, activations and balance (Chen et al., 2019)",
        {
            **_INVERSION,
            "losses": {"one_hot": 1.0, "activation": 0.001, "balance": 20.0},
            "labels": "argmax",
            "generator": {"latents": 512},
        },
        paper='Chen et al., "Data-free learning of student networks", ICCV 2019',
        idea=(
            "A generator learns to make what the teacher is sure of, what excites its features, and what it "
            "spreads evenly over its classes; batch statistics play no part. The student is taught on batches "
            "that are drawn from the generator as it is, and nothing is kept."
        ),
    ),
    "zskt": Method(
        "a generator against the student, by divergence (Micaelli & Storkey, 2019)",
        {**_INVERSION, "losses": {"adversarial": 1.0}, "adversarial": "kl", "generator": {"latents": 256}},
        paper='Micaelli and Storkey, "Zero-shot knowledge transfer via adversarial belief matching", NeurIPS 2019',
        idea=(
            "A game: the generator seeks images on which student and teacher differ, and the student follows. "
            "Nothing holds the images to what the teacher has seen, so that the student needs many steps for each "
            "of the generator's."
        ),
    ),
    "dfad": Method(
        "a generator against the student, by distance of logits (Fang et al., 2019)",
        {**_INVERSION, "losses": {"adversarial": 1.0}, "adversarial": "l1", "generator": {"latents": 256}},
        paper='Fang et al., "Data-free adversarial distillation", arXiv 1912.11006, 2019',
        idea=(
            "The game of ZSKT with the distance of logits in place of the divergence of predictions, whose "
            "gradient vanishes where both networks are sure."
        ),
    ),
    "dfq": Method(
        "a generator by batch statistics, balance and the student (Choi et al., 2020)",
        {
            **_INVERSION,
            "steps_per_round": 10,
            "fresh": 10,
            "losses": {"batch_norm": 1.0, "one_hot": 1.0, "adversarial": 1.0, "balance": 20.0},
            "adversarial": "kl",
            "labels": "argmax",
            "generator": {"latents": 256},
        },
        paper=(
            'Choi et al., "Data-free network quantization with adversarial knowledge distillation", CVPR workshops 2020'
        ),
        idea=(
            "The game of ZSKT, held to the teacher's data by its batch statistics, its sureness, and balance over "
            "its classes."
        ),
    ),
    "cmi": Method(
        "a new generator each round, by batch statistics and contrast with images before (Fang et al., 2021)",
        {
            "batch_size": 256,
            "inner_steps": 200,
            "steps_per_round": 400,
            "optimise": "generator-and-latents",
            "learning_rate": 1e-3,
            "latent_rate": 1e-3,
            "losses": {"batch_norm": 1.0, "one_hot": 1.0, "adversarial": 0.5, "contrast": 0.8},
            "labels": "sorted",
            "generator": {"latents": 256, "renew": 1},
        },
        paper='Fang et al., "Contrastive model inversion for data-free knowledge distillation", IJCAI 2021',
        idea=(
            "A generator collapses to few images. So every round begins a new one, and a contrastive loss pushes "
            "each image away from all that were made before, while two views of one image stay together."
        ),
    ),
    "fast": Method(
        "one generator for all rounds, few steps each (Fang et al., 2022, without its meta-learning)",
        _FAST,
        variants=_RATES,
        paper='Fang et al., "Up to 100x faster data-free knowledge distillation", AAAI 2022',
        idea=(
            "What makes them images is the same for images of all rounds. So one generator goes on from round to "
            "round, and a few steps on it and on fresh latents make a batch; remembered means and variances of "
            "batches before stand in for a batch that would be large enough."
        ),
    ),
    "fast-meta": Method(
        "a generator that learns to be adapted in few steps (Fang et al., 2022)",
        _META,
        variants=_RATES,
        paper='Fang et al., "Up to 100x faster data-free knowledge distillation", AAAI 2022',
        idea=(
            "As `fast`, but every call adapts a copy of the generator, and the generator itself learns, by "
            "first-order meta-learning, to be a start from which few steps are enough."
        ),
    ),
    "bsr": Method(
        "fast-meta with a balanced sample repository",
        {**_META, "labels": "balanced", "growth": {}, "homogenise": {}},
        idea=(
            "Images that were made stay in a repository, and three parts keep it balanced: the one-hot loss "
            "weighs more once images no longer improve by the others, labels of classes that are rare in the "
            "repository are drawn rather than others, and images that are outliers of their class, by the local "
            "outlier factor of the teacher's embeddings, are removed."
        ),
        source=(
            "the code of its authors (BSR, commit 9a4c55c), which builds on Fang et al., "
            '"Up to 100x faster data-free knowledge distillation", AAAI 2022'
        ),
    ),
}
