/* configured: finds out, for each value in sdk/share/config.site that only a run can tell, what it is. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, int yes) { printf("ac_cv_func_%s=%s\n", what, yes ? "yes" : "no"); }

static int number(const char *text, double want, size_t length) {
  char *end;
  double got = strtod(text, &end);
  return (got == want || (want != want && got != got)) && end == text + length;
}

static int calendar(void) {
  struct tm t = {.tm_year = 98, .tm_mon = 3, .tm_mday = 5, .tm_hour = 2, .tm_min = 70, .tm_isdst = -1};
  time_t at = mktime(&t);
  return at != (time_t)-1 && t.tm_hour == 3 && t.tm_min == 10 && localtime(&at)->tm_mday == 5;
}

static int chowns(void) {
  struct stat before, after;
  FILE *f = fopen("owned", "w");
  return f && fclose(f) == 0 && stat("owned", &before) == 0 && chown("owned", (uid_t)-1, getegid()) == 0 && stat("owned", &after) == 0 && before.st_uid == after.st_uid &&
         before.st_gid == after.st_gid;
}

int main(void) {
  struct stat st;
  volatile size_t none = 0;
  void *volatile nothing = NULL;
  volatile char ascii = '\100', high = '\200', higher = '\201';
  char a = ascii, b = high, c = higher;
  say("calloc_0_nonnull", calloc(none, none) != NULL);
  say("chown_works", chowns());
  say("getgroups_works", getgroups(0, NULL) >= 0);
  say("lstat_empty_string_bug", lstat("", &st) == 0);
  say("stat_empty_string_bug", stat("", &st) == 0);
  say("fnmatch_works", fnmatch("a*", "abc", 0) == 0 && fnmatch("d*/*1", "d/s/1", FNM_PATHNAME) != 0 && fnmatch("\\a", "a", 0) == 0 &&
                           fnmatch("[[:alpha:]]", "a", 0) == 0 && fnmatch("*", ".x", FNM_PERIOD) != 0);
  say("malloc_0_nonnull", malloc(none) != NULL);
  say("memcmp_working", memcmp(&a, &c, 1) < 0 && memcmp(&b, &c, 1) < 0);
  say("realloc_0_nonnull", realloc(nothing, none) != NULL);
  say("strcoll_works", strcoll("abc", "def") < 0 && strcoll("ABC", "DEF") < 0 && strcoll("123", "456") < 0);
  say("strnlen_working", strnlen("foobar", 3) == 3 && strnlen("x", 9) == 1);
  say("strtod", number(" +69", 69, 4) && number("NaN", __builtin_nan(""), 3) && number("5.0.", 5, 3) && number("0x1p4", 16, 5));
  say("working_mktime", calendar());
  return 0;
}
