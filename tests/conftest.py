"""What holds for every test: nothing is fetched, nothing is reported, and two cores are enough."""

import os
import signal
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
if not Path("/dev/nvidiactl").exists():  # Triton looks when it is imported, whoever does that first
    os.environ.setdefault("TRITON_INTERPRET", "1")
for name in [name for name in os.environ if name.startswith("ORBWEAVER_")]:
    del os.environ[name]  # a developer's own settings are no part of a test

# A shell that runs the tests in the background has them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
