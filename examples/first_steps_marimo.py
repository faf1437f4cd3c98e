"""First steps in Marimo: `marimo edit examples/first_steps_marimo.py`, after `make demo`."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell
def _():
    from pathlib import Path

    import marimo as mo

    import cadran

    layer = cadran.open(Path(__file__).resolve().parents[1])
    return layer, mo


@app.cell
def _(layer, mo):
    kpi = mo.ui.dropdown([card.name for card in layer.kpis()], value="net_revenue", label="KPI")
    kpi
    return (kpi,)


@app.cell
def _(kpi, layer):
    # Asked again whenever another KPI is chosen: a cell runs after those it reads from.
    result = layer.query([kpi.value], ["metric_time__quarter"], start="2026-01-01")
    result.to_pandas()
    return (result,)


@app.cell
def _(result):
    result.chart()


@app.cell
def _(kpi, layer, mo):
    card = layer.card(kpi.value)
    mo.md(f"**{card.label}**: {card.description} Owner: {card.owner.business}")


if __name__ == "__main__":
    app.run()
