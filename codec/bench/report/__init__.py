"""What people read: plots, tables, the page, and the block in README."""
