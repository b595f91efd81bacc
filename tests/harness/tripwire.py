"""Watch the lines a process runs from its first decision on, and kill it at one of them."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2] / "connector"
_BEGINS_WITH = "save_decisions"
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

    Lines are counted from the moment the first decision is about to be stored until the wire is lifted.
    """

    def __init__(self, point: Point | None = None, *, count: int = 0, record_in: Path | None = None) -> None:
        self._point, self._count, self._record_in = point, count, record_in
        self._is_armed = False
        self._ran: dict[tuple[str, int], int] = {}
        self._total = 0
        self._scope: dict[str, str] = {}

    def set(self) -> None:
        """Begin to watch this thread."""
        sys.settrace(self._enter)

    def lift(self) -> None:
        """Stop watching; write down what was seen where that was asked for."""
        sys.settrace(None)
        if self._record_in is not None:
            lines = [[*place, times] for place, times in self._ran.items()]
            self._record_in.write_text(json.dumps({"lines": lines, "total": self._total}))

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        file = self._scoped(frame.f_code.co_filename)
        if not file:
            return None
        if frame.f_code.co_name == _BEGINS_WITH:
            self._is_armed = True
        return self._line

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if self._is_armed and event == "line":
            place = (self._scoped(frame.f_code.co_filename), frame.f_lineno)
            times = self._ran[place] = self._ran.get(place, 0) + 1
            self._total += 1
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
