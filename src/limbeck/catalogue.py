"""Catalogues: the parts of each family by name, limbeck's own and others beside them, without importing any of them."""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import Any, TypeVar

from limbeck.entry_points import Offer, offers
from limbeck.errors import UserError
from limbeck.foreign import BY_PATH, HANDED_OVER, IN_PYTHON, Foreign, remarks_of, where_is
from limbeck.import_paths import FROM_PYTHON, import_object, import_path_of, is_import_path
from limbeck.source_code import source_digest

Entry = TypeVar("Entry")

FAMILIES = {
    "objectives": ("objective", "limbeck.objectives.catalogue:OBJECTIVES"),
    "representations": ("representation", "limbeck.transfer.parts:REPRESENTATIONS"),
    "scores": ("score", "limbeck.transfer.parts:SCORES"),
    "allocations": ("allocation", "limbeck.transfer.parts:ALLOCATIONS"),
    "criteria": ("criterion", "limbeck.transfer.criteria:CRITERIA"),
    "optimizers": ("optimizer", "limbeck.training.optimizer_catalogue:OPTIMIZERS"),
    "schedules": ("schedule", "limbeck.training.schedule_catalogue:SCHEDULES"),
    "views": ("view", "limbeck.data.view_catalogue:VIEWS"),
    "normalised_views": ("normalised view", "limbeck.data.normalised_views.catalogue:NORMALISED_VIEWS"),
    "models": ("model", "limbeck.models.catalogue:MODELS"),
    "datasets": ("data set", "limbeck.data.catalogue:DATASETS"),
    "makers": ("maker", "limbeck.transfer.catalogue:MAKERS"),
    "generators": ("generator", "limbeck.transfer.generate.networks.catalogue:GENERATORS"),
}
"""Family -> the word for one of its parts, and its catalogue."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CODE_OF = "limbeck.models.description:describe"
"""Tells functions apart by their code; imported late because it needs torch, which lists do without."""
KEPT_AS = "limbeck.models.shared_memory:kept"
"""Copies a module when it is named; imported late because it needs torch."""
USED: ContextVar[dict[str, Foreign[Any]]] = ContextVar("used")
"""Parts that are not limbeck's own and were looked up, see `limbeck.plugins.noting`."""


class Catalogue(Mapping[str, Entry]):
    """The parts of one family by name: limbeck's own, then those registered in Python, then those of packages.

    Names are known without importing anything; a package's part is imported when it is looked up. `items` and `values`
    leave out what cannot be loaded.

    Parts without a name are called by their import path, "my_pkg:name", or, if no path leads to them, by the name that
    `name_of` gives to an object handed over in Python. They are looked up as the others are, and listed nowhere.

    Args:
        family: one of `FAMILIES`.
        built_in: limbeck's own entries.
        describe: "module:function" of the function that makes an entry from a name, a part and remarks on it; it raises
            a UserError for an object that is no such part.
        taken: names that no other part may have, and what they are.
        by_path: whether import paths are names of parts.
    """

    def __init__(
        self,
        family: str,
        built_in: Mapping[str, Entry],
        describe: str,
        taken: Callable[[], Mapping[str, str]] = dict,
        *,
        by_path: bool = True,
    ) -> None:
        self.family = family
        self.word = FAMILIES[family][0]
        self.built_in = built_in
        self.describe = describe
        self.taken = taken
        self.by_path = by_path
        self.registered: dict[str, Foreign[Entry]] = {}
        self.handed_over: dict[str, Foreign[Entry]] = {}
        self._imported: dict[str, Foreign[Entry]] = {}
        self._offered: tuple[object, dict[str, Foreign[Entry]]] = (None, {})

    def __getitem__(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            KeyError: there is none.
            UserError: a package's part, or one named by import path, cannot be used; or the part was handed over in
                another process.
        """
        used = USED.get(None)
        if name in self.built_in:
            if used is not None and name in self.offered:  # within `noting`, once a run
                warnings.warn(self.problem(name), stacklevel=2)
            return self.built_in[name]
        foreign = self.find(name)
        if foreign is None:
            raise KeyError(name)
        if used is not None:
            used[f"{self.family}/{name}"] = foreign
        return self._entry(foreign)

    def __iter__(self) -> Iterator[str]:
        return iter([*self.built_in, *(name for name in self.foreign if name not in self.built_in)])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.foreign or self.is_unlisted(name)

    def is_unlisted(self, name: object) -> bool:
        """Whether it is an import path, or the name of an object handed over in Python, which no list holds."""
        return self.by_path and isinstance(name, str) and (is_import_path(name) or name.startswith(FROM_PYTHON))

    def find(self, name: str) -> Foreign[Entry] | None:
        """A part that is not limbeck's own, else None; imports a part that is named by its path.

        Raises:
            UserError: it cannot be imported, or was handed over in another process.
        """
        if name in self.foreign:
            return self.foreign[name]
        if not self.is_unlisted(name):
            return None
        if name in self.handed_over:
            return self.handed_over[name]
        if name.startswith(FROM_PYTHON):
            raise UserError(
                f"the {self.word} {name!r} was handed over in Python, and only that process knows it; hand it over "
                "again there, or put it into a module and name it 'module:name', which is found everywhere."
            )
        part = import_object(name, self.word)
        imported = self._imported.get(name)
        if imported is None or imported.load() is not part:  # its module may have been imported anew
            imported = self._imported[name] = Foreign(self.family, name, BY_PATH, name, lambda: part)
        return imported

    def name_of(self, part: Any) -> str:
        """What recipes call a part that is handed over in Python, which is known by that name from then on.

        The name it was registered by, its import path, or a name made from its code, which only this process knows.

        Args:
            part: whatever `register` takes; a name stays as it is.

        Raises:
            UserError: it is no such part.

        Example:
            >>> from limbeck.objectives.catalogue import OBJECTIVES
            >>> OBJECTIVES.name_of(lb.objectives.functional.kd)
            'limbeck.objectives.kd:kd'
        """
        if isinstance(part, str):
            return part
        for name, foreign in self.registered.items():
            if foreign.load() is part:
                return name
        path = import_path_of(part)
        if path is not None:
            self[path]  # raises for an object that is no such part
            return path
        digest = _imported(CODE_OF)(part)[0]
        called = re.sub(r"\W", "", str(getattr(part, "__name__", type(part).__name__)))
        name = f"{FROM_PYTHON}{called}#{digest[:12]}"
        if name not in self.handed_over:
            self.take(name, _imported(KEPT_AS)(part))
        return name

    def take(self, name: str, part: Any) -> None:
        """Makes a part known by the name that `name_of` gave it, here or in another process.

        Raises:
            UserError: it is no such part.
        """
        foreign = self.handed_over[name] = Foreign(self.family, name, HANDED_OVER, where_is(part), lambda: part)
        try:
            foreign.entry = self._described(foreign)  # which may look it up
        except UserError:
            del self.handed_over[name]
            raise

    def named(self, spec: Any) -> Any:
        """The spec as a recipe may hold it, with names in place of parts handed over in Python, see `name_of`.

        Args:
            spec: a part, a mapping from parts to their options, or a list of these; names among them stay.

        Raises:
            UserError: an object that is no such part, or a part that is named twice.
        """
        if isinstance(spec, Mapping):
            by_name = {}
            for part, options in spec.items():
                name = self.name_of(part) if callable(part) else part
                if name in by_name:
                    raise UserError(f"the {self.word} {name!r} is named twice; give it once.")
                by_name[name] = options
            return by_name
        if isinstance(spec, list | tuple):
            return [self.named(item) for item in spec]
        return self.name_of(spec) if callable(spec) else spec

    def items(self) -> Any:
        return self.entries().items()

    def values(self) -> Any:
        return self.entries().values()

    def entries(self) -> dict[str, Entry]:
        """All parts that can be used."""
        entries = dict(self.built_in)
        for name, foreign in self.foreign.items():
            if name not in entries and not self.problem(name):
                entries[name] = self._entry(foreign)
        return entries

    @property
    def offered(self) -> Mapping[str, Foreign[Entry]]:
        """What packages offer, whether or not it can be used."""
        families = offers()
        if self._offered[0] is not families:
            offered = {name: self._offered_by(group) for name, group in families.get(self.family, {}).items()}
            self._offered = families, offered
        return self._offered[1]

    @property
    def foreign(self) -> Mapping[str, Foreign[Entry]]:
        """All that is not limbeck's own."""
        return {**self.offered, **self.registered}

    def problem(self, name: str) -> str:
        """Why a part that is not limbeck's own cannot be used, in a sentence; "" where it can."""
        foreign = self.foreign[name]
        if name in self.built_in:
            foreign = self.offered[name]
            return (
                f"{foreign.source} offers {self._article} {name!r}, which limbeck has itself; limbeck's is used. Its "
                "authors should give theirs another name."
            )
        try:
            self._entry(foreign)
        except UserError as error:
            return str(error)
        return ""

    def add(
        self, name: str, part: Any, said: Mapping[str, Any], *, replace: bool = False, code: str | None = None
    ) -> None:
        """See `register`; `code` is given for a part that another process registered."""
        self._check_name(name, replace=replace)
        foreign = Foreign[Entry](self.family, name, IN_PYTHON, where_is(part), lambda: part, said, code)
        before = self.registered.get(name) or self.offered.get(name)
        if before is not None and before.is_defined_as(part):
            foreign.source = before.source  # a package may register what it offers
        elif before is not None and not replace:
            raise UserError(
                f"the {self.word} {name!r} is there already ({before.source}); choose another name, or say "
                "`replace=True`."
            )
        foreign.entry = self._described(foreign)
        self.registered[name] = foreign

    def _check_name(self, name: str, *, replace: bool = False) -> None:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(
                f"the name of {self._article} must be letters, digits, '-' and '_', the first no sign, got {name!r}."
            )
        others = {existing.casefold(): f"limbeck's own {existing!r}" for existing in self.built_in}
        foreign = {} if replace else {existing.casefold(): existing for existing in self.foreign if existing != name}
        others |= {existing.casefold(): what for existing, what in self.taken().items()}
        if name.casefold() in others:
            raise UserError(f"{self._article} cannot be called {name!r}, which is {others[name.casefold()]}.")
        if name.casefold() in foreign:
            other = self.foreign[foreign[name.casefold()]]
            raise UserError(
                f"{self._article} cannot be called {name!r}: there is {other.name!r} ({other.source}), and case does "
                "not matter."
            )

    def _offered_by(self, several: Sequence[Offer]) -> Foreign[Entry]:
        first = several[0]
        foreign = Foreign[Entry](self.family, first.name, f"{first.package} {first.version}", first.value, first.load)
        if len(several) > 1:
            packages = " and ".join(f"{offer.package} {offer.version}" for offer in several)
            foreign.source = packages
            foreign.problem = f"{packages} both offer it; uninstall one of them"
        return foreign

    def _entry(self, one: Foreign[Entry]) -> Entry:
        if one.entry is None and one.source == BY_PATH:
            one.entry = self._described(one)
        if one.entry is None and not one.problem:
            try:
                self._check_name(one.name)
                one.entry = self._described(one)
            except UserError as error:
                one.problem = str(error).rstrip(".")
        if one.entry is None:
            raise UserError(
                f"the {self.word} {one.name!r} of {one.source} cannot be used: {one.problem}. Mend or uninstall it, or "
                f"name another; `limbeck ls {self.family}` lists what there is."
            )
        return one.entry

    def _described(self, one: Foreign[Entry]) -> Entry:
        part = one.load()
        one.code = one.code or source_digest(part, one.where.partition(":")[0])
        module, _, function = self.describe.partition(":")
        return getattr(import_module(module), function)(one.name, part, {**remarks_of(part), **one.said})

    @property
    def _article(self) -> str:
        return f"{'an' if self.word[0] in 'aeiou' else 'a'} {self.word}"


def _imported(path: str) -> Callable[[Any], Any]:
    module, _, function = path.partition(":")
    return getattr(import_module(module), function)


class Aliases(Mapping[str, str]):
    """Every name and alias of a catalogue, and the name that it stands for; entries have `aliases`."""

    def __init__(self, catalogue: Catalogue[Any]) -> None:
        self.catalogue = catalogue
        self.own = {alias: name for name, entry in catalogue.built_in.items() for alias in (name, *entry.aliases)}

    def __getitem__(self, alias: str) -> str:
        if alias in self.own:
            return self.own[alias]
        return alias if alias in self.catalogue else self._foreign()[alias]

    def __contains__(self, alias: object) -> bool:
        return alias in self.own or alias in self.catalogue or alias in self._foreign()

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self.own, *self.catalogue, *self._foreign()]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _foreign(self) -> dict[str, str]:
        """Aliases of parts that are not limbeck's own; loads these parts."""
        others = {name: entry for name, entry in self.catalogue.items() if name not in self.catalogue.built_in}
        return {alias: name for name, entry in others.items() for alias in entry.aliases if alias not in self.own}
