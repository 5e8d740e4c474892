"""Products of rows with a few vectors: right, and the same bits whatever stands beside them."""

import numpy as np
import pytest

from jamba.kernels.tiles import COLUMNS, dots


def addresses(vectors):
    return np.array([vector.ctypes.data for vector in vectors], np.int64)


def drawn(rows, size, is_int8):
    rng = np.random.default_rng(rows * size)
    vectors = rng.standard_normal((COLUMNS, size)).astype(np.float32)
    if is_int8:
        return rng.integers(-127, 128, (rows, size)).astype(np.int8), vectors
    return rng.standard_normal((rows, size)).astype(np.float32), vectors


def product(weight, vectors):
    sums = np.full((len(weight), len(vectors)), np.nan, np.float32)
    is_int8 = int(weight.dtype == np.int8)
    where = weight.ctypes.data, is_int8, len(weight), addresses(vectors), len(vectors)
    dots(*where, weight.shape[1], sums.ctypes.data)
    return sums


@pytest.mark.parametrize("is_int8", [False, True])
@pytest.mark.parametrize("size", [1, 5, 8, 13, 16, 64, 77, 200])
@pytest.mark.parametrize("rows", [1, 3, 4, 11])
def test_products_are_right(rows, size, is_int8):
    weight, vectors = drawn(rows, size, is_int8)
    expected = weight.astype(np.float64) @ vectors.T.astype(np.float64)
    scale = np.abs(weight.astype(np.float64)) @ np.abs(vectors.T)
    assert (np.abs(product(weight, vectors) - expected) <= 1e-6 * scale).all()


@pytest.mark.parametrize("is_int8", [False, True])
@pytest.mark.parametrize("size", [5, 16, 77, 200])
def test_a_product_has_the_same_bits_in_any_company(size, is_int8):
    weight, vectors = drawn(11, size, is_int8)
    together = product(weight, vectors)
    for columns in (1, 2):
        assert (product(weight, vectors[:columns]) == together[:, :columns]).all()
    for row in range(len(weight)):
        assert (product(weight[row : row + 1], vectors) == together[row]).all()
