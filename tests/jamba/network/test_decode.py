"""The chain of products for one token against the model it is made of."""

import numpy as np
import pytest
import torch

from jamba.config import JambaConfig
from jamba.kernels import decode as kernels
from jamba.network import decode
from jamba.network.decode import Decoder
from jamba.network.model import Jamba
from jamba.network.slots import Slots
from jamba.state import SequenceState
from tests.jamba.random_models import VOCABULARY, draw_fields, relative_error


def random_model(seed):
    """A drawn architecture with weights large enough for every part to matter."""
    torch.manual_seed(seed)
    model = Jamba(JambaConfig.from_dict({"model_type": "jamba", **draw_fields(seed)}))
    for name, parameter in model.named_parameters():
        if "A_log" not in name:
            torch.nn.init.normal_(parameter, 1.0 if "layernorm" in name else 0.0, 0.25)
    return model.requires_grad_(False).eval()


@pytest.mark.parametrize("seed", range(12))
def test_steps_equal_the_whole_prompt(seed):
    model = random_model(seed)
    ids = torch.randint(0, VOCABULARY, (1, 30), generator=torch.Generator().manual_seed(seed))
    state = SequenceState.fresh(model.config, capacity=4)
    whole = model(ids[:, :8], state)
    decoder = Decoder(model)
    steps = [torch.from_numpy(decoder.step([int(token)], [state])[0]) for token in ids[0, 8:]]
    logits = torch.cat([whole[0], torch.stack(steps)])
    assert relative_error(logits, model(ids)[0]) < 1e-4
    assert state.length == 30
    longer = torch.cat([ids, ids[:, :1]], dim=1)  # several tokens go on where steps ended
    assert relative_error(model(longer[:, 30:], state), model(longer)[:, 30:]) < 1e-4


@pytest.mark.parametrize("seed", range(6))
def test_a_sequence_gets_the_same_bits_in_any_company(seed):
    """Sequences of different lengths, together and alone; strangers come and go."""
    model, rng = random_model(seed), np.random.default_rng(seed)
    decoder = Decoder(model)
    prompts = [rng.integers(0, VOCABULARY, size) for size in (1, 4, 9, 17, 30)]
    tokens = rng.integers(0, VOCABULARY, (8, len(prompts)))

    def read():
        states = [SequenceState.fresh(model.config) for _ in prompts]
        for prompt, state in zip(prompts, states, strict=True):
            model(torch.from_numpy(prompt)[None], state)
        return states

    alone, together = read(), read()
    for step in tokens:
        company = np.flatnonzero(rng.random(len(prompts)) < 0.7)
        if len(company):
            rows = decoder.step(step[company], [together[i] for i in company])
            for row, i in zip(rows, company, strict=True):
                assert (row == decoder.step(step[[i]], [alone[i]])[0]).all()


def test_steps_find_a_state_that_was_read_on_between_them():
    model = random_model(1)
    ids = torch.randint(0, VOCABULARY, (1, 12), generator=torch.Generator().manual_seed(1))
    state, decoder = SequenceState.fresh(model.config, capacity=1), Decoder(model)
    for begin in range(0, 12, 3):  # a step, two tokens of a prompt, a step ...
        decoder.step([int(ids[0, begin])], [state])
        logits = model(ids[:, begin + 1 : begin + 3], state)
    assert relative_error(logits, model(ids)[:, 10:]) < 1e-4


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_any_number_of_cores_gives_the_same_bits(cores):
    """More than there are included: a core that never comes must not be waited for."""
    model = random_model(3)
    states = [SequenceState.fresh(model.config) for _ in range(2)]
    slots, program = Slots(), decode._Program(model, batch=2)
    alone = program.run(slots.columns([5, 6], states[:2]), 1)
    again = [SequenceState.fresh(model.config) for _ in range(2)]
    assert (program.run(Slots().columns([5, 6], again), cores) == alone).all()


def test_a_step_is_compiled_once():
    """Another layout of an argument would stop a running stream for seconds to compile again."""
    for seed in range(3):
        model = random_model(seed)
        decoder = Decoder(model)
        for capacity in (1, 5):
            for batch in (1, 3):
                states = [
                    SequenceState.fresh(model.config, capacity=capacity) for _ in range(batch)
                ]
                for token in range(6):
                    decoder.step([token] * batch, states)
    assert len(kernels.run.dispatcher.signatures) == 1
