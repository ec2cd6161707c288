"""ModelScope's text-to-video model: its network classes and checkpoint folder, our pipeline. Torch lives only here."""
