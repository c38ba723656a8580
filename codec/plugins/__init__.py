"""Plugins for other libraries: numcodecs (zarr) and webdataset. That for Pillow is codec.pillow."""
