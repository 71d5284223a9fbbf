/* strptime, of which wasi-libc's leaves out what a date says of itself: the days of the week and of the year, and of the latter the month. */
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
  if (end == NULL || !said(format, "bBhcdeDFjmxyY")) return end;
  int by_year_day = said(format, "j") && !said(format, "bBhcdeDFmx");
  struct tm date = {.tm_year = tm->tm_year, .tm_mon = by_year_day ? 0 : tm->tm_mon, .tm_mday = by_year_day ? tm->tm_yday + 1 : tm->tm_mday};
  timegm(&date);
  if (by_year_day) tm->tm_mon = date.tm_mon, tm->tm_mday = date.tm_mday;
  if (!said(format, "aAuwc")) tm->tm_wday = date.tm_wday;
  if (!said(format, "j")) tm->tm_yday = date.tm_yday;
  return end;
}
