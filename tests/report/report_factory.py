"""Folders as a run and a comparison leave them, with made-up numbers that look like real ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import save_file

from limbeck.cost import Cost
from limbeck.transfer.evidence import Evidence, Pictures

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BUDGETS = {"5 %": 2250, "10 %": 4500, "25 %": 11250}
LEVELS = {"entropy": 0.70, "random": 0.71, "balanced-random": 0.715, "no-teacher": 0.64}
RECIPE = "name: {name}\nteacher: weights/resnet56\nstudent: resnet20\ndata: cifar10\ntraining:\n  steps: 1200\n"
CONTROLS = [
    {"name": "balanced-random", "label": "balanced random", "kind": "budget", "teacher": True, "strict": 2},
    {"name": "random", "label": "random", "kind": "budget", "teacher": True, "strict": 1},
    {"name": "no-teacher", "label": "no teacher", "kind": "budget", "teacher": False, "strict": None},
    {"name": "full", "label": "full data", "kind": "full", "teacher": True, "strict": None},
    {"name": "full-no-teacher", "label": "full data without teacher", "kind": "full", "teacher": False, "strict": 0},
]
GROUPS = ("chosen_highest", "chosen_lowest", "rejected_highest", "rejected_lowest")


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def evaluation(
    top1: float, *, classes: tuple[str, ...] = CLASSES, fidelity: bool = True, seed: int = 0
) -> dict[str, Any]:
    """An evaluation of 100 images per class whose confusion matrix fits its accuracies."""
    random = np.random.default_rng(seed)
    size = len(classes)
    confusion = np.zeros((size, size), dtype=int)
    for i in range(size):
        right = int(np.clip(top1 + random.normal(0, 0.07), 0, 1) * 100)
        likely = np.exp(random.normal(0, 1.2, size))
        likely[i] = 0
        confusion[i] = random.multinomial(100 - right, likely / likely.sum())
        confusion[i, i] = right
    per_class = [{"class": name, "n": 100, "top1": confusion[i, i] / 100} for i, name in enumerate(classes)]
    agreement = [{"class": row["class"], "agreement": min(1, row["top1"] + 0.03)} for row in per_class]
    teacher = {"teacher_top1": 0.934, "agreement": top1 + 0.01, "divergence": 0.41, "per_class": agreement}
    return {
        "n": 100 * size,
        "top1": float(np.trace(confusion) / confusion.sum()),
        "top5": min(1.0, top1 + 0.2),
        "nll": 1.1 - top1 / 2,
        "ece": 0.043,
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "fidelity": teacher if fidelity else None,
    }


def footprint(parameters: int) -> dict[str, Any]:
    latency = {"1": {"median": 1.93, "p95": 2.4, "n": 50}, "256": {"median": 118.0, "p95": 131.2, "n": 10}}
    return {"parameters": parameters, "macs": parameters * 150, "size_bytes": parameters * 4, "latency_ms": latency}


def cost_of_before(images: int, passes: int) -> dict[str, Any]:
    """As earlier runs wrote it, which did not count the cost of making."""
    energy = {"kwh": 0.0011 + images * 1e-8, "kind": "estimated", "how": "CPU seconds x 15 W per core"}
    return {
        "images": images,
        "teacher_passes": passes,
        "student_steps": 1200,
        "seconds": 148.2 + images / 5000,
        "energy": energy,
    }


def cost(images: int, passes: int, *, asked: int = 0, saved: int = 0, real: int | None = None) -> dict[str, Any]:
    """With the cost of making, which asked the teacher that often, and of teaching."""
    before = cost_of_before(images, passes)
    making = Cost(images_read=45_000, teacher_passes=asked, seconds=12.0, kwh=1e-4, measured=False)
    teaching = Cost(images_read=153_600, teacher_passes=passes, passes_saved=saved, steps=1200)
    teaching = replace(teaching, seconds=before["seconds"], kwh=before["energy"]["kwh"], measured=False)
    total = making + teaching
    return {
        **before,
        "real_images": real,
        "teacher_passes": total.teacher_passes,
        "teacher_passes_saved": saved,
        "seconds": total.seconds,
        "energy": before["energy"] | {"kwh": total.kwh},
        "making": making.to_dict(),
        "teaching": teaching.to_dict(),
        "teacher": None,
        "total": total.to_dict(),
    }


def metrics(top1: float, *, seed: int = 0, terms: tuple[str, ...] = ("cross_entropy", "kd")) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    lines: list[dict[str, Any]] = []
    for step in range(20, 1201, 20):
        loss = 0.3 + 2 * np.exp(-step / 260) + random.normal(0, 0.03)
        parts = {term: loss / (i + 1) for i, term in enumerate(terms)}
        progress = {"step": step, "epoch": step / 100}
        lines.append(
            {"kind": "train", **progress, "loss": loss, "terms": parts, "learning_rate": 0.1 * (1 - step / 1200)}
            | {"images_per_second": 830.0, "seconds": step / 8}
        )
        if step % 100 == 0:
            reached = top1 * (1 - np.exp(-step / 300)) + random.normal(0, 0.006)
            lines.append({"kind": "validation", **progress, "top1": reached, "nll": 1.2 - reached})
    return lines


def write_gallery(path: Path, *, count: int = 12, side: int = 32, channels: int = 3, labelled: bool = True) -> None:
    """Smooth random images, which look like something and compress like photographs."""
    random = np.random.default_rng(count + side)
    arrays: dict[str, Any] = {}
    for group in GROUPS:
        coarse = random.integers(0, 256, (count, channels, 4, 4))
        fine = coarse.repeat(side // 4, 2).repeat(side // 4, 3) + random.integers(
            -20, 20, (count, channels, side, side)
        )
        arrays[f"{group}.images"] = np.clip(fine, 0, 255).astype(np.uint8)
        arrays[f"{group}.ids"] = random.choice(50_000, count, replace=False).astype(np.int64)
        arrays[f"{group}.scores"] = np.sort(random.uniform(3, 7.9, count))[::-1].astype(np.float32).copy()
        if labelled:
            arrays[f"{group}.labels"] = random.integers(0, 10, count).astype(np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={"classes": json.dumps(CLASSES), "score": "entropy"})


def write_run(folder: Path, *, top1: float = 0.81, images: int = 4500, seed: int = 0, gallery: bool = False) -> Path:
    """A finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(RECIPE.format(name="one"), "utf-8")
    write_json(
        folder / "environment.json",
        {"python": "3.11.9", "versions": {"torch": "2.7.0", "limbeck": "0.1.0"}, "cpu": "2 cores"},
    )
    lines = metrics(top1, seed=seed)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    evaluated = {
        "last": evaluation(top1, seed=seed),
        "chosen": evaluation(top1 - 0.002, seed=seed + 9),
        "chosen_step": 1100,
        "footprint": footprint(269_722),
    }
    write_json(folder / "evaluation.json", evaluated)
    write_json(folder / "cost.json", cost(images, 153_600))
    write_json(folder / "status.json", {"state": "finished", "error": None})
    if gallery:
        evidence().save(folder / "evidence")
    return folder


def write_inside(folder: Path, *, classes: tuple[str, ...] = CLASSES, images: int = 120, maps: bool = True) -> Path:
    """What a run leaves of teacher and student: the student's is the teacher's under noise."""
    random = np.random.default_rng(len(classes))
    size = len(classes)
    labels = np.arange(images) % size
    embedding = random.normal(0, 2, (size, 8))[labels] + random.normal(0, 1, (images, 8))
    embeddings = {
        "teacher": embedding,
        "student": embedding @ random.normal(0, 1, (8, 6)) + random.normal(0, 1, (images, 6)),
    }
    logits = random.normal(0, 1, (50, size)) @ random.normal(0, 1, (size, size))
    arrays: dict[str, Any] = {}
    for place, (network, embedding_) in enumerate(embeddings.items()):
        noisy = logits + place * random.normal(0, 1.5, logits.shape)
        arrays[f"correlation.{network}"] = np.corrcoef(noisy.T).astype(np.float32)
        if maps:
            arrays[f"embedding.{network}"] = embedding_.astype(np.float32)
            arrays[f"says.{network}"] = np.where(random.uniform(size=images) < 0.8, labels, 0)
    if maps:
        arrays |= {"ids": np.arange(images) * 7, "labels": labels}
    near = {"k": 10, "n": images, "overlap": 0.412, "chance": 0.084, "teacher": 0.87, "student": 0.71}
    about = {"n": 10_000, "classes": list(classes), "difference": 0.0612, "neighbours": near if maps else None}
    about["class_correlation"] = [0.9 - 0.2 * place / size for place in range(size)]
    save_file(arrays, folder / "inside.safetensors", metadata={"about": json.dumps(about)})
    return folder


def results(
    arms: dict[str, float] | None = None, budgets: dict[str, int] | None = None, seeds: int = 3
) -> dict[str, Any]:
    """results.json with the controls, consistent in itself; the last run of no-teacher at the largest budget failed."""
    arms, budgets = arms or LEVELS, budgets or BUDGETS
    random = np.random.default_rng(5)
    plan = [
        (arm, budget, images, level + 0.055 * i)
        for arm, level in arms.items()
        for i, (budget, images) in enumerate(budgets.items())
    ]
    plan += [("full", "100 %", 45_000, 0.917), ("full-no-teacher", "100 %", 45_000, 0.905)]
    runs = []
    for arm, budget, images, level in plan:
        for seed in range(seeds):
            last = level + random.normal(0, 0.004)
            passes = 0 if "no-teacher" in arm else 153_600
            runs.append(
                {"arm": arm, "control": arm in LEVELS.keys() - {"entropy"} or arm.startswith("full"), "budget": budget}
                | {
                    "images": images,
                    "seed": seed,
                    "state": "finished",
                    "error": None,
                    "last": last,
                    "chosen": last - 0.003,
                }
                | {
                    "folder": f"runs/{arm}@{budget}/seed-{seed}",
                    "cost": cost(images, passes, real=45_000 if arm == "entropy" else images),
                }
            )
    failed = next((run for run in reversed(runs) if run["arm"] == "no-teacher"), None)
    if failed and seeds > 1:
        failed.update(state="failed", error="loss is not finite at step 340 (term kd); last good checkpoint: step 300")
        failed.update(images=None, last=None, chosen=None, cost=None)
    return {
        "name": "cifar10-entropy",
        "created": "2025-11-20T14:03:12+00:00",
        "metric": "top1",
        "test_images": 10_000,
        "validation_images": 5_000,
        "train_images": 45_000,
        "teacher": {"name": "resnet56", "evaluation": evaluation(0.934), "footprint": footprint(853_018)},
        "student": {"name": "resnet20", "footprint": footprint(269_722)},
        "runs": runs,
        "table": table(runs),
        "differences": differences(runs),
        "notes": [],
        "controls": CONTROLS,
    }


def of_before(content: dict[str, Any]) -> dict[str, Any]:
    """The same results as earlier comparisons wrote them, without their controls and the cost of making."""
    for row in [*content["table"], *(run["cost"] for run in content["runs"] if run["cost"])]:
        for part in ("making", "teaching", "teacher", "total", "real_images"):
            row.pop(part, None)
    return {key: value for key, value in content.items() if key != "controls"}


def objectives(arms: dict[str, float], seeds: int = 3) -> dict[str, Any]:
    """results.json of a comparison without budgets."""
    content = results(seeds=seeds)
    random = np.random.default_rng(7)
    runs = []
    for arm, level in arms.items():
        for seed in range(seeds):
            last = level + random.normal(0, 0.002)
            control = arm == "full-no-teacher"
            runs.append(
                {"arm": arm, "control": control, "budget": "all", "images": 45_000, "seed": seed, "state": "finished"}
                | {"error": None, "last": last, "chosen": last - 0.003, "folder": f"runs/{arm}/seed-{seed}"}
                | {"cost": cost(45_000, 0 if control else 64_000)}
            )
    return content | {"name": "objectives", "runs": runs, "table": table(runs), "differences": []}


def table(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for arm, budget in dict.fromkeys((run["arm"], run["budget"]) for run in runs):
        group = [run for run in runs if (run["arm"], run["budget"]) == (arm, budget) and run["state"] == "finished"]
        if group:
            values = [run["last"] for run in group]
            half = _half(values)
            rows.append(
                {key: group[0][key] for key in ("arm", "control", "budget", "images")}
                | {"n": len(group), "mean": float(np.mean(values)), "half_width": half, "std": None}
                | {"chosen_mean": float(np.mean(values)) - 0.003, "chosen_half_width": half}
                | {"real_images": group[0]["cost"]["real_images"]}
                | {"teacher_passes": group[0]["cost"]["teacher_passes"], "seconds": group[0]["cost"]["seconds"]}
                | {"energy_kwh": group[0]["cost"]["energy"]["kwh"], "energy_kind": "estimated"}
                | {part: group[0]["cost"][part] for part in ("making", "teaching")}
            )
    return rows


def differences(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = {(run["arm"], run["budget"], run["seed"]): run["last"] for run in runs if run["last"] is not None}
    rows = []
    for arm, budget, images in dict.fromkeys(
        (run["arm"], run["budget"], run["images"]) for run in runs if not run["control"]
    ):
        for against in ("balanced-random", "random", "no-teacher"):
            paired = [
                value - last[against, budget, seed]
                for (a, b, seed), value in last.items()
                if (a, b) == (arm, budget) and (against, budget, seed) in last
            ]
            if paired:
                mean, half = float(np.mean(paired)), _half(paired)
                low, high = (None, None) if half is None else (mean - half, mean + half)
                beyond = low is not None and high is not None and (low > 0 or high < 0)
                rows.append(
                    {"arm": arm, "against": against, "budget": budget, "images": images, "n": len(paired), "mean": mean}
                    | {"low": low, "high": high, "beyond_noise": beyond}
                )
    return rows


def write_comparison(folder: Path, *, galleries: bool = True, **options: Any) -> Path:
    """A comparison folder with all its run folders."""
    content = results(**options)
    write_json(folder / "results.json", content)
    (folder / "recipe.yaml").write_text(RECIPE.format(name="cifar10-entropy"), "utf-8")
    for place, run in enumerate(content["runs"]):
        if run["state"] == "finished":
            write_run(folder / run["folder"], top1=run["last"], images=run["images"], seed=place)
    if galleries:
        for budget in dict.fromkeys(run["budget"] for run in content["runs"] if not run["control"]):
            evidence(rows=False).save(folder / "evidence" / f"entropy@{budget}")
    return folder


def _half(values: list[float]) -> float | None:
    quantiles = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}
    return None if len(values) < 2 else float(quantiles[len(values)] * np.std(values, ddof=1) / np.sqrt(len(values)))


def write_probe(
    folder: Path, *, network: str = "cifar10-resnet56", data: str = "stl10", schedule: str = "l2", seeds: int = 1
) -> Path:
    """A folder of `limbeck probe`: a network, another one, and the first one untrained."""
    kinds = (("network", network, "resnet56", 0.70), ("against", "resnet8", "resnet8", 0.61))
    rows = []
    for role, name, model, top1 in (*kinds, ("untrained", "resnet56 untrained", "resnet56", 0.33)):
        strengths = [{"strength": 10.0**-i, "nll": 2 - top1 + abs(i - 3) / 10, "top1": top1} for i in range(6)]
        rows.append(
            {"on": data, "name": name, "role": role, "network": model, "data": f"{data}/train", "classes": 10}
            | {"images": 5000, "n": 8000, "size": [32, 32], "features": 64, "schedule": schedule}
            | {"seeds": list(range(seeds)), "top1": [top1 + i / 1000 for i in range(seeds)], "top5": [0.95] * seeds}
            | {"train_top1": [top1 + 0.03] * seeds, "strengths": [1e-3] * seeds if schedule == "l2" else []}
            | {"tried": [strengths] * seeds if schedule == "l2" else [], "converged": True}
            | {"seconds": {"features": 9.0, "fit": 0.4}}
        )
    content = {"created": "2025-11-20T14:03:12+00:00", "settings": {"network": network}, "rows": rows}
    write_json(folder / "probe.json", content)
    return folder


def write_selection(
    path: Path,
    *,
    images: int = 900,
    share: float = 0.1,
    classes: int = 10,
    groups: int = 0,
    scores: Any = None,
    seed: int = 0,
) -> Path:
    """A selection.parquet of the highest scores, or of random images for a seed; without labels for no classes."""
    random = np.random.default_rng(seed)
    scores = np.random.default_rng(1).normal(5, 1, images) if scores is None else np.asarray(scores, dtype=float)
    keys = random.random(images) if seed else scores
    labels = pa.array(np.arange(images) % classes) if classes else pa.nulls(images, pa.int64())
    chosen = keys.argsort().argsort() >= round(images * (1 - share))
    columns = {"id": np.arange(images) * 3, "label": labels, "score": scores, "chosen": chosen}
    if groups:
        columns["group"] = np.arange(images) * 11 % groups * 2  # every second one is empty
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def table_rows(
    *, images: int = 900, share: float = 0.1, classes: int = 10, groups: int = 0, scores: Any = None, seed: int = 0
) -> dict[str, Any]:
    """Columns of evidence of the highest scores, or of random images for a seed; without labels for no classes."""
    scores = np.random.default_rng(1).normal(5, 1, images) if scores is None else np.asarray(scores, dtype=float)
    keys = np.random.default_rng(seed).random(images) if seed else scores
    chosen = keys.argsort().argsort() >= round(images * (1 - share))
    columns = {"id": np.arange(images) * 3, "score": scores, "chosen": chosen}
    columns |= {"label": np.arange(images) % classes} if classes else {}
    return columns | ({"group": np.arange(images) * 11 % groups * 2} if groups else {})  # every second one is empty


def pictures(title: str, count: int = 12, *, side: int = 32, channels: int = 3, labelled: bool = True) -> Pictures:
    """Smooth random images, which look like something and compress like photographs."""
    source = torch.Generator().manual_seed(count + side + len(title))
    coarse = torch.rand(count, channels, 4, 4, generator=source) * 255
    images = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 255).byte()
    return Pictures(
        title=title,
        images=images,
        ids=torch.arange(count) * 7,
        labels=torch.arange(count) % 10 if labelled else None,
        scores=torch.linspace(7.9, 3, count),
    )


def evidence(*, rows: bool = True, words: dict[str, Any] | None = None, **options: Any) -> Evidence:
    """Evidence of an honest maker that chooses by entropy."""
    columns = table_rows(**options)
    defaults: dict[str, Any] = {
        "headline": f"{columns['chosen'].sum()} of {len(columns['id'])} images of cifar10, by their entropy",
        "score": "entropy",
        "group": "cluster" if options.get("groups") else "",
        "classes": CLASSES,
        "facts": {"budget": "10 %", "seed": "3"},
        "pictures": [
            pictures(f"{fate}, {end} entropy") for fate in ("Chosen", "Left out") for end in ("highest", "lowest")
        ],
    }
    return Evidence(**{**defaults, "rows": (lambda: iter([columns])) if rows else None, **(words or {})})


def write_selections(folder: Path, *, images: int = 900, classes: int = 10, before: bool = False) -> Path:
    """What all finished runs of `write_comparison` chose: random ones differ between seeds, others do not."""
    for run in json.loads((folder / "results.json").read_text())["runs"]:
        if run["state"] == "finished" and not run["arm"].startswith("full"):
            drawn = run["arm"] in ("random", "balanced-random", "no-teacher")
            share = float(run["budget"].rstrip(" %")) / 100
            scores = np.random.default_rng(len(run["arm"])).normal(5, 1, images)
            options = {"images": images, "share": share, "scores": scores, "classes": classes}
            options |= {"seed": run["seed"] + 1 if drawn else 0}
            if before:
                write_selection(folder / run["folder"] / "selection.parquet", **options)
            else:
                evidence(words={"pictures": ()}, **options).save(folder / run["folder"] / "evidence")
    return folder


def write_transfer_set(folder: Path, *, words: dict[str, Any] | None = None, **options: Any) -> Path:
    """A folder of a transfer set with its evidence, and without the images."""
    about = {"maker": "select/entropy", "budget": "10 %", "seed": 3}
    write_json(folder / "transfer_set.json", {"name": "cifar10", "classes": list(CLASSES), "about": about})
    evidence(words=words, **options).save(folder / "evidence")
    return folder


def write_chosen(folder: Path, *, criterion: Any = None, name: str = "cifar10/train", **options: Any) -> Path:
    """A folder of `limbeck select` as it was before there was evidence, without the transfer set itself."""
    about = {"maker": "select/x", "criterion": criterion or {"score": "entropy", "name": "entropy"}}
    about |= {"budget": "10 %", "seed": 3}
    config = {"name": name, "classes": list(CLASSES), "images": 90, "about": about}
    write_json(folder / "transfer_set.json", config)
    write_selection(folder / "selection" / "table.parquet", **options)
    write_gallery(folder / "selection" / "gallery.safetensors")
    return folder
