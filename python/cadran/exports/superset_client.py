"""Superset's REST API, as far as the export needs it. What is secret is sent, and never told."""

from __future__ import annotations

import ipaddress
import json
import os
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from cadran.errors import QueryError, ServiceError

if TYPE_CHECKING:
    from types import TracebackType

    import httpx

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
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(path, page=len(found) // _PAGE, page_size=_PAGE, **query)
            found += page["result"]
            if len(page["result"]) < _PAGE:
                return found

    def _token(self) -> str:
        given = os.environ.get(TOKEN)
        if given:
            return given
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
            found = answer.json()
        except ValueError:
            found = None
        if not answer.is_success or not isinstance(found, dict):
            says = found.get("message") if isinstance(found, dict) else None
            raise ServiceError(
                f"Superset at {self.url} refused {method} {path} ({answer.status_code})"
                + (f": {json.dumps(says, ensure_ascii=False)}" if says else ".")
            )
        return found


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
