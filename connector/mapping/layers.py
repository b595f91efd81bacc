"""A mapping file and the files it stands on (`uses`), put together; and where each thing in them was written.

The file's own keys win, table by table and key by key; then those of the files in `uses`, in their order, each with
what it uses itself. Arrays are taken whole from one file. Only the value maps keep all layers: a company adds its own
rows to a shipped table, and they are tried first.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from connector.errors import ConfigError
from connector.mapping.parts import Place
from connector.mapping.problems import MISSING, Problem, read_toml

_USES = "uses"
_VALUES = "values"


@dataclass(frozen=True)
class File:
    """One file of a mapping: what it says itself, without what it uses."""

    path: Path
    content: Mapping[str, Any]

    @cached_property
    def lines(self) -> dict[Place, int]:
        """Where each key stands; read when it is asked for, for that is when something is wrong."""
        from connector.mapping.lines import lines_of

        return lines_of(self.path.read_text(encoding="utf-8-sig"))

    def line_of(self, place: Place) -> int:
        """Return the line of a place, or of what holds it where it has none; 0 without any."""
        return next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), 0)

    def tell(self, problem: Problem) -> str:
        """Return a problem with the file, the line and the key."""
        line = self.line_of(problem.place)
        return f"{self.path}{f':{line}' if line else ''}: {problem}"


@dataclass(frozen=True)
class Layers:
    """A mapping file with all it uses, first the file itself, then in the order in which their keys win."""

    files: Sequence[File]

    @cached_property
    def content(self) -> dict[str, Any]:
        """What all files say together; each table under `values` is a tuple of layers."""
        merged = _merged([file.content for file in self.files])
        tables = merged.get(_VALUES)
        if isinstance(tables, Mapping):
            merged[_VALUES] = {
                name: tuple(file.content[_VALUES][name] for file in self._files_with((_VALUES, name)))
                for name in tables
            }
        merged.pop(_USES, None)
        return merged

    def tell(self, problems: Iterable[Problem]) -> list[str]:
        """Return problems of the content, each once with file, line and key, in the files' order."""
        found = {}
        for problem in problems:
            file, place = self._written(problem.place)
            # A key that is missing has no place of its own, and what pydantic made of a value has none either.
            shown = problem.place if problem.text == MISSING else place
            told = file.tell(Problem(_without_layer(shown), problem.text))
            found[told] = (self.files.index(file), file.line_of(place))
        return sorted(found, key=found.__getitem__)

    def _written(self, place: Place) -> tuple[File, Place]:
        """Return the file in which a place of the content, or the nearest thing around it, is written, and where."""
        files = self.files
        if _is_layer(place):
            files = [self._files_with(place[:2])[int(place[2])]]
            place = _without_layer(place)
        for length in range(1, len(place) + 1):
            having = [file for file in files if _has(file.content, place[:length])]
            if not having:
                return files[0], place[:length - 1]
            files = having if isinstance(_at(having[0].content, place[:length]), Mapping) else having[:1]
        return files[0], place

    def _files_with(self, place: Place) -> list[File]:
        return [file for file in self.files if _has(file.content, place)]


def read_layers(path: Path) -> Layers:
    """Return a mapping file with all that it uses; paths in `uses` are taken from the file they stand in.

    Raises:
        ConfigError: A file is missing, unreadable or no TOML, or `uses` is wrong; every such problem at once.
    """
    files: list[File] = []
    problems: list[str] = []
    _read(path, (), files, problems)
    if problems:
        raise ConfigError(problems, hint="docs/mapping.md explains `uses`.")
    return Layers(files)


def files_of(path: Path) -> list[Path]:
    """Return a mapping file and all it uses, resolved, as far as they can be read: what to watch for changes."""
    found = [resolved(path)]
    for file in found:      # it grows meanwhile
        try:
            uses = read_toml(file, what="mapping file", hint="").get(_USES, [])
        except ConfigError:
            continue
        used = [resolved(file.parent / str(name)) for name in (uses if isinstance(uses, list) else ())]
        found += [one for one in dict.fromkeys(used) if one not in found]
    return found


def resolved(path: Path) -> Path:
    """Return a path without links and `..`; one that names no file, as links in a circle do, is told of by its reader.

    `Path.resolve` raises there, and one company's file would stop all others.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError:      # a null character
        return path.absolute()


def _read(path: Path, above: tuple[Path, ...], files: list[File], problems: list[str]) -> None:
    content = read_toml(
        path, what="mapping file",
        hint="Name an existing file in config.toml (`mapping = ...`); mappings/ has examples.",
    )
    file = File(path, content)
    files.append(file)
    uses = content.get(_USES, [])
    if not isinstance(uses, list) or not all(isinstance(name, str) for name in uses):
        problems.append(file.tell(Problem((_USES,), 'must be a list of files, such as ["definitions/rich.ja.toml"]')))
        return
    for number, name in enumerate(uses):
        used, place = path.parent / name, (_USES, number)
        if resolved(used) in {resolved(one) for one in (*above, path)}:
            problems.append(file.tell(Problem(place, f"{name!r} uses this file in turn; take one of the two out")))
        elif not used.is_file():
            problems.append(file.tell(Problem(place, f"{used}: no such file")))
        elif resolved(used) not in {resolved(one.path) for one in files}:    # twice is once: at its first place
            try:
                _read(used, (*above, path), files, problems)
            except ConfigError as error:
                problems += error.problems


def _is_layer(place: Place) -> bool:
    return place[:1] == (_VALUES,) and len(place) > 2 and isinstance(place[2], int)


def _without_layer(place: Place) -> Place:
    return (*place[:2], *place[3:]) if _is_layer(place) else place


def _merged(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for layer in layers for name in layer):
        having = [layer[name] for layer in layers if name in layer]
        tables = [value for value in having if isinstance(value, Mapping)]
        # A table lies on tables; anything else covers what is beneath it.
        merged[name] = _merged(tables) if isinstance(having[0], Mapping) else having[0]
    return merged


def _has(content: Any, place: Place) -> bool:
    try:
        _at(content, place)
    except (KeyError, IndexError):
        return False
    return True


def _at(content: Any, place: Place) -> Any:
    for part in place:
        if not _has_keys_like(content, part):
            raise KeyError(part)
        content = content[part]
    return content


def _has_keys_like(content: Any, part: str | int) -> bool:
    return isinstance(content, list) if isinstance(part, int) else isinstance(content, Mapping)
