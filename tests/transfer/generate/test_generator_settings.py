"""What recipes may say of the network that makes images."""

from typing import Any

import pytest
from pydantic import ValidationError

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
