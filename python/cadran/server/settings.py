"""How a server runs: `cadran_server.yml`, then `CADRAN_SERVER_*`, then the flags of `cadran serve`.

    host: 127.0.0.1
    port: 8765
    flight_port: 8766
    tls: {certificate: server.pem, key: server.key}
    cache: 256            # megabytes of answers
    memory: 4GB           # of the warehouse
    seconds: 60           # that a question may run
    refresh: 1            # seconds between two looks for a new build
    origins: [https://intranet.example.com]   # pages whose scripts may read it
    hosts: [kpis.example.com]                 # names by which clients reach it
    oidc: {issuer: https://login.example.com, audience: cadran, jwks_url: https://…}

Every key may be left out. Unknown keys are errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from cadran.access import authentication, exposure
from cadran.errors import ProjectError, near_misses

if TYPE_CHECKING:
    from cadran.access.authentication import Provider

FILE = "cadran_server.yml"
_PREFIX = "CADRAN_SERVER_"


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs.

    Attributes:
        host: the address it listens on.
        port: of HTTP; 0 takes a free one.
        flight_port: of Flight SQL; 0 takes a free one, None serves none.
        certificate: a PEM file, with the key beside it, for TLS on every port.
        key: the PEM file of the key.
        insecure: listen on another address than loopback without tokens or TLS.
        cache: megabytes of answers that are kept.
        memory: most memory of the warehouse, such as "4GB".
        threads: most threads of the warehouse.
        workers: questions that are worked on at the same time.
        seconds: for how long a question may run.
        rows: most rows of one answer as JSON, CSV or a sheet.
        refresh: seconds between two looks for a new build; 0 looks never.
        tokens: the file of tokens.
        policy: the policy file.
        audit: the folder of the record of questions.
        warm: answer the saved queries beforehand.
        origins: origins of pages that may call the server from a browser.
        hosts: names by which clients reach it, beside those of this machine.
        link_tokens: accept a token as a parameter of the links of saved queries.
        oidc: the provider whose logins are accepted beside tokens; see `cadran.access.oidc`.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    flight_port: int | None = 8766
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    cache: float = 256.0
    memory: str | None = None
    threads: int | None = None
    workers: int = 8
    seconds: float = 60.0
    rows: int = 1_000_000
    refresh: float = 1.0
    tokens: Path = Path("cadran_tokens.json")
    policy: Path = Path("cadran_policy.yml")
    audit: Path = Path("audit")
    warm: bool = True
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    link_tokens: bool = False
    oidc: Provider | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beside this machine can reach it."""
        return exposure.is_loopback(self.host)

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate and key, where both are given."""
        return (self.certificate, self.key) if self.certificate and self.key else None


def read(root: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings of a server of this project.

    Args:
        root: the folder of the project; paths in the file are relative to it.
        flags: what the command line says; None means nothing.

    Raises:
        ProjectError: a key is unknown, or holds what it cannot hold.
    """
    settings = Settings()
    path = (root or Path()) / FILE
    if path.exists():
        try:
            given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as problem:
            raise ProjectError(f"{path} is no YAML: {problem}") from None
        if not isinstance(given, dict):
            raise ProjectError(f"{path} holds {given!r}; it takes keys and values.")
        tls = given.pop("tls", None) or {}
        settings = _with(settings, {**given, **tls}, str(path))
    named = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX)
    }
    settings = _with(settings, named, "the environment")
    settings = _with(settings, {k: v for k, v in flags.items() if v is not None}, "the command")
    if bool(settings.certificate) != bool(settings.key):
        raise ProjectError("TLS needs a certificate and a key: give both, or neither.")
    placed: dict[str, Any] = {
        field.name: (root or Path()) / value
        for field in fields(settings)
        if isinstance(value := getattr(settings, field.name), Path)
    }
    return replace(settings, **placed)


def _with(settings: Settings, given: dict[str, Any], where: str) -> Settings:
    types = {field.name: str(field.type) for field in fields(settings)}
    read_values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            meant = near_misses(str(name), types)
            hint = f"did you mean '{meant[0]}'?" if meant else f"allowed: {', '.join(types)}."
            raise ProjectError(f"{where} sets '{name}', which a server does not have; {hint}")
        read_values[name] = _value(name, value, types[name], where)
    return replace(settings, **read_values)


def _value(name: str, value: Any, kind: str, where: str) -> Any:
    if value is None or (kind.endswith("None") and str(value).lower() in ("none", "")):
        return None
    base = kind.split(" | ", maxsplit=1)[0]
    if base.startswith("tuple"):
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, (list, tuple)) and all(isinstance(item, str) for item in items):
            return tuple(item.strip() for item in items if item.strip())
        raise ProjectError(f"{where} sets {name} to {value!r}; it takes a list of texts.")
    if base == "Provider":
        return authentication.read(value, where)
    try:
        if base == "bool":
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                str(value).lower()
            ]
        return {"int": int, "float": float, "Path": Path, "str": str}[base](value)
    except (KeyError, TypeError, ValueError):
        raise ProjectError(
            f"{where} sets {name} to {value!r}; it takes a {base.lower()}."
        ) from None
