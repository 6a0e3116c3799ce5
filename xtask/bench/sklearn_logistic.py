"""Fits scikit-learn's logistic regression to the features of finished probes, beside what they printed.

    python sklearn_logistic.py RUN... [--cache DIR]

Reads what `cass probe` leaves: manifest.tsv (files, hashes, parts, labels), the kept features (RUN/../features or DIR)
and metrics.json. Standardises by the training images, fits one C after another of the probe's grid, takes the one with
the best macro F1 on the validation images (of equal ones the smallest) and prints the macro F1 on the test images.
Needs numpy, safetensors and scikit-learn, and probes with all labels (`--fraction 1`).
"""

import argparse
import json
import re
import tomllib
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.preprocessing import StandardScaler


def rows(manifest):
    """(sha256, part, class) of each line."""
    for line in manifest.read_text().splitlines():
        path, sha256, part, label = re.split(r"(?<!\\)\t", line)
        yield bytes.fromhex(sha256), part, label


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, help="folder of the kept features, as `cass probe --feature-cache`")
    args = parser.parse_args()
    for run in args.runs:
        recipe = tomllib.loads((run / "recipe.toml").read_text())
        metrics = json.loads((run / "metrics.json").read_text())
        table = list(rows(run / "manifest.tsv"))
        known = {}
        for file in args.cache.glob(f"{recipe['network']}-{recipe['size']}-*.safetensors"):
            kept = load_file(file)
            found = dict(zip((bytes(h) for h in kept["sha256"]), kept["features"]))
            known[file.name] = found
        weighted = {"none": None, "balanced": "balanced"}.get(recipe["class_weights"], "unknown")
        for name, found in known.items():
            part = lambda wanted: [(found[h], label) for h, p, label in table if p == wanted and h in found]
            (x, y), (xv, yv), (xt, yt) = (
                (np.array([f for f, _ in part(p)], dtype=np.float64), np.array([l for _, l in part(p)]))
                for p in ("train", "val", "test")
            )
            scaler = StandardScaler().fit(x)
            best = None
            for c in recipe["logistic"]["grid"]:
                model = LogisticRegression(C=c, solver="lbfgs", tol=1e-8, max_iter=20_000, class_weight=weighted)
                model.fit(scaler.transform(x), y)
                score = f1_score(yv, model.predict(scaler.transform(xv)), average="macro")
                if best is None or score > best[0]:
                    best = score, c, model
            _, c, model = best
            said = model.predict(scaler.transform(xt))
            theirs = f1_score(yt, said, average="macro")
            ours = metrics["test"]["f1_macro"]
            recall = recall_score(yt, said, average=None, labels=model.classes_)
            print(
                f"{run}: ours {ours:.4f} (C {metrics['logistic']['c']}), scikit-learn {theirs:.4f} (C {c}), "
                f"difference {ours - theirs:+.4f}; {len(x)} + {len(xv)} + {len(xt)} images, "
                f"recalls {dict(zip(model.classes_.tolist(), recall.round(3).tolist()))}"
            )


if __name__ == "__main__":
    main()
