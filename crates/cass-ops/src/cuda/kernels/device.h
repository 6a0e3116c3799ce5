// The kernels' words on a GPU; NVRTC needs no header for them.
#define BLOCK 256
#define WARP 32
#define WARPS (BLOCK / WARP)
typedef unsigned long long usize;

#define HELPER static __device__ __forceinline__
#define INFINITE __longlong_as_double(0x7ff0000000000000LL)
#define BARRIER() __syncthreads()
#define SHUFFLE_XOR(v, d) __shfl_xor_sync(0xffffffffu, v, d)
#define SHARED(type, name, count) __shared__ type name[count]
#define KERNEL(name, Struct) extern "C" __global__ void __launch_bounds__(BLOCK) TYPED(name)(const TYPED(Struct) a)
