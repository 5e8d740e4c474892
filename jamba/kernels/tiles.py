"""Inner products of rows of a matrix with a few vectors, written as LLVM's vector code.

How numba's compiler groups a sum depends on how many sums a loop keeps, so a sequence would get
other bits alone than beside others. Here every sum has LANES lanes, goes along its row by itself
and is added up in one order, whatever else its tile holds. A row of weights that has been loaded
is used for all vectors of the tile.
"""

from itertools import pairwise
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from jamba.kernels.cpu import compiled_serial

LANES = 8
LINE = 64  # bytes that memory hands over at a time
AHEAD = 8192  # bytes from what is read to what is asked for
ROWS, COLUMNS = 4, 3  # of the largest tile: 12 sums, 3 vectors and a row fill 16 registers

_FLOAT, _BYTE, _I64 = ir.FloatType(), ir.IntType(8), ir.IntType(64)
_KINDS = [(columns, is_int8) for columns in range(1, COLUMNS + 1) for is_int8 in (False, True)]


@intrinsic
def _strip(  # noqa: PLR0913 - a kernel's arguments cannot be gathered
    typing: Any, kind: Any, weight: Any, rows: Any, x0: Any, x1: Any, x2: Any, size: Any, sums: Any
) -> Any:
    """A strip of the kind with this number in _KINDS.

    Its arguments are 64-bit integers, addresses or counts: the first row of weights (rows follow
    each other), how many rows, three vectors, their length, and where the (rows, columns) sums go
    as float32.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, *rest = args
        done = builder.append_basic_block("done")
        switch = builder.switch(number, done)
        for place, (columns, is_int8) in enumerate(_KINDS):
            block = builder.append_basic_block(f"kind{place}")
            switch.add_case(_I64(place), block)
            builder.position_at_end(block)
            builder.call(_function(builder.module, columns, is_int8), rest)
            builder.branch(done)
        builder.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), generate


def _function(module: Any, columns: int, is_int8: bool) -> Any:
    """The module's function for a strip; one for all its callers, or compiling takes minutes."""
    kind = ir.FunctionType(ir.VoidType(), [_I64] * 7)
    name = f"jamba_strip_{columns}_{'int8' if is_int8 else 'float32'}"
    function = cgutils.get_or_insert_function(module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block())
        _all_rows(builder, list(function.args), columns, is_int8)
        builder.ret_void()
    return function


def _all_rows(builder: Any, args: list[Any], columns: int, is_int8: bool) -> None:
    """ROWS rows at a time, then those that are left."""
    weight, rows, *vectors, size, sums = args
    tiled = builder.and_(rows, _I64(-ROWS))
    for begin, end, height in ((_I64(0), tiled, ROWS), (tiled, rows, 1)):
        with cgutils.for_range_slice(builder, begin, end, _I64(height)) as (first, _):
            row_bytes = size if is_int8 else builder.mul(size, _I64(4))
            start = builder.add(weight, builder.mul(first, row_bytes))
            starts = [builder.add(start, builder.mul(row_bytes, _I64(r))) for r in range(height)]
            out = builder.add(sums, builder.mul(first, _I64(4 * columns)))
            _tile(builder, starts, vectors[:columns], size, out, is_int8)


def _tile(
    builder: Any, starts: list[Any], vectors: list[Any], size: Any, out: Any, is_int8: bool
) -> None:
    """Every row with every vector: line by line, lane by lane, then what is left one by one."""
    line = LINE if is_int8 else LINE // 4
    ends = _I64(0), *(builder.and_(size, _I64(-each)) for each in (line, LANES)), size
    many, one = [
        [cgutils.alloca_once_value(builder, _zero(lanes)) for _ in starts for _ in vectors]
        for lanes in (LANES, 1)
    ]
    for (begin, end), step in zip(pairwise(ends), (line, LANES, 1), strict=True):
        lanes, totals = (1, one) if step == 1 else (LANES, many)
        with cgutils.for_range_slice(builder, begin, end, _I64(step)) as (index, _):
            if step == line:
                _prefetch(builder, starts, index, is_int8)
            for more in range(0, step, lanes):
                place = builder.add(index, _I64(more))
                _add_products(builder, starts, vectors, place, lanes, is_int8, totals)
    for number, (lane_sums, rest) in enumerate(zip(many, one, strict=True)):
        at = builder.inttoptr(builder.add(out, _I64(4 * number)), ir.PointerType())
        total = builder.fadd(_added(builder, builder.load(lane_sums)), builder.load(rest))
        builder.store(total, at, align=4)


def _add_products(
    builder: Any,
    starts: list[Any],
    vectors: list[Any],
    index: Any,
    lanes: int,
    is_int8: bool,
    totals: list[Any],
) -> None:
    """Add the products of `lanes` elements from `index` on to the total of each row and vector."""
    kind = _kind(_FLOAT, lanes)
    # One rounding each: left to itself, LLVM fuses in some tiles and not in others.
    multiply_add = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * 3),
        f"llvm.fma.v{lanes}f32" if lanes > 1 else "llvm.fma.f32",
    )

    def values(start: Any, are_bytes: bool) -> Any:
        at = builder.inttoptr(_at(builder, start, index, are_bytes), ir.PointerType())
        if are_bytes:
            return builder.sitofp(builder.load(at, align=1, typ=_kind(_BYTE, lanes)), kind)
        return builder.load(at, align=4, typ=kind)

    columns = [values(vector, False) for vector in vectors]
    for r, start in enumerate(starts):
        row = values(start, is_int8)
        for c, column in enumerate(columns):
            total = totals[r * len(vectors) + c]
            builder.store(builder.call(multiply_add, [row, column, builder.load(total)]), total)


def _prefetch(builder: Any, starts: list[Any], index: Any, is_int8: bool) -> None:
    """Ask for what these rows' strip will need soon: alone, the hardware loses short rows."""
    void, number = ir.VoidType(), ir.IntType(32)
    fetch = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(void, [ir.PointerType(), number, number, number]),
        "llvm.prefetch.p0",
    )
    for start in starts:
        ahead = builder.add(_at(builder, start, index, is_int8), _I64(AHEAD))
        place = builder.inttoptr(ahead, ir.PointerType())
        builder.call(fetch, [place, number(0), number(3), number(1)])


def _at(builder: Any, start: Any, index: Any, are_bytes: bool) -> Any:
    return builder.add(start, index if are_bytes else builder.mul(index, _I64(4)))


def _kind(element: Any, lanes: int) -> Any:
    return ir.VectorType(element, lanes) if lanes > 1 else element


def _zero(lanes: int) -> Any:
    return ir.Constant(_kind(_FLOAT, lanes), [0.0] * lanes if lanes > 1 else 0.0)


def _added(builder: Any, lanes: Any) -> Any:
    """The sum of a vector's lanes, halves first."""
    parts = [builder.extract_element(lanes, ir.IntType(32)(i)) for i in range(LANES)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [builder.fadd(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]


@compiled_serial
def dots(weight, is_int8, rows, x, columns, size, sums):  # type: ignore[no-untyped-def]
    """sums[r * columns + c]: rows of a matrix times up to COLUMNS vectors of `size` elements.

    `weight` is the address of the first row, `x` holds the addresses of the vectors, `sums` is
    where the products go.
    """
    kind = 2 * (columns - 1) + (1 if is_int8 else 0)
    _strip(kind, weight, rows, x[0], x[min(1, columns - 1)], x[columns - 1], size, sums)
