// Every window of x (B, C, H, W) as a column: (B, C KH KW, H' W').
KERNEL(windows, Windows) {
    unsigned ow = (unsigned)a.ow, outputs = (unsigned)(a.oh * a.ow), taps = (unsigned)(a.kh * a.kw);
    for (usize line = blockIdx.x; line < a.planes * taps; line += gridDim.x) {
        usize plane = line / taps;
        long long ky = (long long)(line % taps / a.kw) - (long long)a.padding;
        long long kx = (long long)(line % taps % a.kw) - (long long)a.padding;
        for (unsigned o = blockIdx.y * BLOCK + threadIdx.x; o < outputs; o += gridDim.y * BLOCK) {
            long long row = (long long)(o / ow * a.stride) + ky, column = (long long)(o % ow * a.stride) + kx;
            int inside = row >= 0 && column >= 0 && row < (long long)a.h && column < (long long)a.w;
            a.y[line * outputs + o] = inside ? a.x[(plane * a.h + row) * a.w + column] : ZERO;
        }
    }
}

// The way back: each pixel sums what the windows that hold it give it.
KERNEL(windows_backward, WindowsGradient) {
    unsigned w = (unsigned)a.w, ow = (unsigned)a.ow, oh = (unsigned)a.oh, inputs = (unsigned)(a.h * a.w);
    unsigned kh = (unsigned)a.kh, kw = (unsigned)a.kw, stride = (unsigned)a.stride, padding = (unsigned)a.padding;
    for (usize plane = blockIdx.x; plane < a.planes; plane += gridDim.x) {
        const STORED *dy = a.dy + plane * kh * kw * oh * ow;
        for (unsigned i = blockIdx.y * BLOCK + threadIdx.x; i < inputs; i += gridDim.y * BLOCK) {
            unsigned row = i / w + padding, column = i % w + padding;
            unsigned y0 = first_window(row, kh, stride), y1 = row / stride + 1;
            unsigned x0 = first_window(column, kw, stride), x1 = column / stride + 1;
            REAL sum = 0;
            for (unsigned y = y0; y < y1 && y < oh; y++)
                for (unsigned x = x0; x < x1 && x < ow; x++) {
                    unsigned tap = (row - y * stride) * kw + (column - x * stride);
                    sum += LOAD(dy[((usize)tap * oh + y) * ow + x]);
                }
            a.dx[plane * inputs + i] = STORE(sum);
        }
    }
}
