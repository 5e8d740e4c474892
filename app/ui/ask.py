"""The Ask tab: chats on the left, conversation and question box, the source on the right."""

from dataclasses import dataclass

import gradio as gr

from app.answering.drafts import DRAFTS
from app.types import AnswerMode
from app.ui import source

TWICE = (
    f"Check the answer twice: the model writes {DRAFTS} drafts and, where they differ, compares "
    "them with the passages. Slower."
)
MODES = [("Quotes only", AnswerMode.QUOTE.value), ("Free answer", AnswerMode.FREE.value)]


@dataclass(frozen=True, slots=True)
class AskTab:
    """The tab's components."""

    chats: gr.HTML
    conversation: gr.HTML  # finished answers
    live: gr.HTML  # the answer being made; apart, so that drawing it leaves the others alone
    question: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    mode: gr.Radio
    twice: gr.Checkbox  # seen where answers are free
    scope: gr.HTML
    note: gr.HTML  # what answers, and where passages go
    source: gr.HTML


def build(script: str, mode: AnswerMode, said: str) -> AskTab:
    """Lay out the tab; `script` is what HTML components run, `said` what answers in `mode`."""
    with gr.Row(elem_id="ask", equal_height=False):
        with gr.Column(elem_id="chats-side", scale=0, min_width=0):
            chats = _html("chats", script)
        with gr.Column(elem_id="middle", scale=1, min_width=0):
            conversation, live = _html("conversation", script), _html("live", script)
            with gr.Column(elem_id="composer"):
                question, ask, stop = _question()
                chosen, scope = _choices(script, mode)
                twice = _twice(mode)
                note = _html("note", script, said)
        with gr.Column(elem_id="source-side", scale=0, min_width=0):
            words = _html("source", script, source.CLOSED)
    return AskTab(chats, conversation, live, question, ask, stop, chosen, twice, scope, note, words)


def _question() -> tuple[gr.Textbox, gr.Button, gr.Button]:
    with gr.Row(elem_id="question-row", equal_height=True):
        question = gr.Textbox(
            label="Your question",
            placeholder="Ask about these documents",
            lines=1,
            max_lines=6,
            max_length=4000,
            autofocus=True,
            show_label=False,
            container=False,
            scale=1,
            min_width=0,
            elem_id="question",
            html_attributes=gr.InputHTMLAttributes(autocomplete="off"),
        )
        ask = gr.Button("Ask", variant="primary", scale=0, min_width=84, elem_id="ask-button")
        stop = gr.Button("Stop", scale=0, min_width=84, visible=False, elem_id="stop-button")
    return question, ask, stop


def _choices(script: str, mode: AnswerMode) -> tuple[gr.Radio, gr.HTML]:
    with gr.Row(elem_id="choices"):
        chosen = gr.Radio(
            MODES,
            value=mode.value,
            label="How to answer",
            show_label=False,
            container=False,
            scale=0,
            min_width=0,
            elem_id="mode",
        )
        scope = _html("scope", script)
    return chosen, scope


def _twice(mode: AnswerMode) -> gr.Checkbox:
    return gr.Checkbox(
        label=TWICE,
        visible=mode is AnswerMode.FREE,
        container=False,
        min_width=0,
        elem_id="twice",
    )


def _html(name: str, script: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, elem_id=name, apply_default_css=False, js_on_load=script)
