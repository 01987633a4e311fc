"""The control channel while it is in use: who waits for messages, and what wakes them."""
