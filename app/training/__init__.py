"""The small models that come with the program, made from data on this machine."""
