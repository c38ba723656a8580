"""Rate-distortion benchmarks: run codecs on a folder of pictures, compare their curves, write reports."""
