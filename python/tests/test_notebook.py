"""The notebook in the examples runs from the first cell to the last."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient


def test_the_notebook_runs_on_the_demo(demo, project_root, monkeypatch):
    monkeypatch.setenv("DBT_TARGET_PATH", str(demo.target))
    monkeypatch.setenv("CADRAN_DATABASE", str(demo.database))
    notebook = nbformat.read(project_root / "examples" / "first_steps.ipynb", as_version=4)
    client = NotebookClient(notebook, resources={"metadata": {"path": str(project_root)}})
    client.execute()

    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "head.of." in printed, "the refusal names the owner"
    assert "Did you mean 'net_revenue'" in printed
