"""Pictures on the first page of a family, which `docs/make_method_pictures.py` draws."""

_PICTURES = {
    "objectives": (
        "![Images, their labels, what a teacher says of them, and where it looks](../../images/objectives.png)",
        "Four test images of CIFAR-10, and what there is to learn from: the label, one bar of ten classes; what a "
        "ResNet-56 says, at temperature 1 and at 4, as `kd` and its kin read it; and its maps, shallow to deep, bright "
        "where they are large, as `at` compares them. Of the first horse it is sure, and even at temperature 4 there "
        "is little more in its answer than in the label. Of the others it says what they resemble (the horse a cat, "
        "the automobile a truck), and the dog it takes for a cat: a student that learns its answers learns that, too.",
    ),
    "criteria": (
        "![The six horses that each of nine criteria takes first](../../images/criteria.png)",
        "The six of 5,000 horses of CIFAR-10 that a criterion takes first. Criteria of pixels see backgrounds and "
        "contrasts: `entropy` takes busy pictures, `entropy-lowest` horses that are cut out, `variance` black on "
        "white. Criteria of what the teacher (a ResNet-56) says see how hard a picture is: `el2n` and "
        "`minimal-margin` share five of six. `herding` and `k-centre` look much like `random`, which nothing here beat "
        "beyond seed noise at a tenth of CIFAR-10.",
    ),
    "generate": (
        "![Digits by hand, and what nine methods make](../../images/generate-methods.png)",
        "Above digits written by hand, below what each method makes last for the same teacher (twelve of a round, in "
        "the order of the classes that it sees; `digits-generate` with 1,280 images, one seed). Look whether the "
        "images of a row differ: those of `zskt` and `dfad` hardly do, and their students learned least. Whether you "
        "can read them says nothing: those of `dfq` and `fast` taught well.",
    ),
    "condense": (
        "![Digits by hand, and what three methods make of ten images](../../images/condense-methods.png)",
        "A digit of each class written by hand, and one by each way of condensing: `rded` cuts images out, which stay "
        "real; `dm` moves them towards the mean of a class (100 iterations); `mtt` changes whatever makes a "
        "network learn as experts did (150 iterations of 10 steps), which need not look like a digit.",
    ),
    "views": (
        "![A horse, and four views of it by each augmentation](../../images/views.png)",
        "A horse of CIFAR-10 in four views by each augmentation, `dsa` and `crop-scale-rotate` being normalised views. "
        "What comes in from outside is black in views and gray, the mean colour, in normalised ones. Look whether "
        "your classes survive: a mirrored digit is another sign.",
    ),
}


def illustration(family: str) -> str:
    """The picture of a family with what one sees in it; nothing where there is none."""
    return "{}\n\n*{}*".format(*_PICTURES[family]) if family in _PICTURES else ""
