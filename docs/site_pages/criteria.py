"""Pages of criteria, of those to borrow by, and of the parts that they are made of."""

from collections.abc import Iterable

from limbeck.transfer.borrow.criteria import criterion_by
from limbeck.transfer.criteria import CRITERIA, Criterion, find_criterion
from limbeck.transfer.part_entries import AllocationEntry, Reference, RepresentationEntry, ScoreEntry
from limbeck.transfer.part_options import option_text
from limbeck.transfer.parts import ALLOCATIONS, REPRESENTATIONS, SCORES
from site_pages.fields import shown, written
from site_pages.markdown import as_yaml, autodoc, code, link, page, sentence, table
from site_pages.measured import measured
from site_pages.options import OPTION_HEADER

Entry = AllocationEntry | RepresentationEntry | ScoreEntry
NO_PAPER = "none, "
"""How the `paper` of a part begins that has none."""
NOTHING = "nothing but the images"


def criterion_page(name: str) -> str:
    criterion = find_criterion(name)
    return page(
        name,
        sentence(criterion.summary),
        table(("", ""), [*_papers(criterion), ("needs", _needs(criterion)), *_made_of(criterion)]),
        "## In a recipe",
        as_yaml({"select": {"criterion": name, "budget": "10%", **criterion.options}}),
        f"At the command line: `limbeck select cifar10 --criterion {name} --budget 10%`.",
        _documented(_functions_of(criterion)),
        measured("criteria", name),
    )


def borrowing_page(name: str, summary: str) -> str:
    criterion = criterion_by(name)
    head = ("the weights of its last layer",) if SCORES[criterion.score].head else ()
    needs = ", ".join(("a teacher", *head, "images of others, whose labels are not read"))
    facts = [*_papers(criterion), ("needs", needs), *_made_of(criterion)]
    if name in CRITERIA.built_in:
        facts.append(("in `select`, this name means", f"{link('criteria', name)}: {find_criterion(name).summary}"))
    budget = 5000
    return page(
        name,
        sentence(summary),
        table(("", ""), facts),
        "## In a recipe",
        as_yaml(
            {"transfer": {"maker": "borrow", "pools": ["cifar100", "tiny-imagenet"], "by": name, "budget": budget}}
        ),
        "At the command line: `limbeck borrow --teacher cifar10-resnet56 --pool cifar100 --pool tiny-imagenet "
        f"--budget {budget} --by {name} --test cifar10`. Classes are those that the teacher gives.",
        _documented(_functions_of(criterion)),
        measured("borrow", name),
    )


def _parts_of(one: Criterion) -> dict[str, Entry]:
    """Its parts by name, the score first."""
    representations = {name: REPRESENTATIONS[name] for name in one.represented}
    return {one.score: SCORES[one.score], **representations, one.allocation: ALLOCATIONS[one.allocation]}


def _papers(one: Criterion) -> list[tuple[str, str]]:
    """A row for every paper of its parts; where none has one, what its score says in place of a paper."""
    parts: dict[str, list[str]] = {}
    for name, entry in _parts_of(one).items():
        parts.setdefault(entry.paper, []).append(name)
    published = {paper: names for paper, names in parts.items() if not paper.startswith(NO_PAPER)}
    if not published:
        return [("paper", SCORES[one.score].paper)]
    return [(f"paper of {' and '.join(names)}", paper) for paper, names in published.items()]


def _needs(one: Criterion) -> str:
    needs = dict.fromkeys(need for entry in _parts_of(one).values() for need in entry.needs)
    return ", ".join(needs) or NOTHING


def _paper_and_needs(entry: Entry) -> list[tuple[str, str]]:
    return [("paper", entry.paper), ("needs", ", ".join(entry.needs) or NOTHING)]


def _functions_of(one: Criterion) -> list[Reference]:
    """The functions of its parts, of the score's the one that reads its representation; plain top-n is left out."""
    representations = [REPRESENTATIONS[name].function for name in one.represented]
    functions = SCORES[one.score].functions
    kind = REPRESENTATIONS[one.representation].kind
    score = functions.get(kind) or next(iter(functions.values()))
    allocation = ALLOCATIONS[one.allocation].function
    return [*representations, score, *([] if one.allocation.startswith("top-n") else [allocation])]


def _made_of(one: Criterion) -> list[tuple[str, str]]:
    return [
        ("representation", link("representations", one.representation)),
        ("score", f"{link('scores', one.score)}, the {one.order} first"),
        ("allocation", link("allocations", one.allocation)),
        *([("distances in", link("representations", one.space))] if one.space else []),
    ]


def representation_page(name: str) -> str:
    entry = REPRESENTATIONS[name]
    facts = [
        *_paper_and_needs(entry),
        ("reads", {"set": "all images first", "function": "a function of one's own"}.get(entry.reads, entry.reads)),
        ("its numbers are", entry.kind),
        ("score that reads it", link("scores", entry.score)),
    ]
    return page(name, sentence(entry.summary), _part(entry, facts), _documented([entry.function]))


def score_page(name: str) -> str:
    entry = SCORES[name]
    facts = [
        *_paper_and_needs(entry),
        ("reads representations of", ", ".join(entry.kinds) or "nothing"),
        ("representation", link("representations", entry.representation)),
        *([("come first by default", f"the {entry.hard_end}, as of the hardest images")] if name != "random" else []),
    ]
    return page(name, sentence(entry.summary), _part(entry, facts), _documented(entry.functions.values()))


def allocation_page(name: str) -> str:
    entry = ALLOCATIONS[name]
    facts = [
        *_paper_and_needs(entry),
        *([("equal shares", "for every class")] if entry.per_class else []),
        *([("every image", "for what those before it lack")] if entry.greedy else []),
        *(
            [("distances in", code(entry.space or "the criterion's own representation"))]
            if entry.space is not None
            else []
        ),
    ]
    return page(name, sentence(entry.summary), _part(entry, facts), _documented([entry.function]))


def _part(entry: Entry, facts: list[tuple[str, str]]) -> str:
    short = [("short name", code(entry.short))] if getattr(entry, "short", "") else []
    overview = table(("", ""), [*facts, *short]) if facts or short else ""
    rows = [(code(name), written(value), shown(option_text(name, value))) for name, value in entry.options.items()]
    return "\n\n".join(
        [*([overview] if overview else []), *(["## Its options", table(OPTION_HEADER, rows)] if rows else [])]
    )


def _documented(references: Iterable[Reference]) -> str:
    """The functions behind a part, as far as they say what they do."""
    names = dict.fromkeys(path.replace(":", ".") for path in references if isinstance(path, str) and path)
    functions = [autodoc("autofunction", name, "no-index") for name in names]
    return "\n\n".join(["## In Python", *functions]) if functions else ""
