"""Who a caller is: passwords, keys, and the identities that processes remember."""
