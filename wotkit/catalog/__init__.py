"""Users, organizations, keys, sensors and their fields: small tables that change rarely."""

from wotkit.catalog.database import Catalog, CatalogTooNew

__all__ = ["Catalog", "CatalogTooNew"]
