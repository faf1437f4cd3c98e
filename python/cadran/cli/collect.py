"""`cadran collect`: telemetry in, over HTTP, from logs and by checks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cadran.cli.common import begin_log, examples
from cadran.cli.language import tell
from cadran.errors import ProjectError

if TYPE_CHECKING:
    import argparse

    from cadran.telemetry.collector import Collector


def add(parser: argparse.ArgumentParser, _: str) -> None:
    """Add the flags."""
    examples(
        parser,
        "cadran collect",
        "cadran collect --port 4318 --folder data/landed",
        "cadran collect --host 0.0.0.0 --certificate server.pem --key server.key",
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port of HTTP (default: 4318; 0: a free one)")
    parser.add_argument(
        "--folder", type=Path, help="where telemetry is landed (default: data/landed)"
    )
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="PEM file for TLS")
    parser.add_argument("--key", type=Path, metavar="FILE", help="PEM file of its key")
    parser.add_argument("--tokens", type=Path, metavar="FILE", help="file of tokens")
    parser.add_argument(
        "--insecure",
        action="store_true",
        default=None,
        help="listen to other machines without tokens or TLS: anybody who reaches it may send",
    )
    parser.add_argument(
        "--project-dir",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder of cadran_collect.yml (default: this folder)",
    )
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Collect until interrupted."""
    from cadran.telemetry import settings
    from cadran.telemetry.collector import collect

    begin_log()
    names = ("host", "port", "folder", "tokens", "insecure")
    flags: dict[str, Any] = {name: getattr(parsed, name) for name in names}
    if bool(parsed.certificate) != bool(parsed.key):
        raise ProjectError("TLS needs a certificate and a key: give both, or neither.")
    if parsed.certificate:
        flags["tls"] = {"certificate": parsed.certificate, "key": parsed.key}
    collect(settings.read(parsed.project_dir, flags), _say)
    return 0


def _say(address: str, collector: Collector) -> None:
    print(f"OTLP          {address}  (/v1/traces, /v1/metrics, /v1/logs)")
    print(f"Remote-write  {address}/api/v1/write")
    print(f"Events        {address}/v1/events")
    print(f"Lands in      {collector.settings.folder}  (cadran_sources: {{telemetry: ...}})")
    if collector.is_open:
        tell("No token is configured: anybody on this machine may send.")
    tell("Ctrl-C stops it.")
