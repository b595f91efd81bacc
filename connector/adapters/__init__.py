"""Nothing but CRMs: one folder each, found by its name, which is also the name of its section in config.toml."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.adapter_kit.sandbox.server import SandboxApp, WorldBuilder


def names() -> tuple[str, ...]:
    """Return the CRMs there are, sorted: every folder of this package is one."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))


def load(name: str) -> ModuleType:
    """Return a CRM's package: `Connection`, `build`, `STREAMS`, `MAKES_LEADS`. Raises KeyError for an unknown name."""
    if name not in names():
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name}")


def build_sandbox(name: str, worlds: WorldBuilder, state_dir: Path | None) -> SandboxApp:
    """Return the sandbox of a CRM, its state below `state_dir` or, without one, temporary. Raises KeyError."""
    if name not in names():
        raise KeyError(name)
    app: SandboxApp = importlib.import_module(f"{__name__}.{name}.sandbox").build_sandbox(worlds, state_dir)
    return app
