"""DLPack capsules: memory lent to another library, with a call back when it is done with it.

The layout is that of dlpack.h, `DLManagedTensor` (the unversioned form, which every consumer takes).
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

_NAME = b"dltensor"
_FLOAT = 2  # kDLFloat


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _ManagedTensor(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_ManagedTensor))
_ManagedTensor._fields_ = (("tensor", _Tensor), ("manager", ctypes.c_void_p), ("deleter", _Deleter))

_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_python = ctypes.pythonapi
_new_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, _Destructor)(
    ("PyCapsule_New", _python)
)
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", _python))
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", _python))

# What a lent tensor needs until its consumer deletes it, by the address of its structure.
_lent: dict[int, tuple[Any, ...]] = {}


def _delete_tensor(tensor: Any) -> None:
    """Called by the consumer, from any thread."""
    _, _, done = _lent.pop(ctypes.addressof(tensor.contents), (None, None, None))
    if done is not None:
        done()


def _destroy_capsule(capsule: int) -> None:
    """Called with a capsule's end. One that was consumed has another name then, and its consumer deletes the tensor."""
    if _is_valid(capsule, _NAME):
        _delete_tensor(ctypes.cast(_pointer_of(capsule, _NAME), ctypes.POINTER(_ManagedTensor)))


_delete, _destroy = _Deleter(_delete_tensor), _Destructor(_destroy_capsule)


def lend(address: int, shape: Sequence[int], device: tuple[int, int], done: Callable[[], None]) -> object:
    """Return a DLPack capsule of C-ordered float32 memory.

    Args:
        address: of the memory.
        shape: in elements.
        device: type and number, as DLPack counts.
        done: called once, by any thread, when the consumer no longer needs the memory.
    """
    sizes = (ctypes.c_int64 * len(shape))(*shape)
    managed = _ManagedTensor()
    managed.tensor.data = address
    managed.tensor.device = _Device(*device)
    managed.tensor.ndim = len(shape)
    managed.tensor.dtype = _DataType(_FLOAT, 32, 1)
    managed.tensor.shape = sizes
    managed.deleter = _delete
    _lent[ctypes.addressof(managed)] = (managed, sizes, done)
    return _new_capsule(ctypes.addressof(managed), _NAME, _destroy)
