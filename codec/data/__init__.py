"""The pictures that the project is trained and measured on: how to get them."""
