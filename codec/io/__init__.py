"""Files, folders, URLs, worker processes and memory: what lies below pictures."""
