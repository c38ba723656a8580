"""Rate-distortion benchmarks: run codecs over a folder of pictures, compare their curves, report them."""
