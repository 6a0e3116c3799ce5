"""onnxruntime's outputs next to ours, of the folders that the example `onnx_files` wrote.

    cargo run -p cass-models --example onnx_files -- FOLDER
    python beside_onnxruntime.py FOLDER      # needs onnx, onnxruntime, safetensors
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

WITHIN = 1e-5  # of the largest value


def main(folder):
    worst = 0.0
    for path in sorted(Path(folder).iterdir()):
        file = str(path / "model.onnx")
        onnx.checker.check_model(file, full_check=True)
        model = onnx.load(file)
        opset = model.opset_import[0].version
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        ours = load_file(path / "outputs.safetensors")
        off = {"features": 0.0, "logits": 0.0}
        for count in (1, 3):
            names = list(off)
            found = session.run(names, {"images": ours[f"images.{count}"]})
            for name, value in zip(names, found):
                wanted = ours[f"{name}.{count}"]
                assert value.shape == wanted.shape, (path.name, name, value.shape, wanted.shape)
                error = np.abs(value - wanted).max() / np.abs(wanted).max()
                off[name] = max(off[name], float(error))
        nodes = len(model.graph.node)
        print(f"{path.name:34} opset {opset}, {nodes:4} nodes: features off by {off['features']:.1e}, logits by {off['logits']:.1e}")
        worst = max(worst, *off.values())
    assert worst <= WITHIN, f"off by {worst:.1e}, expected at most {WITHIN:.0e}"
    print(f"all checked by onnx.checker and within {WITHIN:.0e} of onnxruntime {onnxruntime.__version__}, worst {worst:.1e}")


main(sys.argv[1])
