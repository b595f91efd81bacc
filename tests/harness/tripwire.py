"""Watch the lines a process runs from its first decision on, and kill it at one of them.

What a death leaves behind is what the process had committed to its store and sent to others by then: two lines between
which neither happens cannot be told apart afterwards. So all lines of a run fall into classes, one for each state of
the world that the run went through, and a death at one line of a class stands for a death at each.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import urllib3.connection
from sqlalchemy import Engine, event

ROOT = Path(__file__).parents[2] / "connector"
_BEGINS_WITH = ("save_decisions", "save_undoing", "start_backfill")
_WIRE = urllib3.connection.__file__
"""Where a request leaves and its answer is waited for: the one place outside the product where a death is planned."""
_OUT_OF_SCOPE = ("/sandbox/", "/migrations/", "/cli/", "/mapping/", "/settings.py", "/errors.py")


class Point(NamedTuple):
    """The `nth` time, from 1, that a line is about to run."""

    file: str
    line: int
    nth: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}#{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Point:
        """Read what `str()` wrote."""
        place, _, nth = text.rpartition("#")
        file, _, line = place.rpartition(":")
        return cls(file, int(line), int(nth))


class Tripwire:
    """Set it, and the process dies at `point`, or at the `count`th line; or it writes down which lines it ran.

    Lines are counted from the moment the first decision (or undoing, or backfill) is about to be stored until the wire
    is lifted.
    """

    def __init__(self, point: Point | None = None, *, count: int = 0, record_in: Path | None = None) -> None:
        self._point, self._count, self._record_in = point, count, record_in
        self._is_armed = False
        self._ran: dict[tuple[str, int], int] = {}
        self._total = 0
        self._scope: dict[str, str] = {_WIRE: "urllib3/connection.py"}
        self._effects = 0
        self._class: tuple[int, bool] | None = None
        self._classes: list[Point] = []

    def set(self) -> None:
        """Begin to watch this thread, in a process that ends with what is watched: an audit hook stays for good."""
        if self._record_in is not None:
            event.listen(Engine, "commit", lambda connection: self._count_effect())
            sys.addaudithook(lambda name, arguments: self._count_effect() if name == "http.client.send" else None)
        sys.settrace(self._enter)

    def lift(self) -> None:
        """Stop watching; write down what was seen where that was asked for."""
        sys.settrace(None)
        if self._record_in is not None:
            lines = [[*place, times] for place, times in self._ran.items()]
            classes = [str(point) for point in self._classes]
            self._record_in.write_text(json.dumps({"lines": lines, "total": self._total, "classes": classes}))

    def _count_effect(self) -> None:
        self._effects += 1

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        file = self._scoped(frame.f_code.co_filename)
        if not file:
            return None
        if frame.f_code.co_name in _BEGINS_WITH:
            self._is_armed = True
        return self._line

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if self._is_armed and event == "line":
            place = (self._scoped(frame.f_code.co_filename), frame.f_lineno)
            times = self._ran[place] = self._ran.get(place, 0) + 1
            self._total += 1
            world = self._effects, frame.f_code.co_filename == _WIRE
            if world != self._class:
                self._class = world
                self._classes.append(Point(*place, times))
            if self._total == self._count or self._point == (*place, times):
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line

    def _scoped(self, file: str) -> str:
        """Return the file's name below the product's folder; empty for others and for what writes nothing."""
        known = self._scope.get(file)
        if known is None:
            is_ours = file.startswith(str(ROOT)) and not any(part in file for part in _OUT_OF_SCOPE)
            known = self._scope[file] = file.removeprefix(f"{ROOT}/") if is_ours else ""
        return known
