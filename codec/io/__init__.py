"""Files, folders, URLs, worker processes and memory, independent of pictures."""
