"""The documentation as a site: every page has its place, and French pages do what English ones do.

The site itself is built where CADRAN_TEST_CLIENTS is set: MkDocs has an environment of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import fields

import pytest

import cadran
from cadran.core.project.cards import CardBlock


def test_every_page_has_its_place_on_the_site(project_root):
    navigation = (project_root / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"([\w./]+\.md)$", navigation, re.MULTILINE)
    docs = project_root / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")}
    root = {name for name in listed if (project_root / name).exists()}
    assert len(listed) == len(set(listed))
    assert set(listed) - root - {"api.md"} == pages


def test_french_pages_give_the_commands_that_the_english_ones_give(project_root):
    french = sorted((project_root / "docs" / "fr").glob("*.md"))
    assert {"alerts.md", "card.md", "concepts.md", "gate.md", "install.md"} <= {
        page.name for page in french
    }
    for page in french:
        blocks = [
            re.findall(r"```(\w+)\n(.*?)```", text.read_text(encoding="utf-8"), re.DOTALL)
            for text in (page, page.parents[1] / page.name)
        ]
        assert blocks[0] == blocks[1], page.name
        assert f"(fr/{page.name})" in (page.parents[1] / page.name).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), target


def test_each_key_of_a_card_is_explained_in_both_languages(project_root):
    for page in ("card.md", "fr/card.md"):
        text = (project_root / "docs" / page).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        explained = {key for row in rows for key in re.findall(r"`(\w+)`", row.split("|")[1])}
        assert explained == {field.name for field in fields(CardBlock)}


@pytest.mark.skipif(
    not os.environ.get("CADRAN_TEST_CLIENTS"),
    reason="MkDocs takes a minute to install: set CADRAN_TEST_CLIENTS, or run `make site`",
)
def test_the_site_is_built_without_a_warning(project_root):
    built = subprocess.run(
        [project_root / "scripts" / "site.sh"],
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-3000:]
    assert not re.search("WARNING|ERROR", built.stderr)
    site = project_root / "target" / "site"
    api = (site / "api.html").read_text(encoding="utf-8")
    missing = [name for name in cadran.__all__ if f'id="cadran.{name}"' not in api]
    assert not missing
    links = {
        (page.parent / target).resolve()
        for page in site.rglob("*.html")
        if page.name != "404.html"
        for target in re.findall(r'(?:href|src)="([^"#:?]+)["#?]', page.read_text(encoding="utf-8"))
    }
    assert len(links) > 30
    assert not [str(link) for link in links if not link.exists()]
