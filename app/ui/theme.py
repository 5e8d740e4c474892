"""Gradio's own parts in the page's colours; the colours themselves stand in style.css."""

import gradio as gr


def theme() -> gr.themes.Base:
    """System fonts only (nothing is fetched), square and quiet, every colour a variable of ours."""
    colours = {
        "body_background_fill": "var(--paper)",
        "body_text_color": "var(--ink)",
        "body_text_color_subdued": "var(--muted)",
        "background_fill_primary": "var(--surface)",
        "background_fill_secondary": "var(--surface)",
        "block_background_fill": "var(--surface)",
        "block_label_background_fill": "var(--surface)",
        "block_label_text_color": "var(--muted)",
        "block_title_text_color": "var(--muted)",
        "block_info_text_color": "var(--muted)",
        "border_color_primary": "var(--line)",
        "block_border_color": "var(--line)",
        "border_color_accent": "var(--accent)",
        "color_accent": "var(--accent)",
        "color_accent_soft": "var(--accent-soft)",
        "input_background_fill": "var(--surface)",
        "input_border_color": "var(--line)",
        "input_border_color_focus": "var(--accent)",
        "input_placeholder_color": "var(--muted)",
        "button_primary_background_fill": "var(--accent)",
        "button_primary_background_fill_hover": "var(--accent-strong)",
        "button_primary_text_color": "var(--on-accent)",
        "button_secondary_background_fill": "var(--surface)",
        "button_secondary_background_fill_hover": "var(--hover)",
        "button_secondary_border_color": "var(--line)",
        "button_secondary_text_color": "var(--ink)",
        "checkbox_background_color": "var(--surface)",
        "checkbox_background_color_selected": "var(--accent)",
        "checkbox_border_color": "var(--line)",
        "checkbox_label_background_fill": "transparent",
        "checkbox_label_background_fill_selected": "transparent",
        "checkbox_label_text_color": "var(--ink)",
        "checkbox_label_text_color_selected": "var(--ink)",
        "loader_color": "var(--accent)",
        "slider_color": "var(--accent)",
    }
    base = gr.themes.Base(
        font=["system-ui", "-apple-system", "Segoe UI", "Liberation Sans", "sans-serif"],
        font_mono=["ui-monospace", "Liberation Mono", "monospace"],
        radius_size=gr.themes.sizes.radius_sm,
    )
    dark = {f"{name}_dark": value for name, value in colours.items() if name != "color_accent"}
    return base.set(**colours, **dark)  # the variables change with light and dark themselves
