package sdk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOldCXX: C++ of 1998 is compiled as that, and what later ones have taken out of it is there in those, too, as g++ has it.
func TestOldCXX(t *testing.T) {
	inCheck(t)
	files := map[string]string{"old.cpp": `#include <algorithm>
#include <cerrno>
#include <cmath>
#include <complex>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <valarray>
#include <vector>
#include <mpi.h>

class Failed : public std::runtime_error {
 public:
  explicit Failed(const std::string &why) : std::runtime_error(why) {}
  ~Failed() throw() {}
};
void fails(int n) throw(Failed) {
  if (n > 1) throw Failed("too many");
}
struct Plus : public std::binary_function<int, int, int> {
  int operator()(int a, int b) const { return a + b; }
};
template <class T, class U> struct Same { enum { value = 0 }; };
template <class T> struct Same<T, T> { enum { value = 1 }; };
int main() {
  register int sum = 0;
  std::vector<std::vector<int> > table(3, std::vector<int>(2, 5));
  for (std::vector<std::vector<int> >::const_iterator i = table.begin(); i != table.end(); ++i) sum += std::accumulate(i->begin(), i->end(), 0);
  std::auto_ptr<std::string> owner(new std::string("owned")), other = owner;
  std::vector<int> v;
  for (int i = 0; i < 5; i++) v.push_back(i);
  std::transform(v.begin(), v.end(), v.begin(), std::bind1st(Plus(), 10));
  std::transform(v.begin(), v.end(), v.begin(), std::bind2nd(std::multiplies<int>(), 2));
  std::random_shuffle(v.begin(), v.end());
  std::sort(v.begin(), v.end(), std::not2(std::less<int>()));
  std::copy(v.begin(), v.end(), std::ostream_iterator<int>(std::cout, " "));
  try {
    fails(2);
  } catch (const Failed &e) {
    std::cout << e.what() << " " << *other << " " << (owner.get() == 0) << std::endl;
  }
  std::map<std::string, std::complex<double> > m;
  m.insert(std::make_pair(std::string("a"), std::complex<double>(1, 2)));
  std::ostringstream out;
  out << std::setw(8) << std::setprecision(3) << std::fixed << 3.14159 << " " << m["a"] << " " << std::numeric_limits<double>::digits << " " << Same<int, int>::value;
  {
    std::ofstream file("lines");
    file << "one\ntwo\n";
  }
  std::ifstream file("lines");
  std::string line;
  while (std::getline(file, line)) out << " " << line;
  std::valarray<double> a(2.0, 4);
  errno = 0;
  std::fopen("nosuch", "r");
  std::cout << out.str() << " " << a.sum() << " " << sum << " " << (errno == ENOENT) << std::endl;
  return 0;
}
`, "new.cpp": `#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>
#include <cstdio>
#include <exception>
static bool odd(int n) { return n & 1; }
int main() {
  register int n = 0;
  std::auto_ptr<int> p(new int(3));
  std::vector<int> v(4, 2);
  std::transform(v.begin(), v.end(), v.begin(), std::bind2nd(std::plus<int>(), 1));
  std::random_shuffle(v.begin(), v.end());
  n += std::count_if(v.begin(), v.end(), std::ptr_fun(odd)) + std::count_if(v.begin(), v.end(), std::not1(std::ptr_fun(odd)));
  std::printf("%d %d %d\n", *p, v[0], n);
  return std::uncaught_exception();
}
`}
	for _, tt := range []struct{ std, file, want string }{
		{"c++98", "old.cpp", "28 26 24 22 20 too many owned 1\n   3.142 (1.000,2.000) 53 1 one two 8 30 1\n"},
		{"c++14", "old.cpp", "28 26 24 22 20 too many owned 1\n   3.142 (1.000,2.000) 53 1 one two 8 30 1\n"},
		{"gnu++17", "new.cpp", "3 3 4\n"},
	} {
		code, _, stderr := build(t, CXX, files, "-std="+tt.std, tt.file, "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, tt.want, printed, tt.std)
	}
}

// TestDeclaredMalloc: a program's own malloc and its kin may be declared as the headers of other systems have them, and as they are in C.
func TestDeclaredMalloc(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.cpp": `#include <cstdlib>
#include <malloc.h>
#include <cstdio>
#include <cstring>
#include <string>
#ifdef THROW
#define X throw()
#elif defined NONE
#define X
#else
#define X noexcept
#endif
static char pool[1 << 20]; static size_t at;
static int n;
extern "C" {
void *malloc(size_t size) X;
void *malloc(size_t size) X { n++; size = (size + 31) & ~15UL; char *p = pool + at; *(size_t *)p = size - 16; at += size; return p + 16; }
void free(void *) X {}
void *calloc(size_t a, size_t b) X { void *p = malloc(a * b); memset(p, 0, a * b); return p; }
void *realloc(void *p, size_t size) X { void *q = malloc(size); if (p) memcpy(q, p, size < ((size_t *)p)[-2] ? size : ((size_t *)p)[-2]); return q; }
int posix_memalign(void **p, size_t a, size_t b) X { *p = malloc(b); return 0; }
void *aligned_alloc(size_t a, size_t b) X { return malloc(b); }
}
int main() { void *(*f)(size_t) = malloc; std::string s(100, 'x'); void *p = f(3); p = realloc(p, 30); std::printf("%d %d\n", n >= 3, (int)s.size()); }
`}
	for _, options := range [][]string{nil, {"-DTHROW"}, {"-DNONE"}, {"-DTHROW", "-std=c++98"}} {
		code, _, stderr := build(t, CXX, files, append(options, "a.cpp", "-o", "a.wasm")...)
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "1 100\n", printed)
	}
}

// TestOwnAbort: the C++ library ends a program by its own abort, and assert by the library's.
func TestOwnAbort(t *testing.T) {
	files := map[string]string{"a.cpp": `#include <cstdio>
#include <cstdlib>
extern "C" void abort(void) { std::puts("own"); std::exit(0); }
int main() { throw 1; }
`, "b.cpp": `#include <cassert>
#include <cstdio>
#include <cstdlib>
extern "C" void abort(void) { std::puts("own"); std::exit(0); }
int main(int c, char **) { if (c > 5) abort(); assert(c > 3); }
`}
	for source, want := range map[string]string{"a.cpp": "uncaught exception of type int\nown\n", "b.cpp": "b.cpp:5: main: Assertion `c > 3' failed.\n"} {
		code, _, stderr := build(t, CXX, files, source, "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.Equal(t, source == "a.cpp", err == nil)
		require.Equal(t, want, printed)
	}
}

// TestThrowSpecifications: what throw(X) allows passes, and so does what it does not name; throw() lets nothing pass.
func TestThrowSpecifications(t *testing.T) {
	inCheck(t)
	files := map[string]string{"a.cpp": `#include <cstdio>
#include <cstdlib>
#include <exception>
struct Left { ~Left() { std::printf("left "); } };
void names(int n) throw(int, long) { Left l; if (n) throw n; throw 'c'; }
void nothing() throw() { throw 1; }
void ends() { std::puts("ends"); std::exit(0); }
int main() {
  try { names(4); } catch (long) { return 1; } catch (int n) { std::printf("%d\n", n); }
  try { names(0); } catch (char c) { std::printf("%c\n", c); }
  std::set_terminate(ends);
  try { nothing(); } catch (...) { std::puts("passed"); }
}
`}
	for _, level := range []string{"-O0", "-O2"} {
		code, _, stderr := build(t, CXX, files, level, "-std=c++14", "-w", "a.cpp", "-o", "a.wasm")
		require.Zero(t, code, stderr)
		printed, err := runGuest(t)
		require.NoError(t, err)
		require.Equal(t, "left 4\nleft c\nends\n", printed, level)
	}
}
