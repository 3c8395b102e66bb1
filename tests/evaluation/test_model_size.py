import itertools
from types import SimpleNamespace

import torch
from torch import nn

from limbeck import models
from limbeck.evaluation import footprint
from limbeck.evaluation.model_size import FEWEST_RUNS, SECONDS_PER_BATCH_SIZE, multiply_adds, size_on_disk
from limbeck.models.classifier import Classifier


def test_counts_by_hand(make_classifier):
    result = footprint(make_classifier(classes=6), (3, 8, 8), latency=False)
    assert result["parameters"] == 4 * 3 * 9 + 4 + 2 * 4 + 4 * 6 + 6
    assert result["macs"] == 6 * 6 * 4 * 3 * 9 + 4 * 6
    assert result["latency_ms"] is None


def test_the_device_is_on_record(make_classifier):
    classifier = make_classifier()
    assert footprint(classifier, (3, 8, 8), latency=False)["device"] == "cpu"
    before = [parameter.data_ptr() for parameter in classifier.parameters()]
    assert footprint(classifier, (3, 8, 8), latency=False, device="cpu")["device"] == "cpu"
    assert [parameter.data_ptr() for parameter in classifier.parameters()] == before


def test_it_is_measured_where_asked_and_goes_back(make_classifier, monkeypatch):
    classifier, moves = make_classifier(), []
    monkeypatch.setattr(classifier, "to", moves.append)
    footprint(classifier, (3, 8, 8), latency=False, device="elsewhere")
    assert moves == ["elsewhere", torch.device("cpu")]


def test_attention_is_counted():
    layer = nn.MultiheadAttention(8, 2, batch_first=True)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = layer

        def forward(self, images):
            tokens = images.flatten(2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    tokens, width = 3, 8
    expected = tokens * width * 3 * width + tokens * width * width + 2 * tokens * tokens * width
    assert multiply_adds(Network(), (tokens, 2, 4)) == expected


def test_size_is_that_of_the_saved_file(tmp_path):
    classifier = models.create("resnet8", num_classes=10)
    models.save(classifier, tmp_path / "student")
    assert size_on_disk(classifier.network) == (tmp_path / "student" / "model.safetensors").stat().st_size


def test_shared_weights_count_once():
    network = nn.Sequential(nn.Linear(50, 50, bias=False), nn.Linear(50, 50, bias=False))
    network[1].weight = network[0].weight
    assert 10_000 < size_on_disk(network) < 10_200


def test_latency_takes_no_longer_than_it_may(make_classifier, monkeypatch):
    clock = itertools.count(0, 0.01)  # reading it takes a hundredth of a second, and a pass reads it twice
    monkeypatch.setattr("limbeck.evaluation.model_size.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    for row in footprint(make_classifier(), (3, 8, 8))["latency_ms"].values():
        assert FEWEST_RUNS < row["n"] <= SECONDS_PER_BATCH_SIZE / 0.02
    monkeypatch.setattr("limbeck.evaluation.model_size.SECONDS_PER_BATCH_SIZE", 0)
    assert {row["n"] for row in footprint(make_classifier(), (3, 8, 8))["latency_ms"].values()} == {FEWEST_RUNS}


def test_latency_leaves_no_trace(make_classifier):
    classifier: Classifier = make_classifier().train()
    state = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    latency = footprint(classifier, (3, 8, 8))["latency_ms"]
    assert latency.keys() == {"1", "256"}
    for row in latency.values():
        assert 0 < row["median"] <= row["p95"]
        assert row["n"] >= 3
    assert classifier.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in classifier.state_dict().items())
