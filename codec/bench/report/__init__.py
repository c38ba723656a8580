"""What people read: plots, tables, the page, and Markdown for README and the documentation."""
