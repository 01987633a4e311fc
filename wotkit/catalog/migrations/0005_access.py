# Applications, grants, their codes and tokens.
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

    class App(Model):
        id = BigIntegerField(primary_key=True)
        owner = ForeignKeyField(User, on_delete="CASCADE")
        client_id = CharField(max_length=32, unique=True)
        name = CharField()
        description = TextField()
        website = TextField()
        icon = TextField(default="")
        kind = CharField(max_length=7)
        redirect_uris = TextField(default="[]")
        scopes = CharField(default="all")
        secret_hash = CharField(max_length=64, null=True)
        old_secret_hash = CharField(max_length=64, null=True)
        old_secret_until = BigIntegerField(null=True)
        allow_password = BooleanField(default=False)
        allow_implicit = BooleanField(default=False)
        allow_client_credentials = BooleanField(default=False)
        allow_frob = BooleanField(default=False)
        signing_secret = TextField(null=True)
        access_seconds = IntegerField(null=True)
        refresh_seconds = IntegerField(null=True)
        grace_seconds = IntegerField(default=0)
        created = BigIntegerField()

        class Meta:
            database = db
            table_name = "app"

    db.create_tables([App])

    class Grant(Model):
        id = BigIntegerField(primary_key=True)
        user = ForeignKeyField(User, on_delete="CASCADE")
        app = ForeignKeyField(App, on_delete="CASCADE")
        kind = CharField(max_length=9)
        scopes = CharField()
        created = BigIntegerField()
        changed = BigIntegerField()
        ended = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "access_grant"
            indexes = ((("user", "app"), False),)

    db.create_tables([Grant])

    class GrantUse(Model):
        grant = ForeignKeyField(Grant, primary_key=True, on_delete="CASCADE")
        used = BigIntegerField()
        address = CharField()

        class Meta:
            database = db
            table_name = "grant_use"

    db.create_tables([GrantUse])

    class AuthorizationCode(Model):
        hash = CharField(max_length=64, primary_key=True)
        grant = ForeignKeyField(Grant, on_delete="CASCADE")
        redirect_uri = TextField()
        scopes = CharField()
        challenge = CharField(null=True)
        expires = BigIntegerField(index=True)
        used = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "authorization_code"

    db.create_tables([AuthorizationCode])

    class AccessToken(Model):
        hash = CharField(max_length=64, primary_key=True)
        grant = ForeignKeyField(Grant, on_delete="CASCADE")
        scopes = CharField()
        issued = BigIntegerField()
        expires = BigIntegerField(index=True)

        class Meta:
            database = db
            table_name = "access_token"

    db.create_tables([AccessToken])

    class RefreshToken(Model):
        hash = CharField(max_length=64, primary_key=True)
        grant = ForeignKeyField(Grant, on_delete="CASCADE")
        scopes = CharField()
        issued = BigIntegerField()
        expires = BigIntegerField(index=True)
        used = BigIntegerField(null=True)

        class Meta:
            database = db
            table_name = "refresh_token"

    db.create_tables([RefreshToken])

    class DeviceCode(Model):
        hash = CharField(max_length=64, primary_key=True)
        user_code = CharField(max_length=8, unique=True)
        app = ForeignKeyField(App, on_delete="CASCADE")
        scopes = CharField()
        expires = BigIntegerField(index=True)
        interval = IntegerField()
        polled = BigIntegerField(null=True)
        state = CharField(max_length=7, default="pending")
        user = ForeignKeyField(User, null=True, on_delete="CASCADE")
        grant = ForeignKeyField(Grant, null=True, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "device_code"

    db.create_tables([DeviceCode])

    class Frob(Model):
        hash = CharField(max_length=64, primary_key=True)
        app = ForeignKeyField(App, on_delete="CASCADE")
        permission = CharField(max_length=6, default="none")
        expires = BigIntegerField(index=True)
        state = CharField(max_length=7, default="pending")
        user = ForeignKeyField(User, null=True, on_delete="CASCADE")
        grant = ForeignKeyField(Grant, null=True, on_delete="CASCADE")

        class Meta:
            database = db
            table_name = "frob"

    db.create_tables([Frob])


def down(migrator, db):
    for table in (
        "frob",
        "device_code",
        "refresh_token",
        "access_token",
        "authorization_code",
        "grant_use",
        "access_grant",
        "app",
    ):
        migrator.migrate(migrator.drop_table(table))
