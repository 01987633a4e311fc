"""The HTTP API: thin resources over the catalog, the readings and the one door."""
