"""The notebooks in the examples run from the first cell to the last."""

from __future__ import annotations

import nbformat
from nbclient import NotebookClient

from cadran.core.project import artifacts
from cadran.server.run import serving
from cadran.server.settings import Settings


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


def test_dbts_own_client_asks_a_server_from_a_notebook(demo, layer, project_root, monkeypatch):
    found = artifacts.find(None, demo.target / "semantic_manifest.json", demo.database)
    with serving(found, Settings(port=0, flight_port=0, warm=False, refresh=0)) as running:
        ports = (running.http.rpartition(":")[2], running.flight.rpartition(":")[2])
        graphql, flight = "http://{server_host}:%s/api/graphql", "grpc://{server_host}:%s"
        monkeypatch.setenv("DBT_SL_GRAPHQL_URL_FORMAT", graphql % ports[0])
        monkeypatch.setenv("DBT_SL_ADBC_URL_FORMAT", flight % ports[1])
        notebook = nbformat.read(project_root / "examples" / "semantic_layer.ipynb", as_version=4)
        NotebookClient(notebook).execute()
    shown = str([cell.get("outputs", []) for cell in notebook.cells])
    last = layer.query(
        ["net_revenue"], ["metric_time__quarter", "customer__country"],
        ["customer__country = 'FR'"],
    ).to_arrow().to_pylist()[-1]  # fmt: skip
    assert str(last["net_revenue"]) in shown
    assert "is not defined by hour" in shown
    assert "head.of.sales@example.com" in shown
