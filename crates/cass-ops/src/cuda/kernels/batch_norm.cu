// Mean of one slice of a channel's places, and the squares about it: the slice is read twice, the second time from a cache.
KERNEL(batch_norm_moments, Moments) {
    SHARED(REAL, shared, WARPS);
    usize channel = blockIdx.x, slice = blockIdx.y;
    unsigned size = (unsigned)a.size, places = (unsigned)(a.batch * a.size);
    unsigned first = (unsigned)(slice * a.slice), last = slice_end(first, a.slice, places);
    REAL sum = 0;
    for (unsigned i = first + threadIdx.x; i < last; i += BLOCK)
        sum += a.x[in_channel(i, channel, a.channels, size)];
    REAL mean = TYPED(block_sum)(sum, shared) / (last - first);
    sum = 0;
    for (unsigned i = first + threadIdx.x; i < last; i += BLOCK) {
        REAL d = a.x[in_channel(i, channel, a.channels, size)] - mean;
        sum += d * d;
    }
    sum = TYPED(block_sum)(sum, shared);
    if (threadIdx.x == 0) {
        usize at = (slice * a.channels + channel) * 2;
        a.parts[at] = mean;
        a.parts[at + 1] = sum;
    }
}

// Puts the slices of a channel together (Chan's formula), one thread a channel.
KERNEL(batch_norm_statistics, Statistics) {
    usize channel = (usize)blockIdx.x * BLOCK + threadIdx.x;
    if (channel >= a.channels) return;
    double count = 0, mean = 0, squares = 0;
    for (usize s = 0; s < a.slices; s++) {
        usize left = a.places - s * a.slice;
        double n = (double)(left < a.slice ? left : a.slice);
        double other = a.parts[(s * a.channels + channel) * 2], d = other - mean;
        squares += a.parts[(s * a.channels + channel) * 2 + 1] + d * d * (count * n / (count + n));
        mean += d * (n / (count + n));
        count += n;
    }
    a.mean[channel] = (REAL)mean;
    a.unbiased[channel] = (REAL)(squares / (count - 1));
    a.inv_std[channel] = (REAL)(1 / sqrt(squares / count + a.eps));
}

KERNEL(inverse_std, InverseStd) {
    usize channel = (usize)blockIdx.x * BLOCK + threadIdx.x;
    if (channel < a.channels) a.inv_std[channel] = (REAL)(1 / sqrt((double)a.var[channel] + a.eps));
}

// y = activation((x - mean) * inv_std * weight + bias + residual): planes of a block's number and every gridDim.x-th after.
KERNEL(batch_norm_apply, Normalise) {
    for (usize plane = blockIdx.x; plane < a.batch * a.channels; plane += gridDim.x) {
        usize channel = plane % a.channels;
        REAL mean = a.mean[channel], scale = a.inv_std[channel] * a.weight[channel], bias = a.bias[channel];
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < a.size; i += gridDim.y * BLOCK) {
            usize at = plane * a.size + i;
            REAL y = (a.x[at] - mean) * scale + bias;
            if (a.residual) y += a.residual[at];
            a.y[at] = TYPED(function)(a.kind, y);
        }
    }
}

// The gradient behind the activation: told by the result where a residual was added before a ReLU, else by the input.
#define BEHIND(at, mean, scale, bias)                                                                                  \
    TYPED(function_gradient)(a.kind, a.y ? a.y[at] : (a.x[at] - (mean)) * (scale) + (bias), a.dy[at])

KERNEL(batch_norm_sums, NormaliseSums) {
    SHARED(REAL, shared, WARPS);
    usize channel = blockIdx.x, slice = blockIdx.y;
    unsigned size = (unsigned)a.size, places = (unsigned)(a.batch * a.size);
    unsigned first = (unsigned)(slice * a.slice), last = slice_end(first, a.slice, places);
    REAL mean = a.mean[channel], inv_std = a.inv_std[channel], weight = a.weight[channel], bias = a.bias[channel];
    REAL sum = 0, product = 0;
    for (unsigned i = first + threadIdx.x; i < last; i += BLOCK) {
        usize at = in_channel(i, channel, a.channels, size);
        REAL g = BEHIND(at, mean, inv_std * weight, bias);
        sum += g;
        product += g * ((a.x[at] - mean) * inv_std);
    }
    sum = TYPED(block_sum)(sum, shared);
    product = TYPED(block_sum)(product, shared);
    if (threadIdx.x == 0) {
        a.parts[slice * 2 * a.channels + channel] = product;
        a.parts[(slice * 2 + 1) * a.channels + channel] = sum;
    }
}

// dx, and where it is wanted the residual's gradient. `sums` holds the weight's gradients, then the bias's.
KERNEL(batch_norm_backward, NormaliseGradient) {
    REAL count = (REAL)(a.batch * a.size);
    for (usize plane = blockIdx.x; plane < a.batch * a.channels; plane += gridDim.x) {
        usize channel = plane % a.channels;
        REAL mean = a.mean[channel], inv_std = a.inv_std[channel], scale = inv_std * a.weight[channel];
        REAL bias = a.bias[channel], product = 0, sum = 0;
        if (a.training) {
            product = a.sums[channel] / count;
            sum = a.sums[a.channels + channel] / count;
        }
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < a.size; i += gridDim.y * BLOCK) {
            usize at = plane * a.size + i;
            REAL g = BEHIND(at, mean, scale, bias);
            a.dx[at] = scale * (g - sum - (a.x[at] - mean) * inv_std * product);
            if (a.dresidual) a.dresidual[at] = g;
        }
    }
}
