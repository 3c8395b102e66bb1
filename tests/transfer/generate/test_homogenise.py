import json
from pathlib import Path

import numpy as np
import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.generate.homogenise import Homogeniser, strangest
from limbeck.transfer.generate.repository import Repository
from limbeck.transfer.generate.settings import Homogenise

GOLDEN = Path(__file__).parents[2] / "golden" / "datafree" / "homogeneity.npz"
REFERENCE = {"order": "oldest-first", "one_more": True}


def repository(folder: Path, embeddings: list[torch.Tensor], **options) -> tuple[Repository, list[torch.Tensor]]:
    """A repository of one class after the other, and the rows of each class."""
    classes, width = len(embeddings), embeddings[0].shape[1]
    kept = Repository(folder, shape=(1, 4, 4), num_classes=classes, embedding=width, **options)
    return kept, [append(kept, label, class_embeddings) for label, class_embeddings in enumerate(embeddings)]


def append(kept: Repository, label: int, embeddings: torch.Tensor) -> torch.Tensor:
    random = torch.Generator().manual_seed(kept.appended + 1)
    images = torch.randint(256, (len(embeddings), 1, 4, 4), dtype=torch.uint8, generator=random)
    logits = torch.nn.functional.one_hot(torch.full((len(images),), label), kept.layout.num_classes).float()
    return kept.append(images, logits=logits, embedding=embeddings, round=0, call=0).rows


def golden() -> tuple[list[torch.Tensor], list[list[int]], dict]:
    with np.load(GOLDEN) as file:
        hp = json.loads(str(file["hp"]))
        features = [torch.from_numpy(file[f"in.features{label}"]) for label in range(hp["num_classes"])]
        return features, [file[f"out.removed{label}"].astype(int).tolist() for label in range(hp["num_classes"])], hp


def settings_of(hp: dict, **options) -> Homogenise:
    return Homogenise(neighbours=hp["neighbours"], spread=hp["iqr"], **options)


def test_the_references_outliers_leave(tmp_path: Path) -> None:
    features, removed, hp = golden()
    kept, rows = repository(tmp_path, features)
    homogenise = Homogeniser(settings_of(hp, **REFERENCE), num_classes=4, batch_size=hp["batch"])
    assert homogenise.most == 16
    expected = [int(rows[label][place]) for label, places in enumerate(removed) for place in places]
    assert sorted(homogenise.leaving(kept).tolist()) == expected


def test_of_more_outliers_than_may_leave_the_reference_takes_the_oldest(tmp_path: Path) -> None:
    features, removed, hp = golden()
    for label in (0, 3):
        assert len(removed[label]) > 4
        for one_more in (False, True):
            kept, _ = repository(tmp_path / f"{label}{one_more}", features[label : label + 1])
            settings = settings_of(hp, most=3, order="oldest-first", one_more=one_more)
            left = Homogeniser(settings, num_classes=1, batch_size=64).leaving(kept)
            assert left.tolist() == removed[label][: 3 + one_more]


def test_by_default_the_worst_leave_and_the_limit_is_exact(tmp_path: Path) -> None:
    features, _, _ = golden()
    kept, _ = repository(tmp_path, features[:1])
    everything = Homogeniser(Homogenise(), num_classes=1, batch_size=64).leaving(kept)
    assert 4 < len(everything) <= 64
    for most in range(1, len(everything)):
        kept, _ = repository(tmp_path / str(most), features[:1])
        left = Homogeniser(Homogenise(most=most), num_classes=1, batch_size=64).leaving(kept)
        assert len(left) == most
        assert set(left.tolist()) <= set(everything.tolist())


def test_worst_is_furthest_beyond_the_quartiles_on_either_side() -> None:
    factors = np.array([-1.0, -1.3, -0.2, *[-1.02, -1.01, -1.0, -1.01] * 4, -9.0, -1.3])
    assert strangest(factors, Homogenise(), 9).tolist() == [19, 2, 1, 20]
    assert strangest(factors, Homogenise(), 3).tolist() == [19, 2, 1]
    assert strangest(factors, Homogenise(order="oldest-first"), 3).tolist() == [1, 2, 19]
    assert strangest(np.full(20, -1.0), Homogenise(), 9).tolist() == []
    assert strangest(np.empty(0), Homogenise(), 9).tolist() == []


def test_small_classes_are_left_alone(tmp_path: Path) -> None:
    embeddings = torch.randn(15, 4, generator=torch.Generator().manual_seed(0))
    embeddings[0] += 1000
    for neighbours, leaves in ((10, True), (14, True), (15, False), (40, False)):
        kept, _ = repository(tmp_path / str(neighbours), [embeddings, embeddings[:0]])
        left = Homogeniser(Homogenise(neighbours=neighbours, spread=0.01), num_classes=2, batch_size=8).leaving(kept)
        assert bool(len(left)) == leaves, neighbours


def test_of_all_classes_the_first_ones_come_first(tmp_path: Path) -> None:
    features, _, hp = golden()
    kept, rows = repository(tmp_path, features)
    left = Homogeniser(settings_of(hp), num_classes=4, batch_size=64).leaving(kept)
    labels = kept.column("label", left).tolist()
    assert labels[:6] == [0, 1, 3, 0, 1, 3]
    alone, _ = repository(tmp_path / "alone", features[3:])
    first = Homogeniser(settings_of(hp), num_classes=1, batch_size=16).leaving(alone) + rows[3][0]
    assert left[[label == 3 for label in labels]].tolist() == first.tolist()


def test_without_embeddings_nobody_is_an_outlier(tmp_path: Path) -> None:
    kept, _ = repository(tmp_path, [torch.empty(20, 0)])
    with pytest.raises(
        UserError, match="`homogenise` compares images by the teacher's embedding, and this teacher has"
    ):
        Homogeniser(Homogenise(), num_classes=1, batch_size=9).leaving(kept)


@pytest.mark.parametrize("options", [{}, {"capacity": 500}], ids=["files", "memory"])
def test_rounds_resumed_are_rounds_in_one_go(tmp_path: Path, options: dict) -> None:
    random = torch.Generator().manual_seed(3)
    batches = [[torch.randn(9, 6, generator=random) ** 3 for _ in range(3)] for _ in range(6)]
    whole, _ = repository(tmp_path / "whole", batches[0], **options)
    kept, _ = repository(tmp_path / "kept", batches[0], **options)
    straight, resumed = (Homogeniser(Homogenise(most=2), num_classes=3, batch_size=9) for _ in range(2))
    removed = 0
    for embeddings in batches[1:]:
        states = kept.state_dict(), resumed.state_dict()
        append(kept, 0, torch.randn(5, 6))  # of a run that was killed
        resumed.leaving(kept)
        kept = Repository(tmp_path / "kept", shape=(1, 4, 4), num_classes=3, embedding=6, **options)
        resumed = Homogeniser(Homogenise(most=2), num_classes=3, batch_size=9)
        kept.load_state_dict(states[0])
        resumed.load_state_dict(states[1])
        for label, batch in enumerate(embeddings):
            for into in (whole, kept):
                append(into, label, batch)
        leaving, again = straight.leaving(whole), resumed.leaving(kept)
        assert torch.equal(leaving, again)
        removed += len(leaving)
        for into in (whole, kept):
            into.remove(leaving)
            into.remove(into.rows[:1])  # that leaves for another reason
    assert removed > 15
