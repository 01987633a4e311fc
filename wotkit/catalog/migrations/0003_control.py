"""Adds the control channel of actuators, and who may send to it."""

from peewee import *


def up(migrator, db):
    class User(Model):
        account = BigIntegerField(primary_key=True, column_name="account_id")

        class Meta:
            database = db
            table_name = "user"

    class Sensor(Model):
        id = BigIntegerField(primary_key=True)

        class Meta:
            database = db
            table_name = "sensor"

    migrator.migrate(migrator.add_column("sensor", "control", CharField(max_length=6, null=True)))

    class ControlSubscription(Model):
        id = BigIntegerField(primary_key=True)
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        user = ForeignKeyField(User, on_delete="CASCADE")
        used = BigIntegerField()

        class Meta:
            database = db
            table_name = "control_subscription"

    class ControlMessage(Model):
        id = BigIntegerField(primary_key=True)
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        sender = ForeignKeyField(User, null=True, on_delete="SET NULL")
        at = BigIntegerField()
        expires = BigIntegerField(null=True)
        body = TextField()
        delivered = BigIntegerField(null=True)
        acknowledged = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "control_message"

    class ControlDelivery(Model):
        subscription = ForeignKeyField(ControlSubscription, on_delete="CASCADE")
        message = ForeignKeyField(ControlMessage, on_delete="CASCADE")
        handed = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "control_delivery"
            primary_key = CompositeKey("subscription", "message")

    db.create_tables([ControlSubscription, ControlMessage, ControlDelivery])


def down(migrator, db):
    for table in ("control_delivery", "control_message", "control_subscription"):
        migrator.migrate(migrator.drop_table(table))
    migrator.migrate(migrator.drop_column("sensor", "control"))
