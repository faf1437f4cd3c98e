"""The demo company: a deterministic generator of an online shop that also sells an API."""

from .company import Summary, generate

__all__ = ["Summary", "generate"]
