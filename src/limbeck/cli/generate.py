"""The verb `generate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.app import telling_how_to_resume
from limbeck.cli.display import console, show_paragraph, show_table
from limbeck.cli.loading import parse_size
from limbeck.cli.options import NETWORK
from limbeck.cli.unused import refuse_unused
from limbeck.errors import UserError

Budget = Annotated[
    str | None,
    typer.Option(
        help="A count (5000), or so many times the teacher's classes (500/class); required unless --check is given."
    ),
]
StudentModel = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Network that learns meanwhile, and against which images are made, or "
        "'{model: convnet_d3, options: {width: 16}}'. By default none.",
    ),
]
TrainingChanges = Annotated[
    list[str] | None,
    typer.Option(
        "-t", "--training", metavar="KEY=VALUE", help="Of the student's training, as learning_rate=0.1; repeatable."
    ),
]
Objective = Annotated[
    str | None, typer.Option(help="What the student learns by, as '{kd: {temperature: 20}}'. By default kd.")
]
Test = Annotated[
    str | None, typer.Option(help="Labelled images to evaluate the student on at the end; by default none.")
]
Validation = Annotated[
    str | None,
    typer.Option(
        help="What chooses among the student's states by agreement with the teacher: so many images (500), made "
        "beforehand and not taught on, or images by name or folder. By default nothing does, and the last counts."
    ),
]
MethodSettings = Annotated[
    list[str] | None,
    typer.Option(
        "-s",
        "--set",
        metavar="KEY=VALUE",
        help="Of the method, as inner_steps=5 or generator.width=32; repeatable.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(help="PIXELS a side, or HEIGHTxWIDTH; by default that of the test images, or else the teacher's."),
]
Check = Annotated[
    bool, typer.Option("--check", help="Make nothing: say what the teacher is good for, and weights to begin with.")
]
SetFolder = Annotated[Path | None, typer.Option(help="Folder of the transfer set; by default runs/generated-<method>.")]


def generate(
    teacher: Annotated[str, typer.Option(help=f"Network to invert: {NETWORK}.")],
    budget: Budget = None,
    method: Annotated[str | None, typer.Option(help="See `limbeck ls methods`. By default bsr.")] = None,
    student: StudentModel = None,
    steps: Annotated[int | None, typer.Option(help="Of the student. By default as many as fill the budget.")] = None,
    training: TrainingChanges = None,
    objective: Objective = None,
    test: Test = None,
    validation: Validation = None,
    settings: MethodSettings = None,
    size: Size = None,
    check: Check = False,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    out: SetFolder = None,
) -> None:
    """Make a transfer set from nothing but a teacher, by inverting it."""
    from limbeck.cli.progress import showing_progress
    from limbeck.recipes.generating import save_generated

    maker_settings: dict[str, Any] = {"method": method, "budget": budget}
    pixels = None if size is None else parse_size(size)
    of_making = {"--student": student, "--steps": steps, "--training": training, "--objective": objective}
    of_making |= {"--test": test, "--validation": validation, "--seed": seed or None, "--out": out}
    if check:
        refuse_unused(of_making, "of making images, and --check makes none; leave this or --check out")
        _show_check(maker_settings, settings or [], teacher, pixels)
        return
    with telling_how_to_resume(out or Path("what was begun"), "the same command"), showing_progress() as progress:
        summary = save_generated(
            maker_settings,
            out,
            overrides=settings or [],
            teacher=teacher,
            student=student,
            training=[*(training or []), *([] if steps is None else [f"steps={steps}"])],
            objective=objective,
            test=test,
            validation=validation,
            size=pixels,
            seed=seed,
            progress=progress,
        )
    console.print(summary, markup=False, soft_wrap=True)


def _show_check(
    maker_settings: dict[str, Any], settings: list[str], teacher: str, size: int | tuple[int, int] | None
) -> None:
    """What the teacher is good for; an error where the method cannot be followed."""
    from limbeck.recipes.generating import check_to_generate

    check = check_to_generate(maker_settings, teacher, overrides=settings, size=size)
    show_table(check.teacher, ["", "", ""], [[row.what, row.found, row.doubt] for row in check.rows])
    even = {name: round(weight, 6) for name, weight in check.even.model_dump().items() if weight}
    weights = ", ".join(f"{name}: {weight:g}" for name, weight in even.items())
    show_paragraph(f"weights by which all losses pull alike at the start: losses: {{{weights}}}")
    if check.refusal:
        raise UserError(check.refusal)
