// Package name says what may name a host, an app or a module.
package name

// Rule is the rule in words.
const Rule = "use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit"

// MaxBytes is how long a name may be.
const MaxBytes = 63

// Valid tells whether s keeps the rule.
func Valid(s string) bool {
	if len(s) == 0 || len(s) > MaxBytes || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// DigestRule is the rule of Digest in words.
const DigestRule = "give its SHA-256 as 64 lower-case hexadecimal digits"

const digestBytes = 64

// Digest tells whether s keeps the rule: it is the digest of a module.
func Digest(s string) bool {
	if len(s) != digestBytes {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
