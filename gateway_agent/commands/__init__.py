"""Commands: each is carried out at most once, a stale one never, and the platform is told."""
