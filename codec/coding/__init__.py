"""From a picture to the payloads of its tiles, at any rate index, and to a target."""
