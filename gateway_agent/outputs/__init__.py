"""Outputs: how readings reach the platform, and what its answers mean."""
