"""Files in, findings out: read what has changed, link everything, look at each file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sqla_safe.checker import _looking, _record, _workers
from sqla_safe.checker import _project as project
from sqla_safe.checker._reading import Sources, Task, key_of, name_of, unreadable
from sqla_safe.checker._record import Looked, Outcome, Read, digest, encode
from sqla_safe.checker._settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqla_safe.checker._cache import Cache
    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker.findings import Skip

T = TypeVar("T")

_READ: Final = 400_000  # bytes of source that a worker reads at once
_LOOKED_AT: Final = 100_000  # and that it looks at: some files take much longer than others
_HELD: Final = 8_000_000  # bytes that wait for the cache
_FEW: Final = 400_000  # bytes of source for which one process is quicker


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a run.

    Attributes:
        files: the paths to report on.
        context: the paths that are only read.
        sources: their contents.
        root: the folder of the project.
        settings: what the user says of the code base.
    """

    files: Sequence[str]
    context: Sequence[str] = ()
    sources: Sources = field(default_factory=Sources)
    root: str = ""
    settings: Settings = field(default_factory=Settings)


def _silent(step: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a run works with.

    Attributes:
        cache: what earlier runs know.
        jobs: how many processes may work.
        progress: called with what is done and the total of each step.
    """

    cache: Cache
    jobs: int = 1
    progress: Callable[[str, int, int], None] = _silent


class Run:
    """One run over a tree. Inside of it files have the names that they have in the project."""

    def __init__(self, tree: Tree, means: Means) -> None:
        """Look at the files, without keeping their contents."""
        self._sources, self._means = tree.sources, means
        self._settings = tree.settings
        self._paths = {name_of(path, tree.root): path for path in (*tree.files, *tree.context)}
        self._mine = [name_of(path, tree.root) for path in tree.files]
        self._keys: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._skips: list[Skip] = []
        self._fresh: dict[bytes, bytes] = {}
        self._held = 0
        for name, path in self._paths.items():
            self._look(name, path)

    def _look(self, name: str, path: str) -> None:
        try:
            source = self._sources.read(path)
        except OSError as error:
            self._skips.append(unreadable(name, error))
        else:
            self._keys[name], self._sizes[name] = key_of(name, source), len(source)

    def outcome(self) -> Outcome:
        """Return what is wrong in the files, from the cache if nothing has changed."""
        with _workers.collecting(is_on=False):
            return self._outcome()

    def _outcome(self) -> Outcome:
        key = self._key()
        known = _decoded(_record.decode_outcome, self._means.cache.get([key]).get(key))
        if known is not None:
            return self._shown(known)
        outcome = self._analysed()
        if key == self._key():  # else a file has changed or gone since it was looked at
            self._keep(key, encode(outcome))
        self._means.cache.put(self._fresh, self._keys.values())
        return self._shown(outcome)

    def _shown(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the paths that were given."""
        return Outcome(
            [replace(each, file=self._paths[each.file]) for each in outcome.findings],
            [replace(each, file=self._paths[each.file]) for each in outcome.skips],
            outcome.files,
            outcome.lines,
            outcome.cut_short,
        )

    def _keep(self, key: bytes, data: bytes) -> None:
        """Put an entry into the cache, together with others and before they are too many."""
        if not key:  # the file has gone, or there is no cache
            return
        self._fresh[key] = data
        self._held += len(data)
        if self._held > _HELD:
            self._means.cache.put(self._fresh)
            self._fresh, self._held = {}, 0

    def _key(self) -> bytes:
        """Return what the outcome depends on: every file, and which of them are reported on."""
        mine = [self._keys[name] for name in self._mine if name in self._keys]
        settings = repr(self._settings).encode()
        return digest(b"run", settings, encode(self._skips), digest(*mine), *self._keys.values())

    def _analysed(self) -> Outcome:
        reads = self._reads()
        mine = [reads[name] for name in self._mine if name in reads]
        lines, skips = sum(read.lines for read in mine), [read.skip for read in mine if read.skip]
        loaded = sorted({name for read in reads.values() for name in read.loaded})
        del mine
        found, failed = self._found(_decoded_facts(reads), loaded)
        findings = [finding for each in found for finding in each.findings]
        cut_short = sum(each.cut_short for each in found)
        skips = [*self._skips, *skips, *failed]
        return Outcome(findings, skips, len(self._mine), lines, cut_short)

    def _reads(self) -> dict[str, Read]:
        """Return every file that could be read, in the order of the tree."""
        stored = self._means.cache.get(self._keys.values())
        reads = {
            name: read
            for name, key in self._keys.items()
            if (read := _decoded(_record.decode_read, stored.get(key))) is not None
        }
        for name, key, data in self._extracted([name for name in self._keys if name not in reads]):
            self._keys[name] = key  # of what the worker has read: the file may have changed
            self._keep(key, data)
            reads[name] = _record.decode_read(data)
        return {name: reads[name] for name in self._keys}

    def _extracted(self, names: list[str]) -> Iterator[tuple[str, bytes, bytes]]:
        groups = self._groups(names, _READ)
        results = _workers.mapped(Task.__call__, [*map(self._task, groups)], self._jobs(names))
        for group, result in zip(groups, self._watched("reading", groups, results), strict=True):
            for name, (key, data) in zip(group, result, strict=True):
                yield name, key, data

    def _task(self, names: list[str]) -> Task:
        paths = {name: self._paths[name] for name in names}
        return Task(paths, self._sources.of(paths.values()))

    def _found(
        self, modules: dict[str, ModuleFacts], loaded: list[str]
    ) -> tuple[list[Looked], list[Skip]]:
        """Return what is wrong in files; what those that cannot be parsed load is known by name."""
        mine = [name for name in self._mine if name in modules]
        whole = project.link(modules.values(), self._settings, loaded)
        linked = _looking.Linked(whole, modules)
        keys = self._looked_keys(linked, mine)
        stored = self._means.cache.get(keys.values())
        known = {name: _decoded(_record.decode_looked, stored.get(keys[name])) for name in mine}
        skips: list[Skip] = []
        for name, found, skip in self._looked(
            linked, [each for each in mine if known[each] is None]
        ):
            known[name] = found
            if skip:
                skips.append(skip)
            else:
                self._keep(keys[name], encode(found))
        return [each for name in mine if (each := known[name]) is not None], skips

    def _looked_keys(self, linked: _looking.Linked, names: list[str]) -> dict[str, bytes]:
        """Return what the findings of files depend on, which nobody asks for without a cache."""
        if not self._means.cache.is_open:
            return dict.fromkeys(names, b"")
        prints = linked.project.fingerprint
        return {name: digest(b"findings", prints(name), self._keys[name]) for name in names}

    def _looked(self, linked: _looking.Linked, names: list[str]) -> Iterator[_looking.Result]:
        groups = self._groups(names, _LOOKED_AT)
        results = _looking.look(linked, groups, self._jobs(names))
        for result in self._watched("checking", groups, results):
            yield from result

    def _groups(self, names: list[str], size: int) -> list[list[str]]:
        return _workers.chunks(names, self._sizes.__getitem__, size)

    def _jobs(self, names: list[str]) -> int:
        return self._means.jobs if sum(self._sizes[name] for name in names) > _FEW else 1

    def _watched(self, step: str, groups: list[list[str]], results: Iterable[T]) -> Iterator[T]:
        done, total = 0, sum(map(len, groups))
        self._means.progress(step, done, total)
        for group, result in zip(groups, results, strict=True):
            done += len(group)
            self._means.progress(step, done, total)
            yield result


def _decoded_facts(reads: dict[str, Read]) -> dict[str, ModuleFacts]:
    """Return the facts of the files that have some; takes what it decodes out of the reads."""
    modules: dict[str, ModuleFacts] = {}
    for name in list(reads):
        read = reads.pop(name)
        if read.skip is None:
            modules[name] = _record.decode_facts(read.facts)
    return modules


def _decoded(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """Return what the cache holds, unless it is nothing or rubbish."""
    try:
        return None if data is None else decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
