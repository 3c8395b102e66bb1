"""`limbeck probe` behind the command line and `lb.probe`: controls, splits, the folder, refusals."""

import json
from pathlib import Path

import pytest
import yaml
from tests.training.tiny import network, stripes

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models import save, untrained
from limbeck.recipes.probes import probe_saved, train_and_test


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    save(network(), tmp_path / "saved")
    return str(tmp_path / "saved")


def test_rows_and_folder(saved: str, tmp_path: Path) -> None:
    save(network(1), tmp_path / "other")
    out = tmp_path / "out"
    rows = probe_saved(saved, ["digits"], out=out, against=[str(tmp_path / "other"), saved], seeds=2)
    assert [row["role"] for row in rows] == ["network", "against", "untrained"]
    assert [row["name"] for row in rows] == [saved, str(tmp_path / "other"), "convnet_d3 untrained"]
    assert all(row["n"] == 360 and len(row["top1"]) == len(row["strengths"]) == 2 for row in rows)
    content = json.loads((out / "probe.json").read_text())
    assert content["rows"] == json.loads(json.dumps(rows))
    assert yaml.safe_load((out / "settings.yaml").read_text())["seeds"] == [0, 1]
    assert {path.name for path in out.iterdir()} == {"probe.json", "settings.yaml", "environment.json", "report.html"}
    with pytest.raises(UserError, match=r"out' exists already and is never overwritten; choose another --out"):
        probe_saved(saved, ["digits"], out=out)


def test_untrained_control_is_of_the_seeds(saved: str, tmp_path: Path) -> None:
    rows = probe_saved(saved, ["digits"], out=tmp_path / "out", seeds=2)
    probes = [
        lb.probe(control, "digits", seeds=[seed]) for seed in (0, 1) if (control := untrained(network(), seed=seed))
    ]
    assert rows[1]["top1"] == [probe.top1[0] for probe in probes]
    assert len(probe_saved(saved, ["digits"], out=tmp_path / "without", control=False)) == 1


def test_test_images_by_split_or_held_out(tmp_path: Path) -> None:
    images = lb.load("digits")
    for hold_out in (137, 0.0953):
        train, test = train_and_test("digits", hold_out=hold_out)
        assert (len(train), len(test)) == (1300, 137)
        assert not set(train.ids.tolist()) & set(test.ids.tolist())
    assert len(train_and_test("digits")[1]) == 360
    assert train_and_test(images, images)[1] is images
    with pytest.raises(UserError, match=r"must be 'train' or 'test', got 'tset'.* A `hold_out` of 0\.2 judges on a fi"):
        train_and_test("digits", test_split="tset")
    with pytest.raises(UserError, match="`hold_out` takes the place of a test set"):
        train_and_test("digits", images, hold_out=0.2)
    with pytest.raises(UserError, match="`test` must be images or a data set's name where `train` is given as images"):
        train_and_test(images)


def test_python(saved: str) -> None:
    probe = lb.probe(network(), stripes(60), stripes(40, seed=1))
    assert isinstance(probe, lb.Probe)
    assert probe.mean_top1 > 0.9
    held_out = lb.probe(saved, stripes(60), hold_out=0.5, schedule="published")
    assert (held_out.images, held_out.n, held_out.schedule) == (30, 30, "published")
    with pytest.raises(UserError, match=r"`network` must be a Classifier or weights .*, got a bare ConvNet"):
        lb.probe(network().network, stripes(60), hold_out=0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"`test` must be images as `lb\.load` gives them"):
        lb.probe(network(), stripes(60), 40)  # pyright: ignore[reportArgumentType]


def test_nothing_is_written_where_a_probe_fails(saved: str, tmp_path: Path) -> None:
    for changes, message in (
        ({"seeds": 0}, "`seeds` must be at least 1, got 0"),
        ({"schedule": "l3"}, "unknown schedule 'l3'"),
        ({"size": 9}, r"`size` must be \(32, 32\) or left out"),
        ({"hold_out": 5000}, "`held_out` must be a count in"),
        ({"model": "lenet5"}, "holds a convnet_d3, so `model` must be that"),
    ):
        with pytest.raises(UserError, match=message):
            probe_saved(saved, ["digits"], out=tmp_path / "out", **changes)
    with pytest.raises(UserError, match="unknown dataset 'digitz'"):
        probe_saved(saved, ["digits", "digitz"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
