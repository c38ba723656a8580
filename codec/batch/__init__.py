"""Compress many pictures: on the cores of this machine, or on a cluster.

Most callers need only `compress_many`; `CompressBatch` is for Ray Data. torch and numpy are loaded when the
first picture is compressed.
"""

from codec.batch.cluster import CompressBatch
from codec.batch.scheduler import compress_many
from codec.batch.task import Result

__all__ = ["CompressBatch", "Result", "compress_many"]
