"""The `vaezip` command. Importing it loads neither torch nor numpy."""
