"""Properties of images of every kind and variant."""

import hashlib

import pytest
import torch

from limbeck.data.procedural.kinds import KINDS
from limbeck.data.procedural.storage import render
from limbeck.errors import UserError

ALL = [(kind, variant) for kind, entry in KINDS.items() for variant in entry.variants]
SHAPES = [(3, 8, 8), (1, 28, 28), (3, 12, 20), (1, 5, 3)]

all_kinds = pytest.mark.parametrize(("kind", "variant"), ALL)


@all_kinds
def test_pixels_depend_on_seed_and_index_alone(kind: str, variant: str):
    indices = torch.tensor([40, 7, 1_000_000_007, 0, 7, 3])
    together = render(kind, 5, indices, (3, 16, 16), variant=variant)
    assert torch.equal(together[1], together[4])
    backwards = render(kind, 5, indices.flip(0), (3, 16, 16), variant=variant)
    assert torch.equal(backwards.flip(0), together)
    for index, image in zip(indices, together, strict=True):
        assert torch.equal(render(kind, 5, index[None], (3, 16, 16), variant=variant)[0], image)


def test_pixels_do_not_depend_on_threads_and_company():
    indices = torch.arange(100)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        at_once = {kind: render(kind, 5, indices, (3, 32, 32)) for kind in KINDS}
        torch.set_num_threads(1)
        in_parts = {
            kind: torch.cat([render(kind, 5, part, (3, 32, 32)) for part in indices.split(23)]) for kind in KINDS
        }
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(at_once[kind], in_parts[kind]) for kind in KINDS)


@all_kinds
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_size_gray_and_colour(kind: str, variant: str, shape: tuple[int, int, int]):
    images = render(kind, 0, torch.arange(64), shape, variant=variant)
    assert images.dtype == torch.uint8
    assert images.shape == (64, *shape)
    assert images.is_contiguous()
    if shape[1] >= 8:
        assert len(images.flatten(1).unique(dim=0)) == 64
        assert images.flatten(1).float().std(dim=1).median() > 10
        assert images.max() > 180
        assert images.min() < 60


@all_kinds
def test_no_two_images_are_equal_and_none_is_of_one_colour(kind: str, variant: str):
    images = render(kind, 0, torch.arange(1000), (1, 8, 8), variant=variant).flatten(1)
    assert len(images.unique(dim=0)) == 1000
    assert (images.amax(dim=1) > images.amin(dim=1)).all()


@all_kinds
def test_seeds_and_variants_are_other_images(kind: str, variant: str):
    indices = torch.arange(16)
    rendered = render(kind, 0, indices, (3, 16, 16), variant=variant)
    keys = {image.numpy().tobytes() for image in rendered}
    others = [render(kind, seed, indices, (3, 16, 16), variant=variant) for seed in (1, -1, 2**62)]
    others += [
        render(kind, 0, indices, (3, 16, 16), variant=other) for other in KINDS[kind].variants if other != variant
    ]
    for other in others:
        assert not keys & {image.numpy().tobytes() for image in other}


def test_the_first_variant_is_the_usual_one():
    for kind, entry in KINDS.items():
        indices = torch.arange(3)
        usual = render(kind, 0, indices, (1, 8, 8))
        assert torch.equal(usual, render(kind, 0, indices, (1, 8, 8), variant=entry.default))


@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_colours(kind: str):
    images = render(kind, 0, torch.arange(64), (3, 16, 16)).float()
    apart = (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2))
    assert apart.median() > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "nois"}, "unknown kind of procedural images 'nois'; did you mean 'noise'"),
        ({"variant": "pinc"}, "unknown variant of 'noise': 'pinc'; did you mean 'pink'"),
        ({"seed": 0.5}, "`seed` must be a whole number, got 0.5"),
        ({"shape": (2, 8, 8)}, "must have 1 or 3 channels and 1 to 1024 pixels a side, got 2x8x8"),
        ({"shape": (3, 8, 2000)}, "1 to 1024 pixels a side, got 3x8x2000"),
        ({"shape": (3, 0, 8)}, "1 to 1024 pixels a side, got 3x0x8"),
    ],
)
def test_what_is_wrong_is_told(arguments: dict[str, object], message: str):
    arguments_of_render = {"kind": "noise", "seed": 0, "indices": torch.arange(2), "shape": (3, 8, 8), **arguments}
    with pytest.raises(UserError, match=message):
        render(**arguments_of_render)  # pyright: ignore[reportArgumentType]


def test_no_images_are_no_images():
    assert render("noise", 0, torch.empty(0, dtype=torch.int64), (3, 8, 8)).shape == (0, 3, 8, 8)


GOLDEN = {
    "noise:spectra": "edfb39adfd9e9452",
    "noise:white": "51e86555b3b984e7",
    "noise:pink": "1b8e93ef44c719f4",
    "noise:brown": "28d0de5d86fc6c5c",
    "dead-leaves:textured": "bfc9e0e1dabcbf81",
    "dead-leaves:flat": "0cc586258626238f",
    "dead-leaves:ellipses": "4fda15eb1d9eb180",
    "fractals:many": "94d3fe61fb4796d9",
    "fractals:one": "7375892fe4b56b60",
    "fractals:black": "e4bd4e252e64cd1a",
    "shaders:mixed": "c041f7b91add9f79",
    "shaders:smooth": "7a3231a6ab21f0d3",
    "shaders:calm": "ae9138c60765d34c",
    "shaders:deep": "ebc41871e598d237",
}
"""Hashes of 32 images of 3x24x20 and 32 of 1x9x9, so that pixels never change; another hash needs another `version`."""


@pytest.mark.parametrize("name", [f"{kind}:{variant}" for kind, variant in ALL])
def test_pixels_stay(name: str):
    kind, _, variant = name.partition(":")
    digest = hashlib.blake2b(digest_size=8)
    for shape in ((3, 24, 20), (1, 9, 9)):
        digest.update(render(kind, 3, torch.arange(32), shape, variant=variant).numpy().tobytes())
    assert digest.hexdigest() == GOLDEN[name]
