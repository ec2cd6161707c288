from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("telegram_bot", "0006_access")]

    operations = [
        migrations.AddField(
            "pollinglease", "menus", models.CharField(blank=True, default="", max_length=64), preserve_default=False
        ),
    ]
