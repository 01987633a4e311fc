"""The addresses of OAuth2 that programs call."""
