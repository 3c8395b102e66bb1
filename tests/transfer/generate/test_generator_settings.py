"""What recipes may say of the network that makes images."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.errors import UserError
from limbeck.transfer.generate.counting import check_warmup
from limbeck.transfer.generate.generator_settings import Generator
from limbeck.transfer.generate.settings import GenerateSettings


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": "publishd"}, "unknown generator 'publishd'; did you mean 'published'"),
        ({"options": {"depth": 3}}, "unknown generator option 'depth'. generator 'published' has no options"),
        ({"noisy": True, "network": "large"}, "those of `network: large` are maps"),
        ({"codes": "names.npy"}, "`codes` are read by `noisy` alone; set `noisy: true`, or leave them out"),
        ({"gain_near_zero": True}, "`gain_near_zero` is about `renew_once`, which never happens"),
        ({"network": "none", "conditional": True}, "`network: none` has neither weights nor inputs, and `conditional`"),
        ({"network": "none", "renew_once": 3}, "`renew_once` is about these; set it to null or false, or name"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Generator(**values)


@pytest.mark.parametrize("option", ["conditional", "noisy"])
def test_images_that_take_whatever_label_are_not_made_by_label(option: str) -> None:
    with pytest.raises(ValidationError, match=r"`labels: argmax` takes whatever the teacher says, and .*conditional"):
        GenerateSettings.model_validate({"budget": 10, "method": "dafl", "generator": {option: True}})


def test_rounds_without_an_adversary_need_another_loss() -> None:
    with pytest.raises(ValidationError, match="`warmup_rounds` have no adversary, and `losses` have nothing else but"):
        GenerateSettings(budget=1280, method="zskt", warmup_rounds=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"method": "zskt", "labels": "balanced"},
            "`labels` would change nothing, got 'balanced': `losses.one_hot`",
        ),
        ({"method": "dafl", "growth": {}}, "`growth` waits until `losses.batch_norm` and `losses.adversarial` are at"),
    ],
)
def test_parts_that_nothing_reads_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GenerateSettings(budget=1280, **settings)


@pytest.mark.parametrize(
    ("said", "classes", "warmup", "renewed"),
    [
        ({"budget": 107_520}, 10, 20, 140),
        ({"budget": 56_320, "method": "fast"}, 10, 20, None),
        ({"budget": 56_320, "method": "fast-meta"}, 10, 20, 140),
        ({"budget": 5000}, 10, 2, 122),
        ({"budget": "500/class"}, 10, 2, 122),
        ({"budget": "500/class"}, 100, 19, 139),
        ({"budget": 512}, 10, 1, 121),
        ({"budget": 256}, 10, 0, 120),
        ({"budget": 5000, "calls_per_round": 2}, 10, 1, 121),
        ({"budget": 5000, "warmup_rounds": 7}, 10, 7, 127),
        ({"budget": 5000, "warmup_rounds": 0, "generator": {"renew_once": 9}}, 10, 0, 9),
        ({"budget": 5000, "generator": {"renew_once": None}}, 10, 2, None),
        ({"budget": 51_200, "method": "cmi"}, 10, 0, None),
        (
            {"budget": 256, "method": "fast", "replay": {"images": 256}, "rounds": 30, "steps_per_round": None},
            10,
            3,
            None,
        ),
    ],
)
def test_what_goes_by_the_budget(said: dict[str, Any], classes: int, warmup: int, renewed: int | None) -> None:
    if said.get("steps_per_round", 1) is None:
        said = {**said, "losses": {"adversarial": 0}}
    settings = GenerateSettings.model_validate(said)
    written = GenerateSettings.model_validate(settings.model_dump(mode="json"))
    assert written == settings
    settled = written.settled(classes)
    assert (settled.warmup_rounds, settled.generator.renew_once) == (warmup, renewed)
    assert settled.settled(classes) == settled
    assert GenerateSettings.model_validate(settled.model_dump(mode="json")) == settled


def test_a_warm_up_that_takes_every_round_is_refused() -> None:
    values = {"budget": 5000, "warmup_rounds": 20}
    message = (
        "`warmup_rounds` must be fewer than all rounds, got 20, and 20 of 256 images make the budget: what waits for "
        "the end of the warm-up (`losses.adversarial`, `growth`, `homogenise`) would never come. Leave `warmup_rounds` "
        "out, or lower it, or raise the `budget` above 5,120 images."
    )
    with pytest.raises(UserError, match=re.escape(message)):
        check_warmup(GenerateSettings.model_validate(values), 5000)
    check_warmup(GenerateSettings.model_validate(values), 5121)
    alone = {**values, "steps_per_round": None, "losses": {"adversarial": 0}}
    with pytest.raises(UserError, match=r"\(`growth`, `homogenise`\) would never come"):
        check_warmup(GenerateSettings.model_validate(alone), 5000)
    check_warmup(GenerateSettings.model_validate({**alone, "method": "fast"}), 5000)  # for which nothing waits
    endless = {**alone, "replay": {"images": 512}, "rounds": 20}
    with pytest.raises(UserError, match=r"20 of 256 images make all images: .* lower it, or raise `rounds`"):
        check_warmup(GenerateSettings.model_validate(endless), 512)
    check_warmup(GenerateSettings.model_validate({**endless, "rounds": 21}), 512)
    check_warmup(GenerateSettings.model_validate({**values, "replay": {"images": 512}}), 512)  # by the student's steps


@pytest.mark.parametrize(
    ("said", "rates"),
    [
        ({}, (2e-3, 0.01, 0.02)),
        ({"inner_steps": 5}, (3e-3, 0.01, 0.015)),
        ({"inner_steps": 2}, (5e-3, 0.015, 0.01)),
        ({"inner_steps": 10}, (2e-3, 0.01, 0.02)),
        ({"inner_steps": 3}, (2e-3, 0.01, 0.006)),
        ({"inner_steps": 2, "learning_rate": 1e-3}, (1e-3, 0.01, 0.002)),
        ({"inner_steps": 2, "latent_rate": 0.1}, (2e-3, 0.1, 0.004)),
    ],
)
@pytest.mark.parametrize("method", ["fast", "fast-meta"])
def test_few_steps_have_published_rates_of_their_own(
    method: str, said: dict[str, Any], rates: tuple[float, float, float]
) -> None:
    settings = GenerateSettings.model_validate({"budget": 5000, "method": method, **said})
    meta = settings.learning_rate * settings.inner_steps  # what `meta_rate: null` stands for
    assert (settings.learning_rate, settings.latent_rate) == rates[:2]
    assert meta == pytest.approx(rates[2])
    assert GenerateSettings.model_validate(settings.model_dump(mode="json")) == settings
    bsr = GenerateSettings.model_validate({"budget": 5000, "method": "bsr", "inner_steps": 5})
    assert (bsr.learning_rate, bsr.latent_rate) == (2e-3, 0.01), "for which nothing else is published"


@pytest.mark.parametrize("size", ["width", "latents"])
def test_pixels_have_no_sizes_of_a_network(size: str) -> None:
    values: dict[str, Any] = {"budget": 256, "method": "deep-inversion"}
    assert GenerateSettings.model_validate(values).optimise == "pixels"
    with pytest.raises(ValidationError, match=f"`generator` with `network: none` has no `{size}`"):
        GenerateSettings.model_validate({**values, "generator": {size: 32}})
