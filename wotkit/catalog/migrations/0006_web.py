# Sessions of browsers, and links that work once.
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

    class WebSession(Model):
        hash = CharField(max_length=64, primary_key=True)
        user = ForeignKeyField(User, on_delete="CASCADE")
        created = BigIntegerField()
        used = BigIntegerField(index=True)
        address = CharField()
        agent = TextField(default="")

        class Meta:
            database = db
            table_name = "web_session"

    db.create_tables([WebSession])

    class OneTimeLink(Model):
        hash = CharField(max_length=64, primary_key=True)
        purpose = CharField(max_length=10)
        user = ForeignKeyField(User, null=True, on_delete="CASCADE")
        email = CharField(default="")
        created = BigIntegerField()
        expires = BigIntegerField(index=True)

        class Meta:
            database = db
            table_name = "one_time_link"

    db.create_tables([OneTimeLink])


def down(migrator, db):
    for table in ("one_time_link", "web_session"):
        migrator.migrate(migrator.drop_table(table))
