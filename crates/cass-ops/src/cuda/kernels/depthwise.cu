// Each channel has a kernel of its own.
KERNEL(depthwise_forward, Depthwise) {
    unsigned ow = (unsigned)a.ow, outputs = (unsigned)(a.oh * a.ow);
    for (usize plane = blockIdx.x; plane < a.batch * a.channels; plane += gridDim.x) {
        const STORED *x = a.x + plane * a.h * a.w, *weight = a.weight + plane % a.channels * a.kh * a.kw;
        for (unsigned o = blockIdx.y * BLOCK + threadIdx.x; o < outputs; o += gridDim.y * BLOCK) {
            long long row = (long long)(o / ow * a.stride) - (long long)a.padding;
            long long column = (long long)(o % ow * a.stride) - (long long)a.padding;
            REAL sum = 0;
            for (long long ky = 0; ky < (long long)a.kh; ky++)
                for (long long kx = 0; kx < (long long)a.kw; kx++) {
                    long long y = row + ky, at = column + kx;
                    if (y >= 0 && at >= 0 && y < (long long)a.h && at < (long long)a.w)
                        sum += LOAD(x[y * a.w + at]) * LOAD(weight[ky * a.kw + kx]);
                }
            a.y[plane * outputs + o] = STORE(sum);
        }
    }
}

KERNEL(depthwise_backward, DepthwiseGradient) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, oh = (unsigned)a.oh, inputs = (unsigned)(a.h * a.w);
    unsigned kh = (unsigned)a.kh, kw = (unsigned)a.kw, stride = (unsigned)a.stride, padding = (unsigned)a.padding;
    for (usize plane = blockIdx.x; plane < a.batch * a.channels; plane += gridDim.x) {
        const STORED *dy = a.dy + plane * oh * ow, *weight = a.weight + plane % a.channels * kh * kw;
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < inputs; i += gridDim.y * BLOCK) {
            unsigned row = i / w + padding, column = i % w + padding;
            unsigned y0 = first_window(row, kh, stride), y1 = row / stride + 1;
            unsigned x0 = first_window(column, kw, stride), x1 = column / stride + 1;
            REAL sum = 0;
            for (unsigned y = y0; y < y1 && y < oh; y++)
                for (unsigned x = x0; x < x1 && x < ow; x++)
                    sum += LOAD(dy[y * ow + x]) * LOAD(weight[(row - y * stride) * kw + (column - x * stride)]);
            a.dx[plane * inputs + i] = STORE(sum);
        }
    }
}

// Partial gradients of the weights: a block takes one tap of one channel and a slice of the images.
KERNEL(depthwise_weight, DepthwiseWeight) {
    SHARED(REAL, shared, WARPS);
    unsigned taps = (unsigned)(a.kh * a.kw), outputs = (unsigned)(a.oh * a.ow), ow = (unsigned)a.ow;
    usize channel = blockIdx.x / taps, tap = blockIdx.x % taps, first = (usize)blockIdx.y * a.slice;
    long long ky = (long long)(tap / a.kw) - (long long)a.padding, kx = (long long)(tap % a.kw) - (long long)a.padding;
    REAL sum = 0;
    for (usize image = first; image < first + a.slice && image < a.batch; image++) {
        const STORED *x = a.x + (image * a.channels + channel) * a.h * a.w;
        const STORED *dy = a.dy + (image * a.channels + channel) * outputs;
        for (unsigned o = threadIdx.x; o < outputs; o += BLOCK) {
            long long row = (long long)(o / ow * a.stride) + ky, column = (long long)(o % ow * a.stride) + kx;
            if (row >= 0 && column >= 0 && row < (long long)a.h && column < (long long)a.w)
                sum += LOAD(x[row * a.w + column]) * LOAD(dy[o]);
        }
    }
    sum = TYPED(block_sum)(sum, shared);
    if (threadIdx.x == 0) a.parts[(usize)blockIdx.y * a.channels * taps + blockIdx.x] = STORE(sum);
}
