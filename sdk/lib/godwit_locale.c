/*
 * The locale that the environment names, which a program asks for by "": where it names none that is C, as with glibc, and not musl's C.UTF-8. For C.UTF-8 in all categories glibc answers with that, and musl with a
 * list, for it has only one part. The locale of C++ knows none by "", and would say so.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

/* What the environment says of a category, or of all by its first. */
static const char *named_locale(int category) {
  static const char *const names[] = {"LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY", "LC_MESSAGES"};
  const char *variables[] = {"LC_ALL", names[category], "LANG"};
  for (int i = 0; i < 3; i++) {
    const char *value = getenv(variables[i]);
    if (value && *value) return strcmp(value, "POSIX") == 0 || strchr(value, ';') ? "C" : value;
  }
  return "C";
}

static const char *asked_locale(const char *name) { return name && !*name ? named_locale(LC_CTYPE) : name; }

char *__real_setlocale(int category, const char *name);
char *__wrap_setlocale(int category, const char *name) {
  static char utf8[] = "C.UTF-8";
  char all[6 * 25]; /* musl's names have 23 bytes at most */
  if (name && !*name && category >= 0 && category < LC_ALL) name = named_locale(category);
  if (name && !*name && category == LC_ALL) {
    all[0] = 0;
    for (int i = 0; i < LC_ALL; i++) {
      if (i) strcat(all, ";");
      strncat(all, named_locale(i), 23);
    }
    name = all;
  }
  char *said = __real_setlocale(category, name);
  return said && strcmp(said, "C.UTF-8;C;C;C;C;C") == 0 ? utf8 : said;
}

locale_t __real_newlocale(int mask, const char *name, locale_t base);
locale_t __wrap_newlocale(int mask, const char *name, locale_t base) { return __real_newlocale(mask, asked_locale(name), base); }

/* std::locale's constructors, which return the object. */
void *cxx_locale(void *object, const char *name) __asm__("__real__ZNSt3__16localeC1EPKc") __attribute__((weak));
void *cxx_locale_by_text(void *object, const void *text) __asm__("__real__ZNSt3__16localeC1ERKNS_12basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEE") __attribute__((weak));

void *__wrap__ZNSt3__16localeC1EPKc(void *object, const char *name) { return cxx_locale(object, asked_locale(name)); }

/* An empty std::string's first byte is 0, or a long one's second word. */
void *__wrap__ZNSt3__16localeC1ERKNS_12basic_stringIcNS_11char_traitsIcEENS_9allocatorIcEEEE(void *object, const void *text) {
  const unsigned char *first = text;
  int empty = *first & 1 ? ((const size_t *)text)[1] == 0 : *first == 0;
  return empty ? cxx_locale(object, asked_locale("")) : cxx_locale_by_text(object, text);
}
