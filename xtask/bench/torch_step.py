"""Times one pretraining step in PyTorch: forward, loss, backward, Adam. Started by `cargo xtask bench`.

CASS is two timm networks and the cosine of their logits, with an Adam each. DINO is vit-pytorch's, whose
augmentation and crops are left out: `cass bench step` has none either, as loading makes the views. Weights and
images are random; the time depends on neither. The last line printed is one JSON object.
Needs torch and timm; DINO vit-pytorch too.
"""

import argparse
import json
import resource
import statistics
import sys
import time

import timm
import torch
import torch.nn.functional as F


def network(name, size, classes=1000):
    """With the classifier, as pretraining has it; Transformers are told the size of their images."""
    sized = name.startswith(("vit", "deit", "swin"))
    # DINOv2's has none of its own.
    return timm.create_model(name, num_classes=classes, **({"img_size": size} if sized else {}))


def autocast(args):
    """bf16 as PyTorch has it; f32 and tf32 are settings of the whole process."""
    return torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.precision == "bf16")


def disagreement(logits):
    """CASS' loss: two less twice the cosine of both networks' logits."""
    r, t = (F.normalize(y.float(), dim=-1) for y in logits)
    return (2 - 2 * (r * t).sum(dim=-1)).mean()


def update(loss, optimizers):
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


def cass(args, images):
    models = [network(args.cnn, args.size).to(args.device), network(args.vit, args.size).to(args.device)]
    optimizers = [torch.optim.Adam(model.parameters(), lr=1e-3) for model in models]
    if args.compile:
        models = [torch.compile(model) for model in models]

    def step():
        with autocast(args):
            logits = [model(images) for model in models]
        loss = disagreement(logits)
        update(loss, optimizers)
        return loss.item()

    return step


def dino(args, images):
    from vit_pytorch.dino import Dino

    model = network(args.net, args.size).to(args.device)
    embedding = "fc_norm" if hasattr(model, "fc_norm") else "global_pool"
    same = torch.nn.Identity()
    learner = Dino(model, args.size, hidden_layer=embedding, augment_fn=same, augment_fn2=same)
    learner.local_crop = learner.global_crop = same
    trained = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-3)
    loss_of = torch.compile(learner) if args.compile else learner

    def step():
        with autocast(args):
            loss = loss_of(images)
        update(loss, [optimizer])
        learner.update_moving_average()
        return loss.item()

    return step


def peak_rss_mib():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def peak_gpu_mib(device):
    return torch.cuda.max_memory_allocated() / 2**20 if torch.device(device).type == "cuda" else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", choices=["cass", "dino"], default="cass")
    parser.add_argument("--cnn", default="resnet18")
    parser.add_argument("--vit", default="vit_tiny_patch16_224")
    parser.add_argument("--net", default="resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    torch.manual_seed(0)
    images = torch.randn(args.batch, 3, args.size, args.size).to(args.device)
    step = {"cass": cass, "dino": dino}[args.method](args, images)
    step()  # warms up, and compiles
    times = []
    for _ in range(args.steps):
        started = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - started))
    found = {"median_ms": statistics.median(times), "peak_rss_mib": peak_rss_mib()}
    print(json.dumps(found | {"peak_gpu_mib": peak_gpu_mib(args.device)}))


if __name__ == "__main__":
    main()
