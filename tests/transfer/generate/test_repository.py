import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from limbeck.data import TransferSet
from limbeck.data.joined import content_ids
from limbeck.data.storage import image_digests
from limbeck.errors import UserError
from limbeck.transfer.generate.repository import Appended, Repository

SHAPE, K, D = (1, 4, 4), 3, 5
CLASSES = ("a", "b", "c")
BOTH = pytest.mark.parametrize("capacity", [None, 1000], ids=["files", "memory"])


def repository(folder: Path, **options: Any) -> Repository:
    return Repository(folder, shape=SHAPE, num_classes=K, embedding=D, losses=("batch_norm",), **options)


def made(number: int, count: int = 6) -> dict[str, Any]:
    """A call's batch, a function of its number."""
    random = torch.Generator().manual_seed(number)
    return {
        "images": torch.randint(256, (count, *SHAPE), dtype=torch.uint8, generator=random),
        "logits": torch.randn(count, K, generator=random),
        "embedding": torch.randn(count, D, generator=random),
        "wanted": torch.randint(K, (count,), generator=random),
        "view": torch.arange(count),
        "losses": {"batch_norm": torch.rand(count, generator=random)},
        "round": number,
        "call": number,
    }


def append(into: Repository, number: int, count: int = 6) -> Appended:
    batch = made(number, count)
    return into.append(batch.pop("images"), **batch)


def content(of: Repository) -> dict[str, Tensor]:
    names = ("images", "id", "round", "call", "wanted", "label", "confidence", "view", "loss_batch_norm", "logits")
    return {"rows": of.rows, "counts": of.class_counts(), **{name: of.column(name) for name in (*names, "embedding")}}


def same(one: Repository, other: Repository) -> bool:
    mine, theirs = content(one), content(other)
    return all(torch.equal(mine[name], theirs[name]) for name in mine)


@BOTH
def test_what_went_in_comes_out(tmp_path: Path, capacity: int | None) -> None:
    kept, batch = repository(tmp_path, capacity=capacity), made(1)
    assert kept.in_memory == (capacity is not None)
    appended = append(kept, 1)
    assert appended.rows.tolist() == appended.places.tolist() == list(range(6))
    columns = content(kept)
    for name in ("images", "logits", "embedding", "wanted", "view"):
        assert torch.equal(columns[name], batch[name]), name
    assert torch.equal(columns["loss_batch_norm"], batch["losses"]["batch_norm"])
    assert torch.equal(columns["label"], batch["logits"].argmax(1))
    assert torch.equal(columns["confidence"], batch["logits"].softmax(1).amax(1))
    assert columns["round"].tolist() == [1] * 6
    assert torch.equal(columns["id"], content_ids(image_digests(batch["images"])))
    assert torch.equal(kept.class_counts(), torch.bincount(columns["label"], minlength=K))
    assert torch.equal(kept.column("logits", torch.tensor([1, 4])), batch["logits"][[1, 4]])


@BOTH
def test_images_become_a_transfer_set(tmp_path: Path, capacity: int | None) -> None:
    kept = repository(tmp_path / "kept", capacity=capacity)
    append(kept, 1)
    append(kept, 2)
    kept.remove([1, 7])
    transfer_set = kept.transfer_set(CLASSES, maker="generate/bsr", about={"seed": 3})
    assert transfer_set.images.classes == CLASSES
    assert torch.equal(torch.as_tensor(transfer_set.images.labels), kept.column("label"))
    assert torch.equal(transfer_set.images.tensor(), kept.column("images"))
    assert torch.equal(transfer_set.images.digests(), image_digests(kept.column("images")))
    assert set(transfer_set.provenance) == {
        *("maker", "round", "call", "wanted_label", "confidence", "view", "loss_batch_norm")
    }
    assert list(transfer_set.provenance["round"]) == [1] * 5 + [2] * 5
    transfer_set.save(tmp_path / "saved")
    back = TransferSet.load(tmp_path / "saved")
    assert back.images.fingerprint == transfer_set.images.fingerprint
    assert torch.equal(torch.as_tensor(back.provenance["wanted_label"]), kept.column("wanted"))


def test_pixels_in_files_are_not_copied(tmp_path: Path) -> None:
    kept = repository(tmp_path)
    append(kept, 1)
    first, again = (kept.image_set(CLASSES).tensor() for _ in range(2))
    assert first.data_ptr() == again.data_ptr()
    assert kept.image_set(CLASSES).is_decoded
    kept.remove([2])
    before = kept.image_set(CLASSES)
    pixels = before.tensor()
    append(kept, 2)
    kept.remove([0])
    assert torch.equal(before.tensor(), pixels), "the set of a round stays as it is"


@BOTH
def test_equal_pictures_are_held_once(tmp_path: Path, capacity: int | None) -> None:
    kept, batch = repository(tmp_path, capacity=capacity), made(1)
    images = batch.pop("images")
    images[4] = images[2]
    first = kept.append(images, **batch)
    assert first.places.tolist() == [0, 1, 2, 3, 5]
    again = kept.append(images.flip(0), **batch)
    assert len(again.rows) == len(again.places) == 0
    assert len(kept) == 5
    kept.remove(first.rows[2:3])
    once_more = kept.append(images, **batch)
    assert once_more.places.tolist() == [2], "one that left may come back"
    assert once_more.rows.tolist() == [5]
    assert len(kept.image_set(CLASSES).ids.unique()) == 5


def test_of_the_latest_the_oldest_leave(tmp_path: Path) -> None:
    kept = repository(tmp_path, capacity=8, latest=True)
    assert append(kept, 1).left.tolist() == []
    assert append(kept, 2).left.tolist() == [0, 1, 2, 3]
    kept.remove([6])
    assert append(kept, 3).left.tolist() == [4, 5, 7, 8, 9]
    assert kept.rows.tolist() == list(range(10, 18))
    assert append(kept, 4, count=30).left.tolist() == list(range(10, 40))
    assert len(kept) == 8
    assert torch.equal(kept.column("images"), made(4, 30)["images"][-8:])


actions = st.lists(st.tuples(st.sampled_from(["append", "twin", "remove", "save", "load"]), st.integers(0, 6)))


@settings(max_examples=40, deadline=None)
@given(actions, st.sampled_from([{}, {"capacity": 9}, {"capacity": 9, "latest": True}]), st.booleans())
def test_it_is_what_a_list_of_images_is(tmp_path_factory, steps, options: dict[str, Any], files: bool) -> None:
    limits = {"limit": 0} if files else {}
    folder = tmp_path_factory.mktemp("kept")
    kept = repository(folder, **options, **limits)
    model: list[tuple[int, Tensor]] = []  # rows and pictures
    saved: tuple[dict[str, Tensor], list[tuple[int, Tensor]], int] = (kept.state_dict(), [], 0)
    length = 0
    for number, (action, amount) in enumerate(steps):
        if action in ("append", "twin"):
            batch = made(number if action == "append" else 0, amount)
            images = batch.pop("images")
            appended = kept.append(images, **batch)
            present = [tuple(picture.flatten().tolist()) for _, picture in model]
            fresh = [place for place, image in enumerate(images) if tuple(image.flatten().tolist()) not in present]
            assert appended.places.tolist() == fresh
            model += [(length + row, images[place]) for row, place in enumerate(fresh)]
            length += len(fresh)
            if "latest" in options:
                model = model[-options["capacity"] :]
        elif action == "remove":
            leaving = [row for row, _ in model][1 : 1 + amount]
            kept.remove(leaving)
            model = [entry for entry in model if entry[0] not in leaving]
        elif action == "save":
            saved = (kept.state_dict(), list(model), length)
            kept.pin("saved")
        else:
            kept = repository(folder, **options, **limits) if amount % 2 else kept
            kept.load_state_dict(saved[0])
            kept.pin("saved")
            model, length = list(saved[1]), saved[2]
        assert kept.rows.tolist() == [row for row, _ in model]
        assert len(kept) == len(model)
        assert torch.equal(
            kept.column("images"), torch.stack([picture for _, picture in model]) if model else kept.column("images")
        )
        assert torch.equal(kept.class_counts(), torch.bincount(kept.column("label"), minlength=K))


@BOTH
def test_a_state_of_an_earlier_round_is_right_after_more_was_written(tmp_path: Path, capacity: int | None) -> None:
    kept, whole = repository(tmp_path / "a", capacity=capacity), repository(tmp_path / "b", capacity=capacity)
    for stored in (kept, whole):
        append(stored, 1)
        stored.remove([3])
    state = kept.state_dict()
    append(kept, 7, count=20)  # of a run that was killed
    kept.remove([0, 8])
    again = repository(tmp_path / "a", capacity=capacity)
    again.load_state_dict(state)
    for stored in (again, whole):
        append(stored, 2)
        stored.remove([0, 6])
    assert same(again, whole)
    assert torch.equal(again.state_dict()["checksum"], whole.state_dict()["checksum"])
    third = repository(tmp_path / "a", capacity=capacity)
    third.load_state_dict(again.state_dict())
    assert same(third, whole)


def test_the_state_is_small(tmp_path: Path) -> None:
    kept = repository(tmp_path)
    for number in range(40):
        append(kept, number, count=50)
    assert sum(tensor.numel() * tensor.element_size() for tensor in kept.state_dict().values()) == 2000 // 8 + 16


@pytest.mark.parametrize("name", ["images", "notes", "logits", "embedding", "digests"])
def test_damage_is_seen(tmp_path: Path, name: str) -> None:
    kept = repository(tmp_path)
    append(kept, 1)
    kept.remove([5])
    state, path = kept.state_dict(), tmp_path / f"{name}.bin"
    size = path.stat().st_size
    for row, seen in ((4, True), (5, False)):
        content = bytearray(path.read_bytes())
        content[row * size // 6 + 3] ^= 1
        path.write_bytes(content)
        other = repository(tmp_path)
        if seen:
            with pytest.raises(
                UserError, match=r"the images in .* are damaged, or not those that the checkpoint knows"
            ):
                other.load_state_dict(state)
            content[row * size // 6 + 3] ^= 1
            path.write_bytes(content)
        else:
            other.load_state_dict(state)  # that image has left
    os.truncate(path, size - 1)
    with pytest.raises(UserError, match=rf"{name}.bin' must hold {size} bytes, of the 6 images that the checkpoint"):
        repository(tmp_path).load_state_dict(state)


def test_files_of_another_run_are_seen(tmp_path: Path) -> None:
    mine, other = repository(tmp_path / "a"), repository(tmp_path / "b")
    append(mine, 1)
    append(other, 2)
    with pytest.raises(UserError, match="not those that the checkpoint knows"):
        repository(tmp_path / "b").load_state_dict(mine.state_dict())
    with pytest.raises(UserError, match=r"images\.bin' must hold 96 bytes, .* got 0; bring the file back"):
        repository(tmp_path / "c").load_state_dict(mine.state_dict())


def test_a_state_in_memory_must_be_of_the_same_kind(tmp_path: Path) -> None:
    mine = repository(tmp_path, capacity=9)
    append(mine, 1)
    other = Repository(tmp_path, shape=(1, 8, 8), num_classes=K, embedding=D, losses=("batch_norm",), capacity=9)
    with pytest.raises(UserError, match=r"the checkpoint must hold images of 6 images, 64 bytes each, got \[6, 16\]"):
        other.load_state_dict(mine.state_dict())
    state = mine.state_dict()
    state["rows.logits"][0, 0] ^= 1
    with pytest.raises(UserError, match="are damaged"):
        repository(tmp_path, capacity=9).load_state_dict(state)


def test_another_process_reads_what_was_written_since_alone(tmp_path: Path, monkeypatch) -> None:
    mine, other = repository(tmp_path), repository(tmp_path)
    append(mine, 1)
    other.load_state_dict(mine.state_dict())
    append(mine, 2, count=3)
    counts = []
    monkeypatch.setattr(
        "limbeck.transfer.generate.batch_columns.image_digests",
        lambda images: counts.append(len(images)) or image_digests(images),
    )
    other.load_state_dict(mine.state_dict())
    assert counts == [3]
    assert same(mine, other)


def test_rows_reach_the_disk_before_a_checkpoint_that_knows_them(tmp_path: Path, monkeypatch) -> None:
    kept, synced = repository(tmp_path), []
    monkeypatch.setattr(os, "fsync", synced.append)
    append(kept, 1)
    assert not synced
    kept.state_dict()
    assert len(synced) == 5
    kept.remove([2])
    kept.state_dict()
    assert len(synced) == 5, "nothing was written"
    append(kept, 2)
    kept.state_dict()
    assert len(synced) == 10


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    kept = repository(tmp_path)
    append(kept, 1)
    write = os.pwrite

    def full(file: int, content: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UserError, match="no space left on the disk"):
        append(kept, 2)
    monkeypatch.setattr(os, "pwrite", write)
    assert len(kept) == 6
    append(kept, 2)
    assert torch.equal(kept.column("images")[6:], made(2)["images"])


def test_messages(tmp_path: Path) -> None:
    kept, batch = repository(tmp_path), made(1)
    images = batch.pop("images")
    with pytest.raises(UserError, match=r"`images` must be uint8 \[B, 1, 4, 4\], got torch.float32 \[6, 1, 4, 4\]"):
        kept.append(images.float(), **batch)
    with pytest.raises(UserError, match=r"`images` must be uint8 \[B, 1, 4, 4\], got torch.uint8 \[6, 1, 4, 3\]"):
        kept.append(images[..., :3], **batch)
    with pytest.raises(UserError, match=r"`logits` must be finite numbers \[6, 3\], got \[6, 2\]"):
        kept.append(images, **{**batch, "logits": torch.rand(6, 2)})
    with pytest.raises(UserError, match=r"`logits` must be finite numbers"):
        kept.append(images, **{**batch, "logits": torch.full((6, 3), torch.nan)})
    with pytest.raises(UserError, match=r"`embedding` must be finite numbers \[6, 5\], got \[6, 0\]"):
        kept.append(images, **{**batch, "embedding": None})
    with pytest.raises(UserError, match="`losses` must be batch_norm, got none"):
        kept.append(images, **{**batch, "losses": None})
    with pytest.raises(UserError, match="`capacity` must be at least 1, or None for any number of images, got 0"):
        repository(tmp_path, capacity=0)
    kept.append(images, **batch)
    for wrong in ([6], [-1], [2, 2]):
        with pytest.raises(UserError, match="`rows` must be distinct rows of images that are held, got"):
            kept.remove(wrong)
    with pytest.raises(UserError, match="`classes` must be 3 names, got 2"):
        kept.image_set(("a", "b"))


def test_without_embedding_and_losses(tmp_path: Path) -> None:
    for capacity in (None, 50):
        kept = Repository(tmp_path, shape=SHAPE, num_classes=K, capacity=capacity)
        kept.append(made(1)["images"], logits=made(1)["logits"], round=0, call=0)
        assert kept.column("embedding").shape == (6, 0)
        assert kept.column("wanted").tolist() == [-1] * 6
        again = Repository(tmp_path, shape=SHAPE, num_classes=K, capacity=capacity)
        again.load_state_dict(kept.state_dict())
        assert torch.equal(again.column("images"), kept.column("images"))


MANY = """
import sys
from pathlib import Path

import torch

from limbeck.transfer.generate.repository import Repository


def private_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


kept = Repository(Path(sys.argv[1]), shape=(1, 8, 8), num_classes=10, embedding=16)
random = torch.Generator().manual_seed(0)
memory = []
for part in range(10):
    for call in range(200):
        images = torch.randint(256, (500, 1, 8, 8), dtype=torch.uint8, generator=random)
        logits, embedding = (torch.randn(500, width, generator=random) for width in (10, 16))
        appended = kept.append(images, logits=logits, embedding=embedding, round=part, call=call)
        kept.remove(appended.rows[::10])
    memory.append(private_bytes())
torch.save({"state": kept.state_dict(), "rows": kept.rows, "bytes": memory}, Path(sys.argv[1]) / "found.pt")
"""
"""In a process of its own: memory that other tests allocated and gave back cannot be told from what this takes."""


@pytest.mark.slow
def test_a_million_images_take_little_memory(tmp_path: Path) -> None:
    """Memory that belongs to no file, which is all that the system could not reclaim."""
    subprocess.run([sys.executable, "-c", MANY, str(tmp_path)], check=True)
    results = torch.load(tmp_path / "found.pt", weights_only=True)
    state, rows, memory = results["state"], results["rows"], results["bytes"]
    assert len(rows) == 900_000
    assert max(memory) - memory[0] < 60 * 900_000
    assert sum(tensor.numel() * tensor.element_size() for tensor in state.values()) == 125_016
    again = Repository(tmp_path, shape=(1, 8, 8), num_classes=10, embedding=16)
    again.load_state_dict(state)
    assert torch.equal(again.rows, rows)
