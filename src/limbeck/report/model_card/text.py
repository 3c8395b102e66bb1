"""The text of a model card, section by section; each gives its lines, or none where nothing is known."""

from collections.abc import Sequence
from typing import Any

from limbeck.data.place import FROM_PYTHON
from limbeck.evaluation.statistics import wilson_interval
from limbeck.models.published import NAMED
from limbeck.report import cost_tables, formats, reading
from limbeck.report.model_card.facts import Row, RunFacts, catalogue_entry

_FEW = 1000
"""Test images below which an interval is worth a warning."""
_CLASSES = 20


def code(text: object) -> str:
    """Text as it stands, in one line that means nothing to Markdown or HTML."""
    plain = " ".join(str(text).replace("`", "'").split())
    return f"`{plain}`" if plain else formats.ABSENT


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; bars in cells are escaped."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in (head, *rows)]
    ruled = [lines[0], ["---"] * len(head), *lines[1:]]
    return [f"| {' | '.join(row)} |" for row in ruled]


def lead(facts: RunFacts) -> list[str]:
    """What it is, and its headline."""
    student, teacher = facts.student, facts.teacher
    kind = "taught by a teacher" if teacher else "trained on labels"
    count = student.get("num_classes")
    classes = f" for {formats.number(count)} {'class' if count == 1 else 'classes'}" if count else ""
    what = f"An image classifier ({code(student.get('name', 'network'))}){classes}, {kind} with limbeck"
    taught = f" on {formats.plural(facts.cost.images, 'image')}" if facts.cost.images else ""
    return [f"{what}{taught}. {accuracy(facts)}"]


def accuracy(facts: RunFacts) -> str:
    """The headline: after the last step, with the interval over test images and, in a comparison, over seeds."""
    last = facts.last
    if not last:
        return "It was **not judged**: the run had no labelled test images."
    low, high = wilson_interval(round(last["top1"] * last["n"]), last["n"])
    interval = f"95 % Wilson interval over test images: {_range(low, high)}"
    right = f"**{formats.percent(last['top1'], 2)}** of {formats.plural(last['n'], 'test image')}"
    text = f"After the last step of training, which nobody chose, it is right on {right} ({interval})."
    row = facts.over_seeds
    if row is None or row.get("n", 0) < 2:
        return f"{text} This is one run of one seed."
    over = formats.spread(row["mean"], row["half_width"])
    return f"{text} Over the {row['n']} seeds of its comparison: {over} (mean, 95 % interval over seeds, Student's t)."


def results(facts: RunFacts) -> list[str]:
    """Measures of the student after the last step, and of the validation-chosen one beside it."""
    columns = {"Last step": facts.last, "Validation-chosen": facts.evaluations.get("chosen") or {}}
    evaluations = {title: evaluation for title, evaluation in columns.items() if evaluation}
    watched = facts.evaluations.get("validation") or {}
    lines: list[str] = []
    if evaluations:
        step = facts.evaluations.get("chosen_step")
        chosen = "" if step is None else f" (step {formats.number(step)})"
        head = ["Measure", *(title + (chosen if title != "Last step" else "") for title in evaluations)]
        rows = [
            [label, *(show(evaluation) for evaluation in evaluations.values())] for label, show in _MEASURES.items()
        ]
        lines += table(head, [row for row in rows if set(row[1:]) != {formats.ABSENT}])
        lines += ["", *_worst(facts.last)]
    if watched.get("measure") == "agreement":
        images = formats.plural(watched["images"], "validation image")
        lines += [f"It agrees with its teacher on {formats.percent(watched['last'], 2)} of {images}, labels aside.", ""]
    footprint = facts.evaluations.get("footprint") or {}
    if footprint:
        size = f"{formats.large(footprint.get('parameters'))} parameters, {formats.size(footprint.get('size_bytes'))}"
        lines += [f"{size}, {formats.large(footprint.get('macs'))} multiply-adds an image."]
    return lines


def data(facts: RunFacts) -> list[str]:
    """Images by name, number and fingerprint, and what their sources say of licences."""
    words = {"train": "to learn from", "transfer_set": "transfer set", "validation": "validation", "test": "test"}
    rows = [
        [label, code(images.get("name")), formats.number(images.get("images")), code(images.get("fingerprint", ""))]
        for what, label in words.items()
        if (images := facts.described(what))
    ]
    lines = table(["Images", "Name", "Number", "Fingerprint"], rows) if rows else ["Nothing is known of its images."]
    classes = facts.student.get("classes") or []
    if classes:
        more = f" and {len(classes) - _CLASSES} more (config.json has all)" if len(classes) > _CLASSES else ""
        lines += ["", f"Classes: {', '.join(code(name) for name in classes[:_CLASSES])}{more}."]
    licences = {
        info.name: info.licence
        for split in ("train", "test")
        if (info := catalogue_entry(facts.data(split).get("name")))
    }
    stated = [f"{code(name)} {licence}" for name, licence in licences.items()]
    return [
        *lines,
        *(["", f"Licences of the data, as their sources state them: {', '.join(stated)}."] if stated else []),
    ]


def teaching(facts: RunFacts) -> list[str]:
    """Teacher, transfer set and budget, objective, schedule."""
    training = facts.recipe.get("training") or {}
    length = (
        f"{formats.plural(training['steps'], 'step')}"
        if training.get("steps")
        else f"{training['epochs']:g} epochs"
        if training.get("epochs")
        else "of unknown length"
    )
    how = f"{length} of {training.get('batch_size', '?')} images, {training.get('optimizer', 'sgd')}"
    rate = f"learning rate {training.get('learning_rate', '?')}, {training.get('schedule', '?')} schedule"
    return [
        f"- **Teacher**: {_teacher(facts)}",
        f"- **Transfer set and budget**: {_transfer_set(facts)}",
        f"- **Objective**: {_objective(facts)}",
        f"- **Training**: {how}, {rate}, views {code(training.get('views', '?'))}.",
        f"- **Seed**: {facts.recipe.get('seed', '?')}",
    ]


def costs(facts: RunFacts) -> list[str]:
    """What it took, the teacher's own training beside it."""
    cost = facts.cost
    if not cost.known:
        return ["Nothing is known of what it took."]
    total = cost.total
    saved = f", {formats.number(total.passes_saved)} of them read instead of computed" if total.passes_saved else ""
    energy = cost_tables.energy(total) if total.kwh else "unknown"
    lines = [
        f"- {formats.plural(cost.images, 'distinct image')} taught on",
        f"- {formats.number(total.teacher_passes)} answers of the teacher{saved}",
        f"- {formats.plural(cost.teaching.steps, 'step')} of the student",
        f"- {formats.duration(total.seconds)}, energy {energy}",
    ]
    if cost.teacher is not None:
        teacher = cost.teacher
        lines += [
            f"- besides, the teacher's own training: {formats.duration(teacher.seconds)}, {formats.energy(teacher.kwh)}"
        ]
    return lines


def limits(facts: RunFacts) -> list[str]:
    """What the numbers above do not say."""
    last, student = facts.last, facts.student
    lines = [
        "It tells the classes above apart and no others: an image of something else gets one of them, too.",
        "It was judged on the test images above alone. Other cameras, places and kinds of image were not tried, nor "
        "robustness or fairness.",
    ]
    if not last:
        lines[1] = "It was not judged on labelled images at all: look at its answers before you use it."
    elif last["n"] < _FEW:
        lines += [f"{formats.plural(last['n'], 'test image')} are few, which is why the interval is wide."]
    if last and (facts.over_seeds or {}).get("n", 0) < 2:
        lines += ["The interval is that of the test images; another seed gives another student, which it leaves out."]
    if last.get("ece") is not None:
        lines += [f"Its probabilities are off by {formats.percent(last['ece'])} on average (calibration error)."]
    if student and not student.get("classes"):
        lines += ["Its classes have no names, only numbers."]
    if facts.teacher and not facts.described("train").get("classes", True):
        lines += ["Its images had no labels: it repeats the teacher's mistakes."]
    return [f"- {line}" for line in lines]


def licence(stated: str | None) -> list[str]:
    """What is known of the licence, in words."""
    if stated is None:
        return [
            "Not stated, so nobody may rely on one. Whoever holds the rights can state it by `license:` in the recipe "
            "or `limbeck push --license`; what the licences of data and teacher ask stays to be looked at."
        ]
    return [f"{code(stated)}, as stated by whoever trained it; what those of data and teacher ask comes on top."]


def made_with(facts: RunFacts) -> list[str]:
    """Versions and hardware."""
    packages = facts.environment.get("packages") or facts.environment.get("versions") or {}
    versions = [f"{name} {packages[name]}" for name in ("limbeck", "torch") if packages.get(name)]
    computing = facts.environment.get("computing") or {}
    place = facts.environment.get("processor") or facts.environment.get("cpu")
    parts = [
        *versions,
        *([str(place)] if place else []),
        *([computing["precision"]] if "precision" in computing else []),
    ]
    return [f"Made with {code(', '.join(parts))}."] if parts else []


def _teacher(facts: RunFacts) -> str:
    settings = facts.teacher
    if not settings:
        return "none; it learned from labels alone."
    teacher, weights = facts.described("teacher"), settings.get("weights") or ""
    if settings.get("training"):
        taught = settings["training"]
        length = f"{taught['steps']} steps" if taught.get("steps") else f"{taught.get('epochs', 0):g} epochs"
        source = f"trained first, for {length}"
    elif weights.casefold() in NAMED or ":" in weights:
        source = "handed over in Python" if weights.startswith(FROM_PYTHON) else f"published as {code(weights)}"
    else:  # only the last part of a path, as the rest tells of the machine
        source = f"from {code(weights.rstrip('/').rpartition('/')[2])}" if weights else "pretrained, of timm"
    name = teacher.get("name") or settings.get("model") or "unknown"
    fidelity = facts.last.get("fidelity") or {}
    right = fidelity.get("teacher_top1")
    measured = f"; right on {formats.percent(right, 2)} of the test images" if right is not None else ""
    agrees = f", the student agrees on {formats.percent(fidelity['agreement'], 2)}" if "agreement" in fidelity else ""
    mark = f", fingerprint {code(teacher['fingerprint'])}" if teacher.get("fingerprint") else ""
    return f"{code(name)}, {source}{measured}{agrees}{mark}."


def _transfer_set(facts: RunFacts) -> str:
    transfer, images = facts.transfer, formats.plural(facts.cost.images, "image")
    if not transfer:
        return f"all {images} to learn from."
    how = [f"{key} {code(transfer[key])}" for key in ("criterion", "method", "by") if transfer.get(key)]
    sentence = f" {facts.made}." if facts.made else ""
    by = ", ".join([f"made by {code(transfer.get('maker'))}", *how, f"budget {code(transfer.get('budget'))}"])
    return f"{images}, {by}.{sentence}"


def _objective(facts: RunFacts) -> str:
    stated: Any = facts.recipe.get("objective")
    if isinstance(stated, dict):
        return f"{_terms(stated)}."
    logged = next((record["terms"] for record in reversed(facts.records) if record.get("terms")), {})
    return f"{', '.join(map(code, logged)) or 'cross-entropy'} (the recipe leaves it to limbeck)."


def _terms(objective: Row) -> str:
    return " + ".join(f"{code(name)} {_weight(weight)}" for name, weight in objective.items())


def _weight(weight: Any) -> str:
    return f"x {weight:g}" if isinstance(weight, int | float) else code(weight)


def _worst(last: Row) -> list[str]:
    rows = [row for row in last.get("per_class") or () if row.get("top1") is not None]
    if len(rows) < 2:
        return []
    worst = min(rows, key=lambda row: row["top1"])
    right = f"{formats.percent(worst['top1'])} of {formats.plural(worst['n'], 'image')}"
    return [f"Its worst class is {code(worst['class'])}: {right}.", ""]


def _range(low: float, high: float) -> str:
    return f"{formats.number(low * 100, 2)} to {formats.percent(high, 2)}"


def _interval(found: Row) -> str:
    return _range(*wilson_interval(round(found["top1"] * found["n"]), found["n"])) if found.get("n") else formats.ABSENT


_MEASURES = {
    "Top-1": lambda evaluation: formats.percent(evaluation.get("top1"), 2),
    "95 % interval over test images": _interval,
    "Top-5": lambda evaluation: formats.percent(evaluation.get("top5"), 2),
    "Negative log-likelihood (nats)": lambda evaluation: formats.number(evaluation.get("nll"), 4),
    "Expected calibration error": lambda evaluation: formats.percent(evaluation.get("ece"), 2),
    "Agreement with the teacher": lambda evaluation: formats.percent(reading.fidelity(evaluation, "agreement"), 2),
}
