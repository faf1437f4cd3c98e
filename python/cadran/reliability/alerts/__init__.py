"""Alerts: conditions on SLOs and KPIs, one state machine, and who is told."""
