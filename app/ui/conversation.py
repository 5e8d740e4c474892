"""Questions and their answers as HTML: sentences, numbered citations, evidence, figures."""

import re
from collections.abc import Sequence

from app.answering import drafts
from app.types import Answer, AnswerMode, Checking, Citation, RetrievedPassage, Sentence
from app.ui.escape import Html, html, join
from app.ui.marks import count, seconds, show_button, where

NOT_SAID = "The documents do not say."
_BLANK_LINES = re.compile(r"\n\s*\n")


def turns(answers: Sequence[Answer]) -> Html:
    """A whole conversation, oldest first; the page scrolls to the newest."""
    return join(turn(answer, newest=answer is answers[-1]) for answer in answers)


def turn(answer: Answer, *, newest: bool = False) -> Html:
    """One question with its finished answer."""
    return html(
        '<article class="turn"{bring}>{question}<div class="answer is-{mode}">{body}</div>'
        "{sources}{evidence}{figures}</article>",
        bring=html(" data-bring") if newest else Html(),
        question=_question(answer.question),
        mode=answer.mode.value,
        body=_body(answer),
        sources=_sources(answer.citations),
        evidence=_evidence(answer),
        figures=_figures(answer),
    )


def pending(
    question: str,
    passages: Sequence[RetrievedPassage] | None,
    text: str,
    checking: Checking | None = None,
) -> Html:
    """An answer that is being made; `passages` is None while they are still searched for."""
    if passages is None:
        doing = "Searching the documents…"
    else:
        now = "reading" if checking is None else drafts.doing(checking)
        doing = f"{count(len(passages), 'passage')} found, {now}…"
    body = html("<p>{text}</p>", text=text) if text else Html()
    return html(
        '<article class="turn is-live"{bring}>{question}<div class="answer">{body}'
        '<p class="doing"><span class="pulse" aria-hidden="true"></span>{doing}</p></div>'
        "</article>",
        bring=html(" data-bring") if passages is None else Html(),  # once, not at every redraw
        question=_question(question),
        body=body,
        doing=doing,
    )


def failed(question: str, message: str) -> Html:
    """A question that could not be answered, and what to do about it."""
    return html(
        '<article class="turn">{question}<p class="trouble" role="alert">{message}</p></article>',
        question=_question(question),
        message=message,
    )


def _question(text: str) -> Html:
    return html('<h3 class="question">{text}</h3>', text=text)


def _body(answer: Answer) -> Html:
    if answer.mode is AnswerMode.ABSTAIN:
        return html(
            '<p class="not-said">{said}</p><p class="hint">{hint}</p>',
            said=NOT_SAID,
            hint="These are the nearest passages; read them to be sure."
            if answer.passages
            else "Nothing near this question was found.",
        )
    citations = {citation.number: citation for citation in answer.citations}
    sentences = [_sentence(each, citations, answer.mode) for each in answer.sentences]
    if answer.mode is AnswerMode.QUOTE:  # from different places: each stands by itself
        return join(html("<blockquote>{text}</blockquote>", text=each) for each in sentences)
    stopped = html(' <span class="flag">stopped</span>') if answer.stopped else Html()
    text = join(sentences, html(" "))
    return html("<p>{text}{stopped}</p>", text=text, stopped=stopped)


def _sentence(sentence: Sentence, citations: dict[int, Citation], mode: AnswerMode) -> Html:
    marks = join(_mark(citations[number]) for number in sentence.citations if number in citations)
    if mode is AnswerMode.FREE and not sentence.citations:
        return html(
            '<span class="unsupported">{text} <span class="flag">not supported</span></span>',
            text=sentence.text,
        )
    cited = [citations[number] for number in sentence.citations if number in citations]
    return html("<span>{text}{marks}</span>", text=_with_focus(sentence.text, cited), marks=marks)


def _with_focus(text: str, cited: Sequence[Citation]) -> Html:
    """A literal quote with the very words that answer made strong; other text as it is."""
    for citation in cited:
        if citation.focus is not None and citation.text == text:
            start, end = (place - citation.start for place in citation.focus)
            return html(
                "{before}<strong>{focus}</strong>{after}",
                before=_without_blank_lines(text[:start]),
                focus=text[start:end],
                after=_without_blank_lines(text[end:]),
            )
    return html("{text}", text=_without_blank_lines(text))


def _mark(citation: Citation) -> Html:
    label = html("{number}", number=citation.number)
    if citation.removed:
        return html('<sup class="cite is-removed" title="removed">{label}</sup>', label=label)
    spoken = f"Source {citation.number}: {where(citation.document, citation.page)}"
    return show_button("cite", label, citation, spoken)


def _sources(citations: Sequence[Citation]) -> Html:
    if not citations:
        return Html()
    return html('<ol class="sources">{items}</ol>', items=join(map(_source, citations)))


def _source(citation: Citation) -> Html:
    if citation.removed:
        return html(
            '<li class="is-removed"><span class="number">{number}</span> removed</li>',
            number=citation.number,
        )
    label = html(
        '<span class="number">{number}</span><span class="file"><bdi>{document}</bdi></span>'
        '<span class="page">{page}</span>',
        number=citation.number,
        document=citation.document,
        page="" if citation.page is None else f"p. {citation.page}",
    )
    spoken = f"Open source {citation.number}: {where(citation.document, citation.page)}"
    return html("<li>{button}</li>", button=show_button("source", label, citation, spoken))


def _evidence(answer: Answer) -> Html:
    if not answer.passages:
        return Html()
    return html(
        '<details class="evidence"{open}><summary>{count} found{searched}</summary>'
        "<ol>{items}</ol></details>",
        open=html(" open") if answer.mode is AnswerMode.ABSTAIN else Html(),
        count=count(len(answer.passages), "passage"),
        searched=""
        if answer.searched == answer.question
        else f" · searched for “{answer.searched}”",
        items=join(_passage(passage) for passage in answer.passages),
    )


def _passage(passage: RetrievedPassage) -> Html:
    place = where(passage.document, passage.page)
    return html(
        '<li><div class="head">{button}{scores}</div><p>{text}</p></li>',
        button=show_button("place", html("<bdi>{place}</bdi>", place=place), passage, place),
        scores=_scores(passage),
        text=_without_blank_lines(passage.text),
    )


def _without_blank_lines(text: str) -> str:
    return _BLANK_LINES.sub("\n", text)


def _scores(passage: RetrievedPassage) -> Html:
    """Why it was found: what each ranking said of it, and the score that decided."""
    names = (("BM25", "bm25"), ("dense", "dense"), ("best sentence", "sentence"))
    parts = [(name, passage.parts.get(key)) for name, key in names]
    found = [
        html(
            "<span><dt>{name}</dt><dd>{score} <small>#{rank}</small></dd></span>",
            name=name,
            score=f"{part.score:.3f}",
            rank=part.rank,
        )
        if part
        else html("<span><dt>{name}</dt><dd>not found</dd></span>", name=name)
        for name, part in parts
    ]
    fused = html("<span><dt>fused</dt><dd>{score}</dd></span>", score=f"{passage.score:.3f}")
    return html('<dl class="scores">{parts}</dl>', parts=join([*found, fused]))


def _figures(answer: Answer) -> Html:
    timings, cache = answer.timings, answer.cache
    said = [f"answered in {seconds(timings.total)}", f"search {seconds(timings.retrieval)}"]
    if timings.first_token is not None:
        said.append(f"first words after {seconds(timings.first_token)}")
    if cache.prompt_tokens:
        said.append(
            f"{cache.cached_tokens:,} of {cache.prompt_tokens:,} prompt tokens from cache"
            + (f" ({cache.restored_from})" if cache.cached_tokens else "")
        )
    if cache.written_tokens is not None:
        said.append(f"{cache.written_tokens:,} tokens written")
    if answer.check is not None:
        said.append(drafts.outcome(answer.check))
    said.append(answer.model if answer.model is not None else "no language model took part")
    return html('<p class="figures">{said}</p>', said=" · ".join(said))
