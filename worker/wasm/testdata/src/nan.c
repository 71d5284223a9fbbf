/* nan prints the bits of what operations give that is no number: made by them, or given to them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <wasm_simd128.h>

static void d(const char *what, double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  printf("%s %016" PRIx64 " %g\n", what, b, x);
}

static void f(const char *what, float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  printf("%s %08" PRIx32 " %g\n", what, b, (double)x);
}

__attribute__((target("simd128"))) static void v(const char *what, v128_t x) {
  uint64_t b[2];
  memcpy(b, &x, sizeof b);
  printf("%s %016" PRIx64 " %016" PRIx64 "\n", what, b[0], b[1]);
}

__attribute__((target("simd128"))) int main(void) {
  volatile uint64_t bits[] = {0x7ff8000000000000, 0xfff8000000000001, 0x7ff8000000abcdef};
  volatile double zero = 0, one = 1, inf = INFINITY;
  double n[3];
  for (int i = 0; i < 3; i++) {
    uint64_t b = bits[i];
    memcpy(n + i, &b, sizeof b);
  }
  d("0/0", zero / zero), d("inf-inf", inf - inf), d("inf+-inf", inf + -inf), d("0*inf", zero * inf), d("inf*0.0", inf * 0.0), d("inf/inf", inf / inf);
  d("sqrt", __builtin_sqrt(-one)), d("-sqrt", -__builtin_sqrt(-one)), d("abs", __builtin_fabs(zero / zero));
  for (int i = 0; i < 3; i++) {
    d("n+1", n[i] + 1), d("1-n", one - n[i]), d("n*0.5", n[i] * 0.5), d("n/n", n[i] / n[(i + 1) % 3]), d("n*n", n[i] * n[(i + 2) % 3]), d("sqrt n", __builtin_sqrt(n[i]));
    d("min", __builtin_wasm_min_f64(n[i], n[(i + 1) % 3])), d("max", __builtin_wasm_max_f64(one, n[i])), d("floor", __builtin_floor(n[i])), d("float", (float)n[i]);
  }
  d("made and given", zero / zero + n[0]), d("given and made", n[0] + zero / zero);
  volatile float fzero = 0, fone = 1, finf = INFINITY;
  f("f 0/0", fzero / fzero), f("f inf-inf", finf - finf), f("f inf+-inf", finf + -finf), f("f 0*inf", fzero * finf), f("f sqrt", __builtin_sqrtf(-fone));
  f("f of d", (float)(zero / zero)), f("f n", (float)n[1] * fone), d("d of f", fzero / fzero);
  volatile v128_t a = wasm_f64x2_make(0, 1), b = wasm_f64x2_make(0, 2), x = wasm_f64x2_make(n[0], INFINITY), y = wasm_f64x2_make(1, -INFINITY), z = wasm_f64x2_make(n[1], n[2]);
  v("div", wasm_f64x2_div(a, b)), v("add", wasm_f64x2_add(x, y)), v("sub", wasm_f64x2_sub(x, x)), v("mul", wasm_f64x2_mul(x, a)), v("sqrt", wasm_f64x2_sqrt(y));
  v("min", wasm_f64x2_min(x, y)), v("max", wasm_f64x2_max(x, y)), v("max", wasm_f64x2_max(x, z)), v("min", wasm_f64x2_min(z, x)), v("max", wasm_f64x2_max(a, b));
  volatile v128_t fa = wasm_f32x4_make(0, 1, INFINITY, -1), fb = wasm_f32x4_make(0, 2, -INFINITY, NAN), fc = wasm_f32x4_make(-NAN, 3, 0, INFINITY);
  v("f div", wasm_f32x4_div(fa, fb)), v("f add", wasm_f32x4_add(fa, fb)), v("f sub", wasm_f32x4_sub(fc, fc)), v("f mul", wasm_f32x4_mul(fa, fc)), v("f sqrt", wasm_f32x4_sqrt(fa));
  v("f min", wasm_f32x4_min(fa, fb)), v("f max", wasm_f32x4_max(fa, fb)), v("f max", wasm_f32x4_max(fc, fa)), v("f min", wasm_f32x4_min(fb, fc));
  return 0;
}
