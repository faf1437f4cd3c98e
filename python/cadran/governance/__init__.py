"""Governance: what a KPI means, what was published of it, and who agreed to a change."""
