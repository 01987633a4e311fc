# Generated from a schema diff on 2026-11-21 01:33.
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

    db.create_tables([Account])

    class Audit(Model):
        id = BigAutoField()
        at = BigIntegerField(index=True)
        actor = CharField()
        key_id = CharField(null=True)
        address = CharField()
        action = CharField()
        target = CharField()
        details = TextField(default="{}")

        class Meta:
            database = db
            table_name = "audit"

    db.create_tables([Audit])

    class Counter(Model):
        name = CharField(primary_key=True)
        value = BigIntegerField()

        class Meta:
            database = db
            table_name = "counter"

    db.create_tables([Counter])

    class DroppedSensor(Model):
        sensor_id = BigIntegerField(primary_key=True)
        dropped = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "dropped_sensor"

    db.create_tables([DroppedSensor])

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

    db.create_tables([User])

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

    db.create_tables([Sensor])

    class Field(Model):
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        name = CharField(max_length=100)
        position = IntegerField()
        long_name = CharField()
        type = CharField(max_length=6)
        required = BooleanField(default=False)
        units = CharField(default="")

        class Meta:
            database = db
            table_name = "field"
            primary_key = CompositeKey("sensor", "name")

    db.create_tables([Field])

    class Group(Model):
        id = BigIntegerField(primary_key=True)
        owner = ForeignKeyField(Account, on_delete="CASCADE")
        name = CharField(max_length=50)
        long_name = CharField()
        description = TextField(default="")
        latitude = DoubleField(default=0.0)
        longitude = DoubleField(default=0.0)
        visibility = CharField(max_length=7, default="PRIVATE")
        image_url = TextField(null=True)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "sensor_group"
            indexes = ((("owner", "name"), True),)

    db.create_tables([Group])

    class GroupSensor(Model):
        group = ForeignKeyField(Group, on_delete="CASCADE")
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "group_sensor"
            primary_key = CompositeKey("group", "sensor")

    db.create_tables([GroupSensor])

    class Key(Model):
        id = CharField(primary_key=True, max_length=16)
        user = ForeignKeyField(User, on_delete="CASCADE")
        name = CharField()
        description = TextField(default="")
        scopes = CharField()
        limited = BooleanField(default=False)
        secret_hash = CharField(max_length=64)
        old_secret_hash = CharField(null=True, max_length=64)
        old_secret_until = BigIntegerField(null=True)
        expires = BigIntegerField(null=True)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "key"

    db.create_tables([Key])

    class KeySensor(Model):
        key = ForeignKeyField(Key, on_delete="CASCADE")
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "key_sensor"
            primary_key = CompositeKey("key", "sensor")

    db.create_tables([KeySensor])

    class KeyUse(Model):
        key = ForeignKeyField(Key, primary_key=True, on_delete="CASCADE")
        used = BigIntegerField()
        address = CharField()

        class Meta:
            database = db
            table_name = "key_use"

    db.create_tables([KeyUse])

    class LoginFailure(Model):
        id = BigAutoField()
        subject = CharField()
        at = BigIntegerField()

        class Meta:
            database = db
            table_name = "login_failure"
            indexes = ((("subject", "at"), False),)

    db.create_tables([LoginFailure])

    class Org(Model):
        account = ForeignKeyField(Account, primary_key=True, on_delete="CASCADE")
        long_name = CharField()
        description = TextField(null=True)
        image_url = TextField(null=True)

        class Meta:
            database = db
            table_name = "org"

    db.create_tables([Org])

    class Member(Model):
        org = ForeignKeyField(Org, on_delete="CASCADE")
        user = ForeignKeyField(User, on_delete="CASCADE")
        role = CharField(max_length=6, default="MEMBER")

        class Meta:
            database = db
            table_name = "member"
            primary_key = CompositeKey("org", "user")

    db.create_tables([Member])

    class Metadata(Model):
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        name = CharField()
        value = TextField()
        text = TextField()

        class Meta:
            database = db
            table_name = "metadata"
            primary_key = CompositeKey("sensor", "name")
            indexes = ((("name", "text"), False),)

    db.create_tables([Metadata])

    class PendingCast(Model):
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        field = CharField(max_length=100)
        number = BooleanField()

        class Meta:
            database = db
            table_name = "pending_cast"
            primary_key = CompositeKey("sensor", "field")

    db.create_tables([PendingCast])

    class Revision(Model):
        number = BigIntegerField()

        class Meta:
            database = db
            table_name = "revision"

    db.create_tables([Revision])

    class Subscription(Model):
        user = ForeignKeyField(User, on_delete="CASCADE")
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "subscription"
            primary_key = CompositeKey("sensor", "user")

    db.create_tables([Subscription])

    class Tag(Model):
        sensor = ForeignKeyField(Sensor, on_delete="CASCADE")
        folded = CharField()
        name = CharField()

        class Meta:
            database = db
            table_name = "tag"
            primary_key = CompositeKey("sensor", "folded")
            indexes = ((("folded", "sensor"), False),)

    db.create_tables([Tag])


def down(migrator, db):
    migrator.migrate(migrator.drop_table("tag"))
    migrator.migrate(migrator.drop_table("subscription"))
    migrator.migrate(migrator.drop_table("revision"))
    migrator.migrate(migrator.drop_table("pending_cast"))
    migrator.migrate(migrator.drop_table("metadata"))
    migrator.migrate(migrator.drop_table("member"))
    migrator.migrate(migrator.drop_table("org"))
    migrator.migrate(migrator.drop_table("login_failure"))
    migrator.migrate(migrator.drop_table("key_use"))
    migrator.migrate(migrator.drop_table("key_sensor"))
    migrator.migrate(migrator.drop_table("key"))
    migrator.migrate(migrator.drop_table("group_sensor"))
    migrator.migrate(migrator.drop_table("sensor_group"))
    migrator.migrate(migrator.drop_table("field"))
    migrator.migrate(migrator.drop_table("sensor"))
    migrator.migrate(migrator.drop_table("user"))
    migrator.migrate(migrator.drop_table("dropped_sensor"))
    migrator.migrate(migrator.drop_table("counter"))
    migrator.migrate(migrator.drop_table("audit"))
    migrator.migrate(migrator.drop_table("account"))
