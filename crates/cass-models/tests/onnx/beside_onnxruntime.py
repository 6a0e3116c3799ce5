"""onnxruntime's outputs next to ours, of the folders that the example `onnx_files` wrote.

    cargo run -p cass-models --example onnx_files -- FOLDER
    python beside_onnxruntime.py FOLDER      # needs onnx, onnxruntime, safetensors

Both compute in f32, and every output of every batch has to be near ours. How far each is from ours in f64 tells a mistake
from rounding that a deep network of random weights magnifies: where ours is itself so far from f64, random weights tell
nothing of the network, and it does not pass.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

WITHIN = 1e-5  # of the largest value


def off(a, b):
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(np.abs(a - b).max() / np.abs(b).max())


def main(folder):
    failed = []
    for path in sorted(Path(folder).iterdir()):
        file = str(path / "model.onnx")
        onnx.checker.check_model(file, full_check=True)
        model = onnx.load(file)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ours = load_file(path / "outputs.safetensors")
        distances = []
        for count in (1, 3):
            names = ["features", "logits"]
            for name, value in zip(names, session.run(names, {"images": ours[f"images.{count}"]})):
                f32, f64 = (ours[f"{name}.{count}.{kind}"] for kind in ("f32", "f64"))
                distances.append((off(value, f32), off(value, f64), off(f32, f64)))
        apart, theirs, own = np.max(distances, axis=0)
        passed = apart <= WITHIN  # NaN is not, and np.max keeps it
        why = "" if passed else "  FAILED" if not own > WITHIN else "  CANNOT BE TOLD from rounding"
        nodes, opset = len(model.graph.node), model.opset_import[0].version
        print(f"{path.name:40} opset {opset}, {nodes:3} nodes: {apart:.1e} from ours; from f64 {theirs:.1e}, ours {own:.1e}{why}")
        if not passed:
            failed.append(path.name)
    if failed:
        sys.exit(f"{len(failed)} further than {WITHIN:.0e} from ours: {', '.join(failed)}")
    print(f"all checked by onnx.checker, and within {WITHIN:.0e} of onnxruntime {onnxruntime.__version__}")


main(sys.argv[1])
