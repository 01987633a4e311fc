"""Readings: stored once, read by sensor and time. DESIGN.md states the invariants."""
