# Alerts, their messages and deliveries, and leases.
from peewee import *


def up(migrator, db):
    class Account(Model):
        id = BigIntegerField(primary_key=True)
        name = CharField(unique=True, max_length=50)
        kind = CharField(max_length=4)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "account"

    class User(Model):
        account = ForeignKeyField(Account, primary_key=True, on_delete="CASCADE")
        email = CharField(default="")
        first_name = CharField(default="")
        last_name = CharField(default="")
        time_zone = CharField(default="UTC")
        role = CharField(max_length=5, default="user")
        enabled = BooleanField(default=True)
        password_hash = CharField()
        password_changed = BigIntegerField()

        class Meta:
            database = db
            table_name = "user"

    class Sensor(Model):
        id = BigIntegerField(primary_key=True)
        owner = ForeignKeyField(Account, on_delete="CASCADE")
        publisher = ForeignKeyField(User, null=True, on_delete="SET NULL")
        name = CharField(index=True, max_length=50)
        long_name = CharField()
        description = TextField()
        latitude = DoubleField(default=0.0)
        longitude = DoubleField(default=0.0)
        visibility = CharField(max_length=7, default="PRIVATE")
        image_url = TextField(null=True)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "sensor"
            indexes = (
                (("owner", "name"), True),
                (("latitude", "longitude"), False),
                (("visibility", "id"), False),
            )

    class Alert(Model):
        id = BigIntegerField(primary_key=True)
        owner = ForeignKeyField(User, on_delete="CASCADE")
        name = CharField()
        long_name = CharField()
        description = TextField(default="")
        template = TextField(default="")
        send_email = BooleanField(default=False)
        email = CharField(default="")
        webhook = TextField(default="")
        webhook_secret = CharField(default="")
        conditions = IntegerField(default=0)
        disabled = BooleanField(default=False)
        disabled_reason = CharField(default="")
        changed = BigIntegerField()

        class Meta:
            database = db
            table_name = "alert"

    db.create_tables([Alert])

    class AlertCondition(Model):
        alert = ForeignKeyField(Alert, on_delete="CASCADE")
        position = IntegerField()
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        field = CharField(max_length=100, default="")
        operator = CharField(max_length=7)
        value = TextField(default="null")
        seconds = DoubleField(null=True)

        class Meta:
            database = db
            table_name = "alert_condition"
            primary_key = CompositeKey("alert", "position")

    db.create_tables([AlertCondition])

    class AlertState(Model):
        alert = ForeignKeyField(Alert, primary_key=True, on_delete="CASCADE")
        in_progress = BooleanField(default=False)
        since = BigIntegerField()

        class Meta:
            database = db
            table_name = "alert_state"

    db.create_tables([AlertState])

    class InboxMessage(Model):
        id = BigIntegerField(primary_key=True)
        user = ForeignKeyField(User, on_delete="CASCADE")
        alert = ForeignKeyField(Alert, null=True, on_delete="SET NULL")
        at = BigIntegerField()
        title = CharField()
        message = TextField()
        send_email = BooleanField(default=False)
        email = CharField(default="")
        read = BooleanField(default=False)
        sent = BooleanField(default=False)

        class Meta:
            database = db
            table_name = "inbox_message"
            indexes = ((("user", "id"), False),)

    db.create_tables([InboxMessage])

    class AlertDelivery(Model):
        id = BigAutoField()
        alert = ForeignKeyField(Alert, on_delete="CASCADE")
        inbox_id = BigIntegerField()
        channel = CharField(max_length=7)
        target = TextField()
        title = CharField()
        body = TextField()
        created = BigIntegerField()
        due = BigIntegerField(null=True, index=True)
        attempts = IntegerField(default=0)
        status = CharField(max_length=7, default="waiting")
        tried = BigIntegerField(null=True)
        outcome = CharField(default="")

        class Meta:
            database = db
            table_name = "alert_delivery"

    db.create_tables([AlertDelivery])

    class Lease(Model):
        name = CharField(primary_key=True)
        holder = CharField()
        until = BigIntegerField()

        class Meta:
            database = db
            table_name = "lease"

    db.create_tables([Lease])


def down(migrator, db):
    migrator.migrate(migrator.drop_table("lease"))
    migrator.migrate(migrator.drop_table("alert_delivery"))
    migrator.migrate(migrator.drop_table("inbox_message"))
    migrator.migrate(migrator.drop_table("alert_state"))
    migrator.migrate(migrator.drop_table("alert_condition"))
    migrator.migrate(migrator.drop_table("alert"))
