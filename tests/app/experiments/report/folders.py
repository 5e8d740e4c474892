"""Finished run folders made by hand: everything a report reads, and no model behind it."""

import json

import numpy as np

from app.experiments.run_folder import RunFolder


def write_lines(folder, name, rows):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def perplexity_run(path, *, stride=4, gain=0.1, tokens=2000, words=900, **settings):
    """A run whose passages lower every token's loss by `gain` nats, with some noise."""
    asked = {
        "text": "town.txt",
        "text_digest": "t" * 64,
        "tokens": tokens,
        "model": "tiny",
        "model_digest": "m" * 64,
        "model_parameters": 1_000_000,
        "passages_from": "index",
        "passages_digest": "i" * 64,
        "stride": stride,
        "query_tokens": 32,
        "doc_tokens": 256,
        "candidates": 1,
        "retriever": "bm25",
    }
    folder = RunFolder.open(path, "perplexity", asked | settings, resume=False)
    noise = np.random.default_rng(1).normal(0, 0.05, tokens)
    bare = np.full(tokens, 3.0, np.float32)
    ours = (bare - gain + noise).astype(np.float32)
    bare[0] = ours[0] = np.nan
    np.save(path / "losses.npy", np.stack([ours, bare]))
    ours, bare = (np.exp(np.nan_to_num(each).mean()).item() for each in (ours, bare))
    interval = {"token_perplexity": (ours - 0.2, ours + 0.2), "ratio": (0.8, 0.95)}
    metrics = {
        "word_perplexity": ours**2,
        "token_perplexity": ours,
        "without_retrieval": {"word_perplexity": bare**2, "token_perplexity": bare},
        "intervals": interval,
        "words": words,
    }
    folder.finish(metrics, {"scoring_s": 1.0})
    return path


def qa_run(path, f1=((0, 0.2), (4, 0.8)), *, mode="passages", questions=40, **settings):
    """A run that scores so on every question after so many passages."""
    asked = {
        "data": "squad.json",
        "data_digest": "d" * 64,
        "questions": questions,
        "model": "tiny",
        "model_digest": "m" * 64,
        "model_parameters": 1_000_000,
        "docs": [docs for docs, _ in f1],
    }
    folder = RunFolder.open(path, "qa", asked | settings, resume=False)
    rows = [
        {"docs": docs, "id": str(n), "em": float(n % 10 < 10 * score), "f1": score}
        for docs, score in f1
        for n in range(questions)
    ]
    folder.append("predictions.jsonl", rows)
    by_docs = {
        str(docs): {
            "em": 100 * score,
            "f1": 100 * score,
            "intervals": {"em": (90 * score, 100 * score), "f1": (90 * score, 100 * score)},
            "answer_in_context": None if docs == 0 else 50.0,
            "seconds": {"median": 0.5},
        }
        for docs, score in f1
    }
    metrics = {"mode": mode, "questions": questions, "by_docs": by_docs}
    folder.finish(metrics, {"seconds": 1.0})
    return path


def retrieval_run(path, right=20, *, questions=40, **settings):
    """A run that finds the document of so many questions first, of the others never."""
    asked = {
        "data": {"path": "squad.json", "sha256": "d" * 64},
        "index": {"path": "index", "sha256": "i" * 64},
        "mode": "bm25",
        "k": 20,
    }
    folder = RunFolder.open(path, "retrieval", asked | settings, resume=False)
    rows = [{"query": str(n), "nDCG@10": float(n < right), "R@20": 1.0} for n in range(questions)]
    write_lines(path, "per_query.jsonl", rows)
    found = 100 * right / questions
    metrics = {
        "metrics": {"nDCG@10": found, "R@20": 100.0},
        "answer_metrics": {},
        "curves": {"judged": {"1": found, "20": 100.0}},
    }
    folder.finish(metrics, {"latency_ms": {"p50": 12.0}})
    return path
