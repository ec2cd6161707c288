import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('generations', '0009_access'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AskedPrompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('request_key', models.CharField(max_length=64, unique=True)),
                ('prompt', models.TextField(help_text='As typed, with its flags.')),
                ('wish', models.JSONField(default=dict)),
                ('translation', models.TextField(blank=True)),
                ('chat_id', models.BigIntegerField()),
                ('thread_id', models.BigIntegerField(blank=True, null=True)),
                ('prompt_message_id', models.BigIntegerField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='Group',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('chat_id', models.BigIntegerField(unique=True)),
                ('title', models.CharField(blank=True, max_length=256)),
                ('enabled', models.BooleanField(default=True, help_text='Take prompts from this group.')),
                ('daily_limit', models.PositiveIntegerField(blank=True, help_text="Videos per day, of all its people together; 0 for no limit, empty for the policy's.", null=True)),
                ('removed_at', models.DateTimeField(blank=True, help_text='Since when the bot is no member there.', null=True)),
                ('refused_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='first seen')),
            ],
            options={
                'verbose_name': 'group chat',
                'ordering': ['-pk'],
            },
        ),
        migrations.AddField(
            model_name='generation',
            name='file_kind',
            field=models.CharField(blank=True, default='', max_length=20),
        ),
        migrations.AddField(
            model_name='generation',
            name='translated_prompt',
            field=models.TextField(blank=True, default='', help_text='What the model read in its place.'),
        ),
        migrations.AddField(
            model_name='policy',
            name='group_daily_limit',
            field=models.PositiveIntegerField(default=0, help_text="Videos per group per day, of all its people together; 0 for no limit. A group's own limit wins."),
        ),
        migrations.AddField(
            model_name='policy',
            name='groups_enabled',
            field=models.BooleanField(default=True, help_text='Take prompts from group chats. Each group has a switch of its own, too.'),
        ),
        migrations.AddField(
            model_name='policy',
            name='language_note',
            field=models.BooleanField(default=True, help_text='Ask before a prompt in another script is queued, when the model understands English only.'),
        ),
        migrations.AddIndex(
            model_name='generation',
            index=models.Index(fields=['chat_id', 'created_at'], name='generation_chat'),
        ),
        migrations.AddField(
            model_name='askedprompt',
            name='requester',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='asked_prompts', to='generations.requester'),
        ),
    ]
