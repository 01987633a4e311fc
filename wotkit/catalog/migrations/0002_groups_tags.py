from peewee import *


def up(migrator, db):
    class TagUse(Model):
        scope = BigIntegerField()
        folded = CharField()
        uses = BigIntegerField()
        newest = BigIntegerField()

        class Meta:
            database = db
            table_name = "tag_use"
            primary_key = CompositeKey("scope", "folded")

    db.create_tables([TagUse])
    migrator.migrate(
        migrator.add_column("sensor_group", "publisher", CharField(null=True, max_length=50)),
        migrator.add_column("sensor_group", "tags", TextField(null=True)),
        migrator.add_column("sensor_group", "metadata", TextField(null=True)),
        migrator.add_index("sensor", ("visibility", "created"), False),
    )


def down(migrator, db):
    migrator.migrate(
        migrator.drop_index("sensor", "sensor_visibility_created"),
        migrator.drop_column("sensor_group", "metadata"),
        migrator.drop_column("sensor_group", "tags"),
        migrator.drop_column("sensor_group", "publisher"),
        migrator.drop_table("tag_use"),
    )
