"""The server: the page and the API as one application, its guard, its start and its end."""
