package sdk

import "testing"

// TestZones: local time is that of TZ, in POSIX's form; the sums are glibc's over the texts of two thousand times each.
func TestZones(t *testing.T) {
	files := map[string]string{"a.c": `#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
static unsigned long long seed = 88172645463325252ull;
static unsigned long long chance(void) { seed ^= seed << 13; seed ^= seed >> 7; return seed ^= seed << 17; }
static const char *zones[] = {"EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3", "JST-9", "NZST-12NZDT,M9.5.0,M4.1.0/3", "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1",
  "IST-1GMT0,M10.5.0,M3.5.0/1", "AAA-5:30:15BBB-7,J60/0,J300/12", "AAA3BBB,59/25,300", ":UTC0", "", "LHST-10:30LHDT-11,M10.1.0,M4.1.0"};
int main(void) {
  time_t t = 1690000000;
  char b[100];
  setenv("TZ", "Europe/Berlin", 1);
  printf("%s", ctime(&t));
  for (unsigned z = 0; z < sizeof zones / sizeof *zones; z++) {
    unsigned long long sum = 0;
    setenv("TZ", zones[z], 1);
    tzset();
    for (int i = 0; i < 2000; i++) {
      struct tm m;
      t = (time_t)(chance() % 4000000000ull);
      localtime_r(&t, &m);
      strftime(b, sizeof b, "%F %T %Z %z", &m);
      for (char *p = b; *p; p++) sum = sum * 31 + (unsigned char)*p;
      if (mktime(&m) != t) printf("back %lld\n", (long long)t);
    }
    printf("%ld %d %s %s %llu %s\n", timezone, daylight, tzname[0], tzname[1], sum, b);
  }
  unsetenv("TZ"), tzset();
  printf("%ld %d %s %s", timezone, daylight, tzname[0], ctime(&t));
  return 0;
}
`}
	const want = `Sat Jul 22 04:26:40 2023
18000 1 EST EDT 4207489000371913563 2024-08-18 19:32:36 EDT -0400
-3600 1 CET CEST 360619023569743676 2007-10-27 18:01:47 CEST +0200
-10800 0 +03 +03 2197945422798322383 2026-10-09 18:24:29 +03 +0300
-32400 0 JST JST 8325716394894696521 1996-02-01 23:44:52 JST +0900
-43200 1 NZST NZDT 10969292919844163949 2010-03-09 00:43:25 NZDT +1300
10800 1 -03 -02 4424877466474591738 1984-01-01 14:07:10 -03 -0300
-3600 1 IST GMT 17508695312851582098 2055-03-29 06:42:42 IST +0100
-19815 1 AAA BBB 6999042635360066896 1986-01-19 12:52:08 AAA +0530
10800 1 AAA BBB 4774170291451855503 2021-05-21 22:11:22 BBB -0200
0 0 UTC UTC 1183966814346935786 2036-01-22 04:44:10 UTC +0000
0 0 UTC UTC 3299467476428977583 2032-01-17 07:41:11 UTC +0000
-37800 1 LHST LHDT 5830660583731536215 1971-02-01 22:37:18 LHDT +1100
0 0 UTC Mon Feb  1 11:37:18 1971
`
	printsAtLevels(t, C, files, "a.c", want)
}
