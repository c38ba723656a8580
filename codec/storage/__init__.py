"""Files by path or URL: reading, writing, and what a folder or pattern stands for."""
