"""Experts in a folder: which of them are read, and the errors for those that cannot be."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.transfer.condense.small import Heard, context, pool, small

from limbeck.errors import UserError
from limbeck.models.fingerprint import fingerprint
from limbeck.transfer.condense import Maker
from limbeck.transfer.condense.experts import ExpertStore, make_experts
from limbeck.transfer.condense.experts.observer import snapshot_path
from limbeck.transfer.condense.experts.store import expert_folder
from limbeck.transfer.condense.find_experts import _key, open_experts, snapshots_read
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")


def made(folder: Path, *, snapshots: int = 3, **said: int) -> Path:
    settings = small(method="mtt", experts=said)
    networks = FreshNetworks.of(settings.network, pool())
    make_experts(settings.experts, networks, pool(), folder, snapshots=snapshots)
    return folder


def opened(
    folder: Path, *, method: str = "mtt", experts: dict[str, object] | None = None, **said: object
) -> ExpertStore:
    settings = small(method=method, experts={"folder": str(folder), "count": 100, **(experts or {})}, **said)
    store = open_experts(settings, pool(), FreshNetworks.of(settings.network, pool()))
    assert store is not None
    return store


def test_all_are_read_or_as_many_as_are_wanted(tmp_path: Path) -> None:
    folder = made(tmp_path / "experts", count=3, judges=2)
    assert (opened(folder).count, opened(folder).about["judges"]) == (3, 2), "the method's own numbers"
    fewer = opened(folder, experts={"count": 2, "judges": 0})
    assert (fewer.count, fewer.about["judges"], len(fewer.judges)) == (2, 0, 2)
    with pytest.raises(UserError, match=r"lacks snapshots 0 to 2 of expert 3; `limbeck experts` with the same folder"):
        opened(folder, experts={"count": 5})
    with pytest.raises(UserError, match=r"lacks judge 2; `limbeck experts` with the same folder and more `judges`"):
        opened(folder, experts={"judges": 3})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"learning_rate": 0.2}, r"`experts.learning_rate` is 0.2, and .* were made with 0.1; leave `experts.learn"),
        ({"learning_rate": 0.1}, None),
        ({"milestones": [1]}, r"`experts.milestones` is \[1\], and .* were made with \[\]; leave `experts.milestones`"),
        ({"sharpness": {"rho": 0.1}}, r"`experts.sharpness` is {.*}, and .* were made with null; leave"),
        ({"seed": 3}, r"`experts.seed` is 3, and the experts in `experts.folder` .* were made with 0; leave"),
        ({"format": "float32"}, r"`experts.format` is \"float32\", and .* were made with \"float16\"; leave"),
    ],
)
def test_experts_that_were_made_otherwise_than_is_said_are_refused(
    said: dict[str, object], told: str | None, tmp_path: Path
) -> None:
    folder = made(tmp_path / "experts")
    if told is None:
        assert opened(folder, experts=said).count == 1
        return
    with pytest.raises(UserError, match=told):
        opened(folder, experts=said)


def test_experts_at_constant_rates_are_where_earlier_versions_kept_them() -> None:
    def key(**experts: object) -> str:
        settings = small(method="mtt", experts=experts)
        return _key(settings, pool(), FreshNetworks.of(settings.network, pool()))

    assert key(decay=0.5) == key(), "nothing reads it"
    assert len({key(), key(milestones=[1]), key(milestones=[1], decay=0.5)}) == 3
    settings = small(method="mtt")
    experts = settings.experts.model_dump(mode="json")
    for name in ("count", "judges", "folder", "epochs", "milestones", "decay"):
        del experts[name]
    network = fingerprint(FreshNetworks.of(settings.network, pool())(0))
    content = {"experts": experts, "network": network, "images": pool().fingerprint}
    written = json.dumps(content, sort_keys=True).encode()
    assert key() == hashlib.blake2b(written, digest_size=8).hexdigest()


def test_experts_of_another_method_are_read(tmp_path: Path) -> None:
    images = pool()
    networks = FreshNetworks.of(small().network, images)
    plain = CondenseSettings(budget="1/class", method="mtt", network={"options": {"width": 4}})
    taught = plain.experts.model_copy(update={"count": 1, "epochs": 2, "format": "float32"})
    make_experts(taught, networks, images, tmp_path, snapshots=3)
    at_hand = CondenseSettings(
        budget="1/class",
        method="ftd",
        network={"options": {"width": 4}},
        experts={"folder": str(tmp_path), "epochs": 2},
        matching={"start_to": 1, "grow_to": None, "expert_epochs": 1},
    )
    assert at_hand.experts.sharpness != plain.experts.sharpness
    assert open_experts(at_hand, images, networks) is not None


def test_fewer_experts_than_are_wanted_are_said(tmp_path: Path) -> None:
    folder, heard = made(tmp_path / "experts", count=3), Heard()
    for count in (100, 2):
        settings = small(method="mtt", experts={"folder": str(folder), "count": count})
        Maker().make(settings, context(tmp_path / str(count), progress=heard))
    (line,) = [message for message in heard.said if "`experts.count`" in message]
    assert "experts' holds 3 of the 100 experts of `experts.count`, and no others are read; `limbeck exp" in line


def test_experts_of_other_images_are_told_from_those_of_another_network(tmp_path: Path) -> None:
    folder, others = made(tmp_path / "experts"), pool(each=20)
    experts = {"folder": str(folder)}
    validation = small(method="mtt", experts=experts, choose="validation")
    for settings, message in (
        (small(method="mtt", experts=experts), r"holds experts of other images than 'coloured'; give these"),
        (
            validation,
            r"'coloured', a tenth of which `choose: validation` holds out by `experts.seed` 0; give these",
        ),
    ):
        with pytest.raises(UserError, match=message):  # their mean differs, and so does their network
            open_experts(settings, others, FreshNetworks.of(settings.network, others))
    with pytest.raises(UserError, match=r"holds experts of another convnet_d3 than `network`"):
        opened(folder, network={"options": {"width": 8}})


def test_ways_from_end_to_end_are_the_folders(tmp_path: Path) -> None:
    folder = made(tmp_path / "experts")
    assert opened(folder, experts={"epochs": 50}, matching={"straight": True}).kept == (0, 1, 2)
    assert opened(folder, method="ncfm", experts={"epochs": 50, "count": 20}).kept == (0, 1, 2)
    with pytest.raises(UserError, match=r"must hold snapshots up to number 3, got up to 2; `limbeck experts`"):
        opened(folder, matching={"start_to": 2})
    short = made(tmp_path / "short", epochs=4)
    with pytest.raises(
        UserError, match=r"hold snapshots 0, 4, as its experts have 4 epochs, got 0 to 2; .*--epochs 4`"
    ):
        opened(short, experts={"epochs": 50}, matching={"straight": True})


def test_straight_lines_are_learned_on_whatever_epochs_are_said(tmp_path: Path) -> None:
    folder = made(tmp_path / "experts")
    settings = small(method="mtt", experts={"folder": str(folder), "epochs": 9}, matching={"straight": True})
    assert len(Maker().make(settings, context(tmp_path / "set")).source.images(0)) == 3


def test_snapshots_before_the_first_start_are_not_made(tmp_path: Path) -> None:
    late = {"start_from": 1, "start_to": 2, "expert_epochs": 1}
    settings = small(method="mtt", matching=late)
    assert snapshots_read(settings) == (1, 2)
    Maker().make(settings, context(tmp_path / "late"))
    (folder,) = (tmp_path / "late" / "experts").iterdir()
    store = ExpertStore.open(folder)
    assert store.kept == (1, 2)
    whole = ExpertStore.open(made(tmp_path / "whole"))
    assert torch.equal(store.theta(0, 2), whole.theta(0, 2))
    early = small(method="mtt", experts={"folder": str(folder)}, matching={**late, "start_from": 0})
    with pytest.raises(UserError, match=r"must hold snapshots 0 to 2, got 1 to 2; .* or raise `matching.start_from`"):
        Maker().count(early, context(tmp_path / "early"))


def test_what_is_cut_off_or_no_number_is_said_before_it_is_needed(tmp_path: Path) -> None:
    folder = made(tmp_path / "experts", count=2)
    file = snapshot_path(expert_folder(folder, 1), 2)
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    with pytest.raises(
        UserError, match=r"0002.safetensors' cannot be read .* remove the folder of its expert or judge"
    ):
        opened(folder)
    file.write_bytes(whole)
    save_file({name: tensor * float("nan") for name, tensor in load_file(file).items()}, file)
    with pytest.raises(UserError, match=r"snapshot 2 of expert 1 in .* holds values that are not finite; remove"):
        opened(folder).theta(1, 2)


@pytest.mark.parametrize("content", ["{}", "[]", "3", '{"count": 1}'])
def test_a_damaged_list_of_experts_is_said(content: str, tmp_path: Path) -> None:
    folder = made(tmp_path / "experts")
    (folder / "experts.json").write_text(content)
    with pytest.raises(
        UserError, match=r"experts.json' is damaged \(.*\); make the experts again with the same folder"
    ):
        opened(folder)


def test_a_folder_without_its_plan_is_gone_on_with(tmp_path: Path) -> None:
    folder = made(tmp_path / "experts")
    (folder / "plan.json").unlink()
    assert ExpertStore.open(made(folder, count=2)).count == 2
    about = json.loads((folder / "experts.json").read_text())
    about["seed"] = 7
    (folder / "experts.json").write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"the experts in .* are others: they differ in seed"):
        made(folder)


def test_the_method_that_reads_snapshots_names_them() -> None:
    settings = CondenseSettings(budget="1/class", method="ncfm")
    assert snapshots_read(settings) == (0, 60)
    assert snapshots_read(settings, 20) == (0, 20)
