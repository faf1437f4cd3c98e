"""The hash of a question in two parts: the question over its marts, and each mart down to sources.

A mart serves many questions of many KPIs, so it is brought into one form once; a question takes of
it the columns that it reads, and nothing that was written for another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cadran.governance.canonical import NotCanonical, qualified, settled
from cadran.governance.checksums import checksum
from cadran.governance.expand import whole

if TYPE_CHECKING:
    from sqlglot import exp

_LEAF = "mart"


class TwoFold:
    """Hashes questions, and remembers the marts that it has opened."""

    def __init__(self, dialect: str) -> None:
        """Take the dialect of the statements."""
        self._dialect = dialect
        self._trees: dict[str, exp.Expr] = {}
        self._steps: dict[str, str] = {}
        self._hashes: dict[tuple[str, tuple[str, ...]], str] = {}

    def hash(self, sql: str, steps: dict[str, str], columns: dict[str, list[str]]) -> str:
        """The hash of what a question over steps means.

        Raises:
            NotCanonical: the question or one of its marts has no canonical form.
        """
        from sqlglot import exp

        marts = [name for name in steps if f'"{name}"' in sql]
        for name in marts:
            sql = sql.replace(f'"{name}"', f'"{_LEAF}"."{_LEAF}"."{name}"')
        tree = qualified(sql, self._dialect, columns)
        read: dict[str, set[str]] = {name: set() for name in marts}
        aliases: dict[str, set[str]] = {}
        for table in tree.find_all(exp.Table):
            if table.catalog == _LEAF:
                aliases.setdefault(table.alias_or_name, set()).add(table.name)
        for column in tree.find_all(exp.Column):
            for name in aliases.get(column.table, ()):
                read[name].add(column.name)
        text = settled(tree, self._dialect)
        for name in marts:
            text = text.replace(f'"{name}"', f'"{self._mart(name, read[name], steps, columns)}"')
        return checksum(text)

    def step(self, body: str, steps: dict[str, str], columns: dict[str, list[str]]) -> str:
        """What one step makes of the steps and leaves that it reads.

        Raises:
            NotCanonical: it has no canonical form by itself.
        """
        key = checksum(body)
        if key not in self._steps:
            self._steps[key] = self._step(body, steps, columns)
        return self._steps[key]

    def _step(self, body: str, steps: dict[str, str], columns: dict[str, list[str]]) -> str:
        read = [name for name in steps if f'"{name}"' in body]
        for name in read:
            body = body.replace(f'"{name}"', f'"{_LEAF}"."{_LEAF}"."{name}"')
        try:
            return self._form(body, columns)
        except NotCanonical:
            # A star of a step can be listed once the columns of that step are.
            known = {
                f"{_LEAF}.{_LEAF}.{name}": list(self._tree(name, steps, columns).named_selects)
                for name in read
            }
            return self._form(body, columns | known)

    def _form(self, body: str, columns: dict[str, list[str]]) -> str:
        tree: Any = qualified(body, self._dialect, columns)
        names = list(tree.named_selects)
        if "*" not in names and len(set(names)) == len(names):
            tree.set("expressions", sorted(tree.expressions, key=lambda e: str(e.alias_or_name)))
        return f"{' '.join(tree.named_selects)}\n{settled(tree, self._dialect)}"

    def _tree(self, name: str, steps: dict[str, str], columns: dict[str, list[str]]) -> Any:
        statement = whole(f'SELECT * FROM "{name}"', steps)
        key = checksum(statement)
        if key not in self._trees:
            self._trees[key] = qualified(statement, self._dialect, columns)
        return self._trees[key]

    def _mart(
        self, name: str, read: set[str], steps: dict[str, str], columns: dict[str, list[str]]
    ) -> str:
        statement = whole(f'SELECT * FROM "{name}"', steps)
        key = checksum(statement)
        if (key, tuple(sorted(read))) not in self._hashes:
            tree: Any = self._tree(name, steps, columns).copy()
            outputs = {p.alias_or_name: p for p in tree.expressions}
            kept = sorted(read & outputs.keys())
            if read - outputs.keys():
                # An alias that stands for two tables asks the one for the columns of the other.
                kept = kept or sorted(outputs)
            if not kept:
                raise NotCanonical(f"no column of {name} is read")
            tree.set("expressions", [outputs[column] for column in kept])
            said = f"{' '.join(kept)}\n{settled(tree, self._dialect)}"
            self._hashes[key, tuple(sorted(read))] = checksum(said)
        return self._hashes[key, tuple(sorted(read))]
