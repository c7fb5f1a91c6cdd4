"""Neural networks that give vectors; torch lives here."""

from core.threads import share_processors

share_processors()
