"""Times torchvision's loading of real images with the paper's augmentation. Started by `cargo xtask bench`.

The last line printed is one JSON object: images a second after the first batches, as `cass bench loader`
counts them. Needs torch and torchvision.
"""

import argparse
import json
import time

import torch
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms as T

WARM_UP = 4  # batches


MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def augmented(size):
    """The paper's augmentation."""
    jitter = T.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)
    return T.Compose([
        T.Resize((size, size)),
        T.RandomApply([jitter, T.RandomPerspective(distortion_scale=0.2)], p=0.3),
        T.RandomApply([jitter, T.RandomAffine(degrees=10)], p=0.3),
        T.RandomVerticalFlip(p=0.3),
        T.RandomHorizontalFlip(p=0.3),
        T.ToTensor(),
        T.Normalize(MEAN, STD),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="holds a folder of images a class")
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--workers", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dataset = datasets.ImageFolder(args.folder, augmented(args.size))
    chosen = torch.randperm(len(dataset))[: args.images].tolist()
    loader = DataLoader(Subset(dataset, chosen), args.batch, shuffle=True, num_workers=args.workers)
    counted, started = 0, None
    for number, (images, _) in enumerate(loader):
        if number == WARM_UP:
            started = time.perf_counter()
        elif number > WARM_UP:
            counted += len(images)
    if not counted:
        raise SystemExit(f"{len(chosen)} images of {args.folder} are too few batches of {args.batch} to time")
    print(json.dumps({"images_per_s": counted / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
