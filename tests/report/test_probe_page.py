from pathlib import Path

import pytest
from tests.report import report_factory as factory
from tests.report.test_pages import EVIL, markup, outline

from limbeck.errors import UserError
from limbeck.report import write_probe_report


def test_probe_says_everything(tmp_path: Path) -> None:
    words = markup(write_probe_report(factory.write_probe(tmp_path)))
    for part in (
        "Frozen, cifar10-resnet56 tells the 10 classes of stl10 apart in 70.00",
        "of 8,000 test images, resnet8 in 61.00",
        "and the same network untrained in 33.00",
        "5,000 training and 8,000 test images of 32x32 pixels, one seed",
        "Guessing would be right in 10.0 %",
        "least negative log-likelihood on a fifth",
        "1.0e-03",
        "what was learnt",
    ):
        assert part in words.replace("\N{NO-BREAK SPACE}", " "), part


def test_published_schedule_and_seeds(tmp_path: Path) -> None:
    words = markup(write_probe_report(factory.write_probe(tmp_path, schedule="published", seeds=3)))
    assert "compare only roughly" in words
    assert "over 3 seeds" in words
    assert "How the strength was chosen" not in words


def test_names_are_escaped(tmp_path: Path) -> None:
    page = write_probe_report(factory.write_probe(tmp_path, network=EVIL, data=EVIL))
    assert outline(page).scripts == 1
    assert EVIL not in page.read_text("utf-8")


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
def test_broken_probe(tmp_path: Path, content: str) -> None:
    (tmp_path / "probe.json").write_text(content)
    with pytest.raises(UserError, match=r"probe\.json .*`limbeck probe` makes it again"):
        write_probe_report(tmp_path)
