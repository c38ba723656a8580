"""From a picture to the payloads of its tiles, at any quality, and to a target."""
