"""What Debian 12's include server needs to answer at all: its module in C, once more and in Python.

Debian's module was built for an interface that Python 3.10 took away: each call that reads a message ends in a SystemError, and the server
with it. Python loads this file at its start when the folder is in PYTHONPATH; stock's own programs stay as they are. Written from how
the server calls the module and from what goes over its socket.
"""

import os
import sys
import types


class Error(Exception):
    pass


def _exactly(fd, count):
    parts = []
    while count:
        part = os.read(fd, count)
        if not part:
            raise Error('the peer is gone')
        parts.append(part)
        count -= len(part)
    return b''.join(parts)


def _number(fd, tag):
    token = _exactly(fd, 12)
    if token[:4] != tag:
        raise Error(f'{token!r} instead of {tag!r}')
    return int(token[4:], 16)


def _text(fd, tag):
    return _exactly(fd, _number(fd, tag)).decode()


def _arguments(fd):
    return [_text(fd, b'ARGV') for _ in range(_number(fd, b'ARGC'))]


def _send(fd, arguments):
    message = b'ARGC%08x' % len(arguments)
    for argument in map(os.fsencode, arguments):
        message += b'ARGV%08x' % len(argument) + argument
    while message:
        message = message[os.write(fd, message):]
    return True


def _lzo1x(text):
    """A stream of literals only, which is LZO1X too."""
    data = text.encode() if isinstance(text, str) else bytes(text)
    length, head = len(data), b''
    if 0 < length <= 238:
        head = bytes([17 + length])
    elif length:
        zeros, rest = divmod(length - 18 - 1, 255)
        head = bytes(1 + zeros) + bytes([rest + 1])
    return head + data + b'\x11\0\0'



module = types.ModuleType('distcc_pump_c_extensions')
module.Error = Error
module.RTokenString = lambda fd, tag: _text(fd, tag.encode())
module.RCwd = lambda fd: _text(fd, b'CDIR')
module.RArgv = _arguments
module.XArgv = _send
module.OsPathExists = os.path.exists
module.OsPathIsFile = os.path.isfile
module.Realpath = os.path.realpath
module.CompressLzo1xAlloc = _lzo1x
sys.modules[module.__name__] = module
