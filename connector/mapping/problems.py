"""Say everything that is wrong with a TOML file, one line a problem: the file, the key, what would be valid."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from connector.errors import ConfigError


def read_toml(path: Path, *, what: str, hint: str) -> dict[str, Any]:
    """Return a TOML file's content.

    Raises:
        ConfigError: It is missing, unreadable, not UTF-8 or not TOML (with line and column).
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError([f"{path}: no such {what}"], hint=hint) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: is not UTF-8 (byte {error.start})"], hint="Save the file as UTF-8.") from None
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"], hint=hint) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None


def problems_of(error: ValidationError, place: str, model: type[BaseModel]) -> list[str]:
    """Return one line for each thing pydantic refused; `place` is the file, and the table in it where there is one."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        key = _spell_key(item["loc"])
        match item["type"]:
            case "extra_forbidden":
                known = _known_keys(model, item["loc"][:-1])
                close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
                text = "unknown key"
                if close:
                    text += f"; did you mean `{close[0]}`?"
                elif known:
                    text += f"; known here: {', '.join(known)}"
            case "missing":
                text = "is missing"
            case _:
                text = item["msg"].removeprefix("Value error, ")
        lines.append(f"{place}: {key}: {text}" if key else f"{place}: {text}")
    return lines


def _spell_key(loc: tuple[str | int, ...]) -> str:
    key = ""
    for part in loc:
        if isinstance(part, int):
            key += f"[{part + 1}]"  # people count from one
        elif not part.startswith("function-") and not part.endswith("]"):
            key += f".{part}" if key else part
    return key


def _known_keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
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
