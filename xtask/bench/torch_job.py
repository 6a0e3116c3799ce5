"""Whole jobs as one would write them with torch, torchvision, timm and scikit-learn. Started by `cargo xtask bench`.

    python torch_job.py pretrain|finetune|features|predict|logistic FOLDER --size 96 --threads 2 --out DIR

FOLDER holds a folder of images a class. Weights are random, as the time does not depend on them. Each leaves in DIR what
somebody would want of it: weights, features, or a table.
"""

import argparse
import csv
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Subset, random_split
from torchvision import datasets, transforms as T

from torch_loader import MEAN, STD, augmented
from torch_step import disagreement, network, update

CNN, VIT = "resnet18", "vit_tiny_patch16_224"


def plain(size):
    return T.Compose([T.Resize((size, size)), T.ToTensor(), T.Normalize(MEAN, STD)])


def images(args, transform):
    return datasets.ImageFolder(args.folder, transform)


def loader(args, dataset, shuffle=False):
    return DataLoader(dataset, args.batch, shuffle=shuffle, num_workers=args.threads)


def split(args):
    """70 % to train on, 10 % to choose by, 20 % to test on."""
    dataset = images(args, plain(args.size))
    lengths = [round(0.7 * len(dataset)), round(0.1 * len(dataset))]
    return random_split(dataset, [*lengths, len(dataset) - sum(lengths)])


def f1(labels, predicted):
    from sklearn.metrics import f1_score

    return f1_score(labels, predicted, average="macro")


@torch.inference_mode()
def outputs(model, batches):
    model.eval()
    found = [(model(x), y) for x, y in batches]
    return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])


def pretrain(args):
    """One epoch of CASS."""
    models = [network(CNN, args.size), network(VIT, args.size)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    for x, _ in loader(args, images(args, augmented(args.size)), shuffle=True):
        update(disagreement([model(x) for model in models]), optimizers)
    state = [each.state_dict() for each in [*models, *optimizers]]
    torch.save(state, os.path.join(args.out, "checkpoint.pt"))


def finetune(args):
    """One epoch on labels, then the validation images, then the test images."""
    training, validation, test = split(args)
    augmenting = Subset(images(args, augmented(args.size)), training.indices)
    model = network(CNN, args.size, len(training.dataset.classes))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    model.train()
    for x, y in loader(args, augmenting, shuffle=True):
        update(F.cross_entropy(model(x), y), [optimizer])
    for part in (validation, test):
        logits, labels = outputs(model, loader(args, part))
        print("F1", f1(labels, logits.argmax(1)))
    torch.save(model.state_dict(), os.path.join(args.out, "model.pt"))


def features(args):
    model = network(CNN, args.size, 0)
    found, _ = outputs(model, loader(args, images(args, plain(args.size))))
    np.save(os.path.join(args.out, "features.npy"), found.numpy())


def predict(args):
    dataset = images(args, plain(args.size))
    logits, _ = outputs(network(CNN, args.size, len(dataset.classes)), loader(args, dataset))
    probabilities = logits.softmax(1)
    with open(os.path.join(args.out, "predictions.csv"), "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "predicted", *dataset.classes])
        for (path, _), row in zip(dataset.imgs, probabilities):
            table.writerow([path, dataset.classes[row.argmax()], *row.tolist()])


def logistic(args):
    """Features of the three parts, standardised, and scikit-learn's logistic regression at seven penalties."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    model = network(CNN, args.size, 0)
    (x, y), (validation, validated), (test, tested) = (
        tuple(part.numpy() for part in outputs(model, loader(args, part))) for part in split(args)
    )
    scaler = StandardScaler().fit(x)
    x, validation, test = (scaler.transform(part) for part in (x, validation, test))
    fits = [LogisticRegression(C=10.0**power, max_iter=10_000).fit(x, y) for power in range(-4, 3)]
    best = max(fits, key=lambda fit: f1(validated, fit.predict(validation)))
    print("F1", f1(tested, best.predict(test)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job", choices=["pretrain", "finetune", "features", "predict", "logistic"])
    parser.add_argument("folder")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    os.makedirs(args.out, exist_ok=True)
    globals()[args.job](args)


if __name__ == "__main__":
    main()
