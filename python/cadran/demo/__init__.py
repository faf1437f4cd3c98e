"""The demo company: a deterministic generator of an online shop that also sells an API."""

from .generate import Summary, generate

__all__ = ["Summary", "generate"]
