/* What clang may call. The host has no C library. */
#define HIDDEN __attribute__((visibility("hidden"), no_builtin, used))
typedef u64x2 loose __attribute__((aligned(1)));
HIDDEN void *memcpy(void *to, const void *from, unsigned long n) {
  u8 *d = to;
  const u8 *s = from;
  if (n >= 1024) {
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
    return to;
  }
  if (n >= 16) {
    u64x2 last = *(const loose *)(s + n - 16);
    u8 *end = d + n - 16;
    for (; d < end; d += 16, s += 16) {
      u64x2 v = *(const loose *)s;
      __asm__ volatile("" : "+x"(v));
      *(loose *)d = v;
    }
    *(loose *)end = last;
    return to;
  }
  if (n >= 8) {
    u64 a, b;
    __builtin_memcpy(&a, s, 8);
    __builtin_memcpy(&b, s + n - 8, 8);
    __builtin_memcpy(d, &a, 8);
    __builtin_memcpy(d + n - 8, &b, 8);
    return to;
  }
  for (; n; n--) {
    u8 v = *s++;
    __asm__ volatile("" : "+r"(v));
    *d++ = v;
  }
  return to;
}
HIDDEN void *memmove(void *to, const void *from, unsigned long n) {
  u8 *d = to;
  const u8 *s = from;
  if ((u64)d - (u64)s >= n && (u64)s - (u64)d >= n) return memcpy(to, from, n);
  if ((u64)d - (u64)s >= n) { /* to lower addresses */
    for (; n >= 16; n -= 16, d += 16, s += 16) {
      u64x2 v = *(const loose *)s;
      __asm__ volatile("" : "+x"(v));
      *(loose *)d = v;
    }
    for (; n; n--) {
      u8 v = *s++;
      __asm__ volatile("" : "+r"(v));
      *d++ = v;
    }
    return to;
  }
  while (n >= 16) {
    n -= 16;
    u64x2 v = *(const loose *)(s + n);
    __asm__ volatile("" : "+x"(v));
    *(loose *)(d + n) = v;
  }
  while (n) {
    n--;
    u8 v = s[n];
    __asm__ volatile("" : "+r"(v));
    d[n] = v;
  }
  return to;
}
HIDDEN void *memset(void *to, int c, unsigned long n) {
  u8 *d = to;
  if (n >= 1024) {
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return to;
  }
  u64x2 v = (u64x2)((u8x16){} + (u8)c);
  for (; n >= 16; n -= 16, d += 16) {
    __asm__ volatile("" : "+x"(v));
    *(loose *)d = v;
  }
  for (; n; n--) {
    __asm__ volatile("" : "+r"(c));
    *d++ = (u8)c;
  }
  return to;
}
