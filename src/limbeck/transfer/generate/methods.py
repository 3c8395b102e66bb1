"""The published methods as settings of one engine; without importing torch.

Values are those of the authors' code for 32 px images, as far as it runs, and of its scripts; where its behaviour was
an oversight, settings have the corrected one by default and the published one by name, see `GenerateSettings`.
DAFL, ZSKT, DFAD and DFQ are as CMI and Fast implement them.
"""

from collections.abc import Mapping

from limbeck.transfer.methods import Method

_INVERSION = {"batch_size": 256, "inner_steps": 1, "steps_per_round": 5, "fresh": 5, "learning_rate": 1e-3}
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
    "generator": {"latents": 256, "renew_once": "after-warmup"},
}
_META = {**_FAST, "meta": "fomaml"}

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
    ),
    "dafl": Method(
        "a generator by the teacher's sureness, activations and balance (Chen et al., 2019)",
        {
            **_INVERSION,
            "losses": {"one_hot": 1.0, "activation": 0.001, "balance": 20.0},
            "labels": "argmax",
            "generator": {"latents": 512},
        },
    ),
    "zskt": Method(
        "a generator against the student, by divergence (Micaelli & Storkey, 2019)",
        {**_INVERSION, "losses": {"adversarial": 1.0}, "adversarial": "kl", "generator": {"latents": 256}},
    ),
    "dfad": Method(
        "a generator against the student, by distance of logits (Fang et al., 2019)",
        {**_INVERSION, "losses": {"adversarial": 1.0}, "adversarial": "l1", "generator": {"latents": 256}},
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
    ),
    "fast": Method(
        "one generator for all rounds, few steps each (Fang et al., 2022, without its meta-learning)", _FAST
    ),
    "fast-meta": Method("a generator that learns to be adapted in few steps (Fang et al., 2022)", _META),
    "bsr": Method(
        "fast-meta with a balanced sample repository",
        {**_META, "labels": "balanced", "growth": {}, "homogenise": {}},
    ),
}
