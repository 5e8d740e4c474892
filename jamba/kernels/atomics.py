"""Addresses, and counters that several cores share, for numba kernels.

Numba has no atomic operations for a CPU; LLVM does. Counters are 64-bit integers at an address.
"""

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from jamba.kernels.cpu import compiled_serial

SPINS = 2000  # looks at a counter before the core is offered to others
_I64 = ir.IntType(64)
_sched_yield = types.ExternalFunction("sched_yield", types.intc())


@intrinsic
def fetch_add(typing: Any, address: Any, amount: Any) -> Any:
    """Add to a counter; gives what it held before. What was written before is seen by others."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = builder.inttoptr(args[0], ir.PointerType())
        return builder.atomic_rmw("add", counter, args[1], "acq_rel")

    return types.int64(types.int64, types.int64), generate


@intrinsic
def load(typing: Any, address: Any) -> Any:
    """A counter's value, with everything that was written before it reached that value."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        counter = builder.inttoptr(args[0], ir.PointerType())
        return builder.load_atomic(counter, "acquire", 8, typ=_I64)

    return types.int64(types.int64), generate


def _pointer(element: Any) -> Any:
    """The kernel that makes an address a pointer to elements of a type."""

    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

        return types.CPointer(element)(types.int64), generate

    return pointer


_float_pointer, _integer_pointer = _pointer(types.float32), _pointer(types.int64)


@compiled_serial
def floats(address, count):  # type: ignore[no-untyped-def]
    """The `count` float32 at an address."""
    return numba.carray(_float_pointer(address), (count,))


@compiled_serial
def integers(address, count):  # type: ignore[no-untyped-def]
    """The `count` int64 at an address."""
    return numba.carray(_integer_pointer(address), (count,))


@compiled_serial
def wait_until(address, value):  # type: ignore[no-untyped-def]
    """Return when the counter has reached `value`."""
    spins = 0
    while load(address) < value:
        spins += 1
        if spins == SPINS:
            _sched_yield()
            spins = 0
