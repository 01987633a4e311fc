# The application that acted, beside the key.
from peewee import *


def up(migrator, db):
    migrator.migrate(migrator.add_column("audit", "app", CharField(null=True)))


def down(migrator, db):
    migrator.migrate(migrator.drop_column("audit", "app"))
