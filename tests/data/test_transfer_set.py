import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from limbeck.data import ImageSet, TransferSet, load
from limbeck.errors import UserError


@pytest.fixture
def full(small_set: ImageSet) -> TransferSet:
    generator = torch.Generator().manual_seed(0)
    return TransferSet(
        small_set,
        torch.rand(12, 3, generator=generator).softmax(1),
        {
            "source": ["one"] * 6 + ["other"] * 5 + [None],
            "source_id": torch.arange(100, 112),
            "score": torch.randn(12, generator=generator, dtype=torch.float64),
            "confidence": torch.rand(12, generator=generator),
            "kept": torch.arange(12) % 2 == 0,
            "weight": [0.1 * number for number in range(12)],
        },
        {"maker": "random", "budget": 12, "seed": 3},
    )


def test_round_trip_is_exact(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    loaded = TransferSet.load(tmp_path / "set")
    assert torch.equal(loaded.images.tensor(), full.images.tensor())
    assert loaded.images.fingerprint == full.images.fingerprint
    assert loaded.images.ids.tolist() == full.images.ids.tolist()
    assert (loaded.images.classes, loaded.images.name, len(loaded)) == (full.images.classes, "small", 12)
    assert loaded.soft_labels is not None
    assert full.soft_labels is not None
    assert torch.equal(loaded.soft_labels, full.soft_labels)
    assert loaded.about == full.about
    assert list(loaded.provenance) == list(full.provenance)
    for name, values in full.provenance.items():
        restored = loaded.provenance[name]
        if isinstance(values, torch.Tensor):
            assert isinstance(restored, torch.Tensor)
            assert restored.dtype == values.dtype
            assert torch.equal(restored, values)
        else:
            assert restored == values


def test_gray_unlabelled_subset_round_trip(tmp_path: Path):
    pixels = torch.randint(0, 256, (5, 1, 7, 3), dtype=torch.uint8)
    subset = ImageSet(pixels, classes=["a", "b"]).subset([4, 1, 2])
    TransferSet(subset, torch.full((3, 2), 0.5, dtype=torch.bfloat16)).save(tmp_path / "set")
    restored = TransferSet.load(tmp_path / "set")
    assert (restored.images.labels, restored.images.classes, restored.provenance) == (None, ("a", "b"), {})
    assert restored.images.fingerprint == subset.fingerprint
    assert restored.soft_labels is not None
    assert restored.soft_labels.dtype == torch.float32


def test_datasets_opens_it(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    rows = datasets.load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "hf"))
    assert isinstance(rows, datasets.Dataset)
    assert isinstance(rows.features["image"], datasets.Image)
    assert rows.features["label"].names == ["ant", "bee", "cat"]
    assert rows.features["score"].dtype == "float64"
    assert full.soft_labels is not None
    for row, image, soft_label in zip(rows, full.images.tensor(), full.soft_labels, strict=True):
        assert isinstance(row, dict)
        assert np.array_equal(np.asarray(row["image"]).transpose(2, 0, 1), image.numpy())
        assert torch.equal(torch.tensor(row["soft_label"]), soft_label)
    assert rows["id"][:] == full.images.ids.tolist()
    assert rows["source"][-1] is None


def test_card_describes_it(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    _, front, text = (tmp_path / "set" / "README.md").read_text().split("---\n", 2)
    info = yaml.safe_load(front)["dataset_info"]
    assert info["splits"][0]["num_examples"] == 12
    assert info["features"][2] == {
        "name": "label",
        "dtype": {"class_label": {"names": {"0": "ant", "1": "bee", "2": "cat"}}},
    }
    assert "12 images of 3x4x4 in 3 classes" in text
    assert "| `soft_label` | a teacher's probabilities at temperature 1, one number per class |" in text
    assert "maker: random" in text
    config = json.loads((tmp_path / "set" / "transfer_set.json").read_text())
    assert config["fingerprint"] == full.images.fingerprint


def test_load_reads_its_images(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    images = load(tmp_path / "set")
    assert torch.equal(images.tensor(), full.images.tensor())
    assert images.classes == full.images.classes


def test_existing_folder_is_never_overwritten(full: TransferSet, tmp_path: Path):
    (tmp_path / "set").mkdir()
    with pytest.raises(UserError, match=r"'.*/set' exists already and is never overwritten"):
        full.save(tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_contradictions_are_named(small_set: ImageSet):
    soft_labels = torch.zeros(12, 3)
    with pytest.raises(UserError, match=r"`soft_labels` must be \[12, 3\], one row per image .*, got \[12, 4\]"):
        TransferSet(small_set, torch.zeros(12, 4))
    with pytest.raises(UserError, match=r"`soft_labels` must be floats, got torch.int64"):
        TransferSet(small_set, soft_labels.long())
    soft_labels[5, 1] = torch.nan
    with pytest.raises(UserError, match="`soft_labels` must be finite, row 5 is not"):
        TransferSet(small_set, soft_labels)
    with pytest.raises(UserError, match=r"`provenance\['score'\]` must be \[12\], one per image, got \[3\]"):
        TransferSet(small_set, provenance={"score": [1, 2, 3]})
    with pytest.raises(UserError, match="`provenance` must not use the names image, label, id, soft_label, got 'id'"):
        TransferSet(small_set, provenance={"id": list(range(12))})


@pytest.mark.parametrize("values", [[[1]] * 12, ["a", 1] * 6])
def test_provenance_is_strings_or_numbers(small_set: ImageSet, values: list, tmp_path: Path):
    with pytest.raises(UserError, match=r"`provenance\['odd'\]` must be strings or numbers of one kind"):
        TransferSet(small_set, provenance={"odd": values}).save(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_transfer_set_is_named(full: TransferSet, tmp_path: Path):
    with pytest.raises(UserError, match=r"is no transfer set: it has no transfer_set.json"):
        TransferSet.load(tmp_path)
    full.save(tmp_path / "set")
    config = tmp_path / "set" / "transfer_set.json"
    config.write_text(config.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(UserError, match="must be of format 1 or 2, got 99; update limbeck"):
        TransferSet.load(tmp_path / "set")
    config.write_text("{")
    with pytest.raises(UserError, match=r"transfer_set.json' is damaged"):
        TransferSet.load(tmp_path / "set")


LOGITS = torch.tensor([[4.0, -1.0, 0.5]]).repeat(12, 1)


@pytest.mark.parametrize(
    "soft_labels",
    [
        LOGITS,
        -LOGITS.abs(),
        LOGITS.log_softmax(1),
        LOGITS.softmax(1) * 100,
        LOGITS.sigmoid(),
        torch.zeros(12, 3),
        LOGITS.softmax(1) - 0.05,
        torch.cat([LOGITS[:11].softmax(1), LOGITS[11:]]),
    ],
    ids=["logits", "negative", "log-probabilities", "percent", "sigmoids", "zeros", "sum", "last row"],
)
def test_soft_labels_are_probabilities_unless_they_say_otherwise(small_set: ImageSet, soft_labels: torch.Tensor):
    with pytest.raises(UserError, match=r"must be probabilities, .* row \d+ lies in .* Say `soft_label_kind='logits'`"):
        TransferSet(small_set, soft_labels)
    assert TransferSet(small_set, soft_labels, soft_label_kind="logits").soft_targets is not None


def test_rounded_probabilities_are_probabilities(small_set: ImageSet):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        TransferSet(small_set, LOGITS.softmax(1).to(dtype))
    TransferSet(small_set, torch.tensor([[0.333, 0.333, 0.333]]).repeat(12, 1))
    TransferSet(small_set, torch.eye(3).repeat(4, 1))


def test_kind_and_temperature_are_kept_and_give_the_teachers_logits(small_set: ImageSet, tmp_path: Path):
    centred = LOGITS - LOGITS.mean(1, keepdim=True)
    for number, (values, kind, temperature) in enumerate(
        [
            (LOGITS, "logits", 1.0),
            (LOGITS / 4, "logits", 4.0),
            (LOGITS.softmax(1), "probabilities", 1.0),
            ((LOGITS / 4).softmax(1), "probabilities", 4.0),
        ]
    ):
        TransferSet(small_set, values, soft_label_kind=kind, soft_label_temperature=temperature).save(
            tmp_path / str(number)
        )
        restored = TransferSet.load(tmp_path / str(number))
        assert (restored.soft_label_kind, restored.soft_label_temperature) == (kind, temperature)
        assert restored.soft_targets is not None
        logits = restored.soft_targets.teacher_logits()
        assert torch.allclose(logits - logits.mean(1, keepdim=True), centred, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"soft_label_kind": "logit"}, "unknown `soft_label_kind` 'logit'; did you mean 'logits'"),
        ({"soft_label_temperature": 0.0}, r"`soft_label_temperature` must be > 0, got 0\.0"),
        ({"soft_label_temperature": "4"}, r"`soft_label_temperature` must be > 0, got '4'"),
        ({"soft_label_temperature": None}, r"`soft_label_temperature` must be > 0, got None"),
        ({"soft_label_temperature": float("inf")}, "`soft_label_temperature` must be > 0, got inf"),
    ],
)
def test_what_soft_labels_cannot_be(small_set: ImageSet, options: dict, message: str):
    with pytest.raises(UserError, match=message):
        TransferSet(small_set, LOGITS.softmax(1), **options)


def without_kind(folder: Path) -> None:
    """Makes the folder look as if saved before soft labels had a kind."""
    config = json.loads((folder / "transfer_set.json").read_text())
    del config["soft_labels"]
    (folder / "transfer_set.json").write_text(json.dumps(config))


def test_what_was_saved_without_a_kind_loads_if_it_is_probabilities(
    full: TransferSet, small_set: ImageSet, tmp_path: Path
):
    full.save(tmp_path / "set")
    without_kind(tmp_path / "set")
    restored = TransferSet.load(tmp_path / "set")
    assert (restored.soft_label_kind, restored.soft_label_temperature) == ("probabilities", 1.0)
    TransferSet(small_set, LOGITS, soft_label_kind="logits").save(tmp_path / "logits")
    without_kind(tmp_path / "logits")
    with pytest.raises(UserError, match=r'`soft_labels` must be probabilities.*as "soft_labels": {"kind": "logits"'):
        TransferSet.load(tmp_path / "logits")
    path = tmp_path / "logits" / "transfer_set.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "soft_labels": {"kind": "logits"}}))
    assert TransferSet.load(tmp_path / "logits").soft_label_kind == "logits"


DATA = Path("data") / "train-00000-of-00001.parquet"


def test_files_that_contradict_each_other(full: TransferSet, small_set: ImageSet, tmp_path: Path):
    full.save(tmp_path / "set")
    rows = pq.read_table(tmp_path / "set" / DATA)
    dark = ImageSet(255 - small_set.tensor(), small_set.labels, ids=small_set.ids, classes=small_set.classes)
    TransferSet(dark, full.soft_labels, full.provenance).save(tmp_path / "dark")
    labels = [*rows["label"].to_pylist()[1:], 0]
    renamed = json.loads(rows.schema.metadata[b"huggingface"])
    renamed["info"]["features"]["label"]["names"] = ["bee", "ant", "cat"]
    wrong = {
        r"holds 5 images, transfer_set.json 12": rows.slice(0, 5),
        r"holds 24 images, transfer_set.json 12": pa.concat_tables([rows, rows]),
        r"holds other images, ids or labels": pq.read_table(tmp_path / "dark" / DATA),
        r"holds other images, ids or .*labels": rows.set_column(2, "label", pa.array(labels, pa.int64())),
        r"holds other images, .*ids or labels": rows.take(list(range(11, -1, -1))),
        r"holds other soft labels": rows.set_column(
            3, "soft_label", pa.array([[1.0, 0, 0]] * 12, pa.list_(pa.float32()))
        ),
        r"the classes of .* differ": rows.replace_schema_metadata({"huggingface": json.dumps(renamed)}),
        r"lacks the column 'score'": rows.drop_columns(["score"]),
        r"lacks the column 'soft_label'": rows.drop_columns(["soft_label"]),
        r"lacks the column 'id'": rows.drop_columns(["id"]),
    }
    for message, content in wrong.items():
        pq.write_table(content, tmp_path / "set" / DATA)
        with pytest.raises(
            UserError, match=f"(?s)the files of the transfer set '.*/set' contradict each other.*{message}"
        ):
            TransferSet.load(tmp_path / "set")
    pq.write_table(rows, tmp_path / "set" / DATA)
    assert len(TransferSet.load(tmp_path / "set")) == 12
    config = json.loads((tmp_path / "set" / "transfer_set.json").read_text())
    (tmp_path / "set" / "transfer_set.json").write_text(json.dumps({**config, "images": 13}))
    with pytest.raises(UserError, match=r"holds 12 images, transfer_set.json 13"):
        TransferSet.load(tmp_path / "set")
    for wrong in ({"shape": [1]}, {"shape": 8}, {"soft_labels": [1]}, {"provenance": ["a"]}):
        (tmp_path / "set" / "transfer_set.json").write_text(json.dumps(config | wrong))
        with pytest.raises(UserError, match=r"is damaged: `shape` must be \[C, H, W\], and `provenance`"):
            TransferSet.load(tmp_path / "set")
    del config["shape"]
    (tmp_path / "set" / "transfer_set.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="is damaged: it lacks shape"):
        TransferSet.load(tmp_path / "set")


def test_damaged_rows_are_named(full: TransferSet, tmp_path: Path):
    full.save(tmp_path / "set")
    data = bytearray((tmp_path / "set" / DATA).read_bytes())
    group = pq.ParquetFile(tmp_path / "set" / DATA).metadata.row_group(0)
    chunk = next(column for column in map(group.column, range(group.num_columns)) if column.path_in_schema == "id")
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    (tmp_path / "set" / DATA).write_bytes(data)
    with pytest.raises(
        UserError, match=r"contradict each other: .*parquet is damaged \((?s:.*)\). Copy the whole folder"
    ):
        TransferSet.load(tmp_path / "set")


@pytest.mark.parametrize("values", [np.full((12, 3), 1 / 3), [[1.0, 0.0, 0.0]] * 12])
def test_soft_labels_are_a_tensor(full: TransferSet, values: Any):
    with pytest.raises(UserError, match=r"`soft_labels` must be a tensor, got (ndarray|list); `torch.as_tensor` makes"):
        TransferSet(full.images, values)
