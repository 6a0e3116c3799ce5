// The first largest value of each window, a NaN before all, and where in its plane it is.
KERNEL(max_pool_forward, MaxPool) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, outputs = (unsigned)(a.oh * a.ow);
    for (usize plane = blockIdx.x; plane < a.planes; plane += gridDim.x) {
        const REAL *x = a.x + plane * a.h * a.w;
        for (unsigned o = blockIdx.y * BLOCK + threadIdx.x; o < outputs; o += gridDim.y * BLOCK) {
            long long y0 = (long long)(o / ow * a.stride) - (long long)a.padding, y1 = y0 + (long long)a.kernel;
            long long x0 = (long long)(o % ow * a.stride) - (long long)a.padding, x1 = x0 + (long long)a.kernel;
            if (y0 < 0) y0 = 0;
            if (x0 < 0) x0 = 0;
            if (y1 > (long long)a.h) y1 = (long long)a.h;
            if (x1 > (long long)a.w) x1 = (long long)a.w;
            unsigned best = (unsigned)y0 * w + (unsigned)x0;
            for (unsigned row = (unsigned)y0; row < y1; row++)
                for (unsigned column = (unsigned)x0; column < x1; column++) {
                    REAL value = x[row * w + column];
                    if (value > x[best] || value != value) best = row * w + column;
                }
            a.y[plane * outputs + o] = x[best];
            a.places[plane * outputs + o] = best;
        }
    }
}

// Each input takes the gradients of the windows that it won: no two threads write one value.
KERNEL(max_pool_backward, MaxPoolGradient) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, oh = (unsigned)a.oh, inputs = (unsigned)(a.h * a.w);
    unsigned kernel = (unsigned)a.kernel, stride = (unsigned)a.stride, padding = (unsigned)a.padding;
    for (usize plane = blockIdx.x; plane < a.planes; plane += gridDim.x) {
        usize outputs = plane * oh * ow;
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < inputs; i += gridDim.y * BLOCK) {
            unsigned row = i / w + padding, column = i % w + padding;
            unsigned y0 = first_window(row, kernel, stride), y1 = row / stride + 1;
            unsigned x0 = first_window(column, kernel, stride), x1 = column / stride + 1;
            REAL sum = 0;
            for (unsigned y = y0; y < y1 && y < oh; y++)
                for (unsigned x = x0; x < x1 && x < ow; x++)
                    if (a.places[outputs + y * ow + x] == i) sum += a.dy[outputs + y * ow + x];
            a.dx[plane * inputs + i] = sum;
        }
    }
}

// Means over windows, which at the border are smaller.
KERNEL(avg_pool_forward, AvgPool) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, outputs = (unsigned)(a.oh * a.ow);
    for (usize plane = blockIdx.x; plane < a.planes; plane += gridDim.x) {
        const REAL *x = a.x + plane * a.h * a.w;
        for (unsigned o = blockIdx.y * BLOCK + threadIdx.x; o < outputs; o += gridDim.y * BLOCK) {
            usize y0 = o / ow * a.stride, y1 = y0 + a.kernel < a.h ? y0 + a.kernel : a.h;
            usize x0 = o % ow * a.stride, x1 = x0 + a.kernel < a.w ? x0 + a.kernel : a.w;
            REAL sum = 0;
            for (usize row = y0; row < y1; row++)
                for (usize column = x0; column < x1; column++) sum += x[row * w + column];
            a.y[plane * outputs + o] = sum / ((y1 - y0) * (x1 - x0));
        }
    }
}

KERNEL(avg_pool_backward, AvgPoolGradient) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, oh = (unsigned)a.oh, inputs = (unsigned)(a.h * a.w);
    unsigned kernel = (unsigned)a.kernel, stride = (unsigned)a.stride;
    for (usize plane = blockIdx.x; plane < a.planes; plane += gridDim.x) {
        usize outputs = plane * oh * ow;
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < inputs; i += gridDim.y * BLOCK) {
            unsigned row = i / w, column = i % w;
            unsigned y0 = first_window(row, kernel, stride), y1 = row / stride + 1;
            unsigned x0 = first_window(column, kernel, stride), x1 = column / stride + 1;
            REAL sum = 0;
            for (unsigned y = y0; y < y1 && y < oh; y++)
                for (unsigned x = x0; x < x1 && x < ow; x++) {
                    usize rows = a.h - y * stride < kernel ? a.h - y * stride : kernel;
                    usize columns = a.w - x * stride < kernel ? a.w - x * stride : kernel;
                    sum += a.dy[outputs + y * ow + x] / (rows * columns);
                }
            a.dx[plane * inputs + i] = sum;
        }
    }
}
