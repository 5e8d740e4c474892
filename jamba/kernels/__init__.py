"""The loops that plain tensor operations cannot do fast enough, one module per kind of device."""
