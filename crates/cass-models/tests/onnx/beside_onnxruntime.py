"""onnxruntime's outputs next to ours, of the folders that the example `onnx_files` wrote.

    cargo run -p cass-models --example onnx_files -- FOLDER
    python beside_onnxruntime.py FOLDER      # needs onnx, onnxruntime, safetensors

Both compute in f32, and are compared with each other and with ours in f64. Deep networks of random weights magnify
rounding: where ours in f32 is itself that far from f64, so may onnxruntime be.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

WITHIN = 1e-5  # of the largest value
TIMES = 4  # as far from f64 as ours


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
        apart, theirs, own = 0.0, 0.0, 0.0
        for count in (1, 3):
            names = ["features", "logits"]
            for name, value in zip(names, session.run(names, {"images": ours[f"images.{count}"]})):
                f32, f64 = (ours[f"{name}.{count}.{kind}"] for kind in ("f32", "f64"))
                apart = max(apart, off(value, f32))
                theirs, own = max(theirs, off(value, f64)), max(own, off(f32, f64))
        passed = apart <= WITHIN or theirs <= TIMES * own
        nodes, opset = len(model.graph.node), model.opset_import[0].version
        print(f"{path.name:40} opset {opset}, {nodes:3} nodes: {apart:.1e} from ours; from f64 {theirs:.1e}, ours {own:.1e}{'' if passed else '  FAILED'}")
        if not passed:
            failed.append(path.name)
    if failed:
        sys.exit(f"{len(failed)} further than {WITHIN:.0e} from ours, and than {TIMES} times ours from f64: {', '.join(failed)}")
    print(f"all checked by onnx.checker, and next to onnxruntime {onnxruntime.__version__}")


main(sys.argv[1])
