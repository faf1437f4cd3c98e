"""The lines of an access log taken apart, in DuckDB's SQL.

A line of the common or combined format of Apache or nginx begins

    host ident user [17/May/2015:10:05:03 +0000] "GET /a/7?b=c HTTP/1.1" 200 235

and may go on with a referrer, a user agent and, where nginx was told to write it, the request
time in seconds. Nothing after the size is needed, so a line that is cut off in its user agent
still counts; a quote inside the request is read as part of the request.

A route is the path without query string. A segment that is a number, a UUID or sixteen or more
hexadecimal digits becomes `{id}`. A request without method and path (a TLS hello, a lone `-`) has
the route `(malformed)`.
"""

from __future__ import annotations

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
