"""Special functions of float64 numbers with loops and branches, for kernels that call them once an element.

Each takes and returns float64; float32 callers round the result. Errors are relative and the largest seen
against 200-bit arithmetic. Domain errors give nan, poles inf, as PyTorch's functions do."""
from __future__ import annotations

import math

from .jit import device, floor


@device
def int_power(a, b):
    """a**b of int64 numbers by squaring, modulo 2**64; b counts as unsigned."""
    r = 1
    while b != 0:
        if b & 1 == 1:
            r *= a
        a *= a
        b = (b >> 1) & 0x7FFFFFFFFFFFFFFF
    return r


@device
def digamma(x):
    """psi(x) = d/dx log gamma(x): recurrence up to x >= 10, then log x - 1/(2x) - sum B_2k / (2k x**2k).

    psi(1 - x) - pi / tan(pi x) below 0; -+inf at +-0, nan at the negative integers. Error 1e-15 of max(1,
    |psi|)."""
    if x == 0.0:
        return math.copysign(math.inf, -x)
    if x == math.inf:
        return x
    shift = 0.0
    if x < 0.0:
        if x == -math.inf or x == floor(x):
            return math.nan
        f = x - floor(x + 0.5)
        shift = 0.0 if abs(f) == 0.5 else -math.pi / math.tan(math.pi * f)
        x = 1.0 - x
    while x < 10.0:
        shift -= 1.0 / x
        x += 1.0
    z = 1.0 / (x * x)
    s = 1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))
    s = z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * s)))
    return math.log(x) - 0.5 / x - s + shift


@device
def gamma_slope(a, x):
    """dx/da at which P(a, x), the regularised lower incomplete gamma function, stays: how a gamma number x
    moves with its shape a.

    It is -(∂P/∂a) / p with the density p = x^(a-1) e^-x / Γ(a). Below a + 1 from P's series, whose k-th term
    over p is t = x^(k+1) / (a (a+1) … (a+k)); above from Legendre's continued fraction of 1 - P."""
    if not (a > 0.0 and x >= 0.0 and x < math.inf):
        return math.nan
    if x == 0.0:
        return 0.0
    if x <= a + 1.0:
        slope = digamma(a + 1.0) - math.log(x)
        t = x / a
        total = t * slope
        k = a
        while t * abs(slope) > 1e-17 * abs(total) or k < x:
            k += 1.0
            t *= x / k
            slope += 1.0 / k
            total += t * slope
        return total
    n = math.floor(40.0 + 8.0 * math.sqrt(a) + 400.0 / x)
    h = 0.0  # h = 1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - …)) and its slope d, from the n-th level up
    d = 0.0
    while n >= 1.0:
        above = n * (a - n)
        below = x + 2.0 * n + 1.0 - a + h
        d = (n - above * (d - 1.0) / below) / below
        h = above / below
        n -= 1.0
    below = x + 1.0 - a + h
    d = (1.0 - d) / (below * below)
    h = 1.0 / below
    return x * (h * (math.log(x) - digamma(a)) + d)


@device
def zeta(s, q):
    """Hurwitz zeta sum (q + k)**-s over k >= 0: terms up to q + k >= s + 10, then Euler and Maclaurin. Error
    4e-15.

    inf at s = 1 and at the poles q = 0, -1, ...; nan for s < 1, and for q < 0 where s is no integer."""
    if s == 1.0:
        return math.inf
    if not s > 1.0 or q != q or q == -math.inf or (s == math.inf and q <= 0.0):
        return math.nan
    if q <= 0.0:
        if q == floor(q):
            return math.inf
        if s != floor(s):
            return math.nan
    total = 0.0
    p = q ** -s
    while q < s + 10.0:
        total += p
        q += 1.0
        p = q ** -s
        if q > 1.0 and p <= 1e-18 * abs(total):
            return total
    total += p * q / (s - 1.0) + 0.5 * p
    # c = B_2j / (2j)! s (s + 1) ... (s + 2j - 2) q**(1 - s - 2j)
    t = s * p / q
    z = 1.0 / (q * q)
    total += t / 12
    t *= (s + 1.0) * (s + 2.0) * z
    total -= t / 720
    t *= (s + 3.0) * (s + 4.0) * z
    total += t / 30240
    t *= (s + 5.0) * (s + 6.0) * z
    total -= t / 1209600
    t *= (s + 7.0) * (s + 8.0) * z
    total += t / 47900160
    t *= (s + 9.0) * (s + 10.0) * z
    total -= t * (691.0 / 1307674368000.0)
    t *= (s + 11.0) * (s + 12.0) * z
    total += t / 74724249600.0
    t *= (s + 13.0) * (s + 14.0) * z
    return total - t * (3617.0 / 10670622842880000.0)


@device
def polygamma(n, x):
    """The n-th derivative of digamma: (-1)**(n + 1) n! zeta(n + 1, x); digamma itself at n = 0."""
    if n == 0.0:
        return digamma(x)
    y = 1.0
    k = 2.0
    while k <= n and y < math.inf:
        y *= k
        k += 1.0
    y *= zeta(n + 1.0, x)
    return y if n % 2.0 == 1.0 else -y


@device
def erfcx(x):
    """e**(x*x) erfc x. P(t) / x with t = (x - 3) / (x + 3) on [0.875, 27.5], P a minimax polynomial (as in
    erfc of scalar.py), the asymptotic series above, e**(x*x) erfc x below. Error 4e-16 for x > 0.875."""
    if x < -26.7:
        return math.inf
    if x < 0.875:
        return math.exp(x * x) * math.erfc(x)
    if x > 27.5:
        z = 0.5 / x / x
        s = 15.0 - z * (105.0 - z * (945.0 - z * 10395.0))
        return 0.5641895835477563 / x * (1.0 - z * (1.0 - z * (3.0 - z * s)))
    t = (x - 3.0) / (x + 3.0)
    p = 4.7140670842627065e-08
    p = p * t - 5.12804562679438e-08
    p = p * t - 3.3310306738540157e-07
    p = p * t + 2.62763136955065e-07
    p = p * t + 1.8968479926795642e-06
    p = p * t - 9.78299112091487e-07
    p = p * t - 1.111740154238368e-05
    p = p * t + 6.460474813637679e-06
    p = p * t + 6.898192019135311e-05
    p = p * t - 8.460769104095003e-05
    p = p * t - 0.00041254410905049247
    p = p * t + 0.001242876111701792
    p = p * t + 0.0009108227187273861
    p = p * t - 0.014019825623666972
    p = p * t + 0.046350263329824476
    p = p * t - 0.09546975030669586
    p = p * t + 0.1398805476018024
    p = p * t - 0.14658304803289032
    p = p * t + 0.09530622695922782
    p = p * t + 0.5370034535441699
    return p / x


@device
def erfc_inverse(p):
    """z >= 0 with erfc z = p for 0 < p <= 1: Halley's rule on log erfc from an asymptotic start."""
    log_p = math.log(p)
    if p > 0.5:
        z = 0.886226925452758 * (1.0 - p)
    else:
        u = math.sqrt(-log_p)
        z = u - (0.5 * math.log(1.0 + 1.7724538509055159 * u)) / u
        z = max(z, 0.1)
    for _ in range(8):
        c = erfcx(z)
        # f = log erfc z - log p, f' = -2 / (sqrt(pi) erfcx z) = -d, f'' = d (2 z - d)
        f = math.log(c) - z * z - log_p
        d = 1.1283791670955126 / c
        step = f / d
        step = step / (1.0 - 0.5 * step * (2.0 * z - d))
        z += step
        if abs(step) <= 1e-9 * z:  # the next step would be below 1e-18
            break
    return z


@device
def erfinv(y):
    """x with erf x = y: Halley's rule on erf from the first four terms of its inverse, on log erfc from |y| >
    0.75.

    +-inf at +-1, nan beyond. Error 3e-16."""
    a = abs(y)
    if a >= 1.0 or y != y:
        return math.copysign(math.inf, y) if a == 1.0 else math.nan
    if a > 0.75:
        return math.copysign(erfc_inverse(1.0 - a), y)
    z = a * a
    x = 0.2320136665346545 + z * (0.1275561753055979 + z * 0.0865521292415475)
    x = a * (0.886226925452758 + z * x)
    for _ in range(3):
        d = 1.1283791670955126 * math.exp(-x * x)
        step = (math.erf(x) - a) / d
        x -= step / (1.0 + x * step)
    return math.copysign(x, y)


@device
def ndtri(p):
    """The normal quantile: x with P(N(0, 1) <= x) = p; -inf at 0, inf at 1, nan outside [0, 1]."""
    if not (p > 0.0 and p < 1.0):
        return -math.inf if p == 0.0 else (math.inf if p == 1.0 else math.nan)
    if p < 0.125:
        return -1.4142135623730951 * erfc_inverse(2.0 * p)
    if p > 0.875:
        return 1.4142135623730951 * erfc_inverse(2.0 * (1.0 - p))
    return 1.4142135623730951 * erfinv(2.0 * p - 1.0)


@device
def log_ndtr(x):
    """log P(N(0, 1) <= x), without underflow in the left tail."""
    if x == -math.inf:
        return x
    if x < -1.0:
        z = -0.7071067811865476 * x
        return math.log(0.5 * erfcx(z)) - 0.5 * x * x
    return math.log1p(-0.5 * math.erfc(0.7071067811865476 * x))


@device
def _bessel_series(x, order):
    """I_order(x) for order 0 or 1 and 0 <= x <= 19: sum (x/2)**(2k + order) / (k! (k + order)!)."""
    z = 0.25 * x * x
    term = 1.0 if order == 0 else 0.5 * x
    total = term
    for k in range(1, 120):
        term *= z / (k * (k + order))
        total += term
        if term < total * 1e-17:
            break
    return total


@device
def _bessel_tail(x, order):
    """I_order(x) e**-x for x > 19: sum prod ((2j - 1)**2 - 4 order**2) / (k! (8x)**k) / sqrt(2 pi x)."""
    m = 4.0 * order * order
    term = 1.0
    total = 1.0
    for k in range(1, 60):
        odd = 2.0 * k - 1.0
        term *= (odd * odd - m) / (8.0 * x * k)
        total += term
        if abs(term) < 1e-17:
            break
    return total / math.sqrt(2.0 * math.pi * x)


@device
def _bessel(x, order):
    """I_order(x) for x >= 0."""
    if x <= 19.0:
        return _bessel_series(x, order)
    h = math.exp(0.5 * x) if x < 720.0 else math.inf
    return h * _bessel_tail(x, order) * h if h < math.inf else h


@device
def _bessel_scaled(x, order):
    """I_order(x) e**-x for x >= 0."""
    return _bessel_series(x, order) * math.exp(-x) if x <= 19.0 else _bessel_tail(x, order)


@device
def bessel_i0(x):
    """I_0(x), the modified Bessel function of order 0; inf from |x| = 713.99."""
    return _bessel(abs(x), 0) if x == x else x


@device
def bessel_i0e(x):
    """e**-|x| I_0(x)."""
    return _bessel_scaled(abs(x), 0) if x == x else x


@device
def bessel_i1(x):
    """I_1(x), the modified Bessel function of order 1; +-inf from |x| = 713.99."""
    return math.copysign(_bessel(abs(x), 1), x) if x == x else x


@device
def bessel_i1e(x):
    """e**-|x| I_1(x)."""
    return math.copysign(_bessel_scaled(abs(x), 1), x) if x == x else x


MOST = 9.2e18  # degrees beyond int64 count as negative


@device
def chebyshev(x, n, a, b):
    """The polynomial of degree n with p0 = 1, p1 = a x + b, p(k+1) = 2 x p(k) - p(k-1); 0 for n < 0.

    a = 1, b = 0 gives T, a = 2 and b = 0, -1, 1 give U, V, W. Trigonometric form of T inside (-1, 1) for n >
    6."""
    if not (n > -1.0 and n < MOST):
        return 0.0
    if x != x:
        return x
    n = floor(abs(n))
    if a == 1.0 and n > 6.0 and abs(x) < 1.0:
        return math.cos(n * math.acos(x))
    before = 1.0
    now = a * x + b
    if n == 0.0:
        return before
    k = 1.0
    while k < n and now == now:
        after = 2.0 * x * now - before
        before = now
        now = after
        k += 1.0
    return now


@device
def hermite(x, n, a):
    """p0 = 1, p1 = a x, p(k+1) = a (x p(k) - k p(k-1)): H for a = 2, He for a = 1; 0 for n < 0."""
    if not (n > -1.0 and n < MOST):
        return 0.0
    n = floor(abs(n))
    before = 1.0
    now = a * x
    if n == 0.0:
        return before
    k = 1.0
    while k < n and now == now:
        after = a * (x * now - k * before)
        before = now
        now = after
        k += 1.0
    return now


@device
def laguerre(x, n):
    """p0 = 1, p1 = 1 - x, (k + 1) p(k+1) = (2k + 1 - x) p(k) - k p(k-1); 0 for n < 0."""
    if not (n > -1.0 and n < MOST):
        return 0.0
    n = floor(abs(n))
    before = 1.0
    now = 1.0 - x
    if n == 0.0 or x == 0.0:
        return before
    k = 1.0
    while k < n and now == now:
        after = ((2.0 * k + 1.0 - x) * now - k * before) / (k + 1.0)
        before = now
        now = after
        k += 1.0
    return now


@device
def legendre(x, n):
    """p0 = 1, p1 = x, (k + 1) p(k+1) = (2k + 1) x p(k) - k p(k-1); 0 for n < 0."""
    if not (n > -1.0 and n < MOST):
        return 0.0
    n = floor(abs(n))
    before = 1.0
    now = x
    if n == 0.0 or x == 1.0:
        return before
    k = 1.0
    while k < n and now == now:
        after = ((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0)
        before = now
        now = after
        k += 1.0
    return now
