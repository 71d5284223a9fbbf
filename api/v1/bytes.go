package apiv1

import (
	"fmt"
	"strconv"
)

// Bytes is a size for people: whole units where it is whole ones, else with one digit behind the point.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	at, unit := 0, int64(1)
	for at < len(units)-1 && (n >= unit<<10 || -n >= unit<<10) {
		at, unit = at+1, unit<<10
	}
	if n%unit == 0 {
		return strconv.FormatInt(n/unit, 10) + " " + units[at]
	}
	return fmt.Sprintf("%.1f %s", float64(n)/float64(unit), units[at])
}
