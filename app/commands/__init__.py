"""One module a command group; each adds its commands with `register(app)` and imports heavy things inside them."""
