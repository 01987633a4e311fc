"""The OAuth2 protocol, on oauthlib: what applications ask and are answered.

oauthlib is imported by the modules that need it and these when the first application asks, so that
a server without applications does not carry it.
"""
