"""The page: Gradio, one file a tab, all HTML through `escape.html`."""
