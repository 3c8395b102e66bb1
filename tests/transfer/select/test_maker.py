"""`select` as a maker: what it writes, loads again, shares and counts."""

import multiprocessing
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.transfer.conftest import natural, reordered

from limbeck.data.image_set import ImageSet
from limbeck.errors import UserError
from limbeck.models import Classifier
from limbeck.transfer.catalogue import find_maker
from limbeck.transfer.maker import Made, MakerContext
from limbeck.transfer.scoring import features
from limbeck.transfer.select import select
from limbeck.transfer.select.settings import SelectSettings

MAKER, SETTINGS = find_maker("select"), SelectSettings


def context(folder: Path, pool: ImageSet, **more: Any) -> MakerContext:
    return MakerContext(folder=folder, pool=pool, classes=pool.classes, shape=pool.shape, **more)


def make(folder: Path, pool: ImageSet, criterion: Any, budget: Any = 12, **more: Any) -> Made:
    return MAKER.make(SETTINGS(criterion=criterion, budget=budget), context(folder, pool, **more))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of images of each read."""
    counts: list[int] = []
    real = ImageSet.gather

    def gather(self: ImageSet, positions: torch.Tensor) -> torch.Tensor:
        counts.append(len(positions))
        return real(self, positions)

    monkeypatch.setattr(ImageSet, "gather", gather)
    return counts


@pytest.mark.parametrize("criterion", ["entropy", "margin", "random", "k-means", "k-centre", "coverage"])
def test_it_makes_what_select_chooses_and_loads_it_again(tmp_path: Path, criterion: str, teacher: Classifier) -> None:
    pool = natural(48)
    settings, context_ = SETTINGS(criterion=criterion, budget=12), context(tmp_path, pool, teacher=teacher, seed=3)
    assert MAKER.count(settings, context_) == 12
    made = MAKER.make(settings, context_)
    direct = select(pool, criterion=criterion, budget=12, seed=3, teacher=teacher)
    transfer_set = made.source.images(0)
    assert transfer_set.images.ids.tolist() == sorted(direct.ids.tolist())
    loaded = MAKER.load(settings, context_).images(0)
    for result in (transfer_set, loaded):
        assert result.images.fingerprint == pool.subset(direct.ids.sort().values).fingerprint
        assert result.about == direct.transfer_set(pool).about
        scores = dict(zip(direct.ids.tolist(), direct.chosen_scores.tolist(), strict=True))
        assert list(result.provenance["score"]) == [scores[id_] for id_ in transfer_set.images.ids.tolist()]
        assert list(result.provenance["source"]) == [pool.name] * 12
    again = MAKER.make(settings, context_)
    assert torch.equal(again.source.images(0).images.ids, transfer_set.images.ids)
    assert again.cost.teacher_passes == made.cost.teacher_passes
    assert again.cost.passes_saved == 0, "what it had found itself, before it was stopped, spared it nothing"


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({"criterion": "random"}, 20),
        ({"criterion": "balanced-random"}, 20),
        ({"criterion": "random", "dedupe": True}, 1000),
        ({"criterion": "margin"}, 1000),
        ({"criterion": "manifold"}, 1000),
    ],
)
def test_real_images_that_must_be_at_hand(settings: dict[str, Any], needed: int) -> None:
    assert SelectSettings(budget=20, **settings).real_images(1000, 20) == needed


def test_a_pool_of_other_content_is_refused(tmp_path: Path) -> None:
    pool = natural(48)
    settings = SETTINGS(budget=12)
    MAKER.make(settings, context(tmp_path, pool))
    pixels = pool.tensor().clone()
    pixels[5] = 0
    other = ImageSet(pixels, pool.labels, ids=pool.ids, name=pool.name)
    with pytest.raises(UserError, match=r"was chosen from images of fingerprint \w+, and those of 'blotches' have"):
        MAKER.load(settings, context(tmp_path, other))
    with pytest.raises(
        UserError, match=r"there is no '.*chosen.parquet'.*; remove the folder '.*other', so that it is"
    ):
        MAKER.load(settings, context(tmp_path / "other", pool))
    whole = pq.read_table(tmp_path / "chosen.parquet")
    words = pa.array(["a"] * len(whole))
    for table in (whole.drop(["id"]), whole.set_column(0, "id", words), whole.replace_schema_metadata({})):
        pq.write_table(table, tmp_path / "chosen.parquet")
        with pytest.raises(UserError, match=r"chosen.parquet' is damaged \(.*\); remove the folder"):
            MAKER.load(settings, context(tmp_path, pool))
    (tmp_path / "chosen.parquet").write_text("no")
    with pytest.raises(
        UserError, match=r"chosen.parquet' is damaged \(.*\); remove the folder '.*', so that it is made"
    ):
        MAKER.load(settings, context(tmp_path, pool))


def test_a_comparison_reads_once_and_asks_once(
    tmp_path: Path, teacher: Classifier, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    real = features.outputs_over

    def outputs_over(teacher: Any, images: ImageSet, *arguments: Any, **options: Any) -> Any:
        counts.append(len(images))
        return real(teacher, images, *arguments, **options)

    monkeypatch.setattr(features, "outputs_over", outputs_over)
    pool, costs = natural(200), []
    for criterion in ("margin", "random", "balanced-random"):
        for budget in (20, 40):
            for seed in (0, 1):
                folder = tmp_path / f"{criterion}-{budget}-{seed}"
                made = make(folder, pool, criterion, budget, seed=seed, shared=tmp_path / "shared", teacher=teacher)
                costs.append(made.cost)
    shown = 12 * 4 * 12  # pictures of the evidence
    assert sum(looks) == 200 + shown
    assert sum(counts) == 200
    assert [cost.teacher_passes for cost in costs] == [200] * 4 + [0] * 8
    assert [cost.passes_saved for cost in costs] == [0] + [200] * 3 + [0] * 8
    assert {cost.images_read for cost in costs[:4]} == {200}
    assert {cost.images_read for cost in costs[4:]} == {0}
    looks.clear()
    make(tmp_path / "el2n", pool, "el2n", 20, shared=tmp_path / "shared", teacher=teacher)
    assert sum(looks) == 12 * 4, "what the teacher said serves every criterion that asks it"


@pytest.mark.parametrize("order", [("entropy", "k-means"), ("k-means", "entropy")])
def test_what_a_criterion_costs_does_not_depend_on_those_before_it(tmp_path: Path, order: tuple[str, str]) -> None:
    pool = natural(60)
    for criterion in order:
        made = make(tmp_path / criterion, pool, criterion, shared=tmp_path / "shared")
        assert made.cost.images_read == 60


@pytest.mark.parametrize("criterion", ["margin", "entropy-average-adjusted", "k-means", "random"])
def test_scores_of_many_images_are_in_a_file(
    tmp_path: Path, criterion: str, teacher: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = natural(60)
    few = make(tmp_path / "few", pool, criterion, teacher=teacher)
    monkeypatch.setattr("limbeck.transfer.score_table.memory.ROWS", 59)
    many = [make(tmp_path / name, pool, criterion, teacher=teacher, shared=tmp_path / "shared") for name in "ab"]
    files = list((tmp_path / "shared").rglob("table-*.parquet"))
    assert len(files) == (criterion in ("margin", "entropy-average-adjusted"))
    for made, saved in zip(many, (False, True), strict=True):
        assert torch.equal(made.source.images(0).images.ids, few.source.images(0).images.ids)
        counts = (made.cost.images_read, made.cost.teacher_passes)
        assert counts == (few.cost.images_read, few.cost.teacher_passes)
        assert made.cost.passes_saved == saved * few.cost.teacher_passes
        made.evidence.save(tmp_path / "evidence")
    assert many[1].evidence.summarised().summary == few.evidence.summarised().summary


def test_seeds_share_what_does_not_depend_on_them(tmp_path: Path, looks: list[int]) -> None:
    pool = natural(60)
    chosen = [
        make(tmp_path / str(seed), pool, {"allocation": "km", "clusters": 5}, seed=seed, shared=tmp_path / "shared")
        for seed in (0, 1)
    ]
    assert sum(looks) == 60 + 2 * 4 * 12, "clusters are of the seed, histograms are not"
    direct = [select(pool, criterion={"allocation": "km", "clusters": 5}, budget=12, seed=seed) for seed in (0, 1)]
    for made, selection in zip(chosen, direct, strict=True):
        assert made.source.images(0).images.ids.tolist() == selection.ids.sort().values.tolist()


@pytest.mark.parametrize("criterion", [{"representation": "cfv", "epochs": 2}, {"score": "forgetting", "epochs": 2}])
def test_networks_trained_on_the_way_count_whoever_trained_them(
    tmp_path: Path, criterion: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    pool = natural(96)
    first = make(tmp_path / "a", pool, criterion).cost
    cached = make(tmp_path / "b", pool, criterion).cost  # the network is found, the scores are not
    shared = [make(tmp_path / name, pool, criterion, shared=tmp_path / "shared").cost for name in ("c", "d")]
    for cost in (first, cached, *shared):
        assert cost.steps >= 3, "two epochs of a batch and a half"
        assert cost.steps == first.steps
        assert cost.images_read == first.images_read >= 2 * 96
    assert shared[1].seconds > 0.5 * shared[0].seconds > 0, "the time that the other one paid"


class Metering:
    """As an `EnergyMeter`: all that it sees took 2 kWh."""

    energy: ClassVar = {"kwh": 2.0, "kind": "estimated"}

    def __enter__(self) -> "Metering":
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize("rows", [2**30, 4])
def test_energy_is_counted_by_all_that_share_what_it_was_for(
    tmp_path: Path, teacher: Classifier, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("limbeck.transfer.score_table.memory.EnergyMeter", Metering)
    monkeypatch.setattr("limbeck.transfer.score_table.memory.ROWS", rows)
    for name in ("a", "b"):
        made = make(tmp_path / name, natural(40), "margin", shared=tmp_path / "shared", teacher=teacher)
        assert (made.cost.kwh, made.cost.measured) == (2.0, False)


def test_other_teachers_and_other_pixels_share_nothing(tmp_path: Path, teacher: Classifier) -> None:
    pool, shared = natural(40), tmp_path / "shared"
    make(tmp_path / "a", pool, "margin", shared=shared, teacher=teacher)
    pixels = pool.tensor().clone()
    pixels[0] = 255
    other = ImageSet(pixels, pool.labels, ids=pool.ids, name=pool.name)
    assert make(tmp_path / "b", other, "margin", shared=shared, teacher=teacher).cost.passes_saved == 0
    assert make(tmp_path / "c", pool, "margin", shared=shared, teacher=teacher).cost.passes_saved == 40


def test_what_is_shared_may_be_damaged(tmp_path: Path) -> None:
    pool = natural(40)
    make(tmp_path / "a", pool, "entropy", shared=tmp_path / "shared")
    (path,) = (tmp_path / "shared").rglob("scores-*.safetensors")
    path.write_bytes(b"no")
    with pytest.raises(UserError, match=r"is damaged \(.*\); remove it, so that it is made again"):
        make(tmp_path / "b", pool, "entropy", shared=tmp_path / "shared")
    path.unlink()
    make(tmp_path / "b", pool, "entropy", shared=tmp_path / "shared")
    make(tmp_path / "c", pool, "variance", shared=tmp_path / "shared")
    (other,) = {*(tmp_path / "shared").rglob("scores-*.safetensors")} - {path}
    other.rename(path)
    with pytest.raises(UserError, match=r"is damaged \(it is of other images or of something else\); remove it"):
        make(tmp_path / "d", pool, "entropy", shared=tmp_path / "shared")


def test_duplicates_do_not_count(tmp_path: Path) -> None:
    pool = natural(20)
    assert pool.labels is not None
    double = ImageSet(pool.tensor().repeat(2, 1, 1, 1), pool.labels.repeat(2), name="twice")
    settings = SETTINGS(criterion="entropy-whole", budget=20, dedupe=True)
    assert MAKER.count(settings, context(tmp_path, double)) == 20
    images = MAKER.make(settings, context(tmp_path, double)).source.images(0).images
    assert images.ids.tolist() == list(range(20))
    assert torch.equal(MAKER.load(settings, context(tmp_path, double)).images(0).images.ids, images.ids)
    with pytest.raises(UserError, match="Without duplicates, 20 of 40 images are left"):
        MAKER.count(SETTINGS(criterion="entropy-whole", budget=21, dedupe=True), context(tmp_path, double))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 41}, "at most the 40 images"),
        ({"budget": 2}, "each of the 4 classes"),
        ({"budget": 8, "criterion": {"representation": "function"}}, "reads a `function`, and none is given"),
    ],
)
def test_refusals_before_any_work(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MAKER.count(SETTINGS(**settings), context(tmp_path, natural(40)))
    assert not list(tmp_path.iterdir())


def test_the_count_needs_no_teacher_and_no_labels_where_the_choice_needs_none(tmp_path: Path) -> None:
    pool = natural(40)
    assert MAKER.count(SETTINGS(criterion="margin", budget=8), context(tmp_path, pool)) == 8
    with pytest.raises(UserError, match=r"criterion 'margin' asks a teacher .*, and none is given"):
        make(tmp_path, pool, "margin")
    bare = ImageSet(pool.tensor(), name="bare")
    assert MAKER.count(SETTINGS(criterion="margin/tn/ls", budget=8), context(tmp_path, bare)) == 8
    with pytest.raises(UserError, match="compares with labels, and 'bare' has none"):
        MAKER.count(SETTINGS(criterion="el2n/tn", budget=8), context(tmp_path, bare))


def _elsewhere(folder: str, name: str) -> None:
    made = make(Path(folder) / name, natural(300), "patch-entropy", shared=Path(folder) / "shared")
    np.save(Path(folder) / f"{name}.npy", made.source.images(0).images.ids.numpy())


@pytest.mark.slow
def test_two_processes_share_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_elsewhere, args=(str(tmp_path), name)) for name in ("one", "two", "three")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    first, *others = (np.load(tmp_path / f"{name}.npy") for name in ("one", "two", "three"))
    assert all(np.array_equal(first, other) for other in others)
    assert len(list((tmp_path / "shared").rglob("scores-*.safetensors"))) == 1


def test_the_order_of_the_pool_does_not_matter_to_the_choice(tmp_path: Path) -> None:
    pool = natural(40)
    first = make(tmp_path / "a", pool, "entropy").source.images(0).images
    other = make(tmp_path / "b", reordered(pool, 4), "entropy").source.images(0).images
    assert first.fingerprint == other.fingerprint


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_teacher_is_asked_in_the_precision_of_the_context(
    tmp_path: Path, teacher: Classifier, precision: str
) -> None:
    made = make(tmp_path, natural(24), "margin", teacher=teacher, precision=precision)
    assert made.source.images(0).about["precision"] == precision
