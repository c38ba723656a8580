"""The `vaezip` command. Importing this package loads neither torch nor numpy."""
