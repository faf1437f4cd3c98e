"""What is wrong with the input data, said before a build."""

from cadran.doctor.examine import examine
from cadran.doctor.findings import Finding, Report

__all__ = ["Finding", "Report", "examine"]
