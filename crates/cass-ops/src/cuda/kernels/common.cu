// Included once for each dtype: REAL is what is computed in, TYPED(name) the name for that dtype.

// Sum over the warp, the same bits in every lane.
HELPER REAL TYPED(warp_sum)(REAL v) {
    for (int d = WARP / 2; d > 0; d /= 2) v += SHUFFLE_XOR(v, d);
    return v;
}

HELPER REAL TYPED(warp_max)(REAL v) {
    for (int d = WARP / 2; d > 0; d /= 2) {
        REAL other = SHUFFLE_XOR(v, d);
        v = other > v ? other : v;
    }
    return v;
}

// Sum over the block, the same bits in every thread. All threads of the block call it; `shared` holds WARPS values.
HELPER REAL TYPED(block_sum)(REAL v, REAL *shared) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    v = TYPED(warp_sum)(v);
    BARRIER(); // what an earlier call left may still be read
    if (lane == 0) shared[warp] = v;
    BARRIER();
    v = lane < WARPS ? shared[lane] : (REAL)0;
    return TYPED(warp_sum)(v);
}

HELPER REAL TYPED(block_max)(REAL v, REAL *shared) {
    unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    v = TYPED(warp_max)(v);
    BARRIER();
    if (lane == 0) shared[warp] = v;
    BARRIER();
    v = shared[lane % WARPS];
    return TYPED(warp_max)(v);
}

// Functions of one element, by the numbers of `Function` in Rust. A NaN stays a NaN.
HELPER REAL TYPED(logistic)(REAL x) { return 1 / (1 + EXP(-x)); }

HELPER REAL TYPED(normal_cdf)(REAL x) { return (REAL)0.5 + (REAL)0.5 * ERF(x * (REAL)0.70710678118654752440); }

HELPER REAL TYPED(relu6)(REAL x) { return x <= 0 ? 0 : x >= 6 ? 6 : x; }

HELPER REAL TYPED(function)(usize kind, REAL x) {
    switch (kind) {
    case 1: return x <= 0 ? 0 : x;
    case 2: return TYPED(relu6)(x);
    case 3: return x * TYPED(logistic)(x);
    case 4: return x * TYPED(relu6)(x + 3) / 6;
    case 5: return x * TYPED(normal_cdf)(x);
    case 6: return x * TYPED(logistic)((REAL)1.702 * x);
    case 7: return TYPED(logistic)(x);
    case 8: return TYPED(relu6)(x + 3) / 6;
    default: return x;
    }
}

// The slope of x * logistic(scale * x).
HELPER REAL TYPED(swish_slope)(REAL x, REAL scale) {
    REAL s = TYPED(logistic)(scale * x);
    return s + scale * x * s * (1 - s);
}

// The gradient of x, given that of the function's value.
HELPER REAL TYPED(function_gradient)(usize kind, REAL x, REAL dy) {
    switch (kind) {
    case 1: return x > 0 ? dy : 0;
    case 2: return x > 0 && x < 6 ? dy : 0;
    case 3: return dy * TYPED(swish_slope)(x, 1);
    case 4: return dy * (x >= 3 ? 1 : x <= -3 ? 0 : x / 3 + (REAL)0.5);
    case 5: {
        REAL density = (REAL)0.39894228040143267794 * EXP((REAL)-0.5 * x * x);
        return dy * (TYPED(normal_cdf)(x) + x * density);
    }
    case 6: return dy * TYPED(swish_slope)(x, (REAL)1.702);
    case 7: {
        REAL s = TYPED(logistic)(x);
        return dy * s * (1 - s);
    }
    case 8: return x > -3 && x < 3 ? dy / 6 : 0;
    default: return dy;
    }
}
