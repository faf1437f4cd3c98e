"""`cadran demo`."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
from pathlib import Path

from cadran.cli.common import examples
from cadran.errors import ProjectError

LARGEST_SCALE = 100


def add(parser: argparse.ArgumentParser, _name: str) -> None:
    """Describe the command's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("data/demo"),
        metavar="FOLDER",
        help="where the data goes (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=7, help="another company (default: 7)")
    parser.add_argument(
        "--end", type=_date, metavar="DATE", help="last day of the data (default: yesterday, UTC)"
    )
    parser.add_argument(
        "--scale", type=_scale, default=1.0, metavar="F", help="size; 1 is full (default: 1)"
    )
    parser.add_argument("--force", action="store_true", help="write even what is there already")
    examples(parser, "cadran demo", "cadran demo --end 2026-10-31 --scale 0.05 --out data/small")
    parser.set_defaults(run=_demo)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date such as 2026-10-31") from None


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= LARGEST_SCALE:
        raise argparse.ArgumentTypeError(f"{text} is no number above 0, {LARGEST_SCALE} at most")
    return scale


def _demo(parsed: argparse.Namespace) -> int:
    if importlib.util.find_spec("numpy") is None:
        raise ProjectError("The demo data needs numpy: pip install 'cadran[demo]'.")
    from cadran.demo import generate

    summary = generate(
        parsed.out,
        seed=parsed.seed,
        end=parsed.end,
        scale=parsed.scale,
        force=parsed.force,
        progress=lambda text: print(text, flush=True),
    )
    print(f"{summary.folder}: {sum(summary.rows.values()):,} rows in {summary.seconds:.1f} s")
    return 0
