/* strptime, of which wasi-libc's leaves out what a date says of itself: the days of the week and of the year. */
#include <ctype.h>
#include <string.h>
#include <time.h>

/* said tells whether one of the conversions is in a format. */
static int said(const char *format, const char *conversions) {
  while ((format = strchr(format, '%')) != NULL) {
    format++;
    while (*format && (strchr("EO_-^#+", *format) || isdigit((unsigned char)*format))) format++;
    if (*format == 0) return 0;
    if (strchr(conversions, *format)) return 1;
    format++;
  }
  return 0;
}

char *__real_strptime(const char *text, const char *format, struct tm *tm);
char *__wrap_strptime(const char *text, const char *format, struct tm *tm) {
  char *end = __real_strptime(text, format, tm);
  if (end == NULL || !said(format, "bBhcdeDFmxyY")) return end;
  struct tm date = {.tm_year = tm->tm_year, .tm_mon = tm->tm_mon, .tm_mday = tm->tm_mday};
  timegm(&date);
  if (!said(format, "aAuwc")) tm->tm_wday = date.tm_wday;
  if (!said(format, "j")) tm->tm_yday = date.tm_yday;
  return end;
}
