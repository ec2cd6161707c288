from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('generations', '0012_roles_and_audit_log'),
    ]

    operations = [
        migrations.AddField(
            model_name='generation',
            name='host',
            field=models.CharField(blank=True, default='', help_text='The machine that rendered it last.', max_length=100, verbose_name='worker'),
        ),
    ]
