"""The protocol of the paper's script, written out plainly: one forward of transformers a stride.

Slow and simple on purpose: all logits, one window at a time, the passage written over the window's
first tokens. It is what our perplexity has to equal.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer


@dataclass(frozen=True)
class Model:
    model: object
    tokenizer: object

    @classmethod
    def load(cls, folder):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return cls(model, AutoTokenizer.from_pretrained(folder))

    def encode(self, text):
        return self.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids[0]

    def losses(self, window):
        """Losses (T - 1) of all tokens of a window (T,) after its first."""
        with torch.no_grad():
            logits = self.model(window[None], use_cache=False).logits[0]
        return F.cross_entropy(logits[:-1], window[1:], reduction="none")


def paper_losses(model, ids, records, *, window, stride, doc_tokens, ranking="first", ranked=16):
    """Losses of all tokens but the first, and the rank chosen for each stride."""
    found, chosen, before = [], [], 0
    for number, begin in enumerate(range(0, len(ids), stride)):
        end = min(begin + window, len(ids))
        target = end - before
        docs = records[number]["retrieved_docs"] if records and number else []
        tried = []
        for doc in docs if ranking != "first" else docs[:1]:
            words = f"{doc['title']}\n{doc['text']}" if doc.get("title") else doc["text"]
            passage = model.encode(words)[:doc_tokens]
            tokens = ids[begin:end].clone()
            tokens[: len(passage)] = passage
            losses = model.losses(tokens)
            judged = losses[-target - ranked : -target] if ranking == "lm" else losses[-target:]
            tried.append((float(judged.sum()), losses[-target:]))
        if tried:
            best = 0 if ranking == "first" else min(range(len(tried)), key=lambda n: tried[n][0])
            found.append(tried[best][1])
        else:
            best = None
            losses = model.losses(ids[begin:end])
            found.append(losses if number == 0 else losses[-target:])
        chosen.append(best)
        before = end
        if end == len(ids):
            break
    return torch.cat(found), chosen


def prepended_losses(model, ids, strides, passages):
    """Losses of the strides' tokens, each after its own passage and window in one forward."""
    found = []
    for stride, passage in zip(strides, passages, strict=True):
        tokens = torch.cat([passage, ids[stride.window : stride.end]])
        count = stride.end - max(stride.begin, 1)
        found.append(model.losses(tokens)[-count:])
    return torch.cat(found)
