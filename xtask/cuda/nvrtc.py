"""Compiles the kernels of cass-ops by NVRTC for several GPUs, without a GPU or a driver.

    nvrtc.py LIBNVRTC SOURCE ARCHITECTURE...

Prints a line for each kernel: its registers on each architecture, and what is spilled or kept in local memory. Ends with 1
if a kernel does not compile or spills.
"""

import ctypes
import re
import sys
import time


def compiled(library, source, architecture):
    """Code size and log of `source` for `architecture`, and whether it compiled."""
    program = ctypes.c_void_p()
    if library.nvrtcCreateProgram(ctypes.byref(program), source, b"cass.cu", 0, None, None):
        sys.exit("NVRTC takes no program")
    options = [f"--gpu-architecture={architecture}".encode(), b"--ptxas-options=-v"]
    code = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcGetCUBINSize(program, ctypes.byref(size))
    return code == 0, size.value, log.value.decode()


def used(log):
    """Kernel -> (registers, bytes of stack and spills)."""
    kernels, name, stack = {}, None, 0
    for line in log.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)'", line):
            name, stack = found[1], 0
        elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            stack = sum(map(int, found.groups()))
        elif found := re.search(r"Used (\d+) registers", line):
            kernels[name] = (int(found[1]), stack)
    return kernels


def main():
    library, source, architectures = ctypes.CDLL(sys.argv[1]), open(sys.argv[2], "rb").read(), sys.argv[3:]
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    print(f"NVRTC {major.value}.{minor.value}")
    tables, wrong = {}, False
    for architecture in architectures:
        started = time.time()
        good, size, log = compiled(library, source, architecture)
        print(f"{architecture}: {size} bytes in {time.time() - started:.1f} s" if good else f"{architecture}: {log}")
        tables[architecture] = used(log)
        wrong |= not good or not tables[architecture]
    names = sorted({name for table in tables.values() for name in table})
    width = max(map(len, names), default=0)
    print(f"{'registers':{width}}", *(f"{a:>7}" for a in architectures), "  stack and spills, bytes")
    for name in names:
        cells = [tables[a].get(name, (0, 0)) for a in architectures]
        stack = max(stack for _, stack in cells)
        print(f"{name:{width}}", *(f"{registers:7}" for registers, _ in cells), f"  {stack or '-'}")
        wrong |= stack > 0
    print(f"{len(names)} kernels")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
