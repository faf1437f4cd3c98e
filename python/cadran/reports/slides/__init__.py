"""The pack as PPTX."""

from cadran.reports.slides.deck import slides

__all__ = ["slides"]
