"""What torch takes, for bench/steps.mjs and bench/ops.mjs: one thread, processor time.

The first line out says which torch this is, which BLAS it uses and which instructions its own kernels. OPENBLAS_CORETYPE=Haswell and
ATEN_CPU_CAPABILITY=avx2 hold both to AVX2 on a processor with AVX-512. A line in is {"setup": code that defines run()}, answered by "ready", or
{"count": n}, answered by the milliseconds of processor time of one run() out of n.
"""

import ctypes
import json
import os
import re
import sys
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when the library is loaded
os.environ["MKL_NUM_THREADS"] = "1"

import torch

torch.set_num_threads(1)
sys.path.insert(0, os.path.dirname(__file__))


def use_fitting_kernels(core):
    """An OpenBLAS older than the processor takes Prescott's kernels, at a fifth of the speed: no yardstick. Starts over with those that fit."""
    with open("/proc/cpuinfo") as info:
        flags = set(re.search(r"^flags\s*:(.*)$", info.read(), re.M).group(1).split())
    fitting = "SkylakeX" if "avx512vl" in flags else "Haswell" if "avx2" in flags else core
    if core == "Prescott" and fitting != core and "OPENBLAS_CORETYPE" not in os.environ:
        os.environ["OPENBLAS_CORETYPE"] = "SapphireRapids" if "avx512_bf16" in flags else fitting
        os.execv(sys.executable, [sys.executable, *sys.argv])


def blas():
    """The library that answers torch's matrix products, with what it says of itself."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    with open("/proc/self/maps") as maps:
        files = sorted(set(re.findall(r"\s(/\S+)", maps.read())))
    for path in files:
        if re.search(r"/lib(openblas|blas|blis|mkl_rt|mkl_core)[^/]*$", path):
            library = ctypes.CDLL(path)
            if not hasattr(library, "openblas_get_corename"):
                return os.path.basename(path) + " (not OpenBLAS: a reference BLAS is no yardstick)"
            library.openblas_get_config.restype = library.openblas_get_corename.restype = ctypes.c_char_p
            core = library.openblas_get_corename().decode()
            use_fitting_kernels(core)
            return f"{' '.join(library.openblas_get_config().decode().split()[:2])} ({core} kernels)"
    return "built into torch"


try:
    name = blas()
except OSError:
    name = "unknown"
used = re.search(r"CPU capability usage: (\S+)", torch.__config__.show())
print(json.dumps({"version": torch.__version__, "blas": name, "instructions": used.group(1) if used else "unknown"}), flush=True)

scope = {}
for line in sys.stdin:
    job = json.loads(line)
    if "setup" in job:
        scope = {"torch": torch, "F": torch.nn.functional}
        exec(job["setup"], scope)
        print("ready", flush=True)
    else:
        run = scope["run"]
        start = time.process_time()
        for _ in range(job["count"]):
            run()
        print((time.process_time() - start) * 1000 / job["count"], flush=True)
