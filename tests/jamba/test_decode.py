"""The chain of products for one token against the model it is made of."""

import numpy as np
import pytest
import torch

from jamba.config import JambaConfig
from jamba.decode import Decoder
from jamba.kernels import decode as kernels
from jamba.model import Jamba
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
    steps = [torch.from_numpy(decoder.step(int(token), state)) for token in ids[0, 8:]]
    logits = torch.cat([whole[0], torch.stack(steps)])
    assert relative_error(logits, model(ids)[0]) < 1e-4
    assert state.length == 30
    longer = torch.cat([ids, ids[:, :1]], dim=1)  # several tokens go on where steps ended
    assert relative_error(model(longer[:, 30:], state), model(longer)[:, 30:]) < 1e-4


def test_the_gate_of_extreme_values():
    values = np.array([-1e30, -100, -80, -20, -1, 0, 1, 100, 1e30], np.float32)
    eye = np.eye(9, dtype=np.float32)
    out = np.empty(9, np.float32)
    kernels.gated_matvec(np.diag(values), eye, np.ones(9, np.float32), out)
    expected = torch.nn.functional.silu(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-30)


def test_each_kernel_is_compiled_once():
    """Another layout of an argument would stop a running stream for seconds to compile again."""
    for seed in range(3):
        model = random_model(seed)
        decoder = Decoder(model)
        for capacity in (1, 5):
            state = SequenceState.fresh(model.config, capacity=capacity)
            for token in range(6):
                decoder.step(token, state)
    shared = (kernels.add_matvec, kernels.gated_matvec, kernels.scan_step, kernels.attend)
    dispatchers = [kernel.dispatcher for kernel in shared]
    dispatchers += [kernels.conv_step, kernels.rms_norm]
    assert [len(dispatcher.signatures) for dispatcher in dispatchers] == [1] * 6
