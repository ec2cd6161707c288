"""Styles: what people may write behind --style. A change binds the next prompt; rows keep the words they had."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError

from generations import styles
from generations.admin.audited import Audited
from generations.admin.shared import StyleModelAdmin, StyleModelForm
from generations.models import Style
from generations.prompts import is_visible


class StyleForm(StyleModelForm):
    class Meta:
        model = Style
        fields = ["name", "label", "words", "negative", "enabled", "position"]
        widgets = {
            "words": forms.Textarea(attrs={"rows": 3, "cols": 80}),
            "negative": forms.Textarea(attrs={"rows": 2, "cols": 80}),
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].casefold()
        if not styles.is_name(name):
            raise ValidationError("Small letters, digits and hyphens, and no word that is a flag, none, or x2 to x4.")
        return name

    def clean_label(self) -> str:
        label: str = self.cleaned_data["label"]
        if not is_visible(label):
            raise ValidationError("The button needs some text that can be seen.")
        return label

    def clean_words(self) -> str:
        words = " ".join(self.cleaned_data["words"].split())
        if words.count(Style.PLACE) != 1:
            raise ValidationError(f"{Style.PLACE} must be there once: that is where the prompt goes.")
        if not is_visible(words.replace(Style.PLACE, "")):
            raise ValidationError("There are no words besides the prompt.")
        return words

    def clean_negative(self) -> str:
        return " ".join(self.cleaned_data["negative"].split())


@admin.register(Style)
class StyleAdmin(Audited, StyleModelAdmin):
    form = StyleForm
    list_display = ["name", "label", "words", "enabled", "position"]
    list_filter = ["enabled"]
