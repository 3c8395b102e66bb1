"""Small students, and one export to ONNX, which takes seconds, for all tests that look at its files."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import limbeck as lb
from limbeck.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


class Door(NamedTuple):
    """A folder with a run in `runs/small`, its export in `runs/small-onnx`, and what that printed."""

    path: Path
    output: str

    @property
    def folder(self) -> Path:
        return self.path / "runs/small-onnx"


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Door:
    """What the page's recipe and its two commands lead to, in fewer epochs."""
    folder = tmp_path_factory.mktemp("door")
    recipe = PAGE.split("```yaml\n")[1].split("```")[0]
    assert "epochs: 10" in recipe
    (folder / "small.yaml").write_text(recipe.replace("epochs: 10", "epochs: 2"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outputs = [
            command("train", "small.yaml", "-s", "latency=false"),
            command("export", "runs/small", "--int8", "--no-latency"),
        ]
    return Door(folder, outputs[-1])


def command(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments], terminal_width=200)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture(scope="session")
def test_images() -> lb.ImageSet:
    test = lb.load("digits", "test")
    return test.subset(test.ids[:50])


@pytest.fixture
def student() -> lb.Classifier:
    return wrapped(Plain())


class Plain(nn.Module):
    """One convolution, ten classes."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(channels, 6, 3)
        self.head = nn.Linear(6, 10)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.look(self.conv(images)).amax((2, 3)))

    def look(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.relu()


def wrapped(module: nn.Module, channels: int = 1, size: int | None = 8) -> lb.Classifier:
    mean, std = [0.3] * channels, [0.4] * channels
    return lb.wrap(module, num_classes=10, input_size=size, channels=channels, mean=mean, std=std, classes=digits())


def digits() -> list[str]:
    return [str(digit) for digit in range(10)]
