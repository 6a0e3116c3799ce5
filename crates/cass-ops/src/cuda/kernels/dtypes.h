// Names of kernels and structs for one dtype.
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TYPED(name) JOIN(name, SUFFIX)

// bf16 is the upper half of an f32, rounded to the nearest, ties to even.
HELPER float bf16_load(unsigned short bits) {
    union { unsigned bits; float value; } both;
    both.bits = (unsigned)bits << 16;
    return both.value;
}

HELPER unsigned short bf16_store(float value) {
    union { unsigned bits; float value; } both;
    both.value = value;
    if (value != value) return (unsigned short)(both.bits >> 16 | 0x40);
    return (unsigned short)((both.bits + 0x7fff + (both.bits >> 16 & 1)) >> 16);
}
