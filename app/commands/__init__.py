"""One module a command group: `register(app)` adds its commands, which import heavy things late."""
