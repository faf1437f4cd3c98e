"""What mkdocs needs to know of this repository: pages beside `docs/`, and the page of Python.

Pages of the root link to `docs/x.md`, and pages of `docs/` to `../x.md`, French ones to
`../../x.md`; on the site all of them stand in one folder, the French in one below.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "README.fr.md", "CONTRIBUTING.md", "DECISIONS.md", "CHANGELOG.md")
PYTHON = "api.md"
# Files and folders of the repository that are no pages of the site: their links become words.
_ELSEWHERE = re.compile(
    r"(?<!!)\[([^\]]+)\]\((?!https?:|#)(?:examples/[^)]*|[^)#]*(?<!\.md)(?<!\.png)(?<!\.svg))\)"
)
# What stands before a sign in French keeps with it, but in code and within tags.
_CODE = re.compile(r"(<pre.*?</pre>|<code.*?</code>|<[^>]+>)", re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """The pages of the root, and one made of the docstrings of what `import cadran` gives."""
    for name in PAGES:
        files.append(File.generated(config, name, content=(ROOT / name).read_text("utf-8")))
    public = (ROOT / "python/cadran/__init__.py").read_text("utf-8")
    names = re.findall(r'^    "(\w+)",$', public, re.MULTILINE)
    text = "# Python\n\nWhat `import cadran` gives.\n\n"
    text += "\n".join(f"::: cadran.{name}\n" for name in names)
    files.append(File.generated(config, PYTHON, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of a page as they lead on the site."""
    source = page.file.src_uri
    if source in PAGES:
        markdown = markdown.replace("](docs/", "](").replace('src="docs/', 'src="')
    elif "/" not in source:
        markdown = markdown.replace("](../", "](")
    else:
        markdown = markdown.replace("](../../", "](../")
    return _ELSEWHERE.sub(r"\1", markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """A French page, in which no line begins with a sign such as a colon."""
    if not page.file.src_uri.startswith(("fr/", "README.fr")):
        return html
    parts = _CODE.split(html)
    parts[::2] = [re.sub(r" ([:;?!»])", "\u00a0\\1", text) for text in parts[::2]]
    return "".join(parts).replace("« ", "«\u00a0")
