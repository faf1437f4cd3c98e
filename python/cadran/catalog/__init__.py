"""The catalogue: a static site of every KPI, which opens from disk, in English and French."""

from cadran.catalog.site import build

__all__ = ["build"]
