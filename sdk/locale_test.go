package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestLocaleOfTheEnvironment: what a program asks for by "" is what the environment names, by the words that it has on Debian, and C if it names none.
func TestLocaleOfTheEnvironment(t *testing.T) {
	files := map[string]string{
		"a.cpp": `#include <clocale>
#include <cstdlib>
#include <iostream>
#include <langinfo.h>
#include <locale>
#include <locale.h>
#include <string>
static void say() {
  std::cout << setlocale(LC_ALL, "") << " " << setlocale(LC_ALL, 0) << " " << setlocale(LC_CTYPE, "") << " " << setlocale(LC_NUMERIC, "") << " " << MB_CUR_MAX;
  std::cout << " " << std::locale("").name() << " " << std::locale(std::string()).name() << " " << std::locale(std::string("C.UTF-8")).name();
  std::cout << " " << nl_langinfo_l(CODESET, newlocale(LC_ALL_MASK, "", 0)) << "\n";
  std::locale::global(std::locale(""));
  std::cout << setlocale(LC_ALL, 0) << "\n";
  std::locale::global(std::locale::classic());
}
int main() {
  std::cout << setlocale(LC_ALL, 0) << "\n";
  say();
  setenv("LANG", "C.UTF-8", 1), say();
  setenv("LC_NUMERIC", "POSIX", 1), say();
  setenv("LC_ALL", "POSIX", 1), say();
  setlocale(LC_ALL, "C.UTF-8");
  char *kept = setlocale(LC_ALL, 0);
  setlocale(LC_ALL, "C"), setlocale(LC_ALL, kept);
  std::cout << nl_langinfo(CODESET) << "\n";
}
`,
	}
	of := func(s string) string { return s + "\nC.UTF-8\n" }
	// no number has another form in C.UTF-8: LC_NUMERIC is C
	utf8 := of("C.UTF-8 C.UTF-8 C.UTF-8 C 4 C.UTF-8 C.UTF-8 C.UTF-8 UTF-8")
	code, _, stderr := build(t, CXX, files, "a.cpp", "-o", "a.wasm")
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	printed, err := runGuest(t)
	require.NoError(t, err)
	c := "C C C C 1 C C C.UTF-8 ASCII\nC\n"
	require.Equal(t, "C\n"+c+utf8+utf8+c+"UTF-8\n", printed)
}
