"""The front matter of a model card, from which the hub makes filters and leaderboards."""

from typing import Any

from limbeck.report.model_card.facts import RunFacts, catalogue_entry, dataset_id
from limbeck.report.model_card.licences import licence_fields

TASK = "image-classification"


def front_matter(facts: RunFacts, licence: str | None) -> str:
    """YAML that `huggingface_hub.ModelCardData` reads, without the lines around it.

    Args:
        facts: of the run.
        licence: as the recipe or the user has it.
    """
    # Imported here, as it takes as long as `datasets`, and listing things need not wait for it.
    from huggingface_hub import EvalResult, ModelCardData

    names = [facts.data("train").get("name"), *_pools(facts)]
    ids = [dataset_id(name) for name in names]
    fields: dict[str, Any] = licence_fields(licence)
    data = ModelCardData(
        model_name=facts.title,
        library_name="limbeck",
        pipeline_tag=TASK,
        tags=_tags(facts),
        datasets=list(dict.fromkeys(dataset for dataset in ids if dataset)) or None,
        metrics=["accuracy"] if facts.last else None,
        eval_results=[EvalResult(**result) for result in _results(facts)] or None,
        **fields,
    )
    return data.to_yaml()


def _tags(facts: RunFacts) -> list[str]:
    tags = [TASK, "knowledge-distillation" if facts.teacher else "", "limbeck", facts.transfer.get("maker")]
    return [tag for tag in tags if tag]


def _pools(facts: RunFacts) -> list[Any]:
    """Names of the data sets that images were borrowed from."""
    pools = facts.transfer.get("pools") or []
    return [pool.get("name") if isinstance(pool, dict) else pool for pool in pools]


def _results(facts: RunFacts) -> list[dict[str, Any]]:
    """Accuracies as `EvalResult` takes them; the one after the last step first."""
    test, name = facts.data("test"), facts.described("test").get("name")
    if not facts.last:
        return []
    info = catalogue_entry(test.get("name"))
    common = {
        "task_type": TASK,
        "task_name": "Image classification",
        "dataset_name": str(name or test.get("name") or "test images"),
        "dataset_type": dataset_id(test.get("name")) or _slug(str(name or "test-images")),
        "dataset_config": None if info is None else info.config,
        "dataset_split": test.get("split") or "test",
        "metric_type": "accuracy",
        "verified": False,
    }
    rows = [("Top-1 accuracy after the last step", facts.last.get("top1"))]
    rows += [("Top-5 accuracy after the last step", facts.last.get("top5"))]
    chosen = facts.evaluations.get("chosen") or {}
    rows += [("Top-1 accuracy of the validation-chosen student", chosen.get("top1"))]
    return [{**common, "metric_name": title, "metric_value": value} for title, value in rows if value is not None]


def _slug(name: str) -> str:
    """A name of the form that the hub has for data sets."""
    return "-".join("".join(char if char.isalnum() or char in "._" else " " for char in name).split()) or "images"
