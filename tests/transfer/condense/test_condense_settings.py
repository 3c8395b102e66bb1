"""What a recipe may say of `condense`, and what it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.errors import UserError
from limbeck.recipes.controls import controls_beside
from limbeck.recipes.reading import parse_transfer
from limbeck.transfer.condense import Settings
from limbeck.transfer.condense.methods import METHODS

BUDGET = r"must be images per class \('1/class'\), or a count of images that is a multiple of the classes \(50\), got"


def settings(**said: Any) -> Settings:
    return Settings.model_validate({"budget": "1/class", **said})


@pytest.mark.parametrize("method", METHODS)
def test_published_methods_fit_together(method: str) -> None:
    preset = settings(method=method)
    assert Settings.model_validate(preset.model_dump(mode="json")) == preset
    assert settings(method=method, iterations=preset.iterations) == preset


def test_students_are_taught_in_the_batches_that_are_published() -> None:
    batches = {method: settings(method=method).use.batch_size for method in METHODS}
    others = dict.fromkeys(("datm", "pad", "edf", "ncfm"), 128)
    assert batches == {"mtt": 256, "ftd": 256, "dm": 256, **others, "tgdd": 64, "rded": None}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"method": "nope"}, "unknown method 'nope'"),
        ({"views": "nope"}, "unknown normalised view 'nope'"),
        *(({"budget": wrong}, BUDGET) for wrong in ("10%", 0.1, 0, "0", "0/class", "abc", -5, True)),
        ({"network": {"model": "convnet_d9"}}, "unknown model 'convnet_d9'"),
        ({"network": {"options": {"norm": "batch"}}}, "`network.options.norm` must not be 'batch'"),
        ({"network": {"options": {"wide": 3}}}, "unknown model option 'wide'"),
        (
            {"network": {"whitening": True, "mean": [0.5], "std": [0.5]}},
            "`network.whitening` stands in place of `network.mean`",
        ),
        ({"network": {"mean": [0.5]}}, "`network.mean` and `network.std` go together"),
        (
            {"method": "datm", "experts": {"epochs": 4}},
            "`experts.epochs` must be at least 5, .* read 6 snapshots, and 4 epochs leave 5; raise it, or lower",
        ),
        ({"method": "datm", "labels": "hard"}, "`labels` are 'hard', which are not learned"),
        ({"method": "rded", "labels": "soft"}, "`labels` of `by: crops` must be 'teacher'"),
        ({"method": "dm", "mask": {}}, "`mask` scales the gradients of `by: trajectories`, got `by: distribution`"),
        ({"per_image": 4}, "`per_image` must be 1 but for `by: distribution`"),
        (
            {"method": "rded", "iterations": 3},
            "`iterations` is about learning, and `by: crops` learns nothing; set it to 0",
        ),
        (
            {"method": "mtt", "use": {"image_views": "pad-crop"}},
            "`use.image_views` are of 8-bit images, got 'pad-crop', and `keep: auto` may keep floats; set `keep",
        ),
        ({"method": "mtt", "use": {"image_views": "pad-krop"}}, "did you mean 'pad-crop'"),
        ({"method": "rded", "average": 0.9}, "`average` is about learning, .* set it to null"),
        ({"method": "rded", "learned": 0.5}, "`learned` is about learning, .* set it to 1"),
        ({"method": "dm", "average": 0.9}, "`average` is of `by: trajectories`"),
        (
            {"iterations": 0, "choose": "validation"},
            "`choose: validation` judges iterations, and `iterations` is 0",
        ),
        ({"iterations": 20, "choose": "validation"}, "`evaluate_every` must be at most the 20 `iterations`"),
        ({"initialise": {"maker": "condense"}}, "`initialise` names `maker: condense` itself"),
        ({"initialise": {"criterion": "herding", "budget": 3}}, "`initialise` has the budget of the set itself"),
        ({"initialise": {"criterion": "hurding"}}, "unknown criterion 'hurding'"),
        (
            {"matching": {"chunk": 3, "gradient": "unrolled"}},
            "`chunk` splits the steps of `gradient: exact` and `tesla`, and 'unrolled' ones are whole, got 3; set",
        ),
        (
            {"experts": {"milestones": [50, 40]}},
            r"must rise, got \[50, 40\]; give each epoch once",
        ),
        ({"matching": {"start_from": 2, "start_to": 2}}, "`start_to` must be greater than `start_from`"),
        ({"matching": {"grow_to": 9}}, "`grow_to` and `grow_until` go together"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(said: dict[str, Any], message: str) -> None:
    with pytest.raises((UserError, ValidationError), match=message):
        settings(**said)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UserError) as caught:
        parse_transfer({"maker": "condense", "budget": 10, "method": "dm", "mask": {}, "average": 0.9})
    assert "`mask` scales" in str(caught.value)
    assert "`average` is of" in str(caught.value)


def test_an_unknown_name_hides_nothing_else_that_is_wrong() -> None:
    network = {"model": "convnet_d9"}
    initialise = {"maker": "select", "criterion": "hurding", "dedup": True}
    with pytest.raises(UserError) as caught:
        parse_transfer(
            {"maker": "condense", "budget": 10, "labels": "hard", "network": network, "initialise": initialise}
        )
    assert str(caught.value).splitlines()[1:] == [
        "  unknown model 'convnet_d9'; did you mean 'convnet_d6' or 'convnet_d5' or 'convnet_d4'? `limbeck ls models` "
        "lists them all",
        "  `labels` are 'hard', which are not learned, and `matching.label_rate` is 5; set it to 0, or `labels: soft`",
        "  initialise.criterion: unknown criterion 'hurding'; did you mean 'herding'? `limbeck ls criteria` lists them "
        "all",
        "  initialise.dedup: unknown key; did you mean 'dedupe'?",
    ]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (
            "el2n",
            r"experts.curriculum.score: must be a criterion that asks no teacher, got 'el2n'; 'forget",
        ),
        ("forgeting", r"experts.curriculum.score: unknown criterion 'forgeting'; did you mean 'forgetting'"),
    ],
)
def test_scores_of_a_curriculum_ask_no_teacher(score: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_transfer({"maker": "condense", "budget": 10, "experts": {"curriculum": {"score": score}}})


def test_experts_that_are_there_tell_their_epochs_themselves() -> None:
    assert settings(experts={"epochs": 1, "folder": "experts"}).matching.snapshots == 6


def test_what_is_asked_of_experts() -> None:
    assert settings(method="mtt").reads_trajectories
    assert not settings(method="mtt").reads_judges
    assert settings(method="datm", iterations=0).reads_judges
    assert not settings(method="datm", iterations=0).reads_trajectories
    assert not settings(method="dm").reads_trajectories
    assert settings(method="ncfm").reads_trajectories
    assert not settings(method="rded").reads_judges


def test_arms_of_one_network_share_their_controls() -> None:
    arms = {name: settings(method=name).model_dump(mode="json", exclude={"budget"}) for name in ("mtt", "datm", "dm")}
    controls = controls_beside(arms)
    assert [control.name for control in controls] == ["condense-random", "condense-rded", "condense-random-soft"]
    assert [control.arms for control in controls] == [("mtt", "datm", "dm"), ("mtt", "datm", "dm"), ("datm",)]
    strict = {control.name: control.control.strict for control in controls}
    assert strict == {"condense-random": 1, "condense-rded": 0, "condense-random-soft": 2}
    for control in controls:
        Settings.model_validate({"budget": "1/class", **control.transfer})


def test_networks_with_batch_norm_go_where_nothing_reads_parameters() -> None:
    """Crops, and the random images beside them."""
    batch = {"network": {"options": {"norm": "batch"}}}
    crops = settings(method="rded", **batch).model_dump(mode="json", exclude={"budget"})
    (control,) = [control for control in controls_beside({"rded": crops}) if control.name == "condense-random"]
    random = Settings.model_validate({"budget": "1/class", **control.transfer})
    assert random.network.options == {"norm": "batch"}
    for said in ({"method": "datm", "iterations": 0}, {"method": "dm"}):
        with pytest.raises(ValidationError, match=r"`network.options.norm` must not be .batch."):
            settings(**said, **batch)


def test_crops_stand_beside_images_that_the_teacher_is_asked_about() -> None:
    crops = settings(method="rded").model_dump(mode="json", exclude={"budget"})
    controls = {control.name: control for control in controls_beside({"rded": crops})}
    assert list(controls) == ["condense-random", "condense-random-soft"]
    assert controls["condense-random-soft"].transfer["maker"] == "select"
