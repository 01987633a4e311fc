"""The Google Visualization query language and its tables; knows nothing of HTTP or the catalog."""
