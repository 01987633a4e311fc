"""Pure parsers, one for each format: bytes in, readings out, and nothing else known."""
