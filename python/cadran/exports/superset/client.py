"""Superset's REST API, as far as the export needs it. What is secret is sent, and never told."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from cadran.errors import QueryError, ServiceError
from cadran.exports.superset import payload
from cadran.exports.superset.payload import identity

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

    from cadran.exports.superset.model import Dataset, Model


USER, PASSWORD, TOKEN = "CADRAN_SUPERSET_USER", "CADRAN_SUPERSET_PASSWORD", "CADRAN_SUPERSET_TOKEN"

_PAGE = 100
_SECONDS = 60


class Client:
    """A session with one Superset, to be used in a `with` statement."""

    def __init__(self, url: str, *, plain: bool = False) -> None:
        """Log in with the token, or the user and password, of the environment.

        Args:
            url: of Superset's start page.
            plain: True sends secrets over plain HTTP to another machine too.

        Raises:
            QueryError: the URL, or what to log in with, is missing or wrong.
            ServiceError: Superset cannot be reached, or refuses.
        """
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise QueryError(f"'{url}' is no URL of a Superset. Write http://localhost:8088.")
        if parts.scheme == "http" and not plain and not _is_here(parts.hostname):
            raise QueryError(
                f"{url} is plain HTTP to another machine, which everyone on the way can read. Use"
                " https, or --plain-http if that is what you want."
            )
        self.url = url.rstrip("/")
        self._http: httpx.Client = httpx.Client(
            base_url=f"{self.url}/api/v1", timeout=_SECONDS, headers={"Referer": self.url}
        )
        try:
            self._http.headers["Authorization"] = f"Bearer {self._token()}"
            token = self.get("/security/csrf_token/")["result"]
        except BaseException:
            self._http.close()
            raise
        self._http.headers["X-CSRFToken"] = token

    def __enter__(self) -> Self:
        """The session itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:  # fmt: skip
        """End the session."""
        self._http.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What stands under a path; `query` goes into `q`.

        Raises:
            ServiceError: Superset cannot be reached, or refuses.
        """
        return self._send("GET", path, params={"q": json.dumps(query)} if query else None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make something; returns what Superset says of it.

        Raises:
            ServiceError: Superset cannot be reached, or refuses.
        """
        return self._send("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Change something; returns what Superset says of it.

        Raises:
            ServiceError: Superset cannot be reached, or refuses.
        """
        return self._send("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """Remove something.

        Raises:
            ServiceError: Superset cannot be reached, or refuses.
        """
        self._send("DELETE", path)

    def all(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """Every entry of a list, page after page.

        Raises:
            ServiceError: Superset cannot be reached, or refuses.
        """
        items: list[dict[str, Any]] = []
        while True:
            page = self.get(path, page=len(items) // _PAGE, page_size=_PAGE, **query)
            items += page["result"]
            if len(page["result"]) < _PAGE:
                return items

    def _token(self) -> str:
        token = os.environ.get(TOKEN)
        if token:
            return token
        user, password = os.environ.get(USER), os.environ.get(PASSWORD)
        if not user or not password:
            raise QueryError(
                f"Nothing to log in to Superset with is set: set {USER} and {PASSWORD}, or {TOKEN}."
            )
        body = {"username": user, "password": password, "provider": "db", "refresh": False}
        return str(self.post("/security/login", body)["access_token"])

    def _send(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        import httpx

        try:
            answer = self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServiceError(f"Superset at {self.url} cannot be reached: {reason}") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise ServiceError(
                f"Superset at {self.url} does not accept the login: check {USER} and {PASSWORD},"
                f" or {TOKEN}."
            )
        try:
            payload = answer.json()
        except ValueError:
            payload = None
        if not answer.is_success or not isinstance(payload, dict):
            says = payload.get("message") if isinstance(payload, dict) else None
            raise ServiceError(
                f"Superset at {self.url} refused {method} {path} ({answer.status_code})"
                + (f": {json.dumps(says, ensure_ascii=False)}" if says else ".")
            )
        return payload


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# What can be sent of a column and of a metric. A list that is sent replaces the one there is, so
# what is not ours is sent back as it stands.
_SENT = {
    "column_name": (
        "id", "column_name", "type", "advanced_data_type", "verbose_name", "description",
        "expression", "extra", "filterable", "groupby", "is_active", "is_dttm",
        "python_date_format", "uuid",
    ),
    "metric_name": (
        "id", "metric_name", "expression", "description", "extra", "metric_type", "d3format",
        "currency", "verbose_name", "warning_text", "uuid",
    ),
}  # fmt: skip
_AS_JSON = ("extra", "currency")


def changed(
    model: Model,
    dataset: Dataset,
    desired: dict[str, Any],
    current: dict[str, Any],
    *,
    is_new: bool,
) -> dict[str, Any]:
    """The keys of a dataset to send; none when it is as it should be.

    Args:
        model: whose dataset it is.
        dataset: the dataset.
        desired: its payload.
        current: what Superset says of it.
        is_new: it was made just now, so that nobody can have added anything.

    Raises:
        ServiceError: someone else gave a metric the name of a KPI.
    """
    lists = {
        "columns": ("column_name", _columns(desired, current)),
        "metrics": ("metric_name", _metrics(model, dataset, desired, current, is_new=is_new)),
    }
    body = {
        key: value
        for key, value in desired.items()
        if key not in {*lists, "uuid"} and differs(key, current.get(key), value)
    }
    for key, (name, entries) in lists.items():
        existing = [_sent(entry, name) for entry in current[key]]
        if _comparable(entries, name) != _comparable(existing, name):
            body[key] = entries
    return body


def differs(key: str, current: Any, desired: Any) -> bool:
    """True where a value that Superset has is not the one it should have."""
    return bool(_read(key, current) != _read(key, desired))


def _columns(desired: dict[str, Any], current: dict[str, Any]) -> list[dict[str, Any]]:
    existing = {column["column_name"]: column for column in current["columns"]}
    ours = [
        {**_sent(existing[column["column_name"]], "column_name"), **column}
        for column in desired["columns"]
    ]
    calculated = [column for column in existing.values() if column["expression"]]
    return ours + [_sent(column, "column_name") for column in calculated]


def _metrics(
    model: Model,
    dataset: Dataset,
    desired: dict[str, Any],
    current: dict[str, Any],
    *,
    is_new: bool,
) -> list[dict[str, Any]]:
    existing = {metric["metric_name"]: metric for metric in current["metrics"]}
    entries = []
    for metric in desired["metrics"]:
        namesake = existing.pop(metric["metric_name"], None)
        if namesake is not None and not _is_ours(model, dataset, namesake):
            raise ServiceError(
                f"The dataset '{dataset.name}' in Superset has a metric '{metric['metric_name']}'"
                " that this export did not make, and there is a KPI of that name. Rename the"
                " metric."
            )
        entries.append({**(_sent(namesake, "metric_name") if namesake else {}), **metric})
    if is_new:  # Superset begins with a count of rows, which counts nothing of the business
        return entries
    foreign = (metric for metric in existing.values() if not _is_ours(model, dataset, metric))
    return entries + [_sent(metric, "metric_name") for metric in foreign]


def _is_ours(model: Model, dataset: Dataset, metric: dict[str, Any]) -> bool:
    mark = identity(model.project, dataset.name, metric["metric_name"])
    says = (_read("extra", metric.get("extra")) or {}).get("cadran") or {}
    return metric["uuid"] == mark or says.get("project") == model.project


def _sent(entry: dict[str, Any], name: str) -> dict[str, Any]:
    fields = {key: entry[key] for key in _SENT[name] if key in entry}
    if "currency" in fields:
        fields["currency"] = _read("currency", fields["currency"])
    return fields


def _comparable(entries: list[dict[str, Any]], name: str) -> dict[str, dict[str, Any]]:
    """Entries by name; JSON is read, and what is empty is left out."""
    return {
        entry[name]: {
            key: content
            for key, value in entry.items()
            if (content := _read(key, value)) not in (None, "", {})
        }
        for entry in entries
    }


def _read(key: str, value: Any) -> Any:
    if key in _AS_JSON and isinstance(value, str):
        try:
            return json.loads(value or "null")
        except ValueError:
            return value
    return value


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
    for dataset in model.datasets:
        pushed.dataset(dataset)
    pushed.gone()
    return pushed.done


class _Push:
    """One push: what Superset had before, and what was done so far."""

    def __init__(self, client: Client, model: Model, path: str) -> None:
        self.client, self.model, self.done = client, model, Done()
        self.database = self._database(path)
        self.all = client.all("/dataset/")
        self.existing = {
            str(e["uuid"]): e for e in self.all if e["database"]["id"] == self.database
        }
        self.people = {
            user["extra"]["email"].casefold(): int(user["value"])
            for user in client.all("/dataset/related/owners")
            if (user.get("extra") or {}).get("email") and user["extra"].get("active", True)
        }

    def _database(self, path: str) -> int:
        desired = payload.database(self.model, path)
        name = desired["database_name"]
        for entry in self.client.all("/database/"):
            if str(entry["uuid"]) == desired["uuid"]:
                current = self.client.get(f"/database/{entry['id']}/connection")["result"]
                body = {k: v for k, v in desired.items() if k != "uuid" and current.get(k, v) != v}
                if body:
                    self.client.put(f"/database/{entry['id']}", body)
                    self.done.changes.append(f"database {name}: changed")
                return int(entry["id"])
            if entry["database_name"] == name:
                raise ServiceError(
                    f"Superset has a database '{name}' that this export did not make. Rename it."
                )
        number = int(self.client.post("/database/", desired)["id"])
        self.done.changes.append(f"database {name}: created")
        return number

    def dataset(self, dataset: Dataset) -> None:
        desired = payload.dataset(self.model, dataset)
        entry = self.existing.get(desired["uuid"])
        number = self._created(desired) if entry is None else int(entry["id"])
        current = self.client.get(f"/dataset/{number}")["result"]
        stored = {c["column_name"] for c in current["columns"] if not c["expression"]}
        if stored != {column["column_name"] for column in desired["columns"]}:
            self.client.put(f"/dataset/{number}/refresh")
            current = self.client.get(f"/dataset/{number}")["result"]
        body = changed(self.model, dataset, desired, current, is_new=entry is None)
        mails = {metric.card.owner.technical.casefold() for metric in dataset.metrics}
        owners = {self.people[mail] for mail in mails if mail in self.people}
        owner_ids = {owner["id"] for owner in current["owners"]}
        if not owners <= owner_ids:
            body["owners"] = sorted(owners | owner_ids)
        if body:
            self.client.put(f"/dataset/{number}", body)
            what = "created" if entry is None else f"changed ({', '.join(body)})"
            self.done.changes.append(f"dataset {dataset.name}: {what}")
        else:
            self.done.unchanged += 1

    def _created(self, desired: dict[str, Any]) -> int:
        head = {key: desired[key] for key in ("table_name", "schema", "uuid")}
        for other in self.existing.values():
            if (other["schema"], other["table_name"]) == (head["schema"], head["table_name"]):
                raise ServiceError(
                    f"Superset has a dataset '{head['table_name']}' on this database that this"
                    " export did not make. Rename or remove it."
                )
        try:
            return int(self.client.post("/dataset/", {**head, "database": self.database})["id"])
        except ServiceError as error:
            for other in self.all:
                if other["table_name"] == head["table_name"]:
                    raise ServiceError(
                        f"{error} The database '{other['database']['database_name']}' has a"
                        " dataset of that name, and some Supersets allow a name only once."
                    ) from None
            raise

    def gone(self) -> None:
        """Remove each dataset that is no longer exported, or mark it where charts still use it."""
        exported = {payload.identity(self.model.project, d.name) for d in self.model.datasets}
        for mark, entry in self.existing.items():
            number, name = entry["id"], entry["table_name"]
            if mark in exported or mark != payload.identity(self.model.project, name):
                continue
            used = self.client.get(f"/dataset/{number}/related_objects")["charts"]["count"]
            if not used:
                self.client.delete(f"/dataset/{number}")
                self.done.changes.append(f"dataset {name}: removed")
                continue
            current = self.client.get(f"/dataset/{number}")["result"]
            marked = payload.gone(current, self.model.lang)
            if any(differs(key, current[key], value) for key, value in marked.items()):
                self.client.put(f"/dataset/{number}", marked)
                self.done.changes.append(
                    f"dataset {name}: no longer exported; kept and marked, for {used} of its charts"
                )
