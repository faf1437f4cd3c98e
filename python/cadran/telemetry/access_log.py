"""Access logs of nginx or Apache into the request contract: counters by service, route and minute.

What is read from each file is kept under `<out>/access_log/<service>/`, one Parquet file for each
log, named by what the log holds. The tables of the contract are made again from all of them, so
that a log that comes twice, comes again compressed, or comes again with more lines at its end
counts once.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from cadran.core.warehouse.dialects import literal
from cadran.core.warehouse.duckdb_local import Scratch
from cadran.errors import CadranError, WarehouseError
from cadran.telemetry import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


LINE = (
    r"^\S+ .*?\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(.*?)" (\d{3}) (?:\d+|-)(?:\s+(.*))?$'
)
REQUEST = r"^([A-Za-z]+) (\S.*?)(?: HTTP/[\d.]+)?$"
REQUEST_TIME = r'(?:^|"\s)(\d+\.\d+)(?:\s[^"]*)?$'
IDENTIFIER = r"^(\d+|[0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
FORMATS = {
    "auto": "true",
    "combined": "starts_with(part.tail, '\"')",
    "common": "not contains(part.tail, '\"')",
}

# Control characters that no log holds keep the reader from splitting, quoting or skipping.
READ = """
create or replace temp table lines as
select row_number() over () as line_number, line
from read_csv(
    {file}, columns = {{'line': 'VARCHAR'}}, auto_detect = false, header = false,
    delim = '\x01', quote = '', escape = '', nullstr = '\x02', strict_mode = false,
    max_line_size = 16000000
)
"""

PARSE = f"""
create or replace temp table parsed as
with parts as (
    select
        line_number,
        line,
        regexp_extract(line, '{LINE}', ['time', 'request', 'status', 'tail']) as part
    from lines
),

fields as (
    select
        line_number,
        line,
        try_strptime(part.time, '%d/%b/%Y:%H:%M:%S %z') as instant,
        try_cast(part.status as integer) as status,
        regexp_extract(part.request, '{REQUEST}', ['method', 'target']) as request,
        try_cast(nullif(regexp_extract(part.tail, '{REQUEST_TIME}', 1), '') as decimal(18, 6))
            as seconds,
        {{wanted}} as is_wanted
    from parts
)

select
    line_number,
    line,
    instant at time zone 'UTC' as received_at,
    nullif(upper(request.method), '') as method,
    case
        when request.target <> '' then
            coalesce(
                nullif(regexp_extract(
                    regexp_replace(request.target, '^[a-zA-Z]+://[^/]*', ''), '^[^?#]*'
                ), ''),
                '/'
            )
    end as path,
    status,
    cast(round(seconds * 1000) as integer) as duration_ms,
    case
        when status is null then 'no line of an access log'
        when not is_wanted then 'a line of another format'
        when instant is null then 'the time cannot be read'
        when status not between 100 and 599 then 'there is no such status'
    end as reason
from fields
"""

# Paths repeat: their segments are looked at once for each path, not once for each line.
REQUESTS = f"""
with paths as (
    select
        path,
        array_to_string(
            list_transform(
                string_split(path, '/'),
                lambda segment: case
                    when regexp_matches(segment, '{IDENTIFIER}') then '{{{{id}}}}' else segment
                end
            ),
            '/'
        ) as route
    from (select distinct path from parsed where reason is null and path is not null)
)

select
    parsed.line_number,
    parsed.received_at,
    parsed.method,
    coalesce(paths.route, '(malformed)') as route,
    parsed.status,
    parsed.duration_ms
from parsed
left join paths on parsed.path = paths.path
where parsed.reason is null
order by parsed.line_number
""".replace("{{", "{").replace("}}", "}")


BLOCK = 1 << 20


class LogError(CadranError, ValueError):
    """A log that cannot be taken in as it is."""


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What came of one log: its lines, those that could not be read, whether it was known."""

    file: Path
    requests: int
    unparsed: int
    was_known: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of all logs, and the folder that now keeps the contract."""

    folder: Path
    service_id: str
    files: tuple[FileSummary, ...]
    seconds: float

    @property
    def requests(self) -> int:
        """Requests read from these logs."""
        return sum(file.requests for file in self.files)

    @property
    def unparsed(self) -> int:
        """Lines kept in `telemetry/unparsed` because they could not be read."""
        return sum(file.unparsed for file in self.files)


def ingest(  # noqa: PLR0913 - the flags of the command
    files: Sequence[Path],
    *,
    service: str,
    out: Path,
    team: str = "platform",
    tier: str = "standard",
    log_format: str = "auto",
    project_dir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Summary:
    """Take access logs into `<out>/telemetry`, in the shape of the request contract.

    Args:
        files: Logs, plain or gzip.
        service: The service that wrote them; its id is the name in lower case with underscores.
        out: The data folder, to be named by the variable `cadran_sources` afterwards.
        team: Who runs the service.
        tier: `critical` or `standard`.
        log_format: `auto`, `combined` or `common`; lines of another format are kept as unparsed.
        project_dir: A project whose other telemetry tables are written empty where they lack.
        progress: Called with a sentence after each log.

    Raises:
        LogError: a log does not exist or cannot be read, or the service has no usable name.
    """
    started = time.perf_counter()
    service_id = re.sub(r"[^a-z0-9]+", "_", service.lower()).strip("_")
    if not service_id:
        raise LogError(f"'{service}' is no name for a service: it needs a letter or a digit.")
    for file in files:
        if not file.is_file():
            raise LogError(f"{file} is no file.")
    tables.refuse_foreign(out)
    parts = out / "access_log" / service_id
    unparsed = out / "telemetry" / "unparsed" / service_id
    summaries = []
    with tables.only_one(out), Scratch() as scratch:
        for file in files:
            summaries.append(_take(scratch, file, parts, unparsed, log_format))
            if progress:
                progress(_sentence(summaries[-1]))
        if any(parts.glob("*.parquet")):
            tables.write(
                scratch,
                out,
                tables.Service(service_id, service, team, tier),
                project_dir=project_dir,
            )
    return Summary(out, service_id, tuple(summaries), time.perf_counter() - started)


def _take(
    scratch: Scratch, file: Path, parts: Path, unparsed: Path, log_format: str
) -> FileSummary:
    sizes = {_size(part): part for part in parts.glob("*.parquet")}
    name, beginnings = _identity(file, sizes)
    part, rest = parts / f"{name}.parquet", unparsed / f"{name}.parquet"
    was_known = part.exists()
    if not was_known:
        _parse(scratch, file, log_format)
        scratch.copy(
            "select service_id, file, line_number, reason, line from ("
            f"select {literal(parts.name)} as service_id, {literal(file.name)} "
            "as file, * from parsed where reason is not null) order by line_number",
            rest,
        )
        scratch.copy(REQUESTS, part)
        for beginning in beginnings:
            (unparsed / beginning.name).unlink(missing_ok=True)
            beginning.unlink()
    return FileSummary(file, _count(scratch, part), _count(scratch, rest), was_known)


def _parse(scratch: Scratch, file: Path, log_format: str) -> None:
    try:
        scratch.execute(READ.format(file=literal(str(file))))
    except WarehouseError:
        # A byte that is no UTF-8, or a NUL: such bytes are written out as \x.., as servers do.
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "plain.log"
            with _opened(file) as source, plain.open("wb") as target:
                for line in source:
                    text = line.replace(b"\0", b"\\x00").decode("utf-8", "backslashreplace")
                    target.write(text.encode())
            try:
                scratch.execute(READ.format(file=literal(str(plain))))
            except WarehouseError as problem:
                raise LogError(f"{file} cannot be read as lines of text: {problem}") from problem
    scratch.execute(PARSE.replace("{wanted}", FORMATS[log_format]))


def _identity(file: Path, sizes: dict[int, Path]) -> tuple[str, list[Path]]:
    """The name of what the log holds, and the known logs that are its beginning."""
    digest, size, beginnings = hashlib.sha256(), 0, []
    marks = sorted(sizes)
    try:
        with _opened(file) as stream:
            while True:
                stop = marks[0] - size if marks else BLOCK
                block = stream.read(min(BLOCK, stop) if stop else BLOCK)
                if not block:
                    break
                digest.update(block)
                size += len(block)
                if marks and size == marks[0]:
                    part = sizes[marks.pop(0)]
                    if part.stem == _name(digest.hexdigest(), size):
                        beginnings.append(part)
    except (OSError, EOFError) as problem:
        raise LogError(f"{file} cannot be read: {problem}.") from problem
    name = _name(digest.hexdigest(), size)
    return name, [part for part in beginnings if part.stem != name]


def _opened(file: Path) -> IO[bytes]:
    with file.open("rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(file)) if is_gzip else file.open("rb")


def _name(digest: str, size: int) -> str:
    return f"{digest[:16]}-{size}"


def _size(part: Path) -> int:
    return int(part.stem.split("-")[1])


def _count(scratch: Scratch, part: Path) -> int:
    return scratch.count(f"read_parquet({literal(str(part))})")


def _sentence(summary: FileSummary) -> str:
    text = f"{summary.file}: {summary.requests:,} requests"
    if summary.unparsed:
        text += f", {summary.unparsed:,} lines that could not be read"
    return text + (" (known already)" if summary.was_known else "")
