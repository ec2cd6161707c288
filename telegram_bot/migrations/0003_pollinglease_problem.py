from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("telegram_bot", "0002_decide_then_answer")]

    operations = [
        migrations.AddField(
            "pollinglease", "problem", models.CharField(blank=True, default="", max_length=40), preserve_default=False
        ),
        migrations.AddField("pollinglease", "problem_since", models.DateTimeField(blank=True, null=True)),
    ]
