/*
 * The time zone that TZ names, in place of wasi-libc's, which is UTC. TZ is of POSIX's own form, as EST5EDT,M3.2.0,M11.1.0 or <+03>-3; what needs files, as Europe/Berlin,
 * is UTC, and so is none. localtime, mktime, ctime and strftime ask here.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OWN __attribute__((weak))

enum { day_seconds = 86400, longest_name = 15 };

/* A day of the year on which clocks change, and the local time of it, in seconds. */
struct change {
  char kind; /* M: month, week, day; J: day of the year from 1 on, without 29 February; 0: from 0 on, with it */
  int month, week, day, time;
};

static char standard_name[longest_name + 1] = "UTC", summer_name[longest_name + 1] = "UTC";
static int standard_offset, summer_offset; /* to the west of UTC, in seconds */
static int has_summer;
static struct change summer_begins, summer_ends;

OWN const char __utc[] = "UTC"; /* of gmtime's results */
OWN char *tzname[2] = {standard_name, summer_name};
OWN int daylight;
OWN long timezone;

static int zone_name(const char **at, char *name) {
  const char *from = *at, *to;
  if (*from == '<') {
    from++;
    for (to = from; isalnum((unsigned char)*to) || *to == '+' || *to == '-'; to++) {}
    if (*to != '>') return 0;
    *at = to + 1;
  } else {
    for (to = from; isalpha((unsigned char)*to); to++) {}
    *at = to;
  }
  if (to - from < 3 || to - from > longest_name) return 0;
  memcpy(name, from, (size_t)(to - from));
  name[to - from] = 0;
  return 1;
}

static int zone_number(const char **at, int most, int *number) {
  if (!isdigit((unsigned char)**at)) return 0;
  for (*number = 0; isdigit((unsigned char)**at) && *number <= most; ++*at) *number = *number * 10 + (**at - '0');
  return *number <= most;
}

/* [+-]h[h][:mm[:ss]] */
static int zone_time(const char **at, int *seconds) {
  int negative = **at == '-', hours, minutes = 0, rest = 0;
  if (**at == '-' || **at == '+') ++*at;
  if (!zone_number(at, 167, &hours)) return 0;
  if (**at == ':') {
    ++*at;
    if (!zone_number(at, 59, &minutes)) return 0;
    if (**at == ':') {
      ++*at;
      if (!zone_number(at, 59, &rest)) return 0;
    }
  }
  *seconds = hours * 3600 + minutes * 60 + rest;
  if (negative) *seconds = -*seconds;
  return 1;
}

static int zone_change(const char **at, struct change *c) {
  *c = (struct change){.time = 2 * 3600};
  if (**at == 'M') {
    c->kind = 'M', ++*at;
    if (!zone_number(at, 12, &c->month) || c->month < 1 || *(*at)++ != '.' || !zone_number(at, 5, &c->week) || c->week < 1 || *(*at)++ != '.' || !zone_number(at, 6, &c->day)) return 0;
  } else {
    if (**at == 'J') c->kind = 'J', ++*at;
    if (!zone_number(at, 365, &c->day) || (c->kind == 'J' && c->day < 1)) return 0;
  }
  if (**at != '/') return 1;
  ++*at;
  return zone_time(at, &c->time);
}

/* zone_of reads a zone of POSIX's form. One with summer time that does not say when has it as in the USA. */
static int zone_of(const char *at) {
  if (!zone_name(&at, standard_name) || !zone_time(&at, &standard_offset)) return 0;
  strcpy(summer_name, standard_name);
  if (*at == 0) return 1;
  if (!zone_name(&at, summer_name)) return 0;
  summer_offset = standard_offset - 3600;
  if (*at && *at != ',' && !zone_time(&at, &summer_offset)) return 0;
  const char *rule = *at ? at : ",M3.2.0,M11.1.0";
  has_summer = *rule++ == ',' && zone_change(&rule, &summer_begins) && *rule++ == ',' && zone_change(&rule, &summer_ends) && *rule == 0;
  return has_summer;
}

/* use_zone has TZ's zone be the one that is asked. */
static void use_zone(void) {
  static char used[128];
  const char *zone = getenv("TZ");
  if (zone == NULL) zone = "";
  if (strcmp(zone, used) == 0 || strlen(zone) >= sizeof used) return;
  strcpy(used, zone);
  has_summer = 0;
  if (!zone_of(zone + (*zone == ':'))) {
    standard_offset = 0, has_summer = 0;
    strcpy(standard_name, strcmp(zone, "GMT") == 0 ? "GMT" : "UTC");
    strcpy(summer_name, standard_name);
  }
  tzname[0] = standard_name, tzname[1] = summer_name;
  daylight = has_summer, timezone = standard_offset;
}

OWN void tzset(void) { use_zone(); }

/* zone_change_in is the second of a year at which clocks change, as if local time were UTC. */
static long long zone_change_in(const struct change *c, int year) {
  struct tm first = {.tm_year = year, .tm_mon = c->kind == 'M' ? c->month - 1 : 0, .tm_mday = 1};
  long long start = timegm(&first);
  int day = c->day;
  if (c->kind == 'J') {
    int leap = (year % 4 == 0 && year % 100 != 0) || (year + 1900) % 400 == 0;
    day = c->day - 1 + (leap && c->day >= 60);
  } else if (c->kind == 'M') {
    struct tm next = {.tm_year = year, .tm_mon = c->month, .tm_mday = 1};
    int days = (int)((timegm(&next) - start) / day_seconds);
    day = (c->day - first.tm_wday + 7) % 7 + (c->week - 1) * 7;
    while (day >= days) day -= 7;
  }
  return start + (long long)day * day_seconds + c->time;
}

/* is_summer says whether a time is in summer time; local: it is local time, of which an hour that is twice is taken for summer time, and one that there is not for standard time, as glibc has it. */
static int is_summer(long long t, int local) {
  struct tm tm;
  time_t middle = local ? t : t - standard_offset;
  if (!has_summer || gmtime_r(&middle, &tm) == NULL) return 0;
  long long begins = zone_change_in(&summer_begins, tm.tm_year), ends = zone_change_in(&summer_ends, tm.tm_year);
  begins += local ? standard_offset - summer_offset : standard_offset;
  if (!local) ends += summer_offset;
  return begins < ends ? t >= begins && t < ends : t >= begins || t < ends;
}

/* What wasi-libc asks: how far a time is from UTC, to the east, and how far it would be in the other of standard and summer time, to the west there as here. */
OWN void __secs_to_zone(long long t, int local, int *summer, int *offset, long *other, const char **name) {
  use_zone();
  *summer = is_summer(t, local);
  *offset = *summer ? -summer_offset : -standard_offset;
  if (other) *other = *summer ? -standard_offset : has_summer ? -summer_offset : 3600 - standard_offset; /* summer time is an hour where there is none, as in glibc */
  *name = *summer ? summer_name : standard_name;
}

OWN const char *__tm_to_tzname(const struct tm *tm) { return tm->__tm_zone ? tm->__tm_zone : ""; }
