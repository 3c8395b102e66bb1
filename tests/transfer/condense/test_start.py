"""What images begin as: which ones, with which labels, and the errors where that cannot be."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from limbeck.data import ImageSet
from limbeck.data.multi_formation import merge_images
from limbeck.errors import UserError
from limbeck.models import Classifier, create
from limbeck.transfer.condense.settings import CondenseSettings
from limbeck.transfer.condense.start import Start, initial_set
from limbeck.transfer.condense.start_labels import soft_labels
from limbeck.transfer.maker import MakerContext

K, EACH = 3, 12
NAMES = ("ant", "bee", "cat")


def pool(each: int = EACH, seed: int = 0) -> ImageSet:
    """The first two pixels of an image are its label and its id."""
    source = torch.Generator().manual_seed(seed)
    labels = torch.arange(K).repeat(each)
    images = torch.randint(0, 255, (len(labels), 1, 4, 4), generator=source, dtype=torch.uint8)
    ids = torch.randperm(200, generator=source)[: len(labels)]
    images[:, 0, 0, 0], images[:, 0, 0, 1] = labels, ids
    return ImageSet(images, labels, ids=ids, classes=NAMES, name="beasts")


class Knows(nn.Module):
    """Right about images of some ids and wrong about others; each network has its own largest logit."""

    def __init__(self, ids: list[int], largest: float) -> None:
        super().__init__()
        self.largest = largest
        self.ids = nn.Buffer(torch.tensor(ids, dtype=torch.int64))

    def forward(self, images: Tensor) -> Tensor:
        labels, ids = ((images[:, 0, 0, place] * 255).round().long() for place in (0, 1))
        answers = torch.where(torch.isin(ids, self.ids), labels, labels + 1) % K
        return self.largest * nn.functional.one_hot(answers, K).float()


def judge(ids: list[int], largest: float = 1.0) -> Classifier:
    return Classifier(Knows(ids, largest), num_classes=K, channels=1, mean=(0.0,), std=(1.0,))


def network(classes: int = K) -> Classifier:
    return create("convnet_d3", num_classes=classes, channels=1, input_size=4, width=4, mean=(0.25,), std=(0.5,))


def start_of(images: ImageSet, *judges: Classifier, count: int = 6, seed: int = 0, **settings: Any) -> Start:
    defaults = {"method": "mtt", "budget": count, "initialise": "real", "labels": "hard"}
    chosen = CondenseSettings(**{**defaults, **settings})
    return initial_set(chosen, images, network(), judges, count=count, seed=seed)


def test_real_images_are_as_many_of_each_class_and_drawn_from_seed_and_ids() -> None:
    images = pool()
    start = start_of(images)
    assert start.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(start.synthetic.labels, start.classes)
    rows = start.rows[:, 0]
    assert len(rows.unique()) == 6
    assert images.labels is not None
    assert torch.equal(images.labels[rows], start.classes)
    assert torch.equal(start.synthetic.inputs, network().prepare(images.gather(rows)))
    assert start.provenance == {"source": ["beasts"] * 6, "source_id": images.ids[rows].tolist()}
    assert start.right is None
    assert start.synthetic.learned.all()
    backwards = start_of(images.subset(images.ids.flip(0)))
    assert torch.equal(backwards.synthetic.inputs, start.synthetic.inputs)
    assert not torch.equal(start_of(images, seed=1).rows, start.rows)
    assert start_of(images, count=9).rows[:2].equal(start.rows[:2])


def test_a_class_that_is_small_or_absent_passes_its_share_on() -> None:
    images = pool()
    assert images.labels is not None
    uneven = images.subset(torch.cat([images.ids[images.labels == 0], images.ids[images.labels == 2][:1]]))
    assert start_of(uneven, count=6).classes.tolist() == [0] * 5 + [2]


def test_correct_images_are_such_as_the_first_judge_is_right_about_then_the_next() -> None:
    images = pool()
    assert images.labels is not None
    ants = images.ids[images.labels == 0].tolist()
    others = images.ids[images.labels > 0].tolist()
    first, second = judge([ants[3], *others]), judge(ants[5:8])
    start = start_of(images, first, second, initialise="correct", count=9)
    ids = start.provenance["source_id"]
    assert ids[0] == ants[3]
    assert set(ids[1:3]) < set(ants[5:8])
    assert len(set(ids)) == 9
    assert start.classes.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    # 12 ants for the first, the 11 others for the second, 12 bees and 12 cats.
    assert start.cost.teacher_passes == start.cost.images_read == 12 + 11 + 12 + 12
    all_right = start_of(images, judge(images.ids.tolist()), initialise="correct", count=9)
    assert torch.equal(all_right.rows, start_of(images, count=9).rows)


def test_a_judge_is_shown_a_class_by_parts_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pool()
    whole = start_of(images, judge(images.ids.tolist()[::2]), initialise="correct", count=6)
    monkeypatch.setattr("limbeck.transfer.condense.start_images._FEWEST", 2)
    parts = start_of(images, judge(images.ids.tolist()[::2]), initialise="correct", count=6)
    assert torch.equal(parts.rows, whole.rows)
    assert parts.cost.teacher_passes < whole.cost.teacher_passes


def test_where_no_judge_is_right_others_make_up_and_it_is_said() -> None:
    images = pool()
    assert images.labels is not None
    bees = images.ids[images.labels == 1].tolist()
    right_ids = [*images.ids[images.labels != 1].tolist(), bees[7]]
    with pytest.warns(UserWarning, match=r"as many images as begin of 'bee' \(1 of 2\); others .*`initialise: real`"):
        start = start_of(images, judge(right_ids), initialise="correct")
    assert start.classes.tolist() == [0, 0, 1, 1, 2, 2]
    assert start.provenance["source_id"][2] == bees[7]
    with pytest.warns(UserWarning, match=r"'ant' \(0 of 2\), 'bee' \(0 of 2\), .*no judge is right about 6 of the 6"):
        start = start_of(images, judge([]), initialise="correct", labels="soft")
    assert torch.isfinite(start.synthetic.labels).all()
    assert start.right is not None
    assert start.right.tolist() == [0] * 6


def test_soft_labels_are_the_mean_of_those_that_are_right_and_finite_always() -> None:
    images = pool()
    ids = start_of(images).provenance["source_id"]
    judges = [judge(ids[:2], 1.0), judge(ids[1:3], 3.0)]
    with pytest.warns(UserWarning, match="no judge is right about 3 of the 6 images .* the mean of all judges"):
        start = start_of(images, *judges, labels="soft")
    assert start.right is not None
    assert (start.right.tolist(), start.judges) == ([1, 2, 1, 0, 0, 0], 2)
    labels = start.synthetic.labels
    assert labels[0].tolist() == [1, 0, 0]
    assert labels[1].tolist() == [2, 0, 0]
    assert labels[2].tolist() == [0, 3, 0]
    assert labels[3].tolist() == [0, 0, 2]  # the mean of 1 and 3 for the class after it
    assert torch.equal(start.synthetic.classes()[:3], start.classes[:3])
    assert start.cost.teacher_passes == 12


def test_judges_see_floats_as_they_are() -> None:
    images = pool()
    beyond = ImageSet.of_floats(images.tensor().half() / 255 + 0.5, images.labels, ids=images.ids, classes=NAMES)
    first = network()
    wanted = first.eval()(beyond.floats().float()).logits.detach()
    assert torch.allclose(soft_labels([first], beyond).values, wanted, atol=1e-6)
    assert not torch.allclose(wanted, first(beyond.tensor()).logits, atol=1e-3)


def test_labels_of_the_teacher_are_its_logits_right_or_wrong() -> None:
    images = pool()
    settings = CondenseSettings(method="mtt", budget=6, labels="teacher")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        start = initial_set(settings, images, network(), count=6, seed=0, teacher=judge([], 2.0))
    wrong = nn.functional.one_hot((start.classes + 1) % K, K) * 2.0
    assert torch.equal(start.synthetic.labels, wrong)
    assert start.right is None


def test_noise_is_normal_in_the_networks_space_and_from_nowhere() -> None:
    start = start_of(pool(), initialise="noise", count=60, seed=3)
    assert start.synthetic.inputs.shape == (60, 1, 4, 4)
    assert abs(float(start.synthetic.inputs.mean())) < 0.1
    assert float(start.synthetic.inputs.std()) == pytest.approx(1, abs=0.1)
    assert torch.equal(
        start.synthetic.inputs, start_of(pool(seed=5), initialise="noise", count=60, seed=3).synthetic.inputs
    )
    assert (start.rows == -1).all()
    assert start.provenance == {"source": ["noise"] * 60, "source_id": [None] * 60}
    assert start.classes.bincount().tolist() == [20] * 3


def test_noise_has_labels_of_the_teacher_for_what_it_looks_like() -> None:
    settings = CondenseSettings(method="mtt", budget=6, initialise="noise", labels="teacher")
    classifier, teacher = network(), judge([], 2.0)
    start = initial_set(settings, pool(), classifier, count=6, seed=0, teacher=teacher)
    levels = (classifier.images_of(start.synthetic.inputs) * 255).round().clamp(0, 255)
    assert torch.equal(start.synthetic.labels, teacher(levels / 255).logits)


def test_a_share_of_each_class_is_learned() -> None:
    start = start_of(pool(), count=12, learned=0.5)
    of_class = [start.synthetic.learned[start.classes == k] for k in range(K)]
    assert [int(learned.sum()) for learned in of_class] == [2, 2, 2]
    assert len({tuple(learned.tolist()) for learned in of_class}) > 1
    assert [int(start_of(pool(), count=3, learned=0.1).synthetic.learned.sum())] == [3]


def test_several_images_are_put_together_where_each_is_cut_when_used() -> None:
    images = pool()
    settings = {"method": "dm", "per_image": 4, "count": 3}
    start = start_of(images, **settings)
    assert start.rows.shape == (3, 4)
    assert len(start.rows.unique()) == 12
    merged = merge_images(images.gather(start.rows.flatten()), 4)
    assert torch.equal(start.synthetic.inputs, network().prepare(merged))
    ids = images.ids[start.rows]
    assert start.provenance["source_id"] == [" ".join(map(str, row)) for row in ids.tolist()]
    classifier = judge(ids[0, :2].tolist() + ids[1:].flatten().tolist())
    with pytest.warns(UserWarning, match="no judge is right about 2 of the 12"):
        soft = start_of(images, classifier, labels="soft", **settings)
    assert soft.right is not None
    assert soft.right.tolist() == [0, 1, 1]
    assert soft.synthetic.labels.tolist() == [[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]]


def test_the_rate_is_that_which_learning_begins_with() -> None:
    assert float(start_of(pool(), matching={"rate": 0.03}).synthetic.rate) == pytest.approx(0.03)
    start = start_of(pool(), method="dm", use={"learning_rate": 0.2})
    assert float(start.synthetic.rate) == pytest.approx(0.2)


def made_by(images: ImageSet, chosen: Mapping[str, Any], folder: Path, *, count: int = 6, **settings: Any) -> Start:
    values = {"method": "mtt", "budget": count, **settings, "initialise": dict(chosen)}
    context = MakerContext(folder=folder, pool=images, classes=NAMES, shape=images.shape, seed=0)
    return initial_set(CondenseSettings(**values), images, network(), count=count, seed=0, context=context)


def test_another_maker_chooses(tmp_path: Path) -> None:
    images = pool()
    start = made_by(images, {"maker": "select", "criterion": "variance"}, tmp_path)
    assert start.classes.tolist() == [0, 0, 1, 1, 2, 2]
    variances = images.tensor().double().flatten(1).var(1)
    rows = start.rows[:, 0]
    assert images.labels is not None
    for label in range(K):
        of_class = variances[images.labels == label].sort().values
        chosen = variances[rows[2 * label : 2 * label + 2]].sort().values
        assert torch.equal(chosen, of_class[-2:]) or torch.equal(chosen, of_class[:2])
    assert start.provenance["source"] == ["beasts"] * 6
    assert start.cost.images_read >= len(images)
    assert (tmp_path / "initial" / "chosen.parquet").is_file()
    again = made_by(images, {"criterion": "variance"}, tmp_path)
    assert torch.equal(again.synthetic.inputs, start.synthetic.inputs)
    four = made_by(images, {"criterion": "variance"}, tmp_path / "4", count=3, method="dm", per_image=4)
    assert four.rows.shape == (3, 4)
    per_class = {"method": "dm", "per_image": 4, "budget": "1/class"}
    assert torch.equal(made_by(images, {"criterion": "variance"}, tmp_path / "c", count=3, **per_class).rows, four.rows)


def test_images_of_another_maker_must_fit(tmp_path: Path) -> None:
    images = pool()
    with pytest.raises(UserError, match="`initialise` by another maker needs a `context`"):
        start_of(images, initialise={"criterion": "variance"})
    one_class = {"criterion": {"score": "variance", "allocation": "top-n"}}
    dark = images.tensor().clone()
    dark[images.labels != 0, :, 1:] = 7
    dark = ImageSet(dark, images.labels, ids=images.ids, classes=NAMES, name="dark")
    message = r"`initialise` must give 3 images, some of each class, got 3 of .* \('ant' 3, 'bee' 0, 'cat' 0\); choose"
    with pytest.raises(UserError, match=message):
        made_by(dark, one_class, tmp_path, count=3)


@pytest.mark.parametrize(
    ("settings", "count", "message"),
    [
        ({"labels": "soft"}, 6, "`labels: soft` needs `judges`, networks that are taught to the end, got none"),
        ({"initialise": "correct"}, 6, "`initialise: correct` needs `judges`.* set `experts.judges`"),
        ({"labels": "teacher"}, 6, "`labels: teacher` needs a teacher, got none; give one, or take 'soft' or 'hard'"),
        ({}, 2, "`count` must be at least 3, one image for each class of 'beasts', got 2; raise `budget`"),
        ({}, 37, "`count` must be at most 36, as images begin as those of 'beasts', got 37; lower `budget`"),
        ({"method": "dm", "per_image": 4}, 10, "at most 9, as images, each put together of 4, begin as those"),
    ],
)
def test_what_is_missing_or_too_much_is_said(settings: dict, count: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        start_of(pool(), count=count, **settings)


def test_networks_of_other_classes_images_without_labels_and_logits_without_end_are_refused() -> None:
    images = pool()
    with pytest.raises(UserError, match="'beasts' has no labels; give labelled ones"):
        start_of(images.with_labels(None, ()))
    other = create("lenet5", num_classes=4, channels=1, input_size=32)
    with pytest.raises(UserError, match=r"`judges\[1\]` must tell the 3 classes of 'beasts' apart, got lenet5 of 4"):
        start_of(images, judge([]), other, labels="soft")
    settings = CondenseSettings(method="mtt", budget=6, labels="teacher")
    with pytest.raises(UserError, match="`teacher` must tell the 3 classes"):
        initial_set(settings, images, network(), count=6, seed=0, teacher=other)
    with pytest.raises(UserError, match="`classifier` must tell the 3 classes"):
        initial_set(settings, images, network(4), count=6, seed=0, teacher=judge([]))
    with pytest.raises(UserError, match="logits of `judges` must be finite, got some of number 1 that are not"):
        soft_labels([judge([]), judge([], torch.inf)], images)
