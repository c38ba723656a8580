"""vaezip inside other libraries: arrays in chunks (numcodecs, zarr), samples in shards (webdataset)."""
