# What mosquitto is to compare the password of a key with.
from peewee import *


def up(migrator, db):
    migrator.migrate(migrator.add_column("key", "mosquitto_hash", CharField(null=True)))


def down(migrator, db):
    migrator.migrate(migrator.drop_column("key", "mosquitto_hash"))
