"""SLOs, error budgets, contracts and incidents, on the same footing as any other KPI."""
