import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report import report_factory as factory

from limbeck.cost import Cost
from limbeck.errors import UserError
from limbeck.report import frontier_chart, frontier_svg, write_comparison_report, write_run_report

VOID = {"meta", "link", "img", "br", "hr", "input"}
EVIL = "<script>alert(1)</script>"


class Outline(HTMLParser):
    """Checks that elements nest, and collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.links += [
            attributes[key] or "" for key in ("src", "href", "xlink:href", "srcset", "action") if key in attributes
        ]
        self.headings += [tag] if re.fullmatch(r"h\d", tag) else []
        self.scripts += tag == "script" and attributes.get("type") != "application/json"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


def outline(path: Path) -> Outline:
    parser = Outline()
    parser.feed(path.read_text("utf-8"))
    parser.close()
    assert not parser.open
    return parser


def markup(path: Path) -> str:
    """The page without its scripts and styles."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", path.read_text("utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison_report(factory.write_comparison(tmp_path_factory.mktemp("comparison")))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run_report(factory.write_run(tmp_path_factory.mktemp("run") / "one", gallery=True))


@pytest.fixture(params=["comparison", "run"])
def page(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_page_is_well_formed_with_unique_ids(page: Path) -> None:
    parser = outline(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert parser.headings[0] == "h1"
    assert parser.headings.count("h1") == 1
    targets = {link[1:] for link in parser.links if link.startswith("#")}
    assert targets <= set(parser.ids)


def test_page_is_self_contained_and_light(page: Path) -> None:
    parser = outline(page)
    assert parser.scripts == 1
    outside = [link for link in parser.links if not link.startswith(("#", "data:"))]
    assert outside == []
    assert not re.search(r"@import|url\((?!#)", markup(page))
    assert page.stat().st_size < 3_000_000


def test_policy_allows_only_the_one_script(page: Path) -> None:
    assert re.search(r"default-src &#39;none&#39;;.*script-src &#39;sha256-[\w+/]+=&#39;", page.read_text("utf-8"))


def test_comparison_says_everything(comparison: Path) -> None:
    words = markup(comparison)
    for part in (
        "entropy is below balanced random beyond seed noise at 5",
        "1 of 42 runs did not finish",
        "Validation-chosen",
        "Teacher passes",
        "Wh estimated",
        "worse, beyond seed noise",
        "Validation top-1, 10 %",
        "Chosen, highest entropy",
        "entropy at 25 %, seed 0",
        "balanced random at 25 %, seed 0",
        "loss is not finite at step 340",
        "steps: 1200",
        "versions.torch",
        "the test set chose nothing",
        "153,600",
    ):
        assert part in words, part
    assert (comparison.parent / "frontier.svg").is_file()


def test_run_says_everything(run: Path) -> None:
    words = markup(run)
    for part in (
        "test images, taught on 4,500 images with 153,600 teacher passes",
        "step 1,100",
        "Agreement with the teacher",
        "cross_entropy",
        "Learning rate",
        "Latency, batch 256",
        "How the energy is known",
        "Left out, lowest entropy",
    ):
        assert part in words, part


def test_user_text_is_escaped_everywhere(tmp_path: Path) -> None:
    factory.write_comparison(tmp_path, galleries=False, budgets={"10 %": 4500})
    path = tmp_path / "results.json"
    content = json.loads(path.read_text().replace('"entropy"', json.dumps(EVIL)))
    content["runs"][-1].update(state="failed", error=f"{EVIL} & more")
    content["notes"] = [EVIL]
    content["teacher"]["name"] = EVIL
    factory.write_json(path, content)
    for file in tmp_path.glob("runs/*/*/evaluation.json"):
        file.write_text(file.read_text().replace('"cat"', json.dumps(EVIL)))
    (tmp_path / "recipe.yaml").write_text(f"name: {EVIL}\n")
    page = write_comparison_report(tmp_path)
    parser = outline(page)
    assert parser.scripts == 1
    assert EVIL not in page.read_text("utf-8")
    assert markup(page).count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_runs_link_to_their_reports(tmp_path: Path) -> None:
    factory.write_comparison(tmp_path, galleries=False, seeds=1, budgets={"10 %": 4500})
    (tmp_path / "runs/entropy@10 %/seed-0/report.html").write_text("a report")
    assert "runs/entropy%4010%20%25/seed-0/report.html" in outline(write_comparison_report(tmp_path)).links


def test_comparison_of_results_alone(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.results(seeds=1) | {"teacher": None, "validation_images": 0})
    words = markup(write_comparison_report(tmp_path))
    assert "one seed only" in words
    for absent in ("Learning curves", "Confusion", "Chosen and left out", "Recipe", "Versions and hardware"):
        assert f">{absent}<" not in words


def test_comparison_without_a_finished_run(tmp_path: Path) -> None:
    content = factory.results()
    for row in content["runs"]:
        row.update(state="missing", images=None, last=None, chosen=None, cost=None)
    factory.write_json(tmp_path / "results.json", content | {"table": [], "differences": []})
    words = markup(write_comparison_report(tmp_path))
    assert "Nothing can be said yet" in words
    assert "no frontier to draw" in words


def test_arm_that_failed_everywhere_is_no_obstacle(tmp_path: Path) -> None:
    content = factory.results()
    broken = [row for row in content["runs"] if row["arm"] == "random"]
    for row in broken:
        row.update(state="failed", error="unknown score 'entrpy'", last=None, chosen=None, cost=None)
    for key in ("table", "differences"):
        content[key] = [row for row in content[key] if "random" not in (row["arm"], row.get("against"))]
    factory.write_json(tmp_path / "results.json", content)
    assert "unknown score &#39;entrpy&#39;" in markup(write_comparison_report(tmp_path))


@pytest.mark.parametrize("content", [None, "{", "[]", '{"runs": [{}]}'])
def test_broken_results_say_what_to_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(UserError, match=r"results\.json.*`limbeck compare .*recipe\.yaml` makes it again"):
        write_comparison_report(tmp_path)


def test_run_without_teacher_validation_or_gallery(tmp_path: Path) -> None:
    factory.write_run(tmp_path)
    evaluation = factory.evaluation(0.8, fidelity=False)
    factory.write_json(tmp_path / "evaluation.json", {"last": evaluation, "chosen": None, "chosen_step": None})
    lines = [line for line in factory.metrics(0.8, terms=("cross_entropy",)) if line["kind"] == "train"]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"kind": "tra')
    (tmp_path / "cost.json").unlink()
    words = markup(write_run_report(tmp_path))
    assert "no validation split" in words
    assert "Agreement" not in words


def test_failed_run_shows_its_error(tmp_path: Path) -> None:
    error = "loss is not finite at step 40 (term kd)"
    factory.write_json(tmp_path / "status.json", {"state": "failed", "error": error})
    (tmp_path / "metrics.jsonl").write_text(
        '{"kind": "train", "step": 20, "epoch": 0.2, "loss": 2.0, "terms": {"kd": 2.0}, "learning_rate": 0.1}\n'
        '{"kind": "train", "step": 40, "epoch": 0.4, "loss": NaN, "terms": {"kd": NaN}, "learning_rate": 0.1}\n'
    )
    words = markup(write_run_report(tmp_path))
    assert error in words
    assert "Not evaluated: the run is failed after 40 steps" in words


def test_run_without_test_images(tmp_path: Path) -> None:
    factory.write_run(tmp_path)
    footprint = factory.footprint(1000)
    factory.write_json(
        tmp_path / "evaluation.json", {"last": None, "chosen": None, "chosen_step": 3, "footprint": footprint}
    )
    words = markup(write_run_report(tmp_path))
    assert "no labelled test images" in words
    assert "Not evaluated: the run is finished after 1,200 steps" in words


def test_many_classes_make_a_picture(tmp_path: Path) -> None:
    factory.write_run(tmp_path)
    names = tuple(f"class {i}" for i in range(100))
    factory.write_json(tmp_path / "evaluation.json", {"last": factory.evaluation(0.6, classes=names), "chosen": None})
    path = write_run_report(tmp_path)
    assert 'class="matrix"' in markup(path)
    assert "The 30 worst of 100 classes" in markup(path)
    assert path.stat().st_size < 2_000_000


def test_classes_without_test_images_are_left_out_of_the_chart(tmp_path: Path) -> None:
    factory.write_run(tmp_path)
    evaluation = factory.evaluation(0.6)
    evaluation["per_class"][3] |= {"n": 0, "top1": None}
    evaluation["fidelity"]["per_class"][3]["agreement"] = None
    evaluation["confusion"][3] = [0] * len(factory.CLASSES)
    factory.write_json(tmp_path / "evaluation.json", {"last": evaluation, "chosen": None})
    words = markup(write_run_report(tmp_path))
    assert "All classes that have test images, worst first" in words
    assert "1 class had no test images" in words


def test_comparison_of_classes_without_test_images(tmp_path: Path) -> None:
    factory.write_comparison(tmp_path, budgets={"10 %": 4500}, seeds=1, galleries=False)
    for path in tmp_path.glob("runs/*/seed-0/evaluation.json"):
        evaluation = json.loads(path.read_text())
        for row in evaluation["last"]["per_class"][:2]:
            row |= {"n": 0, "top1": None}
        factory.write_json(path, evaluation)
    assert "2 classes had no test images" in markup(write_comparison_report(tmp_path))


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no run.*limbeck ls runs"):
        write_run_report(tmp_path)


def test_broken_evaluation_names_the_file(tmp_path: Path) -> None:
    factory.write_run(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"last": ')
    with pytest.raises(UserError, match=r"evaluation\.json cannot be read .*limbeck evaluate"):
        write_run_report(tmp_path)


@pytest.mark.parametrize("budgets", [True, False])
@pytest.mark.parametrize("before", [True, False])
def test_answers_that_the_view_cache_knew_are_counted(
    tmp_path: Path, comparison: Path, budgets: bool, before: bool
) -> None:
    assert "view cache" not in markup(comparison)
    results = factory.results() if budgets else factory.objectives({"kd": 0.6, "crd": 0.61})
    for row in results["runs"]:
        if row["cost"]:
            row["cost"] = factory.cost(row["images"], 20_000, saved=12_345)
    results["table"] = factory.table(results["runs"])
    factory.write_json(tmp_path / "results.json", factory.of_before(results) if before else results)
    page = markup(write_comparison_report(tmp_path))
    assert "of them read from the view cache" in page
    assert "Of these saved" in page
    assert "12,345" in page
    assert (">making<" in page) is not before


def test_run_report_names_its_view_cache_and_what_top_k_lost(tmp_path: Path) -> None:
    folder = factory.write_run(tmp_path / "one")
    cost = json.loads((folder / "cost.json").read_text())
    error = {"temperatures": [1.0, 4.0], "answers": 99, "mean": [0.001, 0.02], "largest": [0.01, 0.2]}
    cache = {"outputs": ["embedding", "logits"], "folder": "abc", "bytes": 162_000_000, "top_k_error": error}
    (folder / "cost.json").write_text(json.dumps({**cost, "teacher_passes_saved": 77, "view_cache": cache}))
    page = markup(write_run_report(folder))
    for words in ("embedding and logits", "0.0200 (largest 0.2000) at temperature 4", "Of these saved"):
        assert words in page


def test_many_arms_at_one_budget_are_ranked(tmp_path: Path) -> None:
    arms = {f"arm-{i}": 0.6 + i / 100 for i in range(10)} | {"random": 0.62, "balanced-random": 0.63}
    results = factory.results(arms, {"10 %": 4_500})
    factory.write_json(tmp_path / "results.json", results)
    (tmp_path / "frontier.svg").write_text("of fewer arms")
    page = markup(write_comparison_report(tmp_path))
    assert "All arms learn from 4,500 images, but for those on the full data." in page
    assert (tmp_path / "arms.svg").exists()
    assert not (tmp_path / "frontier.svg").exists()


def test_making_is_told_from_teaching(tmp_path: Path) -> None:
    results = factory.results()
    for row in results["runs"]:
        if row["cost"] and row["arm"] == "entropy":
            row["cost"] = factory.cost(row["images"], 60_000, asked=20_000)
            row["cost"]["teacher"] = Cost(images_read=987_654, steps=7_777, seconds=60.0).to_dict()
    results["table"] = factory.table(results["runs"])
    factory.write_json(tmp_path / "results.json", results)
    page = markup(write_comparison_report(tmp_path)).replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "80,000</span><small>25 % making",
        "What making a transfer set and teaching on it took",
        ">making<",
        ">teaching<",
        "of which making the transfer sets took",
        "the teacher itself",
        "987,654",
        "of making and teaching together",
    ):
        assert part in page, part
    run = factory.write_run(tmp_path / "run")
    factory.write_json(run / "cost.json", results["runs"][0]["cost"])
    page = markup(write_run_report(run))
    for part in ("with 80,000 teacher passes", ">20,000<", ">60,000<", "the teacher itself", "7,777"):
        assert part in page, part


def test_controls_are_those_that_the_results_list(tmp_path: Path) -> None:
    names = {"balanced-random": "noise", "random": "procedural", "no-teacher": "alone", "full-no-teacher": "labels"}
    content = json.dumps(factory.results())
    for name, other in names.items():
        content = content.replace(f'"{name}"', f'"{other}"')
    content = content.replace('"label": "balanced random"', '"label": "pure noise"')
    factory.write_json(tmp_path / "results.json", json.loads(content))
    page = markup(write_comparison_report(tmp_path))
    for part in (
        "entropy is below pure noise beyond",
        "pure noise, procedural, no teacher at each budget, and full data",
    ):
        assert part in page, part
    assert "balanced" not in page
    assert "pure noise" in frontier_svg(json.loads(content))
    drawn = json.dumps(frontier_chart(json.loads(content)).to_dict())
    assert '"domain": ["entropy", "noise", "procedural", "alone"]' in drawn, "full data is a rule"


def test_results_of_before_have_the_controls_of_before(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.of_before(factory.results()))
    page = markup(write_comparison_report(tmp_path))
    assert "entropy is below balanced random beyond seed noise at 5" in page
    assert "making<" not in page
    assert "full data without teacher" in page


def test_controls_that_lack_something_say_what_to_run(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.results() | {"controls": [{"name": "random"}]})
    with pytest.raises(UserError, match=r"entry of `controls` must have name, label, kind, teacher, strict.*again"):
        write_comparison_report(tmp_path)


def test_galleries_of_before_are_shown(tmp_path: Path) -> None:
    factory.write_json(tmp_path / "results.json", factory.results(seeds=1))
    factory.write_gallery(tmp_path / "galleries" / "entropy@5 %.safetensors")
    page = markup(write_comparison_report(tmp_path))
    assert "Left out, lowest entropy" in page
    assert ">airplane<" in page
