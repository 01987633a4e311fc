"""The one door for readings: check, store, publish."""
