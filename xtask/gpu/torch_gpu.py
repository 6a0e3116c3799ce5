"""What PyTorch computes, for gpu/check.sh: needs torch, timm and safetensors.

    torch_gpu.py versions
    torch_gpu.py reference --arch NAME --size PX --batch N --dtype f32|f64 --device DEVICE --out FOLDER

`reference` writes FOLDER/weights.safetensors and FOLDER/reference.safetensors for `cass verify --arch`.
"""

import argparse
from pathlib import Path

import safetensors.torch
import timm
import torch
from model_reference import reference


def versions(_):
    print(f"torch {torch.__version__}, timm {timm.__version__}, CUDA {torch.version.cuda}", end="")
    print(f", cuDNN {torch.backends.cudnn.version()}", end="")
    print(f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no GPU")


def write_reference(args):
    torch.manual_seed(0)
    torch.set_default_dtype({"f32": torch.float32, "f64": torch.float64}[args.dtype])
    # f32 throughout: TF32 is what others are compared with.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    sized = args.arch.startswith(("vit", "deit", "swin"))
    model = timm.create_model(args.arch, **({"img_size": args.size} if sized else {}))
    torch.set_default_device(args.device)
    tensors = reference(model.to(args.device), args.batch, args.size)
    weights = {k.removeprefix("weights."): v for k, v in tensors.items() if k.startswith("weights.")}
    rest = {k: v for k, v in tensors.items() if not k.startswith("weights.")}
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensors in (("weights", weights), ("reference", rest)):
        kept = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        safetensors.torch.save_file(kept, folder / f"{name}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    commands.add_parser("versions").set_defaults(run=versions)
    command = commands.add_parser("reference")
    command.add_argument("--arch", required=True)
    command.add_argument("--size", type=int, required=True)
    command.add_argument("--batch", type=int, default=2)
    command.add_argument("--dtype", choices=["f32", "f64"], default="f32")
    command.add_argument("--device", default="cuda")
    command.add_argument("--out", required=True)
    command.set_defaults(run=write_reference)
    args = parser.parse_args()
    args.run(args)


main()
