"""The verbs of `limbeck`. Whatever imports torch is imported inside a verb, so that help answers at once."""

import codecs
import io
import os
import sys
import warnings

from limbeck.cli.app import app, verb
from limbeck.cli.borrow import borrow
from limbeck.cli.cache import cache
from limbeck.cli.condense import condense, experts
from limbeck.cli.display import in_plain_letters, show_warning
from limbeck.cli.evaluate import evaluate, probe, report
from limbeck.cli.export import export
from limbeck.cli.generate import generate
from limbeck.cli.listing import ls
from limbeck.cli.make import make
from limbeck.cli.push import push
from limbeck.cli.recipes import compare, cp, demo, distill, run, train, validate
from limbeck.cli.select import score, select

VERBS = (
    demo,
    ls,
    cp,
    validate,
    run,
    train,
    distill,
    compare,
    select,
    score,
    borrow,
    generate,
    experts,
    condense,
    make,
    evaluate,
    probe,
    export,
    report,
    push,
)
"""What `limbeck` can do, in the order of its help; a new verb is a function in a file of its own and its name here."""

for function in VERBS:
    verb(function)
app.add_typer(cache, name="cache")


def main() -> None:
    """The entry point of the command `limbeck`."""
    # Threads that wait by spinning take the processor from those they wait for; where other programs run beside us,
    # that made small networks ten times slower. Must be set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that the terminal cannot show must not end a run
        codecs.register_error("limbeck", in_plain_letters)
        sys.stdout.reconfigure(errors="limbeck")
    warnings.showwarning = show_warning
    app(prog_name="limbeck")
