"""How much red, green and blue count in luma."""

# BT.601, as JPEG and WebP weigh the channels.
BT601 = (0.299, 0.587, 0.114)
