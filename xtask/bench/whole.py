"""Times a whole command, from its start to its end. Started by `cargo xtask bench`.

    python whole.py COMMAND ARGUMENT...

What the command prints goes to standard error. The last line printed is one JSON object: its time, and the memory of the
largest of its processes.
"""

import json
import resource
import subprocess
import sys
import time

started = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=sys.stderr, check=False)
seconds = time.perf_counter() - started
if done.returncode:
    sys.exit(f"{sys.argv[1]} ended with {done.returncode}")
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps({"median_ms": 1e3 * seconds, "peak_rss_mib": peak}))
