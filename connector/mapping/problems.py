"""Say everything that is wrong with a TOML file, one line a problem: the file, the key, what would be valid."""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from connector.errors import ConfigError
from connector.mapping.parts import Place

MISSING = "is missing"

_IN_TOML = {
    "tuple_type": "must be a list, [ ... ]; tables in a list are written [[...]]",
    "dict_type": "must be a table, such as { name = ... }",
    "model_type": "must be a table, such as { name = ... }",
    "string_type": "must be a text in quotes",
    "float_type": "must be a number, without quotes",
    "int_type": "must be a whole number, without quotes",
    "bool_type": "must be true or false, without quotes",
}
"""What pydantic tells in the words of Python, by its own name for it."""
_SHOWN_NAMES = 40
_BARE_KEY = re.compile("[A-Za-z0-9_-]+")


class Problem(NamedTuple):
    """What is wrong with the value at a place, as a text that says what would be right."""

    place: Place
    text: str

    def __str__(self) -> str:
        """Return key and text: `definition.rules[3].points: is missing`."""
        key = _spell_key(self.place)
        return f"{key}: {self.text}" if key else self.text


def read_toml(path: Path, *, what: str, hint: str) -> dict[str, Any]:
    """Return a TOML file's content.

    Raises:
        ConfigError: It is missing, unreadable, not UTF-8 or not TOML (with line and column).
    """
    try:
        # Windows' editors put a mark before the first character, which is no part of the text.
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such {what}"], hint=hint) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 (byte {error.start})"], hint="Save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"], hint=hint) from None
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"line (\d+)", str(error))
        advice = _advice(str(error), text.splitlines()[int(at[1]) - 1:][:1]) if at else ""
        raise ConfigError([f"{path}{f':{at[1]}' if at else ''}: is not TOML: {error}{advice}"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: has tables or lists too deep in each other"], hint=hint) from None
    except ValueError:      # a null character, which no console shows
        raise ConfigError([f"{str(path)!r}: no file can be called so"], hint=hint) from None


def _advice(error: str, lines: list[str]) -> str:
    """Return what most often is meant where TOML ends: the input method was left on, or a bracket is missing."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\'[^\']*\'|#.*', "", lines[0]) if lines else ""
    wide = next((character for character in bare if not character.isascii()), "")
    if wide:
        return f"; {wide!r} stands outside quotes, where only half-width letters, digits, signs and quotes may"
    if error.startswith("Cannot declare ("):
        return "; a table of which there are several is written in two brackets, as in [[definition.rules]]"
    return ""


def problems_of(error: ValidationError, place: str, model: type[BaseModel]) -> list[str]:
    """Return one line for each thing pydantic refused; `place` is the file, and the table in it where there is one."""
    return [f"{place}: {problem}" for problem in refused(error, model)]


def refused(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return each thing pydantic refused, and what would be valid there."""
    problems = []
    found = error.errors(include_url=False)
    for item in found:
        if item["type"] == "too_short" and any(
            one is not item and one["loc"][:len(item["loc"])] == item["loc"] for one in found
        ):
            continue    # only because what is in it was refused
        # Pydantic names its own functions and the members of a union among the keys.
        place = tuple(
            part for part in item["loc"]
            if isinstance(part, int) or not (part.startswith("function-") or part.endswith("]"))
        )
        match item["type"]:
            case "extra_forbidden":
                text = f"unknown key{suggestion(str(place[-1]), _known_keys(model, place[:-1]))}"
            case "missing":
                text = MISSING
            case "enum" | "literal_error":
                # Members of an enum are told as Python writes them: <Lane.TELE: 'tql'>.
                told = re.sub(r"<[\w.]+: ('[^']*')>", r"\1", item["msg"])
                text = told + _closest(item["input"], item["ctx"]["expected"])
            case kind if kind in _IN_TOML:
                text = _IN_TOML[kind]
            case "too_short" if item["ctx"]["min_length"] == 1:
                text = "is empty; write what it is about, or take it out"
            case _:
                text = item["msg"].removeprefix("Value error, ")
        problems.append(Problem(place, text))
    return problems


def _closest(name: object, expected: str) -> str:
    close = difflib.get_close_matches(str(name), re.findall(r"'([^']*)'", expected), n=1)
    return f"; did you mean `{close[0]}`?" if close else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown name: the closest known one, else the known ones."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    return f"; known here: {shown}" if names else ""


def _spell_key(place: Place) -> str:
    key = ""
    for part in place:
        if isinstance(part, int):
            key += f"[{part + 1}]"  # people count from one
        else:
            name = part if _BARE_KEY.fullmatch(part) else f'"{part}"'
            key += f".{name}" if key else name
    return key


def _known_keys(model: type[BaseModel], loc: Place) -> list[str]:
    kind: Any = model
    for part in loc:
        kind = _inside(kind, part)
    return sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _inside(kind: Any, part: str | int) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return _bare(field.annotation) if field is not None else None
    arguments = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is dict and len(arguments) == 2:
        return _bare(arguments[1])
    if origin is tuple and arguments:
        return _bare(arguments[0])
    return None


def _bare(kind: Any) -> Any:
    if typing.get_origin(kind) is typing.Annotated:
        return _bare(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        inner = [a for a in typing.get_args(kind) if a is not type(None)]
        return _bare(inner[0])
    return kind
