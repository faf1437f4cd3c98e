"""How a server runs: `cadran_server.yml`, then `CADRAN_SERVER_*`, then the flags of `cadran serve`.

    host: 127.0.0.1
    port: 8765
    flight_port: 8766
    tls: {certificate: server.pem, key: server.key}
    cache: 256            # megabytes of answers
    memory: 4GB           # of the warehouse
    connections: 8        # most of them at the same time, where the warehouse is PostgreSQL
    seconds: 60           # that a question may run
    live: true            # answer also from what `cadran collect` landed since the build
    refresh: 1            # seconds between two looks for a new build
    origins: [https://intranet.example.com]   # pages whose scripts may read it
    hosts: [kpis.example.com]                 # names by which clients reach it
    alerts: cadran_alerts.yml                 # evaluate these policies too
    oidc: {issuer: https://login.example.com, audience: cadran, jwks_url: https://…}

Every key may be left out. Unknown keys are errors.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cadran.access import exposure
from cadran.access.authentication import Provider
from cadran.errors import ProjectError
from cadran.formats import strict_yaml
from cadran.formats.validation import Strict, Takes, Text, validated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FILE = "cadran_server.yml"
_PREFIX = "CADRAN_SERVER_"


def _listed(value: Any) -> Any:
    """A list of texts; in the environment commas stand between them."""
    texts = value.split(",") if isinstance(value, str) else value
    return [text.strip() for text in texts if text.strip()] if texts is not value else value


def _nothing(value: Any) -> Any:
    """A value, or None where `none` is written."""
    return None if isinstance(value, str) and value.strip().lower() in {"none", ""} else value


_NOTHING = Takes(check=_nothing, before=True, also=("none",))
_Texts = Annotated[tuple[str, ...], Takes("a list of texts", _listed, before=True)]
_Port = Annotated[int, Takes("a port from 0 to 65535", constraints={"ge": 0, "le": 65535})]
_Count = Annotated[int, Takes("a whole number from 1 up", constraints={"ge": 1})]
_FROM_0 = {"ge": 0, "allow_inf_nan": False}


@dataclass(frozen=True, slots=True)
class SharedSettings(Strict):
    """What can be set in the file, in the environment and by flags.

    Attributes:
        host: the address it listens on.
        port: of HTTP; 0 takes a free one.
        flight_port: of Flight SQL; 0 takes a free one, None serves none.
        certificate: a PEM file, with the key beside it, for TLS on every port.
        key: the PEM file of the key.
        insecure: listen on another address than loopback without tokens or TLS.
        cache: megabytes of answers that are kept.
        memory: most memory of the warehouse, such as "4GB"; half of what the container or the
            machine has where it is not set.
        threads: most threads of the warehouse.
        connections: most connections to PostgreSQL, where that is the warehouse.
        workers: questions that are worked on at the same time.
        seconds: for how long a question may run.
        live: answer also from what `cadran collect` landed since the build.
        rows: most rows of one answer as JSON, CSV or a sheet.
        refresh: seconds between two looks for a new build; 0 looks never.
        tokens: the file of tokens.
        policy: the policy file.
        audit: the folder of the record of questions.
        must_record: answer no question that cannot be written into the record.
        warm: answer beforehand what is asked first: saved queries and pages of the board.
        alerts: the file of alert policies that the server evaluates too; None evaluates none.
        origins: origins of pages that may call the server from a browser.
        hosts: names by which clients reach it, beside those of this machine.
        link_tokens: accept a token as a parameter of the links of saved queries.
        oidc: the provider whose logins are accepted beside tokens.
    """

    host: Text = "127.0.0.1"
    port: _Port = 8765
    flight_port: Annotated[_Port | None, _NOTHING] = 8766
    certificate: Annotated[Path | None, _NOTHING] = None
    key: Annotated[Path | None, _NOTHING] = None
    insecure: bool = False
    cache: Annotated[float, Takes("a number from 0 up", constraints=_FROM_0)] = 256.0
    memory: Annotated[Annotated[str, Takes("a size such as 4GB")] | None, _NOTHING] = None
    threads: Annotated[_Count | None, _NOTHING] = None
    connections: _Count = 8
    workers: _Count = 8
    seconds: Annotated[
        float, Takes("a number above 0", constraints={"gt": 0, "allow_inf_nan": False})
    ] = 60.0
    live: bool = False
    rows: _Count = 1_000_000
    refresh: Annotated[float, Takes("a number from 0 up", constraints=_FROM_0)] = 1.0
    tokens: Path = Path("cadran_tokens.json")
    policy: Path = Path("cadran_policy.yml")
    audit: Path = Path("audit")
    must_record: bool = False
    warm: bool = True
    alerts: Annotated[Path | None, _NOTHING] = None
    origins: _Texts = ()
    hosts: _Texts = ()
    link_tokens: bool = False
    oidc: (
        Annotated[
            Provider, Takes(f"keys and values: {', '.join(item.name for item in fields(Provider))}")
        ]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class Tls(Strict):
    """The PEM files of a certificate and of its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServerFile(SharedSettings):
    """What stands in `cadran_server.yml`."""

    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Settings(SharedSettings):
    """How a server runs."""

    @property
    def is_loopback(self) -> bool:
        """Whether nobody beside this machine can reach it."""
        return exposure.is_loopback(self.host)

    @property
    def tls(self) -> tuple[Path, Path] | None:
        """Certificate and key, where both are given."""
        return (self.certificate, self.key) if self.certificate and self.key else None


_FILES = ("certificate", "key", "tokens", "policy", "alerts")


def read(root: Path | None, flags: dict[str, Any], *, makes: Collection[str] = ()) -> Settings:
    """The settings of a server of this project.

    Args:
        root: the folder of the project; paths in the file are relative to it.
        flags: what the command line says; None means nothing.
        makes: keys of files that need not be there yet, although they are named.

    Raises:
        ProjectError: a key is unknown, holds what it cannot hold, or names a file that is not
            there.
    """
    settings = Settings()
    named: dict[str, str] = {}
    path = (root or Path()) / FILE
    if os.path.lexists(path):
        content = strict_yaml.read(path, ProjectError)
        file = strict_yaml.parsed_as(ServerFile, content, str(path), ProjectError)
        named |= {key: f"{path}, key '{key}'" for key in {*(content or {})} - {"tls"}}
        if (content or {}).get("tls"):
            named |= dict.fromkeys(("certificate", "key"), f"{path}, key 'tls'")
        settings = replace(settings, **_chosen(file, content or {}))
        if file.tls is not None:
            settings = replace(settings, certificate=file.tls.certificate, key=file.tls.key)
    variables = {
        name.removeprefix(_PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX)
    }
    settings = _with(settings, variables, _variable)
    flags = {key: value for key, value in flags.items() if value is not None}
    settings = _with(settings, flags, _flag)
    named |= {key: _variable(key) for key in variables} | {key: _flag(key) for key in flags}
    if bool(settings.certificate) != bool(settings.key):
        raise ProjectError("TLS needs a certificate and a key: give both, or neither.")
    placed: dict[str, Any] = {
        field.name: (root or Path()) / value
        for field in fields(settings)
        if isinstance(value := getattr(settings, field.name), Path)
    }
    for key in _FILES:
        place = placed.get(key)
        # Without policy or tokens everything is shown to everybody: who named a file meant it.
        if place is not None and not place.exists() and key not in makes:
            if key in named:
                raise ProjectError(f"{named[key]} names {place}, which does not exist.")
            if place.is_symlink():
                raise ProjectError(
                    f"{place} is a link to {place.readlink()}, which does not exist."
                )
    return replace(settings, **placed)


def _variable(key: str) -> str:
    return f"{_PREFIX}{key.upper()}"


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _with(settings: Settings, values: dict[str, Any], called: Callable[[str], str]) -> Settings:
    """The settings with those of the environment or of the command line."""
    if not values:
        return settings

    def wrong(key: str, sentence: str) -> ProjectError:
        return ProjectError(f"{called(key)} {sentence}.")

    return replace(settings, **_chosen(validated(Settings, values, wrong), values))


def _chosen(settings: SharedSettings, values: dict[str, Any]) -> dict[str, Any]:
    return {key: getattr(settings, key) for key in values if key != "tls"}
