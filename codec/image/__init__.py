"""Pictures on their way in and out: opening, checking, converting, painting, metadata."""
