"""Alerts: rules over the latest values of sensors, and how people are told."""
