"""A company's own text templates (Jinja), read so that none can do harm: a small language, looked through first.

A mapping file may come from anybody who configures a company, and what is filled in comes from strangers. So of Jinja
only what a text needs is let in: values by their documented names, `if`, `for` over a list, `~`, comparisons and a few
filters. There is no arithmetic, no call, no assignment, no include and no name that begins with `_`; what a template
costs is bounded by its length and by the lists it goes through. All of it is checked in every branch before Jinja
compiles anything (compiling alone would work out `'a' * 10**9`); the sandbox stands behind that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from connector.mapping.problems import suggestion

LONGEST_TEMPLATE = 10_000
LONGEST_OUTPUT = 10_000
"""Characters. A text for sales is read in seconds: this is far beyond any of them, and within what both CRMs take."""

MOST_LOOPS = 2
"""So many `for` stand inside one another at most."""
_DEEPEST = 20

_FILTERS = {"default": 2, "first": 0, "join": 1, "last": 0, "length": 0, "lower": 0, "trim": 0, "upper": 0}
"""The filters, and how many values each may be given."""

_LOOP = {"index": 1, "first": True, "last": True, "length": 1}

Values = Mapping[str, Any]
"""What a template may name: texts, numbers, and lists and tables of them."""


class TemplateProblem(ValueError):
    """A template says what it may not, or cannot be filled in; `line` is in the template, 0 for all of it."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {text}" if line else text)
        self.line = line


class Vocabulary:
    """The names a template may use, by an example in which no list is empty and no table lacks a part."""

    def __init__(self, example: Values) -> None:
        self.example = example


@lru_cache(maxsize=256)
def read_template(source: str, vocabulary: Vocabulary) -> Template:
    """Return a template ready to be filled in.

    Raises:
        TemplateProblem: It is no template, or says what it may not.
    """
    if len(source) > LONGEST_TEMPLATE:
        raise TemplateProblem(f"has {len(source)} characters; {LONGEST_TEMPLATE} is the most")
    try:
        tree = _ENVIRONMENT.parse(source)
        _Reader().block(tree.body, vocabulary.example, loops=0, depth=0)
        return _ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as error:
        raise TemplateProblem(error.message or "cannot be read", error.lineno) from None
    except RecursionError:
        raise TemplateProblem("is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, TemplateProblem):
            raise
        raise TemplateProblem("holds a number that is too long") from None


def fill_in(template: Template, values: Values) -> str:
    """Return the text that a template gives with these values, which are data and never read as a template.

    Raises:
        TemplateProblem: It cannot be filled in, or grows beyond `LONGEST_OUTPUT`.
    """
    parts: list[str] = []
    room = LONGEST_OUTPUT
    try:
        for part in template.generate(**values):
            room -= len(part)
            if room < 0:
                raise TemplateProblem(f"gives more than {LONGEST_OUTPUT} characters")
            parts.append(part)
    except (TemplateError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        # What it says may hold a value: only its kind is told.
        raise TemplateProblem(f"cannot be filled in ({type(error).__name__})") from None
    return "".join(parts)


def _environment() -> ImmutableSandboxedEnvironment:
    # Plain text: each adapter escapes it for where it lands.
    made = ImmutableSandboxedEnvironment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )
    made.globals.clear()
    made.tests.clear()
    for name in made.filters.keys() - _FILTERS.keys():
        del made.filters[name]
    return made


_ENVIRONMENT = _environment()


class _Reader:
    """Goes through every branch of a template, and refuses the first thing that is not let in.

    What an expression gives is told by an example of it, made from the vocabulary's.
    """

    def block(self, body: Sequence[nodes.Node], scope: Values, *, loops: int, depth: int) -> None:
        """Look through statements."""
        for node in body:
            if depth > _DEEPEST:
                raise TemplateProblem("is nested too deeply", node.lineno)
            match node:
                case nodes.Output():
                    for part in node.nodes:
                        if not isinstance(part, nodes.TemplateData):
                            self._printed(part, scope)
                case nodes.If():
                    self._give(node.test, scope)
                    self.block([*node.body, *node.elif_, *node.else_], scope, loops=loops, depth=depth + 1)
                case nodes.For(recursive=False, target=nodes.Name(name=str() as name)):
                    if loops == MOST_LOOPS:
                        raise TemplateProblem(f"more than {MOST_LOOPS} `for` inside one another", node.lineno)
                    listed = self._give(node.iter, scope)
                    if not isinstance(listed, list):
                        raise TemplateProblem("`for` goes through a list", node.lineno)
                    inside = {**scope, name: listed[0]}
                    if node.test is not None:
                        self._give(node.test, inside)
                    self.block(node.body, {**inside, "loop": _LOOP}, loops=loops + 1, depth=depth + 1)
                    self.block(node.else_, scope, loops=loops, depth=depth + 1)
                case _:
                    raise _not_let_in(node)

    def _printed(self, node: nodes.Expr, scope: Values) -> None:
        given = self._give(node, scope)
        if isinstance(given, list):
            raise TemplateProblem("is a list; write {% for one in … %}, or … | join(', ')", node.lineno)
        if isinstance(given, Mapping):
            raise TemplateProblem(f"has several parts; write one of them: {', '.join(sorted(given))}", node.lineno)

    def _give(self, node: nodes.Node | None, scope: Values) -> Any:
        """Return an example of what an expression gives."""
        match node:
            case nodes.Const(value=str() | int() | float() as value):
                return value
            case nodes.Name():
                return _part_of(scope, node.name, node.lineno)
            case nodes.Getattr():
                return self._part(node.node, node.attr, scope, node.lineno)
            case nodes.Getitem(arg=nodes.Const(value=str() as name)):
                return self._part(node.node, name, scope, node.lineno)
            case nodes.Getitem(arg=nodes.Const(value=int())):
                return self._list(node.node, scope, "a number in brackets takes one of a list")[0]
            case nodes.Filter():
                return self._filtered(node, scope)
            case nodes.Compare():
                self._compared(node, scope)
                return True
            case nodes.And() | nodes.Or():
                self._give(node.right, scope)
                return self._give(node.left, scope)
            case nodes.Not():
                self._give(node.node, scope)
                return True
            case nodes.CondExpr():
                self._give(node.test, scope)
                if node.expr2 is None:
                    raise TemplateProblem("`if` inside an expression needs its `else`", node.lineno)
                self._give(node.expr2, scope)
                return self._give(node.expr1, scope)
            case nodes.Concat():
                for part in node.nodes:
                    self._printed(part, scope)
                return ""
            case _:
                raise _not_let_in(node)

    def _part(self, owner: nodes.Expr, name: str, scope: Values, line: int) -> Any:
        given = self._give(owner, scope)
        if not isinstance(given, Mapping):
            raise TemplateProblem(f"there is no {name!r} in it", line)
        return _part_of(given, name, line)

    def _list(self, node: nodes.Node | None, scope: Values, otherwise: str) -> list[Any]:
        given = self._give(node, scope)
        if not isinstance(given, list):
            raise TemplateProblem(otherwise, node.lineno if node else 0)
        return given

    def _filtered(self, node: nodes.Filter, scope: Values) -> Any:
        most = _FILTERS.get(node.name)
        if most is None:
            raise TemplateProblem(f"there is no filter {node.name!r}{suggestion(node.name, _FILTERS)}", node.lineno)
        names = [(keyword.key, keyword.value) for keyword in node.kwargs]
        if len(node.args) > most or node.dyn_args is not None or node.dyn_kwargs is not None or (
            names and (node.name != "join" or [name for name, _ in names] != ["attribute"])
        ):
            raise TemplateProblem(f"the filter {node.name!r} is given too much", node.lineno)
        for argument in node.args:
            self._printed(argument, scope)
        if node.name in ("first", "last", "join"):
            listed = self._list(node.node, scope, f"the filter {node.name!r} takes a list")
            if node.name != "join":
                return listed[0]
            one = listed[0]
            for _, named in names:
                if not isinstance(named, nodes.Const) or not isinstance(one, Mapping):
                    raise TemplateProblem("`attribute` names a part, in quotes", node.lineno)
                one = _part_of(one, str(named.value), node.lineno)
            if isinstance(one, list | Mapping):
                raise TemplateProblem("join tables by one of their parts: join(', ', attribute='text')", node.lineno)
            return ""
        given = self._give(node.node, scope)
        if node.name == "length":
            return 1
        if isinstance(given, list | Mapping):
            raise TemplateProblem(f"the filter {node.name!r} takes a text or a number", node.lineno)
        return given if node.name == "default" else ""

    def _compared(self, node: nodes.Compare, scope: Values) -> None:
        left = self._give(node.expr, scope)
        for operand in node.ops:
            right = self._give(operand.expr, scope)
            if operand.op in ("in", "notin"):
                fits = isinstance(right, list) or (isinstance(right, str) and isinstance(left, str))
            else:
                fits = operand.op in ("eq", "ne") or any(
                    isinstance(left, kind) and isinstance(right, kind) for kind in (str, int | float)
                )
            if not fits:
                raise TemplateProblem("these two cannot be compared", node.lineno)
            left = right


def _part_of(owner: Values, name: str, line: int) -> Any:
    if name not in owner:
        raise TemplateProblem(f"there is no {name!r}{suggestion(name, owner)}", line)
    return owner[name]


def _not_let_in(node: nodes.Node | None) -> TemplateProblem:
    what = _SPELT.get(type(node).__name__, "this") if node is not None else "this"
    text = f"{what} is not let in: only names, texts, `if`, `for`, `~`, comparisons and filters"
    return TemplateProblem(text, (node.lineno or 0) if node is not None else 0)


_SPELT = {
    "Add": "`+`", "Sub": "`-`", "Mul": "`*`", "Div": "`/`", "FloorDiv": "`//`", "Mod": "`%`", "Pow": "`**`",
    "Call": "a call", "Include": "`include`", "Import": "`import`", "FromImport": "`from`", "Extends": "`extends`",
    "Block": "`block`", "Macro": "`macro`", "Assign": "`set`", "AssignBlock": "`set`", "With": "`with`",
    "CallBlock": "`call`", "FilterBlock": "`filter` as a block", "Test": "`is`", "For": "a `for` of this form",
    "Getitem": "what stands in these brackets",
}
