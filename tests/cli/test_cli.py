"""The verbs: what they print, what they refuse, and that help does not wait for torch."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tests.recipes.tiny_recipes import comparison, one_run, training
from typer.testing import CliRunner, Result

from limbeck.cli.display import percent
from limbeck.cli.main import app
from limbeck.cli.results import short_count
from limbeck.training import RunFolder

WIDTH = 80


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("compare", comparison(seeds=[0])), ("distill", one_run()), ("train", training())):
        Path(f"{name}.yaml").write_text(yaml.safe_dump({**content, "name": name}))


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments], env={"COLUMNS": str(WIDTH)})


def refused(*arguments: str) -> str:
    """The message of a user error, which is a line without a traceback and exit status 2."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.output


def done(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "family",
    [
        "datasets",
        "models",
        "objectives",
        "optimizers",
        "schedules",
        "views",
        "normalised_views",
        "criteria",
        "methods",
        "generators",
        "plugins",
        "recipes",
        "runs",
    ],
)
def test_lists(family: str) -> None:
    shown = done("ls", family)
    expected = {
        "datasets": "cifar10",
        "models": "convnet_d3",
        "objectives": "cross_entropy",
        "optimizers": "any class of torch.optim",
        "schedules": "multi-step",
        "views": "pad-crop-flip",
        "normalised_views": "normalised views, of floats",
        "criteria": "balanced-random",
        "methods": "fast-meta",
        "generators": "published",
        "plugins": "no installed package offers parts",
        "recipes": "digits-demo",
        "runs": "no runs here or below runs/ yet",
    }
    assert expected[family] in shown
    assert expected["normalised_views"] in done("ls", "views")
    assert f"limbeck ls {family}" in done("ls")


QUICK = (["ls", "optimizers"], ["ls", "objectives"], ["ls", "objectives", "kd"], ["ls", "recipes"])


def test_without_torch() -> None:
    """Help and lists answer at once; in a subprocess, because here torch is loaded already."""
    script = (
        "import sys; from limbeck.cli.main import main; sys.argv[0] = 'limbeck'\n"
        "try: main()\nfinally: assert 'torch' not in sys.modules, 'torch was imported'"
    )
    for arguments in (["--help"], ["compare", "--help"], ["ls", "models"], ["ls", "datasets"], ["ls", "runs"], *QUICK):
        result = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), arguments
        assert result.stdout


def test_help_and_version() -> None:
    verbs = "demo ls cp validate run train select score distill evaluate probe compare report"
    assert all(verb in done("--help") for verb in verbs.split())
    assert done("--version").startswith("limbeck 0.")


def test_objectives_fit_a_terminal_and_tell_more_by_any_name() -> None:
    shown = done("ls", "objectives")
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "hinton," in shown
    details = done("ls", "objectives", "hint")
    for words in (
        "fitnet",
        "a stage, through a learned convolution",
        "which, 0 being the",
        "Romero et al.",
        "cifar100-fitnet",
    ):
        assert words in details, words
    assert "unknown objective 'kdd'; did you mean 'kd'" in refused("ls", "objectives", "kdd")
    assert "`limbeck ls models` takes no name; `limbeck ls objectives <name>` does" in refused("ls", "models", "vgg8")


def test_validate_tells_of_choices_and_of_what_is_missing() -> None:
    shown = done("validate", "cifar100-dist", "-s", "pair=resnet56-resnet20")
    assert "its teacher is not there yet: `limbeck run cifar100-teacher -s network=resnet56` makes runs/" in shown
    assert "pair: resnet56-resnet20; or -s pair= wrn_40_2-wrn_16_2, " in shown
    assert "reported by others: top-1 71.75 % (" in shown
    assert "unknown pair 'resnet56-resnet32'; did you mean 'resnet56-resnet20'" in refused(
        "validate", "cifar100-kd", "-s", "pair=resnet56-resnet32"
    )


def test_unknown_names() -> None:
    assert "unknown list 'modles'; did you mean 'models' or 'methods' or 'schedules'?" in refused("ls", "modles")
    assert "unknown recipe 'digit-demo'; did you mean 'digits-demo'" in refused("run", "digit-demo")
    assert "there is no recipe file 'nowhere/my.yaml'" in refused("run", "nowhere/my.yaml")
    assert "No such command 'compair'" in refused("compair")
    assert "No such option" in refused("run", "digits-demo", "--ouf", "x")
    assert "unknown weights 'cifar10-resnet57'; did you mean" in refused(
        "evaluate", "cifar10-resnet57", "--data", "digits"
    )


def test_verbs_that_do_not_fit_the_recipe() -> None:
    assert (
        "'compare.yaml' is a recipe to compare (it has `compare`), not to train; use `limbeck compare compare.yaml`."
    ) in refused("train", "compare.yaml")
    assert "is a recipe to distill (it has a `teacher`), not to compare" in refused("compare", "distill.yaml")
    assert "is a recipe to train (it has no `teacher`), not to distill" in refused("distill", "train.yaml")


def test_validate() -> None:
    shown = done("validate", "compare.yaml", "-s", "compare.seeds=[0, 1]")
    assert "valid: a recipe to compare" in shown
    assert "12 runs, 2 seeds of each of:\n  12 images: entropy, random, " in shown
    message = refused("validate", "compare.yaml", "-s", "training.stps=1", "-s", "student.model=lenet")
    assert "recipe 'compare.yaml' has 2 errors:\n" in message
    assert "\n  training.stps: unknown key; did you mean 'steps'?\n" in message


def test_cp() -> None:
    assert "wrote digits-demo.yaml; edit it, then `limbeck run digits-demo.yaml`" in done("cp", "digits-demo")
    assert "'digits-demo.yaml' exists already and is never overwritten" in refused("cp", "digits-demo")
    assert "there is no folder 'nowhere'" in refused("cp", "digits-demo", "nowhere/x.yaml")


def test_train_evaluate_and_report() -> None:
    shown = done("train", "train.yaml")
    assert "on the 107 test images" in shown
    assert "report: runs/train/report.html" in shown
    assert Path("runs/train/report.html").exists()
    assert "holds a run already (finished)" in refused("train", "train.yaml")
    assert "started from another recipe" in refused("train", "train.yaml", "--resume", "-s", "seed=1")
    again = done("run", "train.yaml", "--resume")
    assert again[again.index("on the") :] == shown[shown.index("on the") :]

    listed = done("ls", "runs")
    assert "runs/train" in listed
    assert "finished" in listed

    data = digits_of_three()
    top1 = json.loads(Path("runs/train/evaluation.json").read_text())["last"]["top1"]
    shown = done("evaluate", "runs/train", "--data", data, "--teacher", "runs/train", "--json", "marks.json")
    assert "agreement 100.00 %" in shown
    assert json.loads(Path("marks.json").read_text())["top1"] == top1
    for arguments, message in (
        (["--model", "lenet5"], "holds a convnet_d3, so `model` must be that or left out, got 'lenet5'"),
        (["--precision", "fp8"], "unknown precision 'fp8'; did you mean 'fp32'?"),
        (["--json", "runs"], "`--json` must be a file, got the folder 'runs'"),
        (["--split", "tset"], "tset"),
        (["--teacher", "cifar10-resnet57"], "unknown weights 'cifar10-resnet57'"),
    ):
        assert message in refused("evaluate", "runs/train", "--data", data, *arguments)
    assert "tells 3 classes apart, but 'digits/test' has 10" in refused("evaluate", "runs/train", "--data", "digits")
    Path("runs/train/report.html").unlink()
    assert "wrote runs/train/report.html" in done("report", "runs/train")
    assert "holds neither a run nor a comparison" in refused("report", "runs")
    assert "there is no folder 'nowhere' to report of; `limbeck ls runs` lists" in refused("report", "nowhere")


def test_probe() -> None:
    done("train", "train.yaml")
    shown = done("probe", "runs/train", "digits", "--hold-out", "400", "--seeds", "2")
    assert "digits: 1,037 training, 400 test images of 8x8 pixels" in shown
    assert "report: runs/probe-train/report.html" in shown
    table = shown[shown.index("digits: 1,037") : shown.index("report:")]
    assert max(map(len, table.splitlines())) <= WIDTH
    assert "convnet_d3 untrained" in table
    assert "wrote runs/probe-train/report.html" in done("report", "runs/probe-train")
    assert "'runs/probe-train' exists already and is never overwritten" in refused("probe", "runs/train", "digits")
    assert "unknown schedule 'l3'; did you mean 'l2'?" in refused(
        "probe", "runs/train", "digits", "--schedule", "l3", "--out", "x"
    )


def digits_of_three() -> str:
    """The test images of the recipes as a folder of class folders."""
    from limbeck.data import load

    images = load("digits", "test", classes=[0, 1, 2])
    assert images.labels is not None
    for position, label in enumerate(images.labels.tolist()):
        folder = Path("three") / "test" / images.classes[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.tensor()[position, 0].numpy()).save(folder / f"{position}.png")
    return "three"


def test_compare_fits_a_terminal_and_tells_of_broken_arms() -> None:
    result = call("compare", "compare.yaml", "--out", "out", "-s", "compare.arms.hot.training.learning_rate=1e9")
    assert result.exit_code == 1
    table = result.stdout[result.stdout.index("top-1 in % after the last step, one seed") :]
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= WIDTH
    for arm in ("random *", "balanced-random *", "no-teacher *", "full *", "full-no-teacher *"):
        assert f"\n{arm} " in table
    assert "hot at 12 images, seed 0: failed: the loss is not finite at step" in result.stderr
    shown = done("compare", "compare.yaml", "--out", "out", "--resume")
    assert "entropy is " in shown
    assert (
        "report: out/report.html; results.csv, results.tex beside it\nall tables: `limbeck report out --tables`"
        in shown
    )
    assert "Choose" not in shown
    shown = done("report", "out", "--tables")
    assert "wrote out/report.html" in shown
    assert "arm − control" in shown
    assert "entropy − balanced-random" in shown
    assert "cost of making and teaching" in shown
    assert "`--tables` shows those of a comparison" in refused("report", "out/runs/full/seed-0", "--tables")
    status = Path("out/runs/full/seed-0-failed-1/status.json")
    status.parent.mkdir()
    status.write_text('{"state": "failed"}')
    assert "comparison, 6 runs, 1 failed  finished" in done("ls", "runs")
    assert "is a comparison of many networks; name one of its runs, as 'out/runs/" in refused(
        "evaluate", "out", "--data", "digits"
    )


def test_borrow_make_and_distill() -> None:
    done("train", "train.yaml", "--out", "teacher", "-s", "training.steps=40")
    pool = "{name: digits, images: 200, exclude: ['0', '1', '2']}"
    output = done("borrow", "--teacher", "teacher", "--pool", pool, "--budget", "20", "--by", "margin", "--size", "8")
    assert "20 images -> runs/borrowed-margin" in output
    changes = ("select=null", "data.train=runs/borrowed-margin", "data.validation=0", "teacher=teacher")
    done("distill", "distill.yaml", *(word for change in changes for word in ("-s", change)))
    options = ("--budget", "12", "--size", "8", "-s", f"pools=[{pool}]", "-s", "by=random")
    assert "12 images -> made" in done("make", "borrow", "--teacher", "teacher", "--out", "made", *options)
    assert "`--by` of a mixture must be CRITERION=SHARE" in refused(
        *("borrow", "--teacher", "teacher", "--pool", pool, "--budget", "20", "--by", "margin", "--by", "random")
    )
    assert "far from one another in the teacher's embedding" in " ".join(done("ls", "criteria").split())


@pytest.mark.parametrize(
    ("cores", "arguments", "workers"), [(1, (), 1), (2, (), 2), (64, (), 4), (64, ("--workers", "8"), 8)]
)
def test_demo_takes_the_cores_that_there_are(
    monkeypatch: pytest.MonkeyPatch, cores: int, arguments: tuple[str, ...], workers: int
) -> None:
    counts: list[int] = []
    monkeypatch.setattr("limbeck.workers.shares.cores", lambda: cores)
    monkeypatch.setattr("limbeck.cli.recipes._run", lambda *_, workers, **__: counts.append(workers))
    done("demo", *arguments)
    assert counts == [workers]


def test_demo_goes_on_with_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.recipes.compare.write_comparison_report", Path)
    monkeypatch.setattr("limbeck.recipes.packaged.packaged_recipes", lambda: {"digits-demo": Path("compare.yaml")})
    monkeypatch.setattr("limbeck.workers.shares.cores", lambda: 1)
    assert "report: demo/report.html" in done("demo")
    monkeypatch.setattr("limbeck.recipes.run_tasks.run", None)
    assert "report: demo/report.html" in done("demo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--budget", "0"], "`budget` must be > 0, got 0"),
        (["digits", "--budget", "2000"], "`budget` must be at most the 1437 images of 'digits/train'"),
        (["digits", "--budget", "9"], "`budget` must give each of the 10 classes of 'digits/train' an image"),
        (["digits", "--budget", "many"], "`budget` must be a count of images"),
        (["digits", "--budget", "30", "--criterion", "entrpy"], "unknown criterion 'entrpy'; did you mean 'entropy'"),
        (["digits", "--budget", "30", "--split", "trian"], "`split` of 'digits' must be 'train' or 'test'"),
        (["digits", "--budget", "30", "--size", "0"], "`size` must be a number of pixels"),
        (["digitz", "--budget", "30"], "unknown dataset 'digitz'; did you mean 'digits'?"),
        (["train.yaml", "--budget", "30"], "must be a .npz or .parquet file, or a folder, got a .yaml file"),
        (["digits", "--budget", "30", "--out", "train.yaml"], "'train.yaml' exists already and is never overwritten"),
        (["digits", "--budget", "30", "--out", "train.yaml/x"], "'train.yaml' is in its way"),
    ],
)
def test_select_refuses(arguments: list[str], message: str) -> None:
    assert message in refused("select", *arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give DATA to choose from, or a table of scores as --from-scores"),
        (["digits", "--criterion", "hg/kmp"], "unknown part of a criterion: 'kmp'; did you mean"),
        (
            ["digits", "--criterion", "entropy", "--order", "ls"],
            "`--criterion` 'entropy' names all parts, so `--order`",
        ),
        (["digits", "--option", "clusters"], "`--option` must be KEY=VALUE, got 'clusters'"),
        (["digits", "--option", "clusters=3"], "unknown option of criterion 'entropy': 'clusters'"),
        (["digits", "--representation", "hgg"], "unknown representation 'hgg'; did you mean 'hg'"),
        (["digits", "--criterion", "margin"], "criterion 'margin' asks a teacher, and none is given; give --teacher"),
        (["digits", "--from-scores", "x.parquet", "--dedupe"], "does not say which images are equal"),
        (["--from-scores", "x.parquet", "--dedupe"], "does not say which images are equal"),
        (
            ["digits", "--criterion", "km", "--option", "sample=9", "--option", "sample=8"],
            "`--option` sample is given twice",
        ),
        (
            ["--from-scores", "x.parquet", "--teacher", "net", "--split", "test", "--size", "8"],
            "`--teacher`, `--split`, `--size` are of images, and a table of scores has none; give DATA, or leave this",
        ),
        (["--from-scores", "x.parquet", "--precision", "bf16"], "`--precision` is of images"),
        (["--from-scores", "x.parquet", "--no-labels"], "`--labels` is of images"),
        (["--from-scores", "x.parquet"], "there is no table of scores 'x.parquet'"),
        (["--from-scores", "x.parquet", "--out", "train.yaml"], "'train.yaml' exists already"),
    ],
)
def test_select_refuses_parts_that_do_not_fit(arguments: list[str], message: str) -> None:
    assert message in " ".join(refused("select", "--budget", "30", *arguments).split())


def test_select_by_parts_and_their_short_names() -> None:
    shown = done("select", "digits", "--budget", "40", "--criterion", "hg/km/ls", "--option", "clusters=5")
    assert "chose 40 of 1,437 images by hg/km/ls -> runs/digits-hg-km-ls" in shown
    assert "report: runs/digits-hg-km-ls/report.html" in shown
    page = Path("runs/digits-hg-km-ls/report.html").read_text()
    assert "Images by cluster" in page
    assert "wrote runs/digits-hg-km-ls/report.html" in done("report", "runs/digits-hg-km-ls")
    assert Path("runs/digits-hg-km-ls/report.html").read_text() == page
    done("select", "digits", "--budget", "40", "--criterion", "variance")
    both = ("report", "runs/digits-hg-km-ls", "runs/digits-variance")
    assert "say where as --out FILE.html" in refused(*both)
    assert "wrote both.html" in done(*both, "--out", "both.html")
    assert "'both.html' exists already" in refused(*both, "--out", "both.html")
    assert "that of one folder goes into it" in refused(*both[:2], "--out", "one.html")
    shutil.rmtree("runs/digits-hg-km-ls/evidence")
    assert "only what makes transfer sets, as `limbeck select`, leaves it" in refused("report", "runs/digits-hg-km-ls")
    parts = ["--representation", "pev", "--allocation", "tnpc", "--order", "rng"]
    assert "by pev-tnpc-rng -> runs/digits-pev-tnpc-rng" in done("select", "digits", "--budget", "40", *parts)
    assert "by entropy -> dedupe" in done("select", "digits", "--budget", "40", "--dedupe", "--out", "dedupe")
    from limbeck.data import TransferSet

    about = TransferSet.load("runs/digits-hg-km-ls").about
    assert about["criterion"]["options"] == {"clusters": 5}


def test_killed_while_it_is_saved_a_selection_is_not_there_by_half(monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(_: Path) -> Path:
        raise KeyboardInterrupt

    select = ("select", "digits", "--budget", "40", "--criterion", "random", "--out", "made/chosen")
    with monkeypatch.context() as patch:
        patch.setattr("limbeck.recipes.making_alone.write_selection_report", killed)
        assert call(*select).exit_code == 130
    assert not list(Path("made").iterdir())
    assert "report: made/chosen/report.html" in done(*select)
    assert [path.name for path in Path("made").iterdir()] == ["chosen"]


def test_score_once_and_select_often() -> None:
    shown = done("score", "digits", "--out", "scores.parquet", "--criterion", "entropy", "--criterion", "variance")
    assert "scored 1,437 images by entropy:grayscale-histogram, variance:grayscale -> scores.parquet" in shown
    assert "exists already and is never overwritten" in refused("score", "digits", "--out", "scores.parquet")
    from_scores = ["--from-scores", "scores.parquet", "--budget", "10%"]
    assert "chose 144 of 1,437 images by entropy -> runs/scores-entropy.parquet" in done("select", *from_scores)
    assert "by variance -> runs/digits-variance" in done("select", "digits", *from_scores, "--criterion", "variance")
    assert "'margin:teacher-logits'" in refused("select", *from_scores, "--criterion", "margin")

    import pyarrow.parquet as pq

    from limbeck.data import TransferSet

    ids = pq.read_table("runs/scores-entropy.parquet")["id"].to_pylist()
    done("select", "digits", "--budget", "10%", "--out", "direct")
    assert sorted(TransferSet.load("direct").images.ids.tolist()) == sorted(ids)


def test_images_are_chosen_in_the_size_in_which_they_were_scored() -> None:
    done("score", "digits", "--size", "4", "--channels", "3", "--out", "small.parquet")
    select = ["select", "digits", "--from-scores", "small.parquet", "--budget", "20"]
    shown = " ".join(done(*select, "--out", "small").split())
    assert "images of 'digits' are brought to 3x4x4, as they were scored in 'small.parquet'" in shown

    from limbeck.data import TransferSet

    assert TransferSet.load("small").images.shape == (3, 4, 4)
    shown = " ".join(refused(*select, "--size", "8", "--out", "large").split())
    assert "holds scores of images whose shape is [3, 4, 4], got [3, 8, 8]" in shown

    for number, size in enumerate((6, 7, 9)):
        Path("photos").mkdir(exist_ok=True)
        Image.new("L", (size, size + number), 40 * number).save(f"photos/{number}.png")
    done("score", "photos", "--size", "4", "--out", "photos.parquet", "--criterion", "entropy-whole")
    more = ["--criterion", "entropy-whole", "--budget", "2", "--out", "chosen"]
    done("select", "photos", "--from-scores", "photos.parquet", *more)
    assert TransferSet.load("chosen").images.shape == (1, 4, 4)


def test_clusters_are_scored_with_their_options() -> None:
    criteria = ["--criterion", "k-means", "--criterion", "entropy", "--option", "clusters=5"]
    shown = done("score", "digits", "--out", "scores.parquet", *criteria)
    assert "entropy:grayscale-histogram, clusters:k-means:grayscale-histogram:clusters=5 -> scores.parquet" in shown
    from_scores = ["--from-scores", "scores.parquet", "--criterion", "k-means", "--budget", "10%"]
    assert "unknown column of 'scores.parquet'" in " ".join(refused("select", *from_scores).split())
    assert "chose 144 of 1,437 images" in done("select", "digits", *from_scores, "--option", "clusters=5")
    assert "Images by cluster" in Path("runs/digits-k-means/report.html").read_text()
    shown = " ".join(refused("score", "digits", "--out", "other.parquet", "--option", "clusters=5").split())
    assert "unknown option of 'entropy': 'clusters'" in shown


def test_select_from_a_folder_with_a_broken_image_and_an_empty_class() -> None:
    digits_of_three()
    (Path("three") / "test" / "0" / "broken.png").write_bytes(b"no image")
    arguments = ["select", "three", "--split", "test", "--budget", "30", "--criterion", "random", "--out", "chosen"]
    assert "broken.png" in refused(*arguments)
    shown = done(*arguments, "--skip-unreadable")
    assert "chose 30 of 107 images by random -> chosen" in shown
    assert "left out 1 unreadable image" in shown
    shown = done("score", "three", "--split", "test", "--out", "scores.parquet", "--skip-unreadable")
    assert "scored 107 images by entropy:grayscale-histogram -> scores.parquet" in shown
    assert "left out 1 unreadable image" in shown
    assert "`image_column` must be a column of" in refused(
        "select", "chosen", "--budget", "3", "--image-column", "pixels", "--out", "x"
    )
    (Path("three") / "test" / "9").mkdir()
    assert "9" in refused(*arguments[:-1], "again", "--skip-unreadable")


def test_select_from_arrays_whose_white_is_said() -> None:
    np.savez("wide.npz", images=np.arange(4 * 64).reshape(4, 8, 8) % 17.0, labels=[0, 1, 0, 1])
    arguments = ["select", "wide.npz", "--budget", "2", "--criterion", "random", "--out", "chosen"]
    assert "as `scale=" in " ".join(refused(*arguments).split())
    assert "chose 2 of 4 images by random -> chosen" in done(*arguments, "--scale", "16")
    assert "`scale` must be the stored value" in " ".join(refused(*arguments[:-1], "x", "--scale", "-1").split())


def test_run_that_was_killed_is_listed_as_such() -> None:
    with RunFolder.open("runs/now", {"name": "now"}):
        assert "running" in done("ls", "runs")
        shutil.copytree("runs/now", "runs/killed")
    assert "killed, --resume" in " ".join(done("ls", "runs").split())
    Path("runs/now/status.json").write_text("{")
    assert "unreadable" in done("ls", "runs")


def test_two_processes_do_not_share_a_run_folder() -> None:
    script = """
from limbeck.training import RunFolder
with RunFolder.open('runs/train', {}):
    print(1, flush=True)
    input()
"""
    other = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "1\n"
    assert "the run folder 'runs/train' is in use by another process" in refused("train", "train.yaml", "--resume")
    other.communicate("\n", timeout=30)


def test_numbers() -> None:
    assert [percent(0.91734), percent(0.9, 0.004), percent(None)] == ["91.73", "90.00 ± 0.40", "–"]
    assert [short_count(64_000), short_count(2_340_000)] == ["64,000", "2.3 M"]


def test_cache_is_listed_and_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMBECK_CACHE", str(tmp_path / "cache"))
    assert "0.0 MB" in done("cache", "ls")
    assert "keeping logits of" not in done("distill", "distill.yaml"), "some kB are not worth a line"
    assert "of them from the view cache" in done("distill", "distill.yaml", "--out", "again")
    assert "views" in done("cache", "ls")
    (key,) = [path.name for path in (tmp_path / "cache" / "views").iterdir()]
    assert "no entry starts with 'nothing'" in refused("cache", "rm", "nothing")
    assert "give the KEYS to delete, or --all" in refused("cache", "rm")
    assert "deleted 1 of the cache's entries" in done("cache", "rm", key[:8])
    assert "unknown kind of cache 'vews'" in refused("cache", "ls", "--kind", "vews")
    done("cache", "rm", "--all")
    assert "0.0 MB" in done("cache", "ls")
