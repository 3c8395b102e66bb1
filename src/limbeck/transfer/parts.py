"""The parts of selection criteria by name, without importing torch; a part is a function and its entry here."""

from dataclasses import replace
from typing import Literal

from limbeck.catalogue import Catalogue
from limbeck.transfer.part_entries import AllocationEntry, RepresentationEntry, ScoreEntry

Order = Literal["highest", "lowest", "random"]

_SCORING = "limbeck.transfer.scoring"

_KINNAS = 'Kinnas et al., "Selecting images with entropy for frugal knowledge distillation", IEEE Access 2025'
_PAUL = 'Paul et al., "Deep learning on a data diet: finding important examples early in training", NeurIPS 2021'
_SHANNON = 'Shannon, "A mathematical theory of communication", Bell System Technical Journal 1948'
_USUAL = "none, it is common practice"

_REPRESENTATIONS = {
    "none": RepresentationEntry(
        "nothing: the score needs no pixels, and none are read",
        "nothing",
        "random",
        reads="nothing",
        paper="none, it is a part for scores that read nothing",
    ),
    "grayscale-histogram": RepresentationEntry(
        "share of the pixels at each of the 256 levels of the gray image",
        "shares",
        "entropy",
        f"{_SCORING}.representations:grayscale_histogram",
        "hg",
        paper=_KINNAS,
    ),
    "rgb-histogram": RepresentationEntry(
        "the same of red, green and blue, side by side",
        "shares",
        "entropy",
        f"{_SCORING}.representations:rgb_histogram",
        "hrgb",
        paper=_KINNAS,
    ),
    "average-adjusted-histogram": RepresentationEntry(
        "distance of the gray histogram from the whole set's average one",
        "shares",
        "entropy",
        f"{_SCORING}.features:adjusted_by_average",
        "aah",
        reads="set",
        paper=_KINNAS,
    ),
    "patch-entropies": RepresentationEntry(
        "entropy of the gray levels in every patch of 8x8 pixels, in bits",
        "entropies",
        "patch-entropy-sum",
        f"{_SCORING}.representations:patch_entropies",
        "pev",
        paper=_KINNAS,
    ),
    "grayscale": RepresentationEntry(
        "the gray image itself",
        "values",
        "variance",
        f"{_SCORING}.representations:grayscale",
        paper=_USUAL,
    ),
    "pixels": RepresentationEntry(
        "the image itself, in [0, 1]",
        "values",
        "variance",
        f"{_SCORING}.representations:pixels",
        paper=_USUAL,
    ),
    "autoencoder-codes": RepresentationEntry(
        "codes of a convolutional autoencoder trained on the set",
        "shares",
        "entropy",
        f"{_SCORING}.autoencoder:trained_encoder",
        "cfv",
        reads="set",
        trains=True,
        options={"epochs": 50},
        paper=_KINNAS,
    ),
    "teacher-logits": RepresentationEntry(
        "the teacher's answer",
        "logits",
        "entropy",
        f"{_SCORING}.features:teacher_logits",
        "lv",
        reads="teacher",
        paper=_USUAL,
    ),
    "function": RepresentationEntry(
        "whatever a function of one's own makes of the pixels, from Python",
        "any",
        "variance",
        f"{_SCORING}.features:own_function",
        reads="function",
        paper="none, it is yours",
    ),
    "teacher-embedding": RepresentationEntry(
        "what the teacher's last layer sees",
        "values",
        "variance",
        f"{_SCORING}.features:teacher_embedding",
        reads="teacher",
        paper=_USUAL,
    ),
}

_SCORES = {
    "random": ScoreEntry(
        "uniform in [0, 1), from the seed and the image's id",
        {"nothing": f"{_SCORING}.scores:random"},
        paper="none, it is the control of all others",
    ),
    "entropy": ScoreEntry(
        "Shannon entropy of the representation, in nats; of logits, of their softmax",
        {"shares": f"{_SCORING}.scores:entropy", "logits": f"{_SCORING}.scores:entropy_of_logits"},
        "grayscale-histogram",
        options={"eps": 1e-7},
        paper=_SHANNON,
    ),
    "variance": ScoreEntry(
        "variance of the representation's numbers",
        dict.fromkeys(("values", "shares", "logits", "entropies"), f"{_SCORING}.scores:variance"),
        "grayscale",
        paper=_USUAL,
    ),
    "patch-entropy-sum": ScoreEntry(
        "sum of the patches' entropies, in bits",
        {"entropies": f"{_SCORING}.scores:patch_entropy_sum"},
        "patch-entropies",
        paper=_KINNAS,
    ),
    "margin": ScoreEntry(
        "the teacher's first probability less its second",
        {"logits": f"{_SCORING}.scores:margin"},
        "teacher-logits",
        hard_end="lowest",
        paper='Scheffer et al., "Active hidden Markov models for information extraction", IDA 2001',
    ),
    "least-confidence": ScoreEntry(
        "1 less the teacher's first probability",
        {"logits": f"{_SCORING}.scores:least_confidence"},
        "teacher-logits",
        paper='Lewis and Gale, "A sequential algorithm for training text classifiers", SIGIR 1994',
    ),
    "confidence": ScoreEntry(
        "the teacher's first probability, at a temperature",
        {"logits": f"{_SCORING}.scores:confidence"},
        "teacher-logits",
        hard_end="lowest",
        options={"temperature": 1.0},
        paper=(
            'Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples in neural '
            'networks", ICLR 2017'
        ),
    ),
    "energy": ScoreEntry(
        "-T log sum exp(logits / T) of the teacher, lowest where it is surest",
        {"logits": f"{_SCORING}.scores:energy"},
        "teacher-logits",
        options={"temperature": 1.0},
        paper='Liu et al., "Energy-based out-of-distribution detection", NeurIPS 2020',
    ),
    "el2n": ScoreEntry(
        "distance of the teacher's probabilities from the label's",
        {"logits": f"{_SCORING}.scores:el2n"},
        "teacher-logits",
        labels=True,
        paper=_PAUL,
    ),
    "minimal-margin": ScoreEntry(
        "distance of the embedding from the teacher's nearest decision boundary",
        {"logits": f"{_SCORING}.scores:minimal_margin"},
        "teacher-logits",
        hard_end="lowest",
        head=True,
        paper='Weinstein et al., "Selective sampling for accelerating training of deep neural networks", arXiv '
        "1911.06996, 2019",
    ),
    "forgetting": ScoreEntry(
        "how often a network that learns the images gets one wrong again",
        {"nothing": f"{_SCORING}.forgetting:forgetting"},
        labels=True,
        trains=True,
        options={"model": "convnet_d3", "epochs": 10},
        paper='Toneva et al., "An empirical study of example forgetting during deep neural network learning", ICLR '
        "2019",
    ),
    "grand": ScoreEntry(
        "norm of the gradient in the head, the mean over networks that have begun to learn the images",
        {"nothing": f"{_SCORING}.grand:grand"},
        labels=True,
        trains=True,
        options={"model": "convnet_d3", "epochs": 2, "networks": 5},
        paper=_PAUL,
    ),
}

_CLUSTERS = {"clusters": None, "fewest": 10, "most": 30, "step": 2, "sample": 5000}

IMPLEMENTATIONS = {"scikit-learn": "sklearn", "openTSNE": "openTSNE"}
"""Implementation of the t-SNE map of a manifold -> its module; they give different maps."""

_ALLOCATION = "limbeck.transfer.allocation"

_WHOLE = {
    "top-n": AllocationEntry(
        "the n first of the whole set",
        f"{_ALLOCATION}:top_n",
        "tn",
        paper=_USUAL,
    ),
    "k-means": AllocationEntry(
        "the first of every cluster, as many as its share of the images",
        f"{_ALLOCATION}:k_means",
        "km",
        space="",
        options=_CLUSTERS,
        paper=_KINNAS,
    ),
    "manifold": AllocationEntry(
        "clusters of a t-SNE map in turn, one image each time round",
        f"{_ALLOCATION}:manifold",
        "ml",
        space="pixels",
        options={"clusters": 100, "components": 2, "implementation": "scikit-learn"},
        paper=_KINNAS,
    ),
    "coverage": AllocationEntry(
        "equally many of every stratum of the scores, the hardest left out",
        f"{_ALLOCATION}:coverage",
        options={"strata": 50, "cutoff": None},
        paper='Zheng et al., "Coverage-centric coreset selection for high pruning rates", ICLR 2023',
    ),
    "k-centre": AllocationEntry(
        "always the image farthest from all that are chosen",
        "limbeck.transfer.greedy:k_centre",
        greedy=True,
        space="",
        paper='Sener and Savarese, "Active learning for convolutional neural networks: a core-set approach", ICLR 2018',
    ),
    "herding": AllocationEntry(
        "images whose mean follows the mean of all",
        "limbeck.transfer.greedy:herding",
        greedy=True,
        space="",
        paper=(
            'Welling, "Herding dynamical weights to learn", ICML 2009; Rebuffi et al., "iCaRL: incremental classifier '
            'and representation learning", CVPR 2017'
        ),
    ),
}


def _within_classes(name: str, entry: AllocationEntry) -> AllocationEntry:
    summary = "the first of every class, in equal shares" if name == "top-n" else f"{name} within every class"
    short = {"tn": "tnpc", "km": "kmpc"}.get(entry.short, "")
    return replace(entry, summary=summary, short=short, per_class=True)


_ALLOCATIONS = {
    name: allocation
    for whole, entry in _WHOLE.items()
    for name, allocation in ((whole, entry), (f"{whole}-per-class", _within_classes(whole, entry)))
}

_CUT_OFF = {0.1: 0.3, 0.2: 0.2}
"""Upper bound of the share of images that is kept -> share left out as too hard, from the authors' commands."""


def left_out(cutoff: float | None, images: int, n: int) -> int:
    """How many of the hardest images `coverage` leaves out before it chooses `n` of `images`.

    The authors use a different share for every rate, and their code has no default: 30 % if a tenth is kept, 20 % if a
    fifth is. Without a `cutoff`, the share is that of the next rate at or above n / images, and 0 if more than a fifth
    is kept. Never so many that the budget could not be met.

    Source: https://github.com/haizhongzheng/Coverage-centric-coreset-selection, README.md.

    Example:
        >>> left_out(None, 1000, 100), left_out(None, 1000, 150), left_out(None, 1000, 500), left_out(0.5, 1000, 600)
        (300, 200, 0, 400)
    """
    if cutoff is None:
        cutoff = next((share for kept, share in _CUT_OFF.items() if n <= kept * images), 0.0)
    return min(int(cutoff * images), images - n)


ORDERS = {"highest": "hs", "lowest": "ls", "random": "rng"}
"""Which scores come first -> short name in the published code."""

_LONG = {
    "histograms_grayscale": "grayscale-histogram",
    "histograms_rgb": "rgb-histogram",
    "average_adjusted_histograms": "average-adjusted-histogram",
    "compressed_feature_vectors": "autoencoder-codes",
    "logits_vectors": "teacher-logits",
    "patch_entropy_vectors": "patch-entropies",
    "top_n": "top-n",
    "top_n_per_category": "top-n-per-class",
    "kmeans": "k-means",
    "kmeans_per_category": "k-means-per-class",
    "manifold_learning": "manifold",
    "highest_score": "highest",
    "lowest_score": "lowest",
    "patches_entropies_sum": "patch-entropy-sum",
}

ALIASES: dict[str, str] = {
    **_LONG,
    **{entry.short: name for name, entry in _REPRESENTATIONS.items() if entry.short},
    **{entry.short: name for name, entry in _ALLOCATIONS.items() if entry.short},
    **{short: name for name, short in ORDERS.items()},
}
"""Names of the published code's command line, long and short -> ours."""


def _named_otherwise(family: str) -> dict[str, str]:
    """Name -> what else it means in recipes, which name parts of all families without saying the family."""
    others = {"representation": REPRESENTATIONS, "score": SCORES, "allocation": ALLOCATIONS}
    names = {
        name: f"a {part} {name!r}"
        for part, catalogue in others.items()
        if catalogue.family != family
        for name in catalogue
    }
    names |= {name: f"an order {name!r}" for name in ORDERS}
    return names | {alias: f"short for {name!r}" for alias, name in ALIASES.items()}


_OWN = "limbeck.transfer.own_parts"
REPRESENTATIONS: Catalogue[RepresentationEntry] = Catalogue(
    "representations", _REPRESENTATIONS, f"{_OWN}:describe_representation", lambda: _named_otherwise("representations")
)
SCORES: Catalogue[ScoreEntry] = Catalogue(
    "scores", _SCORES, f"{_OWN}:describe_score", lambda: _named_otherwise("scores")
)
ALLOCATIONS: Catalogue[AllocationEntry] = Catalogue(
    "allocations", _ALLOCATIONS, f"{_OWN}:describe_allocation", lambda: _named_otherwise("allocations")
)


def full_name(name: str) -> str:
    """Our name of a part for any of its names; an unknown name is returned as it is."""
    return ALIASES.get(name, name)
