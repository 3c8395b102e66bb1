"""`limbeck evaluate` of transfer sets: tables, folders, reports, and every refusal."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.cli.test_cli import call, done, refused
from tests.training.tiny import network, stripes

import limbeck as lb
from limbeck.errors import UserError
from limbeck.models.weights.reordered import reordered
from limbeck.report.set_accuracy import write_set_report

USE = {
    "student": {"model": "convnet_d3", "options": {"width": 4}},
    "training": {"epochs": 2, "batch_size": 5, "learning_rate": 0.05, "views": "none"},
}


@pytest.fixture(autouse=True)
def _sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = lb.load("digits")
    labels = images.labels
    assert labels is not None
    for seed in (0, 1):
        rows = torch.cat([(labels == label).nonzero().flatten()[seed : seed + 1] for label in range(10)])
        about = {"maker": "condense", "method": "datm"}
        lb.TransferSet(images.subset(images.ids[rows]), use=USE, about=about).save(f"made/seed-{seed}")


def test_a_table_of_networks_and_the_same_again_from_its_folder() -> None:
    command = ["evaluate", "made/seed-0", "--test", "digits", "--network", "lenet5"]
    command += ["--network", "{model: convnet_d3, options: {width: 4}}", "--seeds", "2", "-s", "epochs=1"]
    shown = done(*command, "--out", "judged", "--json", "rows.json")
    assert "seed-0: fresh networks, after the last step" in shown
    assert "convnet_d3 (width 4)" in shown
    assert "report: judged/report.html" in shown
    rows = json.loads(Path("rows.json").read_text())
    assert [(row["network"], len(row["top1"]), row["steps"]) for row in rows] == [
        ("lenet5", 2, 2),
        ("convnet_d3 (width 4)", 2, 2),
    ]
    again = done(*command, "--out", "judged", "--json", "again.json")
    assert json.loads(Path("again.json").read_text()) == rows
    assert "lenet5" in again
    page = Path("judged/report.html").read_text("utf-8")
    assert "Taught on the set from fresh weights" in page
    assert "condense datm" in page
    assert "wrote judged/report.html" in done("report", "judged")
    (accuracy,) = lb.evaluate_set("made/seed-0", "digits", networks="lenet5", seeds=2, training={"epochs": 1})
    assert accuracy.top1 == rows[0]["top1"]


def test_a_folder_takes_more_networks_and_no_other_evaluation() -> None:
    command = ["evaluate", "made/seed-0", "--test", "digits", "--out", "judged", "-s", "epochs=1", "--network"]
    done(*command, "lenet5", "--seeds", "1")
    before = Path("judged/runs/seed-0/lenet5-seed-0/accuracy.json").stat().st_mtime_ns
    done(*command, "lenet5", "--network", "convnet_d3", "--seeds", "2")
    rows = json.loads(Path("judged/accuracies.json").read_text())["rows"]
    assert [(row["network"], len(row["top1"])) for row in rows] == [("lenet5", 2), ("convnet_d3 (width 4)", 2)]
    assert Path("judged/runs/seed-0/lenet5-seed-0/accuracy.json").stat().st_mtime_ns == before
    for arguments, message in (
        (["lenet5", "--seeds", "2"], "more `networks` (['lenet5', 'convnet_d3'] then, ['lenet5'] now), which would be"),
        (["lenet5", "--network", "convnet_d3", "--seeds", "1"], "holds an evaluation of more `seeds` (2 then, 1 now)"),
    ):
        assert message in refused(*command, *arguments)
    assert json.loads(Path("judged/accuracies.json").read_text())["rows"] == rows
    same = [command[0], "./made/../made/seed-0", *command[2:]]
    done(*same, "lenet5", "--network", "convnet_d3", "--seeds", "2")
    assert json.loads(Path("judged/accuracies.json").read_text())["rows"] == rows
    message = refused(*command[:4], "--out", "judged", "-s", "epochs=2", "--seeds", "1")
    assert "holds an evaluation with another `training` ({'epochs': 1} then, {'epochs': 2} now)" in message
    assert "holds files that are no evaluation (seed-0, seed-1)" in refused(*command[:4], "--out", "made")


def test_stopped_without_a_folder_nothing_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.recipes.evaluating_sets.evaluate_saved_sets", stop)
    for out, message in (
        ([], "stopped; nothing was kept, --out FOLDER keeps runs to go on with"),
        (["--out", "judged"], "stopped; the same command goes on with judged"),
    ):
        result = call("evaluate", "made/seed-0", "--test", "digits", *out)
        assert result.exit_code == 130
        assert message in " ".join(result.output.split())


def test_a_folder_of_what_was_refused_is_free_for_what_is_mended() -> None:
    command = ["evaluate", "made/seed-0", "--test", "digits", "--out", "judged", "--seeds", "1", "-s", "epochs=1"]
    assert "give a `teacher` (--teacher)" in refused(*command, "--targets", "teacher")
    done(*command)
    assert "holds an evaluation with another `labels`" in refused(*command, "--targets", "hard")


def test_sets_of_several_seeds_have_a_mean_over_sets() -> None:
    shown = done("evaluate", "made/seed-0", "made/seed-1", "--test", "digits", "--seeds", "1", "--out", "judged")
    assert "over sets, each of them its mean" in shown
    content = json.loads(Path("judged/accuracies.json").read_text())
    assert [row["set"] for row in content["rows"]] == ["seed-0", "seed-1"]
    page = Path("judged/report.html").read_text("utf-8")
    assert "The same over sets" in page
    assert "2 transfer sets" in page


def test_rates_are_searched_on_images_of_their_own() -> None:
    shown = done(
        "evaluate", "made/seed-0", "--test", "digits", "--seeds", "1", "--rate", "0.05,0.1", "--validation",
        "{name: digits, count: 30}", "--out", "judged",
    )  # fmt: skip
    assert "convnet_d3 (width 4)" in shown
    row = json.loads(Path("judged/accuracies.json").read_text())["rows"][0]
    assert [trial["learning_rate"] for trial in row["tried"]] == [0.05, 0.1]
    assert "which chose it" in Path("judged/report.html").read_text("utf-8")


def test_dd_ranking() -> None:
    command = ["evaluate", "made/seed-0", "--test", "digits", "--dd-ranking", "--train", "digits", "--seeds", "1"]
    quick = ["--rate", "0.01,0.05", "-s", "steps=1", "--validation", "{name: digits, count: 20}"]
    shown = done(*command, "--full", "0.9", "--out", "ranked", *quick)
    assert "label-robust score" in shown
    assert "0.269 is neutral" in shown
    page = Path("ranked/report.html").read_text("utf-8")
    assert "Hard label recovery" in page
    single = ["--rate", "0.05", "-s", "steps=1", "--json", "ranked.json"]
    done(*command, "--full", "0.9", *single)
    accuracies = json.loads(Path("ranked.json").read_text())["accuracies"]
    for name in ("set, hard labels", "random images"):
        assert [trial["learning_rate"] for trial in accuracies[name]["tried"]] == [0.05]
    assert "`--dd-ranking` needs --full" in refused(*command)
    assert "leave --targets out" in refused(*command, "--full", "0.9", "--targets", "hard")
    message = refused(*command, "--full", "0.9", "--network", "lenet5", "--network", "alexnet")
    assert "`--dd-ranking` is of one set and one network" in message
    assert "--train belongs to --dd-ranking; add it" in refused(*command[:4], "--train", "digits")


def test_refusals() -> None:
    lb.save_model(network(), "net")
    stripes(20)
    assert "a transfer set is judged on `--test`" in refused("evaluate", "made/seed-0")
    assert "--data is for networks; what is taught on a transfer set is judged on --test" in refused(
        "evaluate", "made/seed-0", "--test", "digits", "--data", "digits"
    )
    assert "a network is judged on `--data`" in refused("evaluate", "net")
    message = refused("evaluate", "net", "--data", "digits", "--network", "lenet5", "--targets", "hard")
    assert "--network, --targets are for transfer sets" in message
    assert "one network is judged at a time, got 2" in refused("evaluate", "net", "net", "--data", "digits")
    assert "'net' must be the folder of a transfer set, and holds no transfer_set.json" in refused(
        "evaluate", "net", "--test", "digits"
    )
    assert "sets must be distinct, got 'made/seed-0' twice" in refused(
        "evaluate", "made/seed-0", "made/seed-0", "--test", "digits"
    )
    assert "`-s` must look like learning_rate=0.1" in refused("evaluate", "made/seed-0", "--test", "digits", "-s", "x")
    assert "`--rate` must be a number, 'search', or numbers to search among, as 0.01,0.1, got 'best'" in refused(
        "evaluate", "made/seed-0", "--test", "digits", "--rate", "best"
    )
    assert "`rate` must be > 0" in refused("evaluate", "made/seed-0", "--test", "digits", "--rate", "0")
    assert "learning_rate: must be a finite number or 'learned', got inf" in refused(
        "evaluate", "made/seed-0", "--test", "digits", "--rate", "inf"
    )
    assert "`--json` must be a file" in refused("evaluate", "made/seed-0", "--test", "digits", "--json", "made")
    wrong = ["--rate", "search", "--validation", "{name: digits, images: 3}"]
    assert "must be a name, or a mapping of name, split and count" in refused(
        "evaluate", "made/seed-0", "--test", "digits", *wrong
    )
    wrong[-1] = "{name: digits, count: 0}"
    assert "`count` of validation images must be 1 to 1,437, got 0" in refused(
        "evaluate", "made/seed-0", "--test", "digits", *wrong
    )


def test_sets_of_other_classes_are_not_judged_together() -> None:
    images = lb.load("digits")
    assert images.labels is not None
    three = images.subset(images.ids[images.labels < 3][:6])
    assert three.labels is not None
    lb.TransferSet(three.with_labels(three.labels, images.classes[:3]), use=USE).save("made/three")
    message = refused("evaluate", "made/seed-0", "made/three", "--test", "digits")
    assert "sets must be of the same classes to be judged together, got 2 kinds" in message


def test_a_page_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "accuracies.json").write_text("{}")
    with pytest.raises(lb.UserError, match=r"accuracies.json holds no judged sets"):
        write_set_report(tmp_path)


def test_from_python() -> None:
    with pytest.raises(lb.UserError, match=r"`transfer_set` must be a transfer set or its folder, got ImageSet"):
        lb.evaluate_set(lb.load("digits"), "digits")  # pyright: ignore[reportArgumentType]
    with pytest.raises(lb.UserError, match=r"`test` must be images as `lb.load` gives them, or a data set's name"):
        lb.evaluate_set("made/seed-0", 3)  # pyright: ignore[reportArgumentType]
    scores = lb.rank_set("made/seed-0", "digits", "digits", full=0.9, seeds=1, rates=[0.05], training={"steps": 1})
    assert 0 <= scores.augmentation_robust.score <= 1


def test_floats_of_which_the_set_does_not_say_enough_are_refused() -> None:
    transfer_set = lb.TransferSet.load("made/seed-0")
    floats = lb.TransferSet(
        lb.ImageSet.of_floats(
            transfer_set.images.floats().float() + 0.1, transfer_set.images.labels, classes=transfer_set.images.classes
        ),
        use={**USE, "training": {"epochs": 1, "views": "none"}},
    )
    floats.save("made/floats")
    message = refused("evaluate", "made/floats", "--test", "digits", "--seeds", "1")
    assert "are floats, as they were learned, and its `use` does not say all that is needed" in message
    assert (
        "it lacks its normalisation (`student.mean` and `student.std`, or `student.whitening`), the learning" in message
    )
    with pytest.raises(UserError, match=r"`protocol` 'rded' augments 8-bit images, and those of .* are floats"):
        lb.evaluate_set(floats, "digits", protocol="rded", networks="lenet5", rate=0.1)


def test_what_a_set_does_not_say_is_said() -> None:
    shown = done("evaluate", "made/seed-0", "--test", "digits", "--seeds", "1", "-s", "epochs=1")
    assert "seed-0 does not say its normalisation" in " ".join(shown.split())


def test_a_file_is_no_folder_of_results() -> None:
    Path("taken").write_text("")
    message = refused("evaluate", "made/seed-0", "--test", "digits", "--out", "taken")
    assert "`--out` must be a folder, got the file 'taken'" in message


def test_a_teacher_is_asked_by_the_names_of_classes() -> None:
    images, teacher = stripes(12), network(1).eval()
    first = images.gather(torch.zeros(1, dtype=torch.int64))
    other = reordered(teacher, [1, 0], images.classes[::-1], first)
    settings: dict[str, Any] = {"networks": "lenet5", "seeds": 1, "labels": "teacher", "rate": 0.1}
    settings |= {"training": {"steps": 4, "views": "none"}}
    (straight,) = lb.evaluate_set(lb.TransferSet(images), images, teacher=teacher, **settings)
    (turned,) = lb.evaluate_set(lb.TransferSet(images), images, teacher=other, **settings)
    assert straight.top1 == turned.top1


def test_a_setting_that_there_is_not_is_told_in_one_sentence() -> None:
    message = refused("evaluate", "made/seed-0", "--test", "digits", "-s", "epoch=3")
    assert message.rstrip().endswith("did you mean 'epochs'?")
