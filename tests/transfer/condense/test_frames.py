"""Frames: which images are shown, and what is kept of them."""

from pathlib import Path

import pytest
import torch

from limbeck.errors import UserError
from limbeck.transfer.condense.frames import FRAMES, SIDE, Frame, frame_of, read_frames, save_frame, shown_rows
from limbeck.transfer.condense.pictures import frame_pictures, overlay


@pytest.mark.parametrize("classes", [1, 10, 39, 40, 41, 200])
@pytest.mark.parametrize("each", [1, 3])
def test_shown_rows_are_distinct_sorted_by_class_and_of_as_many_classes_as_fit(classes: int, each: int) -> None:
    labels = torch.arange(classes * each)[torch.randperm(classes * each, generator=torch.Generator().manual_seed(0))]
    labels = labels % classes
    rows = shown_rows(labels)
    assert len(rows) == min(40, len(labels)) == len(rows.unique())
    assert torch.equal(labels[rows], labels[rows].sort().values)
    assert len(labels[rows].unique()) == min(40, classes)


def test_a_frame_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    images = torch.rand(12, 3, 16, 16)
    frame = frame_of(500, images * 3 - 1, torch.arange(12) % 3, maps=torch.rand(12, 16, 16), accuracy=0.125)
    save_frame(tmp_path, frame)
    save_frame(tmp_path, frame_of(0, (images * 255).to(torch.uint8), torch.arange(12) % 3))
    first, last = read_frames(tmp_path)
    assert (first.iteration, first.maps, first.accuracy) == (0, None, None)
    assert (last.iteration, last.accuracy) == (500, 0.125)
    assert torch.equal(first.rows, last.rows)
    assert torch.equal(first.images, (images * 255).to(torch.uint8)[first.rows])
    assert torch.equal(last.images, ((images * 3 - 1).clamp(0, 1) * 255).round().to(torch.uint8)[last.rows])
    assert frame.maps is not None
    assert last.maps is not None
    assert (last.maps - frame.maps).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("size", [(300, 200), (64, 400), (112, 112)])
def test_large_images_are_kept_as_large_as_a_page_shows_them(size: tuple[int, int]) -> None:
    frame = frame_of(0, torch.rand(2, 1, *size), torch.tensor([0, 1]), maps=torch.rand(2, *size))
    assert max(frame.images.shape[2:]) == SIDE
    assert frame.maps is not None
    assert frame.maps.shape[1:] == frame.images.shape[2:]


def test_a_damaged_frame_says_so(tmp_path: Path) -> None:
    (tmp_path / FRAMES).mkdir()
    (tmp_path / FRAMES / "000001.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"000001.safetensors' is damaged"):
        read_frames(tmp_path)


def test_pictures_are_of_the_end_then_of_each_class_over_iterations_then_maps() -> None:
    labels = torch.tensor([0, 0, 1])
    frames = [
        frame_of(count, torch.full((3, 1, 4, 4), count / 10), labels, maps=torch.ones(3, 4, 4)) for count in range(10)
    ]
    last, cat, dog, *maps = frame_pictures(frames, ["cat", "dog"])
    assert last.title == "After 9 iterations"
    assert len(last.images) == 3
    assert [cat.title, dog.title] == ["cat, by iteration", "dog, by iteration"]
    assert list(cat.captions) == ["0", "2", "4", "5", "7", "9"]
    assert cat.images[:, 0, 0, 0].tolist() == [0, 51, 102, 128, 178, 230]
    assert [picture.title.split(":")[0] for picture in maps] == [
        "Activation maps at the beginning",
        "Activation maps after 9 iterations",
    ]


def test_pictures_of_one_frame_of_none_and_without_names() -> None:
    assert frame_pictures([], []) == []
    (picture,) = frame_pictures([frame_of(0, torch.zeros(1, 3, 4, 4), torch.tensor([7]))], [])
    assert picture.title == "As they are"
    frames = [frame_of(count, torch.zeros(1, 3, 4, 4), torch.tensor([7])) for count in (0, 5)]
    assert frame_pictures(frames, [])[1].title == "Class 7, by iteration"


def test_a_map_colours_what_the_class_is_seen_in() -> None:
    shown = overlay(torch.full((1, 3, 1, 2), 128, dtype=torch.uint8), torch.tensor([[[0.0, 1.0]]]))
    blue, yellow = shown[0, :, 0, 0].int(), shown[0, :, 0, 1].int()
    assert blue[2] > blue[0]
    assert yellow[0] > yellow[2]


def test_frames_are_of_images_that_carry_gradients() -> None:
    assert isinstance(frame_of(0, torch.rand(1, 3, 4, 4, requires_grad=True), torch.tensor([0])), Frame)
