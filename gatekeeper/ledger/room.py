"""Room on the disk that is allocated before it is needed: what must be written can be, on a full disk, too.

By `fallocate` with FALLOC_FL_KEEP_SIZE: the file's size stays what has been written, so whoever reads it sees
no difference. (`os.posix_fallocate` makes the file longer, with zeros that every reader would have to know.)
Where there is no such call, or a file system cannot do it, there is no such room.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_KEEP_SIZE = 1
_CANNOT = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def allocate(fd: int, start: int, length: int) -> bool:
    """Makes room for so many bytes from `start`; False where that is not possible here.

    Raises OSError where the disk is full.
    """
    if sys.platform != "linux":
        return False
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _KEEP_SIZE, start, length) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number))
