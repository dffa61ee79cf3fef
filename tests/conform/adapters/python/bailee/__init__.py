"""Bailee, profile `classic`: an implementation written from the text in `spec/` alone."""
