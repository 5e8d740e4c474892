"""Writing nothing but words of given texts."""
