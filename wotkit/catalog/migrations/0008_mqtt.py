# Sessions of MQTT clients, what waits for them, and what became of messages to actuators.
from peewee import *


def up(migrator, db):
    class Key(Model):
        id = CharField(max_length=16, primary_key=True)

        class Meta:
            database = db
            table_name = "key"

    class Sensor(Model):
        id = BigIntegerField(primary_key=True)

        class Meta:
            database = db
            table_name = "sensor"

    class ControlMessage(Model):
        id = BigIntegerField(primary_key=True)

        class Meta:
            database = db
            table_name = "control_message"

    class MqttSession(Model):
        id = BigIntegerField(primary_key=True)
        key = ForeignKeyField(Key, on_delete="CASCADE")
        client = TextField()
        expiry_seconds = BigIntegerField()
        created = BigIntegerField()
        ends = BigIntegerField(null=True, index=True)

        class Meta:
            database = db
            table_name = "mqtt_session"
            indexes = ((("key", "client"), True),)

    class MqttSubscription(Model):
        session = ForeignKeyField(MqttSession, on_delete="CASCADE")
        topic_filter = TextField()
        qos = IntegerField()
        commands = IntegerField(default=0)
        sensor = ForeignKeyField(Sensor, null=True, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "mqtt_subscription"
            primary_key = CompositeKey("session", "topic_filter")
            indexes = ((("commands", "sensor"), False),)

    class MqttDelivery(Model):
        session = ForeignKeyField(MqttSession, on_delete="CASCADE")
        message = ForeignKeyField(ControlMessage, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "mqtt_delivery"
            primary_key = CompositeKey("session", "message")

    class MqttStatus(Model):
        key = ForeignKeyField(Key, primary_key=True, on_delete="CASCADE")
        payload = TextField()
        at = BigIntegerField()

        class Meta:
            database = db
            table_name = "mqtt_status"

    class ControlResult(Model):
        message = ForeignKeyField(ControlMessage, primary_key=True, on_delete="CASCADE")
        state = CharField(max_length=8)
        detail = TextField(default="")
        at = BigIntegerField()

        class Meta:
            database = db
            table_name = "control_result"

    db.create_tables([MqttSession, MqttSubscription, MqttDelivery, MqttStatus, ControlResult])


def down(migrator, db):
    for table in (
        "control_result",
        "mqtt_status",
        "mqtt_delivery",
        "mqtt_subscription",
        "mqtt_session",
    ):
        migrator.migrate(migrator.drop_table(table))
