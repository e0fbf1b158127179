"""What a network frees, its next batch gets again, without new pages from the system."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, resource, threading
# without huge pages, of which so few come that they cannot be told from noise
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
import numpy as np
from poise.inference.machine.memory import keep_freed_memory

done = keep_freed_memory()
faults = []

def work():
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        maps = [np.ones(20_000_000, np.uint8) for _ in range(4)]
        del maps
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(int(done), *faults)
"""


def run(**settings):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is Linux's")
def test_freed_memory_is_used_again_in_a_thread():
    done, first, *later = run()
    if not done:
        pytest.skip("this C library is older than glibc 2.35")
    if first < 1000:  # 80 MB are 20,000 pages of 4 kB, or 1200 of 64 kB
        pytest.skip(f"this system counts {first} new pages for 80 MB, which tells nothing")
    assert max(later) < first / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc is Linux's")
def test_settings_of_the_c_library_are_left_alone():
    done, *_ = run(MALLOC_TRIM_THRESHOLD_="100000")
    assert not done
