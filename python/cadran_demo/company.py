"""Makes the demo company's data folder: aside first, then put in place in one step."""

from __future__ import annotations

import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from cadran_demo.helpdesk import draw_answers, draw_tickets, write_tickets
from cadran_demo.lines import draw_lines
from cadran_demo.platform import draw_operations, write_operations, write_probes
from cadran_demo.shop import draw_shop
from cadran_demo.telemetry import draw_requests
from cadran_demo.truth import Outcome, tell
from cadran_demo.world import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = 1  # raised when the same arguments give other data
MARK = "_demo.json"
TRUTH = "truth.json"
_ABANDONED = 3600  # seconds


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in the folder now, and how long it took; `is_new` is False where it was there."""

    folder: Path
    rows: dict[str, int]
    seconds: float
    is_new: bool = True


def _silent(_: str) -> None:
    """Tell nobody."""


def generate(  # noqa: PLR0913 - each is a choice of the user, named when called
    out: Path,
    *,
    seed: int = 7,
    end: date | None = None,
    scale: float = 1.0,
    progress: Callable[[str], None] | None = None,
    force: bool = False,
) -> Summary:
    """Rows by table of the demo data written to a folder.

    The same seed, end and scale always give the same bytes. An interrupted run leaves what was
    in the folder. Data of the same arguments is left as it is.

    Args:
        out: Folder to make: `<source>/<table>.parquet`, `truth.json` and a mark. It is replaced,
            so it has to be absent, empty or an earlier demo.
        seed: Which of the possible demo companies; 0 or more.
        end: Last business day of the data; yesterday (UTC) when left out. The data covers the
            month of that day and the 24 months before.
        scale: Size, 1 for about 2.5 million sessions. Incidents, deployments, services and
            months are the same at every scale.
        progress: Is told each step, in a sentence.
        force: Make the data again even if it is there.

    Raises:
        ValueError: The scale is not above 0, or the seed is negative.
        FileExistsError: The folder holds something else than demo data.
    """
    if not 0 < scale < float("inf"):
        raise ValueError(f"The scale of a demo is a number above 0, not {scale}.")
    if seed < 0:
        raise ValueError(f"The seed of a demo is 0 or more, not {seed}.")
    began = time.perf_counter()
    say = progress or _silent
    plan = Plan(seed=seed, end=end or datetime.now(UTC).date() - timedelta(days=1), scale=scale)
    folder = Path(out).absolute()
    _bring_back(folder)
    mark = {"version": VERSION, "seed": seed, "end": plan.end.isoformat(), "scale": scale}
    previous_mark = _read_mark(folder)
    if not force and {key: previous_mark.get(key) for key in mark} == mark:
        say(f"The demo data of {plan.end} is already in {out}.")
        return Summary(folder, previous_mark["rows"], time.perf_counter() - began, is_new=False)
    if not previous_mark and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(
            f"{out} holds something else than demo data and would be replaced; "
            "name another folder or empty this one."
        )

    with _aside(folder) as new:
        truth = _fill(new, plan, say)
        rows = _count(new)
        (new / TRUTH).write_text(_json({**mark, **truth}), encoding="utf-8")
        (new / MARK).write_text(_json({**mark, "rows": rows}), encoding="utf-8")
        _swap(new, folder)
    seconds = time.perf_counter() - began
    say(f"{sum(rows.values()):,} rows in {seconds:.1f} s.")
    return Summary(folder, rows, seconds)


def _fill(folder: Path, plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Write every table; the platform's requests on a second core meanwhile."""
    shop_folder, desk, telemetry = (folder / s for s in ("shop", "helpdesk", "telemetry"))
    operations = draw_operations(plan)
    incidents = operations.incidents
    with ThreadPoolExecutor(max_workers=1) as second:
        requests = second.submit(draw_requests, plan, incidents, telemetry)
        say(f"Sessions and orders from {plan.start} to {plan.end} ...")
        shop = draw_shop(plan, incidents, shop_folder)
        faults = draw_lines(plan, shop, shop_folder)
        say("Tickets and satisfaction answers ...")
        tickets, *events = draw_tickets(plan, shop, incidents)
        mood, responders, score_faults = draw_answers(plan, shop, tickets, incidents, desk)
        ticket, kind, moment = events
        ticket_faults = write_tickets(plan, tickets, (ticket, kind, moment), responders, desk)
        say("Probes, deployments and requests ...")
        write_operations(operations, telemetry)
        probes = write_probes(plan, incidents, telemetry)
        request_truth = requests.result()
    all_faults = faults | score_faults | ticket_faults
    outcome = Outcome(incidents, shop, tickets, mood, request_truth, probes, all_faults)
    return tell(plan, outcome)


def _count(folder: Path) -> dict[str, int]:
    """Rows by `<source>.<table>`, from the files themselves."""
    rows: dict[str, int] = {}
    for file in sorted(folder.rglob("*.parquet")):
        source, table = file.relative_to(folder).parts[:2]
        name = f"{source}.{table.removesuffix('.parquet')}"
        rows[name] = rows.get(name, 0) + pq.read_metadata(file).num_rows
    return rows


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _read_mark(folder: Path) -> dict[str, Any]:
    """What an earlier run left; empty where there is none. A damaged mark makes no match."""
    try:
        text = (folder / MARK).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        mark = json.loads(text)
    except ValueError:
        return {"damaged": True}
    return mark if isinstance(mark, dict) and "rows" in mark else {"damaged": True}


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _bring_back(folder: Path) -> None:
    """Undo a swap that was cut between its two steps."""
    if not folder.exists() and _old(folder).exists():
        _old(folder).rename(folder)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A new folder beside the final one, gone in the end whatever happens."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f".{folder.name}.new-*"):
        if time.time() - left.stat().st_mtime > _ABANDONED:  # by a run that was killed
            shutil.rmtree(left, ignore_errors=True)
    new = folder.with_name(f".{folder.name}.new-{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    shutil.rmtree(_old(folder), ignore_errors=True)
    if folder.exists():
        folder.rename(_old(folder))
    new.rename(folder)
    shutil.rmtree(_old(folder), ignore_errors=True)
