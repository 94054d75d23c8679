"""Files in, findings out: read what has changed, link everything, look at each file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from sqla_safe.checker import _looking, _record, _workers, project
from sqla_safe.checker._reading import Sources, Task, key_of, unreadable
from sqla_safe.checker._record import Outcome, Read, digest, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqla_safe.checker._cache import Cache
    from sqla_safe.checker.facts import ModuleFacts
    from sqla_safe.checker.findings import Finding, Skip

T = TypeVar("T")

_CHUNK: Final = 400_000  # bytes of source that a worker gets at once
_FEW: Final = 400_000  # bytes of source for which one process is quicker


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of a run.

    Attributes:
        files: the paths to report on.
        context: the paths that are only read.
        sources: their contents.
    """

    files: Sequence[str]
    context: Sequence[str] = ()
    sources: Sources = field(default_factory=Sources)


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
    """One run over a tree."""

    def __init__(self, tree: Tree, means: Means) -> None:
        """Look at the files, without keeping their contents."""
        self._tree, self._means = tree, means
        self._keys: dict[str, bytes] = {}
        self._sizes: dict[str, int] = {}
        self._skips: list[Skip] = []
        self._fresh: dict[bytes, bytes] = {}
        for path in (*tree.files, *tree.context):
            try:
                source = tree.sources.read(path)
            except OSError as error:
                self._skips.append(unreadable(path, error))
            else:
                self._keys[path], self._sizes[path] = key_of(path, source), len(source)

    def outcome(self) -> Outcome:
        """Return what is wrong in the files, from the cache if nothing has changed."""
        key = self._key()
        known = _decoded(_record.decode_outcome, self._means.cache.get([key]).get(key))
        if known is not None:
            return known
        outcome = self._analysed()
        self._fresh[key] = encode(outcome)
        self._means.cache.put(self._fresh, self._keys.values())
        return outcome

    def _key(self) -> bytes:
        """Return what the outcome depends on: every file, and which of them are reported on."""
        files = [self._keys[path] for path in self._tree.files if path in self._keys]
        return digest(b"run", encode(self._skips), digest(*files), *self._keys.values())

    def _analysed(self) -> Outcome:
        reads = self._reads()
        modules = {
            path: _record.decode_facts(read.facts)
            for path, read in reads.items()
            if read.skip is None
        }
        mine = [reads[path] for path in self._tree.files if path in reads]
        lines, skips = sum(read.lines for read in mine), [read.skip for read in mine if read.skip]
        del reads, mine  # the encoded facts are not needed any more
        found, failed = self._found(modules)
        return Outcome(found, [*self._skips, *skips, *failed], len(self._tree.files), lines)

    def _reads(self) -> dict[str, Read]:
        """Return every file that could be read, in the order of the tree."""
        stored = self._means.cache.get(self._keys.values())
        reads = {
            path: read
            for path, key in self._keys.items()
            if (read := _decoded(_record.decode_read, stored.get(key))) is not None
        }
        for path, key, data in self._extracted([path for path in self._keys if path not in reads]):
            self._keys[path] = key  # of what the worker has read: the file may have changed
            if key:
                self._fresh[key] = data
            reads[path] = _record.decode_read(data)
        return {path: reads[path] for path in self._keys}

    def _extracted(self, paths: list[str]) -> Iterator[tuple[str, bytes, bytes]]:
        groups = self._groups(paths)
        tasks = [Task(group, self._tree.sources.of(group)) for group in groups]
        results = _workers.mapped(Task.__call__, tasks, self._jobs(paths))
        for group, result in zip(groups, self._watched("reading", groups, results), strict=True):
            for path, (key, data) in zip(group, result, strict=True):
                yield path, key, data

    def _found(self, modules: dict[str, ModuleFacts]) -> tuple[list[Finding], list[Skip]]:
        linked = _looking.Linked(project.link(modules.values()), modules)
        fingerprint = linked.project.fingerprint.encode()
        mine = [path for path in self._tree.files if path in modules]
        keys = {path: digest(b"findings", fingerprint, self._keys[path]) for path in mine}
        stored = self._means.cache.get(keys.values())
        known = {path: _decoded(_record.decode_findings, stored.get(keys[path])) for path in mine}
        missing = [path for path in mine if known[path] is None]
        skips: list[Skip] = []
        for path, found, skip in self._looked(linked, missing):
            known[path] = found
            if skip:
                skips.append(skip)
            else:
                self._fresh[keys[path]] = encode(found)
        return [finding for path in mine for finding in known[path] or ()], skips

    def _looked(self, linked: _looking.Linked, paths: list[str]) -> Iterator[_looking.Result]:
        groups = self._groups(paths)
        results = _looking.look(linked, groups, self._jobs(paths))
        for result in self._watched("checking", groups, results):
            yield from result

    def _groups(self, paths: list[str]) -> list[list[str]]:
        sizes = [(index, self._sizes[path]) for index, path in enumerate(paths)]
        return [[paths[index] for index in group] for group in _workers.chunks(sizes, _CHUNK)]

    def _jobs(self, paths: list[str]) -> int:
        return self._means.jobs if sum(self._sizes[path] for path in paths) > _FEW else 1

    def _watched(self, step: str, groups: list[list[str]], results: Iterable[T]) -> Iterator[T]:
        done, total = 0, sum(map(len, groups))
        for group, result in zip(groups, results, strict=True):
            done += len(group)
            self._means.progress(step, done, total)
            yield result


def _decoded(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """Return what the cache holds, unless it is nothing or rubbish."""
    try:
        return None if data is None else decode(data)
    except (msgspec.MsgspecError, ValueError):
        return None
