from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("telegram_bot", "0003_pollinglease_problem")]

    operations = [
        migrations.AddField(
            "receivedupdate", "form", models.TextField(blank=True, default=""), preserve_default=False
        ),
    ]
