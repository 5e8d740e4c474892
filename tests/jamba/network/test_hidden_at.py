"""Hidden states of some tokens alone are those of all tokens there."""

import torch

from tests.jamba.random_models import VOCABULARY


def test_some_places_are_as_in_the_whole(model):
    ids = torch.randint(0, VOCABULARY, (3, 20), generator=torch.Generator().manual_seed(3))
    rows, places = torch.tensor([2, 0, 0, 1]), torch.tensor([19, 4, 0, 7])
    with torch.inference_mode():
        whole = model.hidden(ids)
        torch.testing.assert_close(model.hidden_at(ids, rows, places), whole[rows, places])
