/* state_loss_body.h - one row of a hidden-state loss for the element type REAL; sums are in double. */

static double ROW(cosine)(const REAL *y, const REAL *t, int64_t d, double weight, REAL *dy)
{
    double dot = 0.0, yy = 0.0, tt = 0.0;
    for (int64_t i = 0; i < d; i++) {
        dot += (double)y[i] * (double)t[i];
        yy += (double)y[i] * (double)y[i];
        tt += (double)t[i] * (double)t[i];
    }
    const double norms = sqrt(yy) * sqrt(tt), divisor = fmax(norms, LEAST_NORMS);
    /* below the least the divisor is a constant */
    const double back = norms > LEAST_NORMS ? dot / (divisor * yy) : 0.0;
    for (int64_t i = 0; dy != NULL && i < d; i++) {
        dy[i] = (REAL)(weight * (back * (double)y[i] - (double)t[i] / divisor));
    }
    return 1.0 - dot / divisor;
}

static double ROW(mse)(const REAL *y, const REAL *t, int64_t d, double weight, REAL *dy)
{
    double sum = 0.0;
    for (int64_t i = 0; i < d; i++) {
        const double off = (double)y[i] - (double)t[i];
        sum += off * off;
        if (dy != NULL) {
            dy[i] = (REAL)(weight * 2.0 * off / (double)d);
        }
    }
    return sum / (double)d;
}
