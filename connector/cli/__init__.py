"""`mql`: one function per command. Prints, never decides."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence

from connector.errors import ConfigError, ConnectorError


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong configuration or usage, 130 interrupted."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def spare_the_collector() -> None:
    """Have Python look for garbage in cycles far more seldom than it does by itself.

    A run makes records by the thousand and hardly a cycle among them: looking through each batch several times was a
    quarter of a first load's CPU (docs/benchmarks.md). What is in no cycle is freed at once as ever.
    """
    gc.set_threshold(200_000, 20, 50)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; an error becomes one clear message on standard error."""
    from cyclopts import CycloptsError

    from connector.cli.commands import app

    spare_the_collector()
    debug = "--debug" in arguments
    for stream in (sys.stdout, sys.stderr):
        # A console that cannot write a character shows a stand-in; it is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        result = app.meta(list(arguments), exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except ConnectorError as error:
        if debug:
            raise
        _print_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        print("mql: interrupted; what was stored so far is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: not an error, and nothing left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _print_error(error: ConnectorError) -> None:
    from connector.cli.show import plain

    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    for problem in problems:
        print(f"mql: {plain(problem)}", file=sys.stderr)
    if error.hint:
        print(f"     {plain(error.hint)}", file=sys.stderr)
