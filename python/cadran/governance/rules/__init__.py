"""The rules of `cadran check`, one module per family; importing this package registers them all."""

from cadran.core.project.checks import Severity
from cadran.governance.rules import (  # noqa: F401 - importing them registers their rules
    duplicates,
    lifecycle,
    numbers,
    objectives,
    ownership,
    technical,
    versions,
)
from cadran.governance.rules.registry import (
    Finding,
    Rule,
    in_french,
    of_code,
    registered,
    rule,
)

__all__ = ["Finding", "Rule", "Severity", "in_french", "of_code", "registered", "rule"]
