"""The verb `condense`, from Python and the command line, in runs and in comparisons."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipes.tiny_recipes import comparison, one_run
from tests.transfer.condense.small import SMALL, Heard, pool, small
from typer.testing import CliRunner

import limbeck as lb
from limbeck.api.objects import name_of_network
from limbeck.caching import cache_entries
from limbeck.cli.main import app
from limbeck.data.transfer_set import TransferSet
from limbeck.errors import UserError
from limbeck.interruption import Interrupted
from limbeck.models.fingerprint import fingerprint
from limbeck.models.weights.folder import save as save_model
from limbeck.progress import Silent
from limbeck.recipes.condensing import condense_images, settings_to_condense
from limbeck.recipes.experts import NamedImages, experts_of
from limbeck.recipes.plan import plan
from limbeck.recipes.reading import read_recipe
from limbeck.recipes.run import gather_inputs, run
from limbeck.transfer.condense.condensation import split_for
from limbeck.transfer.condense.engine import MatchingEngine
from limbeck.transfer.condense.find_experts import open_experts
from limbeck.transfer.condense.network import FreshNetworks
from limbeck.transfer.condense.settings import CondenseSettings as Settings
from limbeck.transfer.condense.unread_settings import unread_settings

pytestmark = pytest.mark.filterwarnings("ignore:no judge is right about:UserWarning")
"""Experts of a few steps."""

QUICK = {name: value for name, value in SMALL.items() if name != "budget"}
SETTINGS = [
    "network.options.width=4",
    "experts.count=1",
    "experts.epochs=2",
    "experts.steps_per_snapshot=1",
    "experts.views=null",
    "experts.learning_rate=0.1",
    "experts.batch_size=8",
    "matching.start_to=1",
    "matching.synthetic_steps=2",
    "views=null",
    "use.views=null",
    "use.epochs=2",
]


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages take seconds each, and have tests of their own."""

    def write(folder: Path) -> Path:
        (folder / "report.html").write_text("")
        return folder / "report.html"

    monkeypatch.setattr("limbeck.recipes.making_alone.write_selection_report", write)


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def command(out: Path, *more: str, method: str = "mtt") -> list[str]:
    settings = [part for setting in SETTINGS for part in ("-s", setting)]
    data = ["--data", "digits", "--classes", "0", "--classes", "1", "--classes", "2"]
    return ["condense", *data, "--budget", "1/class", "--method", method, "--out", str(out), *settings, *more]


def test_from_python(tmp_path: Path) -> None:
    condensed = lb.condense(pool(), budget="1/class", method="mtt", out=tmp_path / "set", **QUICK)
    assert len(condensed) == 3
    assert condensed.images.classes == pool().classes
    assert condensed.images.fingerprint == TransferSet.load(tmp_path / "set").images.fingerprint
    assert not (tmp_path / "set.making").exists()
    cost = json.loads((tmp_path / "set" / "cost.json").read_text())
    assert cost["steps"] >= 3
    with pytest.raises(UserError, match="exists already"):
        lb.condense(pool(), budget="1/class", method="mtt", out=tmp_path / "set", **QUICK)


def test_python_and_the_command_line_make_one_set(tmp_path: Path) -> None:
    output = invoke(*command(tmp_path / "set", "--iterations", "2"))
    assert "3 images of 3 classes in place of" in output
    loaded = TransferSet.load(tmp_path / "set")
    digits = lb.load("digits", "train", classes=["0", "1", "2"])
    matching = {"start_to": 1, "synthetic_steps": 2}
    changes = {**QUICK, "iterations": 2, "evaluate_every": 500, "matching": matching}
    condensed = lb.condense(digits, budget="1/class", method="mtt", **changes)
    assert condensed.images.fingerprint == loaded.images.fingerprint


def test_experts_of_another_run_and_networks_by_mapping(tmp_path: Path) -> None:
    invoke(*command(tmp_path / "one", "--iterations", "1", "-s", "choose=last"))
    network = "{model: convnet_d3, options: {width: 2}}"
    refused = CliRunner().invoke(app, command(tmp_path / "two", "--experts", str(tmp_path)))
    assert "there are no experts in" in refused.output
    invoke(*command(tmp_path / "three", "--network", network, "-s", "network.options.width=2", "--iterations", "0"))
    use = TransferSet.load(tmp_path / "three").use
    assert use is not None
    assert use["student"]["options"] == {"width": 2}


def test_the_network_is_that_of_the_experts_where_none_is_said(tmp_path: Path) -> None:
    data = ["--data", "digits", "--classes", "0", "--classes", "1", "--classes", "2", "--method", "mtt"]
    folder, network = tmp_path / "experts", "{model: convnet_d3, options: {width: 2}}"
    quick = [part for setting in SETTINGS if not setting.startswith("network") for part in ("-s", setting)]
    invoke("experts", *data, "--network", network, "--out", str(folder), *quick)
    condense = ["condense", *data, "--budget", "1/class", "--experts", str(folder), "--iterations", "1", *quick]
    invoke(*condense, "--out", str(tmp_path / "set"))
    use = TransferSet.load(tmp_path / "set").use
    assert use is not None
    assert use["student"]["options"]["width"] == 2
    settings = settings_to_condense({"budget": "1/class", "experts": {"folder": str(folder)}})
    kept = settings.model_dump(mode="json")
    assert kept["network"]["options"]["width"] == 2
    assert settings_to_condense(kept) == settings
    refused = CliRunner().invoke(app, [*condense, "--network", "convnet_d3", "--out", str(tmp_path / "other")])
    assert "holds experts of another convnet_d3 than" in re.sub(r"\s+", " ", refused.output)


@pytest.mark.parametrize("named", [True, False])
def test_experts_leave_out_the_images_that_choose(named: bool, tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    classes = ["0", "1", "2"]
    images = lb.load("digits", "train", classes=classes)
    settings = small(method="mtt", choose="validation", experts={"folder": str(folder)})
    without_folder = settings.model_copy(update={"experts": settings.experts.model_copy(update={"folder": None})})
    store = experts_of(without_folder, NamedImages("digits", "train", classes=classes) if named else images, folder)
    assert store.about["images"] != images.fingerprint
    rest = split_for(settings, images)[0]
    assert open_experts(settings, rest, FreshNetworks.of(settings.network, rest)) is not None


def test_the_network_of_experts_that_see_whitened_images_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    expert_settings = small(method="mtt", network={"options": {"width": 2}, "whitening": True})
    experts_of(expert_settings, pool(), folder)
    resolved = settings_to_condense({"budget": 3, "experts": {"folder": str(folder)}})
    assert resolved.network.whitening
    assert resolved.network.mean is None
    networks = FreshNetworks.of(resolved.network, pool())
    assert fingerprint(networks(0)) == fingerprint(FreshNetworks.of(expert_settings.network, pool())(0))


def test_the_epsilon_of_whitening_is_that_of_the_experts(tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    expert_settings = small(
        method="mtt", network={"options": {"width": 2}, "whitening": True, "whitening_epsilon": 0.05}
    )
    experts_of(expert_settings, pool(), folder)

    def at_hand(**more: Any) -> tuple[Settings, FreshNetworks]:
        settings = settings_to_condense({"budget": 3, "experts": {"folder": str(folder)}, "method": "mtt", **more})
        return settings, FreshNetworks.of(settings.network, pool())

    read = {"matching": {"start_to": 1}}
    resolved, networks = at_hand(**read)
    assert resolved.network.whitening_epsilon == 0.05
    assert open_experts(resolved, pool(), networks) is not None
    usual = {"options": {"width": 2}, "whitening": True}
    other, networks = at_hand(network=usual, **read)
    with pytest.raises(UserError, match=r"classes or `network.whitening_epsilon` \(0.1, which is 0.05 there\); give"):
        open_experts(other, pool(), networks)
    for name in ("plan.json", "experts.json"):  # as earlier versions wrote them
        content = json.loads((folder / name).read_text())
        assert content.pop("whitening_epsilon") == 0.05
        (folder / name).write_text(json.dumps(content))
    resolved, networks = at_hand(**read)
    assert resolved.network.whitening_epsilon == 0.1
    with pytest.raises(UserError, match=r"`network.whitening_epsilon` \(0.1, which the folder does not tell\); give"):
        open_experts(resolved, pool(), networks)
    experts_of(
        small(**{**expert_settings.model_dump(), "experts": {**expert_settings.experts.model_dump(), "count": 2}}),
        pool(),
        folder,
    )
    assert at_hand(**read)[0].network.whitening_epsilon == 0.05, "told by who goes on with them"


def test_experts_that_nothing_reads_may_tell_the_network(tmp_path: Path) -> None:
    folder = tmp_path / "experts"
    experts_of(small(method="mtt"), pool(), folder)
    options = {"budget": 3, "method": "dm", "experts": {"folder": str(folder)}}
    rest = "nothing is learned, labelled or looked at by experts"
    assert unread_settings(settings_to_condense(options)) == [
        f"`experts` changes nothing but `network`, which is that of `experts.folder`: {rest}"
    ]
    other = settings_to_condense({**options, "network": {"options": {"width": 8}}})
    assert unread_settings(other) == [f"`experts` changes nothing: {rest}"]
    (folder / "network" / "config.json").write_text("{}")
    assert unread_settings(other) == [f"`experts` changes nothing: {rest}"]


def test_what_was_stopped_goes_on_with_the_same_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = command(tmp_path / "set", "--iterations", "3")
    step = MatchingEngine.step

    def stopping(engine: MatchingEngine, iteration: int) -> Any:
        if iteration == 2:
            raise Interrupted
        return step(engine, iteration)

    monkeypatch.setattr("limbeck.transfer.condense.learning.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("limbeck.transfer.condense.learning.SHARE", 1e9)
    monkeypatch.setattr(MatchingEngine, "step", stopping)
    stopped = CliRunner().invoke(app, arguments)
    assert stopped.exit_code != 0
    monkeypatch.setattr(MatchingEngine, "step", step)
    other = CliRunner().invoke(app, command(tmp_path / "set", "--iterations", "4"))
    assert "was begun with other settings (`iterations` " in other.output
    invoke(*arguments)
    invoke(*command(tmp_path / "whole", "--iterations", "3"))
    resumed, other = (TransferSet.load(tmp_path / name) for name in ("set", "whole"))
    assert resumed.images.fingerprint == other.images.fingerprint
    config = "transfer_set.json"
    assert (tmp_path / "set" / config).read_bytes() == (tmp_path / "whole" / config).read_bytes()


@pytest.mark.parametrize("in_a_run", [False, True])
def test_what_was_stopped_may_see_fewer_images_at_a_time(
    in_a_run: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, step = Heard(), MatchingEngine.step
    content = one_run()
    del content["select"]

    def make(chunk: int | None, rate: float = 0.01) -> None:
        changed = {"chunk": chunk, "rate": rate}
        if in_a_run:
            recipe = read_recipe({**content, **teaching(method="mtt", matching={**QUICK["matching"], **changed})})
            run(recipe, tmp_path / "run", resume=True, progress=heard)
            return
        settings = small(method="mtt", matching=changed)
        condense_images(settings, pool(), seed=0, target=tmp_path / "set", progress=heard)

    def stopping(engine: MatchingEngine, iteration: int) -> Any:
        if iteration == 2:
            raise Interrupted
        return step(engine, iteration)

    with monkeypatch.context() as patch:
        patch.setattr("limbeck.transfer.condense.learning.CHECKPOINT_SECONDS", 0.0)
        patch.setattr("limbeck.transfer.condense.learning.SHARE", 1e9)
        patch.setattr(MatchingEngine, "step", stopping)
        with pytest.raises(Interrupted):
            make(None)
    with pytest.raises(UserError, match=r"other settings|another recipe"):
        make(1, rate=0.02)
    remark = "`matching.chunk` was None and is 1: from here on, images may differ by rounding from those without the"
    heard.said.clear()
    make(1)
    assert any(message.startswith(remark) for message in heard.said)
    assert any("2 of 3 iterations are done" in message for message in heard.said)
    if in_a_run:
        with pytest.raises(UserError, match=r"`transfer.matching.chunk` \(1 then, 2 now\)"):
            make(2)  # of what is made already


def test_after_an_error_of_the_settings_others_are_taken_and_experts_are_taught_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    refused = CliRunner().invoke(app, command(tmp_path / "set", "-s", "matching.skip_above=1e-9"))
    assert "`matching.skip_above` must be above the first loss" in " ".join(refused.output.split())
    (taught,) = cache_entries("experts")
    invoke(*command(tmp_path / "set", "--iterations", "1"))
    invoke(*command(tmp_path / "other", "--iterations", "1", "--seed", "1"))
    assert [entry.used for entry in cache_entries("experts")] == [taught.used]
    assert not (tmp_path / "set.making").exists()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"method": "rded"}, "condensing by 'rded' asks a teacher, and none is given; give one that tells the classes"),
        ({"method": "edf"}, "asks a teacher, and none is given; give one, or set `mask.network: expert`"),
        ({"method": "nope"}, "unknown method 'nope'"),
        ({"budget": "10%"}, "must be images per class"),
        ({"seed": "a"}, "`seed` must be a whole number"),
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
    ],
)
def test_wrong_calls(said: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        lb.condense(pool(), **{"budget": "1/class", **said})


@pytest.mark.parametrize("verb", ["condense", "experts"])
def test_workers_are_counted_before_anything_is_loaded(verb: str) -> None:
    budget = ("--budget", "1/class") if verb == "condense" else ()
    refused = CliRunner().invoke(app, [verb, "--data", "nowhere", *budget, "--workers", "0"])
    assert refused.exit_code == 2
    assert "workers must be at least 1, got 0" in " ".join(refused.output.replace("`", "").split())


def test_make_condenses_too_and_lists_name_it(tmp_path: Path) -> None:
    arguments = [part for setting in [*SETTINGS, "method=mtt", "iterations=0"] for part in ("-s", setting)]
    invoke("make", "condense", "digits", "--budget", "1/class", "--out", str(tmp_path / "set"), *arguments)
    assert len(TransferSet.load(tmp_path / "set")) == 10
    assert "rded" in invoke("ls", "methods")
    assert "condense-random-soft" in re.sub(r"\s", "", invoke("ls", "makers")) or "condense" in invoke("ls", "makers")


def teaching(**changes: Any) -> dict[str, Any]:
    transfer = {**small(**changes).model_dump(mode="json"), "budget": 3}
    training = {"steps": 4, "batch_size": 3, "learning_rate": "learned", "views": "none", "validations": 0}
    return {"transfer": transfer, "training": training, "student": {"model": "convnet_d3", "options": {"width": 4}}}


@pytest.mark.parametrize("method", ["mtt", "datm"])
def test_a_run_teaches_on_the_labels_that_the_set_brings(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = one_run()
    del content["select"]
    recipe = read_recipe({**content, **teaching(method=method)})
    objectives: list[Any] = []
    from limbeck.recipes import run as module

    fit = module.fit

    def noting(student: Any, source: Any, objective: Any, **how: Any) -> Any:
        objectives.append((list(objective.objectives()), how["teacher"], source.images(0).soft_labels))
        return fit(student, source, objective, **how)

    monkeypatch.setattr(module, "fit", noting)
    result = run(recipe, tmp_path / "run")
    assert result.cost["teaching"]["teacher_passes"] == 0
    ((terms, teacher, soft),) = objectives[-1:]
    assert teacher is None
    assert terms == (["kd"] if method == "datm" else ["cross_entropy"])
    assert (soft is not None) == (method == "datm")


def test_arms_stand_beside_random_images_and_crops(tmp_path: Path) -> None:
    arm = {name: value for name, value in teaching(method="datm")["transfer"].items() if name != "budget"}
    content = comparison(arms={"datm": {"transfer": arm}}, budgets=["1/class"], seeds=[0])
    content |= {name: value for name, value in teaching().items() if name != "transfer"}
    recipe = read_recipe(content)
    planned = [cell.arm for cell in plan(recipe)]
    assert planned == ["datm", "condense-random", "condense-random-soft", "condense-rded", "full", "full-no-teacher"]
    inputs = gather_inputs(recipe, tmp_path, Silent())
    for cell in plan(recipe)[:4]:
        result = run(cell.recipe, tmp_path / cell.arm, inputs=inputs, shared=tmp_path / "shared", inside=False)
        assert (result.cost["teaching"]["teacher_passes"] > 0) == (cell.arm == "condense-rded")
    assert len(list(tmp_path.rglob("experts/*/experts.json"))) == 1, "experts are shared"


def test_crops_are_taught_on_with_the_teacher(tmp_path: Path) -> None:
    content = one_run()
    del content["select"]
    changes = teaching(method="rded", iterations=0, crops={"candidates": 4, "crops": 2}, views=None)
    result = run(read_recipe({**content, **changes}), tmp_path / "run")
    assert result.cost["teaching"]["teacher_passes"] > 0
    (saved,) = tmp_path.rglob("made/transfer_set.json")
    use = TransferSet.load(saved.parent).use
    assert use is not None
    trained = lb.load_model(use["teacher"]["weights"])
    assert Path(use["teacher"]["weights"]) == tmp_path / "run" / "teacher"
    assert trained.num_classes == 3


def test_crops_name_their_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    save_model(teacher, tmp_path / "teacher")
    settings: Any = {"budget": 3, "method": "rded", "crops": {"candidates": 4, "crops": 2}}
    folder = str(tmp_path / "teacher")  # absolute, so that it is found from any folder
    for source, named in ((teacher, name_of_network(teacher)), (folder, folder), ("./teacher", folder)):
        use = lb.condense(pool(), teacher=source, **settings).use
        assert use is not None
        assert use["teacher"] == {"weights": named}


def test_a_teacher_gives_labels(tmp_path: Path) -> None:
    teacher = lb.create("convnet_d3", num_classes=3, channels=1, input_size=8, width=4).eval()
    save_model(teacher, tmp_path / "teacher")
    condensed = lb.condense(pool(), budget=3, method="mtt", labels="teacher", teacher=tmp_path / "teacher", **QUICK)
    assert condensed.soft_labels is not None
    assert torch.isfinite(condensed.soft_labels).all()


def test_hard_labels_are_taught_by_what_reads_them_whatever_the_recipe_says(tmp_path: Path) -> None:
    """Random images with hard labels are a control of every comparison, also of one with an objective."""
    content = one_run(objective={"cross_entropy": 0.1, "kd": 0.9}, latency=False)
    del content["select"]
    messages: list[str] = []
    for labels, objective in (("hard", "cross_entropy"), ("soft", "kd")):
        content["transfer"] = {"maker": "condense", **QUICK, "budget": "1/class", "method": "mtt", "labels": labels}
        progress = Silent()
        progress.say = messages.append
        result = run(read_recipe(content), tmp_path / labels, progress=progress)
        logged = (tmp_path / labels / "metrics.jsonl").read_text()
        assert (objective == "kd") is ('"kd"' in logged)
        assert result.evaluation is not None
    assert (
        sum("bring hard labels alone" in message and "taught by cross_entropy" in message for message in messages) == 1
    )


def test_experts_want_labels(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs labels, and .* has none; give labelled images"):
        lb.experts(torch.rand(60, 3, 8, 8), out=tmp_path / "experts", method="mtt")
    single = pool().subset(pool().ids[pool().labels == 1])
    with pytest.raises(UserError, match=r"needs images of two classes at least, .* has those of one alone; give more"):
        lb.experts(single, out=tmp_path / "experts", method="mtt")
    assert not (tmp_path / "experts").exists()
