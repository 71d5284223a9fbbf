/*
 * What printf and its kin do with a % that begins no conversion, as in "50%, %d left": glibc prints it as it stands, and the C library here would print nothing behind it.
 */
#include "godwit_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * spelled is a format with each % doubled that begins no conversion, up to one that ends it: whole says whether there is none such, which glibc takes for an error, behind what comes before it.
 * null: all are conversions, or what one would take is not known.
 */
static char *spelled(const char *format, int *whole) {
  char *out = malloc(2 * strlen(format) + 1), *to = out;
  int found = 0;
  *whole = 1;
  while (out && *format && *whole) {
    if (*format != '%') {
      *to++ = *format++;
      continue;
    }
    size_t n = 1 + strspn(format + 1, "-+ #0'123456789$*.hlLqjztZ");
    char conversion = format[n];
    if (conversion == 0) {
      *whole = 0, found = 1;
    } else if (conversion == '%') { /* whatever stands between is nothing to it */
      found |= n > 1;
      *to++ = '%', *to++ = '%';
    } else if (strchr("diouxXeEfFgGaAcCsSpnm", conversion)) {
      for (size_t i = 0; i <= n; i++) switch (i < n ? format[i] : 0) { /* old names of ll and z */
          case 'q': *to++ = 'l', *to++ = 'l', found = 1; break;
          case 'Z': *to++ = 'z', found = 1; break;
          default: *to++ = format[i];
        }
    } else if (memchr(format, '*', n) || strchr("bB", conversion)) {
      found = 0;
      break;
    } else {
      found = 1;
      *to++ = '%';
      for (size_t i = 0; i <= n; i++)
        if (i == n || !strchr("hlLqjztZ", format[i])) *to++ = format[i];
    }
    format += n + 1;
  }
  if (out && found) {
    *to = 0;
    return out;
  }
  free(out);
  return NULL;
}

/* odd says whether a format has a % that begins no conversion. */
static int odd(const char *format) {
  while ((format = strchr(format, '%')) != NULL) {
    if (*++format == '%') {
      format++;
      continue;
    }
    for (;; format++) switch (*format) {
        case '-': case '+': case ' ': case '#': case '0': case '\'': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        case '$': case '*': case '.': case 'h': case 'l': case 'L': case 'j': case 'z': case 't': continue;
        case 'd': case 'i': case 'o': case 'u': case 'x': case 'X': case 'e': case 'E': case 'f': case 'F': case 'g': case 'G': case 'a': case 'A':
        case 'c': case 'C': case 's': case 'S': case 'p': case 'n': case 'm': goto known;
        default: return 1;
      }
  known:;
  }
  return 0;
}

int __real_vfprintf(FILE *file, const char *format, va_list list);
int __wrap_vfprintf(FILE *file, const char *format, va_list list) {
  if (file == NULL) null_file("vfprintf");
  int whole;
  char *other = odd(format) ? spelled(format, &whole) : NULL;
  if (other == NULL) return __real_vfprintf(file, format, list);
  int n = __real_vfprintf(file, other, list);
  if (!whole && n >= 0) n = -1, errno = EINVAL;
  free(other);
  return n;
}
