"""onnxruntime's outputs next to ours, of the folders that the example `onnx_files` wrote.

    cargo run -p cass-models --example onnx_files -- FOLDER
    python beside_onnxruntime.py FOLDER      # needs onnx, onnxruntime, safetensors

Both compute in f32. Every output of every batch has to be within 1e-5 of ours; or, where a deep network of random weights
magnifies rounding so far that ours in f32 is itself further from ours in f64, not much further from f64 than ours. Beyond
a hundredth of the largest value nothing is told from rounding: such a network has to be compared at another size.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

WITHIN = 1e-5  # of the largest value
TIMES = 4  # as far from f64 as ours
JUDGED = 1e-2  # the furthest that ours in f32 may be from f64


def off(a, b):
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(np.abs(a - b).max() / np.abs(b).max())


def judge(value, f32, f64):
    """How far onnxruntime is from ours, it from f64 and ours from f64, and whether that is near. NaN is not."""
    apart, theirs, own = off(value, f32), off(value, f64), off(f32, f64)
    return (apart, theirs, own), apart <= WITHIN or (own <= JUDGED and theirs <= TIMES * own)


def main(folder):
    failed = []
    for path in sorted(Path(folder).iterdir()):
        file = str(path / "model.onnx")
        onnx.checker.check_model(file, full_check=True)
        model = onnx.load(file)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ours = load_file(path / "outputs.safetensors")
        judged = []
        for count in (1, 3):
            names = ["features", "logits"]
            for name, value in zip(names, session.run(names, {"images": ours[f"images.{count}"]})):
                judged.append(judge(value, *(ours[f"{name}.{count}.{kind}"] for kind in ("f32", "f64"))))
        passed = all(near for _, near in judged)
        apart, theirs, own = np.max([distances for distances, _ in judged], axis=0)
        nodes, opset = len(model.graph.node), model.opset_import[0].version
        print(f"{path.name:40} opset {opset}, {nodes:3} nodes: {apart:.1e} from ours; from f64 {theirs:.1e}, ours {own:.1e}{'' if passed else '  FAILED'}")
        if not passed:
            failed.append(path.name)
    if failed:
        sys.exit(
            f"{len(failed)} further than {WITHIN:.0e} from ours, and than {TIMES} times ours from f64 or than {JUDGED:.0e}: {', '.join(failed)}"
        )
    print(f"all checked by onnx.checker, and next to onnxruntime {onnxruntime.__version__}")


main(sys.argv[1])
