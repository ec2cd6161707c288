"""ModelScope's text-to-video model: its network classes and its checkpoint folder, our pipeline. Torch lives only here."""
