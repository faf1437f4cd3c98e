"""The demo company: a deterministic generator of an online shop that also sells an API."""

from cadran_demo.company import Summary, generate

__all__ = ["Summary", "generate"]
