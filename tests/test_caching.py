"""Everything that limbeck puts into the cache folder is listed, and can be removed."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch
from tests.cli.test_cli import done
from tests.transfer.conftest import natural

from limbeck.caching import KINDS, _bytes_on_disk, cache_entries, cache_folder, matching_entries, remove_entries
from limbeck.cli.cache import Kind
from limbeck.transfer.scoring.autoencoder import trained_encoder
from limbeck.transfer.scoring.context import ScoringContext
from limbeck.transfer.scoring.forgetting import forgetting


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


def test_networks_trained_to_score_images_are_listed_and_removed() -> None:
    images = natural(16, size=8)
    trained_encoder(images, ScoringContext(), epochs=1)
    trained_encoder(images, ScoringContext(seed=1), epochs=1)
    forgetting(images, ScoringContext(), model="convnet_d3", epochs=2)
    entries = cache_entries("select")
    assert sorted(entry.about["network"] for entry in entries) == [
        "autoencoder",
        "autoencoder",
        "forgetting of convnet_d3, 2 epochs",
    ]
    assert all(entry.bytes > 0 and len(entry.key) == 32 for entry in entries)
    (matched,) = matching_entries([entries[1].key[:10]])
    remove_entries([matched])
    assert not matched.path.exists()
    assert len(cache_entries("select")) == 2
    listed = done("cache", "ls", "--kind", "select")
    assert "forgetting of convnet_d3" in listed
    assert entries[0].key[:10] in listed


def test_sizes_are_of_blocks_where_the_system_counts_them_else_of_lengths() -> None:
    assert _bytes_on_disk(SimpleNamespace(st_blocks=2, st_size=9_999)) == 1024  # pyright: ignore[reportArgumentType]
    assert _bytes_on_disk(SimpleNamespace(st_size=700)) == 700  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("recipe", ["[", "just text", "[1, 2]"])
def test_a_damaged_recipe_is_no_error(recipe: str) -> None:
    folder = cache_folder() / "select" / f"forgetting-{'0' * 32}"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe)
    assert [entry.about for entry in cache_entries()] == [{"network": "forgetting"}]


def test_every_kind_can_be_named_on_the_command_line() -> None:
    _, option = get_args(Kind)
    assert all(kind in option.help for kind in KINDS)


def test_views_of_both_layouts_are_listed_and_removed() -> None:
    content = {"teacher": "resnet56", "views_per_image": 162, "precision": "float32"}
    old, new = (cache_folder() / "views" / (digit * 32) for digit in "01")
    for folder, more in ((old, {"data": "toy", "images": 40}), (new, {"version": 2})):
        folder.mkdir(parents=True)
        (folder / "about.json").write_text(json.dumps({**content, **more}))
    torch.zeros(16 * 25 + 3, dtype=torch.uint8).numpy().tofile(new / "index.bin")
    listed = " ".join(done("cache", "ls").split())
    assert "resnet56 on toy, 40 images x 162 views, float32" in listed
    assert "resnet56, 25 images x 162 views, float32" in listed
    done("cache", "rm", "000", "111")
    assert cache_entries() == []


NAMES = {
    "views": "0" * 32,
    "features": f"{'0' * 32}.safetensors",
    "whitening": f"{'0' * 32}.safetensors",
    "decoded": "0" * 32,
    "arrow": f"{'0' * 32}.arrow",
    "digests": f"{'0' * 32}.npy",
    "streams": "0" * 32,
    "select": f"autoencoder-{'0' * 32}",
    "experts": "0" * 16,
    "autotune": f"{'0' * 32}.json",
    "scripts": f"{'1' * 32}-{'0' * 32}.js",
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_limbeck_did_not_make_stay(kind: str) -> None:
    own = cache_folder() / kind / NAMES[kind]
    strangers = [cache_folder() / kind / name for name in ("deploy.sh", "thesis", "0" * 31, f"{'0' * 32}.bak", ".keep")]
    for path in (own, *strangers):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert [entry.path for entry in cache_entries()] == [own]
    assert "deleted 1 of the cache's entries, " in done("cache", "rm", "--all")
    assert not own.exists()
    assert all(path.exists() for path in strangers)


def test_what_killed_processes_began_to_write_is_removed_a_day_later() -> None:
    begun, old = (cache_folder() / "decoded" / f".{'0' * 32}.{ending}" for ending in ("ab_9wxyz", "old.ab_9wxyz"))
    files = [begun / "images.npy", old / "folder" / "images.npy"]
    files.append(cache_folder() / "arrow" / f".{'0' * 32}.arrow.ab_9wxyz.arrow")
    lock = cache_folder() / "arrow" / f".{'0' * 32}.lock"
    for file in (*files, lock):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    assert cache_entries() == []
    done("cache", "rm", "--all")
    assert all(file.exists() for file in files), "someone may write to them"
    for place in (cache_folder() / kind for kind in ("decoded", "arrow")):
        for path in place.rglob("*"):
            os.utime(path, (1, 1))
    listed = done("cache", "rm", "--all")
    assert "deleted 0 of the cache's entries and 3 that killed processes began to write" in " ".join(listed.split())
    assert not any(file.exists() for file in files)
    assert lock.exists(), "a process may hold it"


def test_what_vanishes_while_it_is_listed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cache_folder() / "select" / ("0" * 32)
    folder.mkdir(parents=True)
    (folder / "there").write_text("x")
    monkeypatch.setattr(Path, "rglob", lambda self, _: [self / "there", self / "gone"])
    assert [entry.bytes > 0 for entry in cache_entries()] == [True]
