"""Flags that several commands share, and the layer that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from cadran.layer import Layer


def add_project(parser: argparse.ArgumentParser, *, built: bool = True) -> None:
    """Add the flags that say which project is meant."""
    group = parser.add_argument_group("project")
    group.add_argument(
        "--project-dir",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="the dbt project (default: this folder)",
    )
    if built:
        group.add_argument(
            "--manifest",
            type=Path,
            metavar="FILE",
            help="a semantic_manifest.json instead of a project",
        )
    group.add_argument(
        "--database",
        type=Path,
        metavar="FILE",
        help="the DuckDB file (default: CADRAN_DATABASE, or that of the project's profile)",
    )


def add_language(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the language of labels and numbers."""
    parser.add_argument(
        "--lang", choices=("en", "fr"), default="en", help="language of texts and numbers"
    )


def examples(parser: argparse.ArgumentParser, *lines: str) -> None:
    """Set the examples at the end of a command's help."""
    parser.epilog = "\n".join(["examples:", *(f"  {line}" for line in lines)])


def open_layer(parsed: argparse.Namespace) -> Layer:
    """The layer of the project that the flags name."""
    import cadran

    return cadran.open(parsed.project_dir, manifest=parsed.manifest, database=parsed.database)
