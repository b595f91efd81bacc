"""What in a definition contradicts itself, whatever the rest of the file says: empty ranges, tiers, limits, groups."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import pairwise

from connector.mapping.definition import Condition, Definition, Matrix
from connector.mapping.parts import Place
from connector.mapping.problems import Problem, suggestion
from connector.mapping.reach import most_points

LONGEST_REGEX = 1_000

# A regex runs in time proportional to its size and the text's. One that compiles so many times over stays below a
# 32nd of Rust's own limit (10 MB), where a title takes about a millisecond at worst; at the limit it takes a quarter
# of a second. Measured with Polars 2.1, 2026-11-22.
_REGEX_COPIES = 32

Lost = frozenset[Place]
"""What was left out of a file because it is wrong in itself: what depends on it cannot be judged."""


def is_lost(lost: Lost, *pattern: str) -> bool:
    """Tell whether anything at, above or beneath a place was left out; `*` stands for any key."""
    return any(all(p in ("*", part) for p, part in zip(pattern, place)) for place in lost)


def contradictions(definition: Definition, lost: Lost = frozenset()) -> Iterator[Problem]:
    """Yield what is wrong with a definition by itself, each with its place in the file."""
    yield from _ids(definition)
    if not is_lost(lost, "definition", "groups"):
        yield from _groups(definition, lost)
    yield from _line(definition, lost)
    if definition.matrix is not None:
        yield from _tiers(definition.matrix)
    if not any(is_lost(lost, "definition", part) for part in ("rules", "groups")):
        yield from _out_of_reach(definition)
    for place, _, wanted in conditions(definition):
        yield from impossible(place, wanted)
    for number, rule in enumerate(definition.rules):
        if not all(map(str.strip, rule.title or ("*",))):
            yield Problem(("definition", "rules", number, "title"), "nothing is like an empty text; take it out")


def conditions(definition: Definition) -> Iterator[tuple[Place, str, Condition]]:
    """Yield every condition with its place and what it is about."""
    for number, rule in enumerate(definition.rules):
        for key, asked in (("person", rule.person), ("where", rule.where)):
            yield from _named(("definition", "rules", number, key), asked or {})
    for number, one in enumerate(definition.disqualifiers):
        yield from _named(("definition", "disqualifiers", number, "person"), one.person)


def _named(place: Place, asked: Mapping[str, Condition]) -> Iterator[tuple[Place, str, Condition]]:
    return (((*place, name), name, wanted) for name, wanted in asked.items())


def _ids(definition: Definition) -> Iterator[Problem]:
    first: dict[str, str] = {}
    ids = [(("definition", "rules", number), rule.id) for number, rule in enumerate(definition.rules)]
    ids += [(("definition", "groups", number), group.id) for number, group in enumerate(definition.groups)]
    for (top, key, number), one in ids:
        if one in first:
            yield Problem(
                (top, key, number, "id"),
                f"{one!r} is the id of {first[one]} already; every rule and group needs one of its own",
            )
        first.setdefault(one, f"{top}.{key}[{number + 1}]")


def _groups(definition: Definition, lost: Lost) -> Iterator[Problem]:
    sides: dict[str, str] = {}
    known = {group.id for group in definition.groups}
    for number, rule in enumerate(definition.rules):
        place: Place = ("definition", "rules", number, "group")
        if rule.group is None:
            continue
        if rule.group not in known:
            yield Problem(place, f"there is no group {rule.group!r}{suggestion(rule.group, known)}")
        elif sides.setdefault(rule.group, rule.side) != rule.side:
            yield Problem(
                place,
                f"group {rule.group!r} has rules on {_ABOUT[sides[rule.group]]} already, and this one is on "
                f"{_ABOUT[rule.side]}; make a second group",
            )
    for number, group in enumerate(definition.groups):
        if group.id not in sides and not is_lost(lost, "definition", "rules"):
            yield Problem(
                ("definition", "groups", number),
                f"no rule is in group {group.id!r}; write group = \"{group.id}\" at its rules, or take it out",
            )


_ABOUT = {"fit": "persons", "engagement": "activities"}


def _line(definition: Definition, lost: Lost) -> Iterator[Problem]:
    threshold, matrix, keeps = definition.threshold_points, definition.matrix, definition.keeps_from_points
    if not any(is_lost(lost, "definition", key) for key in ("threshold_points", "matrix")):
        if threshold is None and matrix is None:
            yield Problem(("definition",), "says nobody is an MQL: give threshold_points or a matrix")
        if threshold is not None and matrix is not None:
            yield Problem(
                ("definition", "threshold_points"), "there is a matrix too; take one of the two out",
            )
    if keeps is not None and matrix is not None:
        yield Problem(("definition", "keeps_from_points"), "goes with threshold_points, not with a matrix")
    if keeps is not None and threshold is not None and keeps > threshold:
        yield Problem(
            ("definition", "keeps_from_points"),
            f"{keeps:g} is above threshold_points ({threshold:g}): nobody who gets there would stay; "
            f"give {threshold:g} or less",
        )
    segments = definition.segments
    if segments is not None and segments.hot_from_points <= segments.warm_from_points:
        yield Problem(
            ("definition", "segments", "hot_from_points"),
            f"{segments.hot_from_points:g} leaves no room for warm, which is from {segments.warm_from_points:g} on; "
            "give more",
        )


def _tiers(matrix: Matrix) -> Iterator[Problem]:
    is_clear = True
    for side, tiers in (("fit", matrix.fit), ("engagement", matrix.engagement)):
        place: Place = ("definition", "matrix", side)
        by_points: dict[float, str] = {}
        for grade, start in tiers.items():
            if not re.fullmatch(r"[A-Za-z0-9]+", grade):
                yield Problem((*place, grade), "name a grade with letters and digits; `-` stands for no grade")
                return    # its cells cannot be told apart
            if start in by_points:
                yield Problem(
                    (*place, grade), f"begins at {start:g} points like grade {by_points[start]}; let one begin higher",
                )
            by_points.setdefault(start, grade)
        starts = list(by_points.values())
        points = list(by_points)
        if len({a > b for a, b in pairwise(points)}) > 1:
            is_clear = False
            yield Problem(
                place,
                f"the grades {', '.join(starts)} go up and down in points; write them from the best to the lowest",
            )
    cells = [f + e for f in (*matrix.fit, "-") for e in (*matrix.engagement, "-")]
    unclear = sorted({cell for cell in cells if cells.count(cell) > 1})
    if unclear:
        is_clear = False
        yield Problem(
            ("definition", "matrix"), f"{', '.join(unclear)} may be two different cells; name the grades otherwise",
        )
    for number, cell in enumerate(matrix.mql):
        if cell not in cells or cell == "--":
            yield Problem(
                ("definition", "matrix", "mql", number), f"there is no cell {cell!r}{suggestion(cell, cells[:-1])}",
            )
        elif is_clear and (better := [one for one in _better(matrix, cell) if one not in matrix.mql]):
            yield Problem(
                ("definition", "matrix", "mql", number),
                f"{cell} makes an MQL and {', '.join(better)} with more points not: who gains points would lose it; "
                f"add {', '.join(better)}",
            )


def _better(matrix: Matrix, cell: str) -> list[str]:
    """Return the cells that are as good as this one on one side and better on the other, or better on both."""
    fits, engagements = ([*sorted(side, key=lambda one: -side[one]), "-"] for side in (matrix.fit, matrix.engagement))
    mine = next((f, e) for f, fit in enumerate(fits) for e, one in enumerate(engagements) if fit + one == cell)
    better = [fit + one for fit in fits[:mine[0] + 1] for one in engagements[:mine[1] + 1]]
    return [one for one in better if one != cell]


def _out_of_reach(definition: Definition) -> Iterator[Problem]:
    fit, engagement = most_points(definition, "fit"), most_points(definition, "engagement")
    wanted: list[tuple[Place, float, float]] = []
    if definition.threshold_points is not None:
        wanted.append((("definition", "threshold_points"), definition.threshold_points, fit + engagement))
    if definition.matrix is not None:
        for side, tiers, most in (
            ("fit", definition.matrix.fit, fit), ("engagement", definition.matrix.engagement, engagement),
        ):
            wanted += [(("definition", "matrix", side, grade), start, most) for grade, start in tiers.items()]
    if definition.segments is not None:
        for name in ("warm_from_points", "hot_from_points"):
            wanted.append((("definition", "segments", name), getattr(definition.segments, name), fit + engagement))
    for place, points, most in wanted:
        if points > most:
            yield Problem(
                place,
                f"{points:g} points are out of reach: the rules give {most:g} at most, limits and groups counted; "
                f"give {most:g} or less, or let the rules give more",
            )


def impossible(place: Place, wanted: Condition) -> Iterator[Problem]:
    """Yield what is wrong with a condition by itself."""
    if not wanted.model_dump(exclude_none=True):
        yield Problem(place, "asks nothing; give a value, a list of values, or a test such as { known = true }")
    if wanted.known is False and len(wanted.model_dump(exclude_none=True)) > 1:
        yield Problem((*place, "known"), "what has no value meets no other test; take this one or the others out")
    for key in ("any_of", "none_of", "contains"):
        if any(isinstance(one, str) and not one.strip() for one in getattr(wanted, key) or ()):
            yield Problem(
                (*place, key), "an empty text is no value; for what has none write { known = false }, else take it out",
            )
    if wanted.any_of is not None and wanted.none_of is not None and set(wanted.any_of) <= set(wanted.none_of):
        yield Problem((*place, "none_of"), "leaves nothing of any_of")
    for low, high in (("at_least", "at_most"), ("at_least", "below"), ("above", "at_most"), ("above", "below")):
        least, most = getattr(wanted, low), getattr(wanted, high)
        if least is None or most is None:
            continue
        if least > most or (least == most and (low, high) != ("at_least", "at_most")):
            yield Problem(
                (*place, low), f"no number is {low.replace('_', ' ')} {least:g} and {high.replace('_', ' ')} {most:g}",
            )
    if wanted.regex is not None:
        yield from _bad_regex((*place, "regex"), wanted.regex)


def _bad_regex(place: Place, regex: str) -> Iterator[Problem]:
    # Takes a tenth of a second to import, and few definitions need it.
    import polars as pl

    if len(regex) > LONGEST_REGEX:
        yield Problem(place, f"has {len(regex)} characters; {LONGEST_REGEX} is the most")
        return
    folded = unicodedata.normalize("NFKC", regex)
    if folded != regex:
        strange = next((c for c in regex if unicodedata.normalize("NFKC", c) != c), regex)
        usual = unicodedata.normalize("NFKC", strange)
        remedy = f"\\{usual}" if len(usual) == 1 and usual in ".^$*+?()[]{}|\\" else usual
        yield Problem(
            place, f"{strange!r} is never found, since texts are compared in their usual width; write {remedy!r}",
        )
        return
    nothing = pl.Series([""])
    try:
        nothing.str.contains(f"(?i){regex}")
    except pl.exceptions.ComputeError as error:
        yield Problem(place, _said(str(error)))
        return
    try:
        nothing.str.contains(f"(?i)(?:{regex}\n){{{_REGEX_COPIES}}}")
    except pl.exceptions.ComputeError:
        yield Problem(place, _TOO_LARGE)


_TOO_LARGE = "is too large when compiled; repeat less ({1,20} of many letters), or [A-Za-z0-9] instead of \\w"


def _said(error: str) -> str:
    """Return what the regex compiler says in one line, with a remedy where one is known."""
    if "size limit" in error:
        return _TOO_LARGE
    said = next((line for line in error.splitlines() if line.startswith("error: ")), "error: cannot be read")
    text = f"is no regular expression: {said.removeprefix('error: ')}"
    if "look-around" in said:
        text += "; ask for what must not be there with none_of, or with a rule of its own"
    elif "backreferences" in said:
        text += "; write out what may repeat"
    return text

