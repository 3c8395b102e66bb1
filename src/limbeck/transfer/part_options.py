"""What the options of criteria mean: those of limbeck's own representations, scores and allocations."""

from collections.abc import Mapping

PART_OPTIONS: Mapping[str, str] = {
    "epochs": "how many times the network that is trained sees the images, a whole number >= 1",
    "model": "the network that is trained, a name of `limbeck ls models`",
    "networks": "how many networks the mean is taken over, each of a seed of its own, a whole number >= 1",
    "temperature": "what logits are divided by, a number > 0",
    "clusters": (
        "how many clusters, of each class where the allocation goes by class, a whole number >= 1; where none is "
        "given, the one of `fewest`, `fewest` + `step` ... `most` whose clusters have the highest silhouette"
    ),
    "fewest": "the smallest number of clusters that is tried where `clusters` is not given, a whole number >= 2",
    "most": "the largest number of clusters that is tried, a whole number >= `fewest`",
    "step": "from one number of clusters that is tried to the next, a whole number >= 1",
    "sample": "how many images numbers of clusters are tried on, a whole number >= 10",
    "components": "dimensions of the t-SNE map in which clusters are found, 1 or 2",
    "implementation": "whose t-SNE draws the map: scikit-learn, or openTSNE (`pip install 'limbeck[maps]'`)",
    "strata": "how many intervals of equal width the scores are cut into, a whole number >= 1",
    "cutoff": (
        "share of the images that is left out as too hard, >= 0 and < 1; where none is given, 0.3 where at most a "
        "tenth of the images is kept, 0.2 where at most a fifth is, and 0 above"
    ),
}
"""Option -> what it is, what it may be, and what it is where that is no number, for documentation."""
