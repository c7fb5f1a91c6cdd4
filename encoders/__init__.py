"""Neural networks that give vectors; torch lives here."""
