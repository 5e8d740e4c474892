"""Several readers -> one whose weights are the mean of theirs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from app.training.lm_data import TrainingDataError
from app.training.reader_training import Exam, ReaderData, judge
from retrieval.reading.reader import Reader, new_span_model, open_tokenizer, put_tensors, read_card
from retrieval.reading.reader_eval import ReadingScores
from retrieval.reading.reader_train import save_reader


def average(
    readers: Sequence[Path], data: ReaderData, encoder_folder: Path, out: Path
) -> ReadingScores:
    """Write the reader with the mean of the readers' weights into `out`, calibrated like any other.

    Runs that began with the same encoder and differ in data or rate lie in one valley, and the mean
    of their weights generalises better than each (model soups, arXiv 2203.05482, section 3). It
    reads in the narrowest of their windows; a reader named twice counts twice. Raises
    TrainingDataError for fewer than two readers.
    """
    if len(readers) < 2:
        raise TrainingDataError("a mean takes two readers at least; name each with --average")
    exam = Exam.of(data.held_out)
    cards = [read_card(folder) for folder in readers]
    window = min(card["window_tokens"] for card in cards)
    mean = new_span_model(encoder_folder)
    other = new_span_model(encoder_folder)
    put_tensors(mean, readers[0])
    for count, folder in enumerate(readers[1:], start=2):
        put_tensors(other, folder)
        with torch.no_grad():
            for own, theirs in zip(mean.parameters(), other.parameters(), strict=True):
                own.lerp_(theirs, 1 / count)  # the mean of the first `count` readers
    for parameter in mean.encoder.embeddings.parameters():
        parameter.requires_grad_(False)  # as in training: what is shipped are layers and head
    reader = Reader(mean.eval(), open_tokenizer(encoder_folder), window_tokens=window)
    scores, calibration = judge(reader, exam)
    made_by = [card["recipe"] if "recipe" in card else card["mean_of"] for card in cards]
    card = {"mean_of": made_by, "held_out": scores.to_dict()}
    out.mkdir(parents=True, exist_ok=True)
    save_reader(out, mean, calibration, window, card)
    return scores
