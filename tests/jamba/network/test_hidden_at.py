"""Hidden states of some tokens alone are those of all tokens there."""

import pytest
import torch

from tests.jamba.random_models import VOCABULARY


@pytest.mark.parametrize("places", [(19, 4, 0, 7), (19, 17, 14, 18), (19, 19, 19, 19)])
def test_some_places_are_as_in_the_whole(model, places):
    ids = torch.randint(0, VOCABULARY, (3, 20), generator=torch.Generator().manual_seed(3))
    rows, places = torch.tensor([2, 0, 0, 1]), torch.tensor(places)
    with torch.inference_mode():
        whole = model.hidden(ids)
        torch.testing.assert_close(model.hidden_at(ids, rows, places), whole[rows, places])
