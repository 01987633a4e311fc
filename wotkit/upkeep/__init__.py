"""Work that nobody asks for: finishing deletions, forgetting what is old."""
