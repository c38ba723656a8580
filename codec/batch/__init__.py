"""Many pictures at once: on the cores of this machine, or on a cluster.

`compress_many` is the whole of it for most; `CompressBatch` is for Ray Data. Nothing here loads torch or
numpy before there is work to do.
"""

from codec.batch.cluster import CompressBatch
from codec.batch.scheduler import compress_many
from codec.batch.task import Result

__all__ = ["CompressBatch", "Result", "compress_many"]
