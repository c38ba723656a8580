"""Pictures on their way in: opening, checking and converting to 8-bit RGB."""
