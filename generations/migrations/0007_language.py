from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("generations", "0006_erasure")]

    operations = [
        migrations.AddField(
            "requester", "language", models.CharField(blank=True, default="", max_length=16), preserve_default=False
        ),
    ]
