"""The Experiments tab: start a small one, watch it, see earlier ones and compare them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.experiments.jobs.job import Experiment, Kind, Progress, Size, State
from app.ui.escape import Html, html, join
from retrieval.types import Mode

KINDS = [
    ("Are answers found?", Kind.FINDING.value),
    ("Are questions answered?", Kind.ANSWERING.value),
    ("Does it help with reading?", Kind.READING.value),
]
MODES = [("Words and meaning", Mode.HYBRID.value), ("Words", Mode.BM25.value),
         ("Meaning", Mode.DENSE.value)]  # fmt: skip
SIZES = [("Quick", Size.QUICK.value), ("Thorough", Size.THOROUGH.value)]
QUESTIONS = "Add a file of questions with known answers: SQuAD’s JSON, or a line for each such as "
EXAMPLE = '{"question": "Who built the bridge?", "answers": ["Anna Kern"]}'
HINTS = {
    Kind.FINDING: "How often do the first passages that are found hold the answer’s words? Takes "
    "seconds; no language model is asked.",
    Kind.ANSWERING: "The language model answers each question from memory, after one passage and "
    "after four, and is compared with the known answer. Takes minutes.",
    Kind.READING: "Does the language model find a text less surprising when passages of your "
    "documents stand before it? Add a text file that is about the same things and is not one of "
    "them. Takes minutes.",
}
WORKING = {
    "retrieving": "Looking for passages",
    "searching": "Looking for passages",
    "scoring": "Reading the text",
    "asking": "Asking the model",
}
NAMES = {Kind.FINDING: "Finding", Kind.ANSWERING: "Answering", Kind.READING: "Reading"}
BY = {Mode.HYBRID: "words and meaning", Mode.BM25: "words", Mode.DENSE: "meaning"}
EMPTY = html('<p class="empty">No experiments yet.</p>')


@dataclass(frozen=True, slots=True)
class ExperimentsTab:
    """The tab's components."""

    kind: gr.Radio
    hint: gr.HTML
    file: gr.File
    mode: gr.Radio
    size: gr.Radio
    start: gr.Button
    notes: gr.HTML
    board: gr.HTML
    comparison: gr.HTML


def build(script: str) -> ExperimentsTab:
    """Lay out the tab; `script` is what HTML components run."""
    with gr.Column(elem_id="experiment-form"):
        _html("experiment-title", html("<h2>Measure what your documents are worth</h2>"))
        kind = _radio("What to measure", KINDS, "experiment-kind")
        explained = _html("experiment-hint", hint(Kind.FINDING))
        file = gr.File(label="A file", show_label=False, height=140, elem_id="experiment-file")
        with gr.Row(elem_id="experiment-how", equal_height=False):
            mode = _radio("Search by", MODES, "experiment-mode")
            size = _radio("How much of the file", SIZES, "experiment-size")
            start = gr.Button("Start", variant="primary", scale=0, min_width=110,
                              elem_id="experiment-start")  # fmt: skip
        notes = _html("experiment-notes", Html())
    board = _html("experiments", EMPTY, script)
    comparison = _html("comparison", Html(), script)
    return ExperimentsTab(kind, explained, file, mode, size, start, notes, board, comparison)


def hint(kind: Kind, remote: str | None = None) -> Html:
    """What an experiment of this kind tells, and what file it takes."""
    takes = html("{said}<code>{example}</code>.", said=QUESTIONS, example=EXAMPLE)
    sent = f"Passages are sent to {remote}. " if remote and kind is Kind.ANSWERING else ""
    return html(
        "<p>{told}</p><p>{sent}{takes}</p>",
        told=HINTS[kind],
        sent=sent,
        takes=Html() if kind is Kind.READING else takes,
    )


def board(experiments: Sequence[Experiment]) -> Html:
    """All experiments, the latest first, with what can be done with each."""
    if not experiments:
        return EMPTY
    return html(
        '<section class="experiments"><header><h2>Experiments</h2><button type="button" '
        'data-action="compare" data-collect="experiment">Compare those ticked</button></header>'
        "<ul>{items}</ul></section>",
        items=join(map(_experiment, experiments)),
    )


def notes(said: str) -> Html:
    """What went wrong with a click, if anything did."""
    return html('<p class="trouble" role="alert">{said}</p>', said=said) if said else Html()


def comparison(body: Html, query: str) -> Html:
    """A report on the page, with a way to keep it and one to close it."""
    return html(
        '<section class="comparison" data-bring><header><h2>Compared</h2><a href="/experiments/'
        'report.html?{query}" download>Download</a><button type="button" data-action="close-report"'
        ' aria-label="Close the comparison">✕</button></header>{body}</section>',
        query=query,
        body=body,
    )


def _experiment(experiment: Experiment) -> Html:
    job = experiment.job
    return html(
        '<li class="experiment is-{state}" data-state="{state}">{box}<div class="about"><strong>'
        "#{number} {kind}: <bdi>{file}</bdi></strong>"
        '<span class="facts"><bdi>{over}</bdi> · {by} · {size} · {when}</span></div>'
        '<div class="result">{result}</div><div class="tools">{tools}</div></li>',
        state=experiment.state.value,
        box=_box(experiment) if experiment.state is State.FINISHED else html("<span></span>"),
        number=experiment.number,
        kind=NAMES[job.kind],
        file=job.file,
        over=job.over,
        by=BY[job.mode],
        size=job.size.value,
        when=time.strftime("%d %b %H:%M", time.localtime(job.asked_at)),
        result=_result(experiment),
        tools=_tools(experiment),
    )


def _box(experiment: Experiment) -> Html:
    return html(
        '<input type="checkbox" data-tick="experiment" value="{number}" aria-label="{label}">',
        number=experiment.number,
        label=f"Compare {experiment.name}",
    )


def _result(experiment: Experiment) -> Html:
    if experiment.state is State.RUNNING:
        return _progress(experiment.progress)
    if experiment.state is State.FAILED:
        return html('<span class="reason">{reason}</span>', reason=experiment.reason)
    if experiment.metrics is None:
        return html("Stopped")
    return html("{said}", said=SAID[experiment.job.kind](experiment.metrics))


def _progress(progress: Progress | None) -> Html:
    if progress is None:
        return html('<span class="doing"><span class="pulse"></span>Getting ready</span>')
    said = f"{WORKING.get(progress.what, 'Working')}, {progress.done:,} of {progress.total:,}"
    return html(
        '<span>{said}</span><progress max="{total}" value="{done}" aria-label="{said}"></progress>',
        said=said,
        done=progress.done,
        total=progress.total,
    )


def _tools(experiment: Experiment) -> Html:
    tools = {
        State.RUNNING: [_button(experiment, "stop-experiment", "Stop")],
        State.STOPPED: [_button(experiment, "go-on", "Go on"), _delete(experiment)],
        State.FAILED: [_button(experiment, "go-on", "Try again"), _delete(experiment)],
        State.FINISHED: [_download(experiment), _delete(experiment)],
    }
    return join(tools[experiment.state])


def _button(experiment: Experiment, action: str, label: str) -> Html:
    return html(
        '<button type="button" data-action="{action}" data-id="{number}" aria-label="{spoken}">'
        "{label}</button>",
        action=action,
        number=experiment.number,
        spoken=f"{label}: {experiment.name}",
        label=label,
    )


def _download(experiment: Experiment) -> Html:
    return html(
        '<a href="/experiments/{number}.zip" download aria-label="{spoken}">Download</a>',
        number=experiment.number,
        spoken=f"Download {experiment.name}",
    )


def _delete(experiment: Experiment) -> Html:
    return html(
        '<button type="button" class="quiet" data-action="delete-experiment" data-id="{number}" '
        'data-yes="Delete" data-confirm="{question}" aria-label="{spoken}">Delete</button>',
        number=experiment.number,
        question=f"Delete {experiment.name} with its figures?",
        spoken=f"Delete {experiment.name}",
    )


def _found(metrics: Mapping[str, Any]) -> str:
    found, asked = metrics["answer_metrics"], metrics["questions"]["with_answers"]
    return (
        f"For {found['AnswerString@1']:.0f} % of {asked} questions the first passage holds the "
        f"answer’s words, for {found['AnswerString@20']:.0f} % one of the first 20."
    )


def _answered(metrics: Mapping[str, Any]) -> str:
    by_docs = metrics["by_docs"]
    scores = {docs: by_docs[docs]["f1"] for docs in sorted(by_docs, key=int)}
    with_most = list(scores.values())[-1]
    return (
        f"Right words (F1) in {metrics['questions']} answers: {scores['0']:.0f} % from memory, "
        f"{with_most:.0f} % after {list(scores)[-1]} passages."
    )


def _read(metrics: Mapping[str, Any]) -> str:
    ours = metrics["token_perplexity"]
    bare = metrics["without_retrieval"]["token_perplexity"]
    low, high = metrics["intervals"]["ratio"]
    if low <= 1 <= high or ours is None or bare is None:
        return "No clear difference: passages neither help nor harm."
    change = 100 * abs(1 - ours / bare)
    return f"The text is {change:.1f} % {'less' if high < 1 else 'more'} surprising with passages."


SAID = {Kind.FINDING: _found, Kind.ANSWERING: _answered, Kind.READING: _read}


def _radio(label: str, choices: Sequence[tuple[str, str]], name: str) -> gr.Radio:
    return gr.Radio(list(choices), value=choices[0][1], label=label, min_width=0, elem_id=name)


def _html(name: str, value: Html, script: str | None = None) -> gr.HTML:
    return gr.HTML(value, elem_id=name, apply_default_css=False, js_on_load=script)
