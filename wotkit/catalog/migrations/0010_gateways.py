# Gateways, and conditions of alerts on them: a condition has a sensor or a gateway.
from peewee import *


def up(migrator, db):
    class User(Model):
        account = BigIntegerField(primary_key=True, column_name="account_id")

        class Meta:
            database = db
            table_name = "user"

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

    class Alert(Model):
        id = BigIntegerField(primary_key=True)

        class Meta:
            database = db
            table_name = "alert"

    class Gateway(Model):
        id = BigIntegerField(primary_key=True)
        owner = ForeignKeyField(User, on_delete="CASCADE")
        name = CharField(max_length=64)
        key = ForeignKeyField(Key, null=True, on_delete="SET NULL")
        first_seen = BigIntegerField()
        last_seen = BigIntegerField()
        online = BooleanField()
        since = BigIntegerField()
        due = BigIntegerField(null=True)
        report = TextField(default="{}")

        class Meta:
            database = db
            table_name = "gateway"
            indexes = ((("owner", "name"), True),)

    class AlertCondition(Model):
        alert = ForeignKeyField(Alert, on_delete="CASCADE")
        position = IntegerField()
        sensor = ForeignKeyField(Sensor, null=True, on_delete="CASCADE")
        gateway = ForeignKeyField(Gateway, null=True, on_delete="CASCADE")
        field = CharField(max_length=100, default="")
        operator = CharField(max_length=7)
        value = TextField(default="null")
        seconds = DoubleField(null=True)

        class Meta:
            database = db
            table_name = "alert_condition"
            primary_key = CompositeKey("alert", "position")

    db.create_tables([Gateway])
    _replace(db, AlertCondition, "alert_id, position, sensor_id, field, operator, value, seconds")


def down(migrator, db):
    db.execute_sql("DELETE FROM alert_condition WHERE sensor_id IS NULL")
    migrator.migrate(
        migrator.drop_column("alert_condition", "gateway_id"),
        migrator.add_not_null("alert_condition", "sensor_id"),
        migrator.drop_table("gateway"),
    )


def _replace(db, model, columns):
    """Make a table anew, with its rows: SQLite cannot let a column be empty afterwards."""
    table = model._meta.table_name
    for _, name, _, origin, _ in db.execute_sql(f'PRAGMA index_list("{table}")').fetchall():
        if origin == "c":
            db.execute_sql(f'DROP INDEX "{name}"')
    db.execute_sql(f'ALTER TABLE "{table}" RENAME TO "{table}_before"')
    db.create_tables([model], safe=False)
    db.execute_sql(f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM "{table}_before"')
    db.execute_sql(f'DROP TABLE "{table}_before"')
