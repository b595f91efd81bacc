"""What the names in a SOQL query mean in one org: objects, fields, and parents reached by joins."""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.adapters.salesforce.sandbox.errors import SalesforceError
from connector.adapters.salesforce.sandbox.org import Org
from connector.adapters.salesforce.sandbox.schema import Field, SObject
from connector.adapters.salesforce.sandbox.soql import Name, Select, Value, marked

MAX_LEVELS = 5
"""Parent relationships in one path. Source: assumed."""

_NAME_FIELDS = {"id", "name", "firstname", "lastname", "email", "phone", "title", "username", "alias", "isactive"}
"""What the vendor's `Name` object, which stands for a polymorphic parent, has."""


@dataclass(frozen=True, slots=True)
class Source:
    """A joined table that may be the parent: its object and its alias in the SQL."""

    sobject: SObject
    alias: str


@dataclass(frozen=True, slots=True)
class Column:
    """Where a field's value comes from: a SQL expression, the field it has the type of, and the path to it."""

    sql: str
    field: Field
    path: tuple[str, ...] = ()


@dataclass(slots=True)
class Scope:
    """One query's FROM: the object, its alias, and the joins made so far, by lower-case relationship path."""

    sobject: SObject
    alias: str
    named: str
    joins: list[str] = field(default_factory=list)
    sources: dict[tuple[str, ...], list[Source]] = field(default_factory=dict)


class NameResolver:
    """Finds what the names of one query text mean; refuses unknown ones with the vendor's caret."""

    def __init__(self, org: Org, soql: str, *, show_all: bool, version: str) -> None:
        self.org = org
        self.soql = soql
        self.show_all = show_all
        self.version = version
        self._aliases = 0

    def scope(self, select: Select) -> Scope:
        """Return the scope of a query's FROM; raises `INVALID_TYPE` on an unknown object."""
        sobject = self.org.sobject(select.entity.text)
        if sobject is None:
            raise self.error(
                select.entity, "INVALID_TYPE",
                f"sObject type '{select.entity.text}' is not supported. If you are attempting to use a custom object, "
                "be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call "
                "for the appropriate names.",
            )
        return Scope(sobject, self._next_alias(), select.alias)

    def _next_alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def error(self, at: Name | Value, code: str, message: str) -> SalesforceError:
        """Return the vendor's error with its caret under `at`."""
        return marked(self.soql, at.line, at.column, message, code)

    def no_such_column(self, at: Name, name: str, entity: str) -> SalesforceError:
        """Return the vendor's answer to an unknown field in a query."""
        return self.error(
            at, "INVALID_FIELD",
            f"No such column '{name}' on entity '{entity}'. If you are attempting to use a custom field, be sure to "
            "append the '__c' after the custom field name. Please reference your WSDL or the describe call for the "
            "appropriate names.",
        )

    def column(self, scope: Scope, name: Name) -> Column:
        """Return the column that a dotted name means; joins the parents it passes."""
        steps = name.text.split(".")
        if len(steps) > 1 and steps[0].lower() in (scope.named, scope.sobject.name.lower()):
            steps = steps[1:]
        if len(steps) > MAX_LEVELS + 1:
            raise self.error(name, "INVALID_FIELD", "A relationship path may have at most 5 levels")
        sources: list[Source] = [Source(scope.sobject, scope.alias)]
        path: tuple[str, ...] = ()
        for step in steps[:-1]:
            path = (*path, step.lower())
            sources = self._parents(scope, name, sources, path)
        if len(sources) > 1:
            return self._of_any(name, sources, steps)
        known = sources[0].sobject.field(steps[-1])
        if known is None:
            raise self.no_such_column(name, steps[-1], sources[0].sobject.name)
        return Column(self.sql_of(sources[0], known), known, (*self._spelled(scope, steps[:-1]), known.name))

    def sql_of(self, source: Source, known: Field) -> str:
        """Return the SQL of a field's value in a joined table."""
        if known.computed:
            return known.computed.format(t=source.alias, archive_before=self.org.archive_before())
        if known.type == "base64":
            # A query gives the address of a blob, not its bytes.
            base = f"/services/data/{self.version}/sobjects/{source.sobject.name}/"
            return f"'{base}' || {source.alias}.\"Id\" || '/{known.name}'"
        return f'{source.alias}."{known.name}"'

    def _spelled(self, scope: Scope, steps: list[str]) -> tuple[str, ...]:
        spelled: list[str] = []
        sobject = scope.sobject
        for step in steps:
            link = sobject.parent(step)
            if link is None:
                return (*spelled, step)
            spelled.append(link.relationship)
            sobject = self.org.objects[link.reference_to[0]]
        return tuple(spelled)

    def _parents(self, scope: Scope, name: Name, sources: list[Source], path: tuple[str, ...]) -> list[Source]:
        if path in scope.sources:
            return scope.sources[path]
        link = sources[0].sobject.parent(path[-1]) if len(sources) == 1 else None
        if link is None:
            raise self.error(
                name, "INVALID_FIELD",
                f"Didn't understand relationship '{path[-1]}' in field path. If you are attempting to use a custom "
                "relationship, be sure to append the '__r' after the custom relationship name. Please reference your "
                "WSDL or the describe call for the appropriate names.",
            )
        parents = []
        for target in link.reference_to:
            if target in self.org.objects:
                alias = self._next_alias()
                scope.joins.append(
                    f'LEFT JOIN "{target}" {alias} ON {alias}."Id" = {sources[0].alias}."{link.name}"'
                )
                parents.append(Source(self.org.objects[target], alias))
        scope.sources[path] = parents
        return parents

    def _of_any(self, name: Name, sources: list[Source], steps: list[str]) -> Column:
        """Return a column of a polymorphic parent: its type, or a field that some of the targets have."""
        path = tuple(steps)
        if steps[-1].lower() == "type":
            cases = " ".join(f"WHEN {s.alias}.\"Id\" IS NOT NULL THEN '{s.sobject.name}'" for s in sources)
            return Column(f"CASE {cases} END", Field("Type", "string", "Type", 40), (*path[:-1], "Type"))
        if steps[-1].lower() not in _NAME_FIELDS:
            raise self.no_such_column(name, steps[-1], "Name")
        found = [(s, s.sobject.field(steps[-1])) for s in sources]
        columns = [(s, known) for s, known in found if known is not None]
        if not columns:
            raise self.no_such_column(name, steps[-1], "Name")
        terms = ", ".join(f'{s.alias}."{known.name}"' for s, known in columns)
        first = columns[0][1]
        sql = f"COALESCE({terms})" if len(columns) > 1 else terms
        return Column(sql, first, (*path[:-1], first.name))
