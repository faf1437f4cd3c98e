"""The record of questions that were asked, and who uses what."""
