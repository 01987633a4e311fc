"""Version 2 of the API, one module for each noun."""
