//! Prints the C text of all kernels, as NVRTC gets it: `cargo run -p cass-ops --example gpu_kernels > kernels.cu`.

fn main() {
    print!("{}", cass_ops::gpu::kernels());
}
