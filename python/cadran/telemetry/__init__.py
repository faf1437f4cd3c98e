"""Telemetry on its way in: access logs as files, and all that `cadran collect` receives."""
