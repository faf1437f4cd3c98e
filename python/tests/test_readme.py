"""What the READMEs show runs, and says the same in both languages."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.fr.md"]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


def commands(page):
    lines = "\n".join(blocks(page, "bash")).splitlines()
    lines += [line.removeprefix("$ ") for line in blocks(page, "console")[0].splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("cadran ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_the_readme_run(page, demo):
    assert demo.returncode == 0, demo.log[-3000:]
    place = ["--manifest", demo.target / "semantic_manifest.json", "--database", demo.database]
    shown = commands(page)
    assert len(shown) >= 6
    for _, *words in shown:
        # The flags stand first after the command, since some of its options take several words.
        ran = subprocess.run(
            [sys.executable, "-m", "cadran", words[0], *place, *words[1:]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        refused = "metric_time__hour" in words
        assert ran.returncode == (2 if refused else 0), (words, ran.stderr)
        if "--start" in words:  # the demo of the tests is the one that the page names
            assert ran.stdout in blocks(page, "console")[0]
        if refused:
            said = next(line for line in blocks(page, "console")[0].splitlines() if ": " in line)
            assert ran.stderr.startswith(said.rstrip("… "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_the_readme_runs(page, layer, monkeypatch):
    monkeypatch.setattr("cadran.open", lambda _: layer)
    for code in blocks(page, "python"):
        names = {}
        exec(compile(code, page.name, "exec"), names)  # noqa: S102 - it is this repository's own
        assert len(names["result"]) > 0


def test_both_readmes_show_the_same_commands():
    english, french = (
        [[word for word in line if word not in {"--lang", "fr"}] for line in commands(page)]
        for page in PAGES
    )
    assert english == french


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page):
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    assert len(text.splitlines()) <= 150
