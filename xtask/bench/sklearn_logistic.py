"""Fits scikit-learn's logistic regression to the features of finished probes, beside what they printed.

    python sklearn_logistic.py RUN... [--cass CASS]

Lets `cass features` export the features of each run's images and reads which part and class they are of (manifest.tsv).
Standardises by the training images, fits one C after another of the probe's grid, takes the one with the best macro F1
on the validation images (of equal ones the smallest) and prints the macro F1 on the test images.
Needs numpy and scikit-learn, and logistic probes with all labels (`--fraction 1`).
"""

import argparse
import csv
import json
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.preprocessing import StandardScaler


def features(cass, run, recipe):
    """Features by file, of all images of a run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "all.npy"
        data = ["--data", recipe["data"]["name"], "--data-root", recipe["data"]["root"]]
        subprocess.run([cass, "features", "--run", run, *data, "--out", out], check=True, capture_output=True)
        with open(out.with_suffix(".files.csv"), newline="") as file:
            names = [row["file"] for row in csv.DictReader(file)]
        return dict(zip(names, np.load(out).astype(np.float64), strict=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--cass", default="cass", help="the command that exports features")
    args = parser.parse_args()
    for run in args.runs:
        recipe = tomllib.loads((run / "recipe.toml").read_text())
        metrics = json.loads((run / "metrics.json").read_text())
        of = features(args.cass, run, recipe)
        weighted = {"none": None, "balanced": "balanced"}.get(recipe["class_weights"])
        parts = {"train": ([], []), "val": ([], []), "test": ([], [])}
        for line in (run / "manifest.tsv").read_text().splitlines():
            name, _, part, label = re.split(r"(?<!\\)\t", line)
            parts[part][0].append(of[name])
            parts[part][1].append(label)
        (x, y), (xv, yv), (xt, yt) = ((np.array(x), np.array(y)) for x, y in parts.values())
        if recipe["class_weights"] == "paper":
            # The published formula, by which the most frequent class weighs most.
            counts = {label: int((y == label).sum()) for label in set(y)}
            low, high = min(counts.values()), max(counts.values())
            weighted = {label: 0.2 + 0.8 * (n - low) / (high - low) for label, n in counts.items()}
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
            f"difference {ours - theirs:+.4f}; class weights {recipe['class_weights']}; "
            f"{len(x)} + {len(xv)} + {len(xt)} images, "
            f"recalls {dict(zip(model.classes_.tolist(), recall.round(3).tolist()))}",
            flush=True,
        )


if __name__ == "__main__":
    main()
