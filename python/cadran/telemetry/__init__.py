"""Files as they lie about (access logs, for now) brought into the input contracts."""

from cadran.telemetry.access_log import Summary, ingest

__all__ = ["Summary", "ingest"]
