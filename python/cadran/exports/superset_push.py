"""Brings a Superset to where the definitions are, and touches nothing that is not ours.

Ours is what bears the UUID that follows from the project and its name, or was imported from our own
archive and says so. A second push of the same definitions sends nothing but questions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cadran.errors import ServiceError
from cadran.exports import superset_payload as payload
from cadran.exports.superset_changes import changed, differs

if TYPE_CHECKING:
    from cadran.exports.superset_client import Client
    from cadran.exports.superset_model import Dataset, Model


@dataclass(slots=True)
class Done:
    """What a push did, in sentences, and how many datasets were as they should be."""

    changes: list[str] = field(default_factory=list)
    unchanged: int = 0


def push(client: Client, model: Model, path: str) -> Done:
    """Create, change, mark and remove what differs.

    Args:
        client: the session.
        model: what there should be.
        path: the DuckDB file, as Superset sees it.

    Raises:
        ServiceError: Superset cannot be reached, refuses, or has a name of ours from someone else.
    """
    pushed = _Push(client, model, path)
    for made in model.datasets:
        pushed.dataset(made)
    pushed.gone()
    return pushed.done


class _Push:
    """One push: what Superset had before, and what was done so far."""

    def __init__(self, client: Client, model: Model, path: str) -> None:
        self.client, self.model, self.done = client, model, Done()
        self.database = self._database(path)
        self.all = client.all("/dataset/")
        self.there = {str(e["uuid"]): e for e in self.all if e["database"]["id"] == self.database}
        self.people = {
            user["extra"]["email"].casefold(): int(user["value"])
            for user in client.all("/dataset/related/owners")
            if (user.get("extra") or {}).get("email") and user["extra"].get("active", True)
        }

    def _database(self, path: str) -> int:
        wanted = payload.database(self.model, path)
        name = wanted["database_name"]
        for entry in self.client.all("/database/"):
            if str(entry["uuid"]) == wanted["uuid"]:
                known = self.client.get(f"/database/{entry['id']}/connection")["result"]
                body = {k: v for k, v in wanted.items() if k != "uuid" and known.get(k, v) != v}
                if body:
                    self.client.put(f"/database/{entry['id']}", body)
                    self.done.changes.append(f"database {name}: changed")
                return int(entry["id"])
            if entry["database_name"] == name:
                raise ServiceError(
                    f"Superset has a database '{name}' that this export did not make. Rename it."
                )
        number = int(self.client.post("/database/", wanted)["id"])
        self.done.changes.append(f"database {name}: created")
        return number

    def dataset(self, made: Dataset) -> None:
        wanted = payload.dataset(self.model, made)
        entry = self.there.get(wanted["uuid"])
        number = self._created(wanted) if entry is None else int(entry["id"])
        known = self.client.get(f"/dataset/{number}")["result"]
        stored = {c["column_name"] for c in known["columns"] if not c["expression"]}
        if stored != {column["column_name"] for column in wanted["columns"]}:
            self.client.put(f"/dataset/{number}/refresh")
            known = self.client.get(f"/dataset/{number}")["result"]
        body = changed(self.model, made, wanted, known, is_new=entry is None)
        mails = {metric.card.owner.technical.casefold() for metric in made.metrics}
        owners = {self.people[mail] for mail in mails if mail in self.people}
        current = {owner["id"] for owner in known["owners"]}
        if not owners <= current:
            body["owners"] = sorted(owners | current)
        if body:
            self.client.put(f"/dataset/{number}", body)
            what = "created" if entry is None else f"changed ({', '.join(body)})"
            self.done.changes.append(f"dataset {made.name}: {what}")
        else:
            self.done.unchanged += 1

    def _created(self, wanted: dict[str, Any]) -> int:
        head = {key: wanted[key] for key in ("table_name", "schema", "uuid")}
        for other in self.there.values():
            if (other["schema"], other["table_name"]) == (head["schema"], head["table_name"]):
                raise ServiceError(
                    f"Superset has a dataset '{head['table_name']}' on this database that this"
                    " export did not make. Rename or remove it."
                )
        try:
            return int(self.client.post("/dataset/", {**head, "database": self.database})["id"])
        except ServiceError as refused:
            for other in self.all:
                if other["table_name"] == head["table_name"]:
                    raise ServiceError(
                        f"{refused} The database '{other['database']['database_name']}' has a"
                        " dataset of that name, and some Supersets allow a name only once."
                    ) from None
            raise

    def gone(self) -> None:
        """Remove each dataset that is no longer exported, or mark it where charts still use it."""
        wanted = {payload.identity(self.model.project, made.name) for made in self.model.datasets}
        for mark, entry in self.there.items():
            number, name = entry["id"], entry["table_name"]
            if mark in wanted or mark != payload.identity(self.model.project, name):
                continue
            used = self.client.get(f"/dataset/{number}/related_objects")["charts"]["count"]
            if not used:
                self.client.delete(f"/dataset/{number}")
                self.done.changes.append(f"dataset {name}: removed")
                continue
            known = self.client.get(f"/dataset/{number}")["result"]
            marked = payload.gone(known, self.model.lang)
            if any(differs(key, known[key], value) for key, value in marked.items()):
                self.client.put(f"/dataset/{number}", marked)
                self.done.changes.append(
                    f"dataset {name}: no longer exported; kept and marked, for {used} of its charts"
                )
