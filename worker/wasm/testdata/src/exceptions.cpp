// A guest that throws and catches in every way of the language, with an MPI call, at which its rank may be moved, in each place where one may stand:
// under a try, in a handler, in a destructor while the stack unwinds. It prints a line for each way that does not work, and how many do. With an
// argument it ends by an exception instead.
#include <mpi.h>

#include <algorithm>
#include <any>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#pragma clang diagnostic ignored "-Wpotentially-evaluated-expression"

static int passed, failed;

static void check(bool ok, const char *what) {
  (ok ? passed : failed)++;
  if (!ok) std::printf("FAILED: %s\n", what);
}

// An MPI call that waits for all: any of the ranks may be moved meanwhile.
static void meet() { MPI_Barrier(MPI_COMM_WORLD); }

static std::string trail; // what has happened, in order

struct Mark {
  explicit Mark(char c) : c(c) {}
  ~Mark() {
    meet();
    trail += c;
  }
  char c;
};

struct Base {
  virtual ~Base() = default;
  virtual int code() const { return 1; }
};
struct Left : Base {
  int code() const override { return 2; }
};
struct Right {
  virtual ~Right() = default;
  int right = 7;
};
struct Both : Left, Right {
  int code() const override { return 3; }
};
struct Counted {
  static int alive;
  Counted() { alive++; }
  Counted(const Counted &) { alive++; }
  ~Counted() { alive--; }
};
int Counted::alive;

template <typename T>
[[noreturn]] __attribute__((noinline)) void raise(T value) {
  meet();
  throw value;
}

__attribute__((noinline)) static int deep(int n) {
  Counted here;
  if (n == 0) raise(std::runtime_error("bottom"));
  return deep(n - 1) + 1;
}

static void language() {
  try {
    raise(42);
  } catch (int v) {
    check(v == 42, "by value");
  }
  try {
    raise(Both());
  } catch (const Base &b) {
    meet();
    check(b.code() == 3, "by base");
  }
  try {
    raise(Both());
  } catch (Right &r) {
    check(r.right == 7, "by second base");
  }
  try {
    static Both both;
    raise(&both);
  } catch (Right *r) {
    check(r->right == 7, "by pointer to base");
  }
  try {
    raise(nullptr);
  } catch (Base *b) {
    check(b == nullptr, "nullptr by pointer");
  }
  try {
    raise("text");
  } catch (const std::string &) {
    check(false, "by another type");
  } catch (const char *s) {
    check(std::strcmp(s, "text") == 0, "a text");
  }
  try {
    raise(1.5);
  } catch (...) {
    check(std::current_exception() != nullptr, "anything");
  }

  trail.clear();
  try {
    Mark a('a');
    try {
      Mark b('b');
      raise(1L);
    } catch (int) {
      trail += '!';
    }
  } catch (long) {
    trail += 'c';
  }
  check(trail == "bac", "destructors in order");

  trail.clear();
  try {
    try {
      raise(std::out_of_range("first"));
    } catch (std::logic_error &e) {
      meet();
      trail += e.what();
      throw;
    }
  } catch (const std::out_of_range &e) {
    check(trail == "first" && std::strcmp(e.what(), "first") == 0, "thrown again");
  }

  try {
    try {
      raise(1);
    } catch (int) {
      raise(2.5);
    }
  } catch (double d) {
    check(d == 2.5, "another in a handler");
  }

  // In a destructor that runs since the stack unwinds another exception is thrown, and caught.
  struct Careful {
    ~Careful() {
      try {
        meet();
        check(std::uncaught_exceptions() == 1, "one is on its way");
        raise(7);
      } catch (int v) {
        trail += char('0' + v);
      }
    }
  };
  trail.clear();
  try {
    Careful careful;
    raise(std::string("outer"));
  } catch (std::string &s) {
    check(s == "outer" && trail == "7" && std::uncaught_exceptions() == 0, "in a destructor");
  }

  struct Part {
    explicit Part(int n) {
      if (n == 3) raise(n);
    }
    Counted counted;
  };
  try {
    Part parts[5] = {Part(0), Part(1), Part(2), Part(3), Part(4)};
    check(false, "an array");
  } catch (int) {
    check(Counted::alive == 0, "a failing constructor");
  }
  try {
    std::unique_ptr<Part> part(new Part(3));
  } catch (int) {
    check(Counted::alive == 0, "a failing constructor behind new");
  }

  struct Tried {
    int value;
    Tried() try : value((raise(5), 1)) {
    } catch (int &v) {
      v++;
    }
  };
  try {
    Tried tried;
  } catch (int v) {
    check(v == 6, "a function's try");
  }

  try {
    deep(300);
  } catch (const std::runtime_error &e) {
    check(Counted::alive == 0 && std::strcmp(e.what(), "bottom") == 0, "from deep down");
  }

  int caught = 0;
  for (int i = 0; i < 2000; i++) try {
      throw i;
    } catch (int v) {
      caught += v == i;
    }
  check(caught == 2000, "often");

  // Tries that nothing is thrown under, in a loop.
  long sum = 0;
  for (int i = 0; i < 1000; i++) try {
      std::vector<int> v(10, i);
      sum += v.at(3);
    } catch (...) {
      sum = -1;
    }
  check(sum == 499500, "nothing thrown");

  try {
    int values[] = {3, 1, 2};
    std::qsort(values, 3, sizeof values[0], [](const void *, const void *) -> int { raise(8); });
  } catch (int v) {
    check(v == 8, "through qsort");
  }
  try {
    std::vector<int> values{3, 1, 2};
    std::sort(values.begin(), values.end(), [](int, int) -> bool { raise(9); });
  } catch (int v) {
    check(v == 9, "through sort");
  }
}

template <typename E, typename F>
static void expect(const char *what, const char *says, F f) {
  try {
    f();
    check(false, what);
  } catch (const E &e) {
    if (says && !std::strstr(e.what(), says)) std::printf("%s: %s\n", what, e.what());
    check(!says || std::strstr(e.what(), says), what);
  } catch (const std::exception &e) {
    std::printf("%s: %s: %s\n", what, typeid(e).name(), e.what());
    check(false, what);
  }
}

static void library() {
  volatile std::size_t far = 10;
  std::vector<int> v(3);
  std::string s = "abc";
  expect<std::out_of_range>("vector::at", "vector", [&] { v.at(far) = 1; });
  expect<std::out_of_range>("string::at", "string", [&] { s.at(far) = 'x'; });
  expect<std::out_of_range>("substr", "string", [&] { s = s.substr(far); });
  expect<std::invalid_argument>("stoi", "stoi", [&] { (void)std::stoi(s); });
  expect<std::out_of_range>("stoi of much", "stoi", [&] { (void)std::stoi("99999999999"); });
  expect<std::length_error>("a vector too long", nullptr, [&] { v.resize(far * 1000000000UL); });
  expect<std::bad_alloc>("new", nullptr, [&] {
    static char *volatile kept;
    kept = new char[far * 400000000UL];
    (void)kept;
  });
  expect<std::bad_cast>("dynamic_cast", nullptr, [&] {
    Left left;
    Base &base = left;
    (void)dynamic_cast<Both &>(base);
  });
  expect<std::bad_typeid>("typeid", nullptr, [&] {
    Base *volatile none = nullptr;
    Base *there = none;
    (void)typeid(*there).name();
  });
  expect<std::bad_function_call>("function", nullptr, [&] { std::function<void()>()(); });
  expect<std::bad_optional_access>("optional", nullptr, [&] { (void)std::optional<int>().value(); });
  expect<std::bad_variant_access>("variant", nullptr, [&] { (void)std::get<int>(std::variant<int, double>(1.5)); });
  expect<std::bad_any_cast>("any", nullptr, [&] { (void)std::any_cast<int>(std::any(1.5)); });
  expect<std::bad_weak_ptr>("weak_ptr", nullptr, [&] { std::shared_ptr<int>(std::weak_ptr<int>()); });
  expect<std::future_error>("future", nullptr, [&] {
    std::future<int> future;
    {
      std::promise<int> promise;
      future = promise.get_future();
    }
    future.get();
  });
  expect<std::system_error>("a thread", nullptr, [&] { std::thread([] {}).join(); });
  expect<std::system_error>("error_code", "Permission denied", [&] { throw std::system_error(EACCES, std::generic_category()); });

  std::exception_ptr kept;
  try {
    raise(std::domain_error("kept"));
  } catch (...) {
    kept = std::current_exception();
  }
  for (int i = 0; i < 2; i++) expect<std::domain_error>("exception_ptr", "kept", [&] {
      meet();
      std::rethrow_exception(kept);
    });
  try {
    try {
      raise(std::runtime_error("inner"));
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (const std::exception &outer) {
    expect<std::runtime_error>("nested", "inner", [&] { std::rethrow_if_nested(outer); });
  }

  std::mutex mutex;
  try {
    std::lock_guard<std::mutex> guard(mutex);
    raise(1);
  } catch (int) {
    check(mutex.try_lock(), "a guard lets go");
  }
  std::once_flag once;
  int calls = 0;
  for (int i = 0; i < 3; i++) try {
      std::call_once(once, [&] {
        if (calls++ == 0) raise(1);
      });
    } catch (int) {
    }
  check(calls == 2, "call_once again");

  std::promise<int> promise;
  try {
    raise(4);
  } catch (...) {
    promise.set_exception(std::current_exception());
  }
  try {
    promise.get_future().get();
  } catch (int v) {
    check(v == 4, "by a promise");
  }
}

static void combine(void *in, void *inout, int *n, MPI_Datatype *) {
  for (int i = 0; i < *n; i++) try {
      if (static_cast<int *>(in)[i] >= 0) throw static_cast<int *>(in)[i];
    } catch (int v) {
      static_cast<int *>(inout)[i] += v;
    }
}

static void callbacks() {
  int rank, size, sum = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Op op;
  MPI_Op_create(combine, 1, &op);
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, op, MPI_COMM_WORLD);
  MPI_Op_free(&op);
  check(sum == size * (size - 1) / 2, "in a reduction's function");
}

// Where the stack is: a rank that has moved goes on where it was, and what it calls then writes over nothing.
[[gnu::noinline]] static std::uintptr_t stack() {
  volatile char here = 0;
  volatile auto at = reinterpret_cast<std::uintptr_t>(&here);
  return at;
}

[[gnu::noinline]] static void frames(int left) {
  volatile int room[150];
  for (int i = 0; i < 150; i++) room[i] = left * 1000 + i;
  const std::uintptr_t before = stack();
  try {
    Mark mark('f');
    meet();
    if (left > 0) frames(left - 1);
    meet();
    if (left % 2) raise(left);
  } catch (int thrown) {
    check(thrown == left, "thrown through frames");
  }
  check(stack() == before, "the stack under a try");
  bool same = true;
  for (int i = 0; i < 150; i++) same = same && room[i] == left * 1000 + i;
  check(same, "a frame under a try");
}

static void thrower(MPI_Comm *, int *code, ...) { throw *code; }

static bool throws = true; // what attributes' functions do

static void attribute() {
  int key;
  std::uintptr_t held = 0;
  void *value;
  MPI_Comm one, two = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_SELF, &one);
  MPI_Comm_create_keyval(
      [](MPI_Comm, int, void *, void *from, void *to, int *flag) -> int {
        if (throws) throw std::string("copy");
        *flag = 1, *static_cast<void **>(to) = from;
        return MPI_SUCCESS;
      },
      [](MPI_Comm, int, void *held, void *) -> int {
        if (throws) throw static_cast<int>(reinterpret_cast<std::uintptr_t>(held));
        return MPI_SUCCESS;
      },
      &key, nullptr);
  MPI_Comm_set_attr(one, key, reinterpret_cast<void *>(9));
  for (int i = 0; i < 2; i++) {
    try {
      MPI_Comm_dup(one, &two);
    } catch (const std::string &s) {
      std::puts(s.c_str());
    }
    throws = false;
    if (i == 0) {
      int found;
      MPI_Comm_dup(one, &two), MPI_Comm_get_attr(two, key, &value, &found), MPI_Comm_free(&two);
      held = reinterpret_cast<std::uintptr_t>(value);
      std::printf("copied %d %d\n", found && held == 9, two != MPI_COMM_NULL);
    }
    throws = true;
  }
  for (int i = 0; i < 2; i++) try {
      i == 0 ? MPI_Comm_free(&one) : MPI_Comm_set_attr(one, key, reinterpret_cast<void *>(5));
      std::puts("nothing thrown");
    } catch (int n) {
      std::printf("delete %d\n", n);
    }
  int found;
  throws = false, MPI_Comm_set_attr(one, key, reinterpret_cast<void *>(5)), MPI_Comm_get_attr(one, key, &value, &found);
  std::printf("set %d\n", static_cast<int>(reinterpret_cast<std::uintptr_t>(value)));
  MPI_Comm_free(&one), std::puts(one == MPI_COMM_NULL ? "freed" : "kept");
  MPI_Op op;
  MPI_Op_create([](void *, void *, int *, MPI_Datatype *) { throw std::runtime_error("local"); }, 1, &op);
  try {
    MPI_Reduce_local(&key, &found, 1, MPI_INT, op);
  } catch (const std::runtime_error &e) {
    std::puts(e.what());
  }
}

static void uncaught(const char *how) {
  if (!std::strcmp(how, "attribute")) attribute();
  if (!std::strcmp(how, "uncaught")) raise(std::runtime_error("nobody takes this"));
  if (!std::strcmp(how, "int")) raise(3);
  if (!std::strcmp(how, "noexcept")) [&]() noexcept { raise(std::runtime_error("out of noexcept")); }();
  if (!std::strcmp(how, "at")) (void)std::vector<int>(3).at(10);
  if (!std::strcmp(how, "again")) throw;
  if (!std::strcmp(how, "cleanup")) {
    Mark mark('x');
    raise(std::runtime_error("behind a destructor"));
  }
  if (!std::strcmp(how, "reduction")) {
    int one = 1, sum = 0;
    MPI_Op op;
    MPI_Op_create([](void *, void *, int *, MPI_Datatype *) { throw std::runtime_error("out of a reduction"); }, 1, &op);
    try {
      MPI_Allreduce(&one, &sum, 1, MPI_INT, op, MPI_COMM_WORLD);
      MPI_Reduce(&one, &sum, 1, MPI_INT, op, 0, MPI_COMM_WORLD);
    } catch (const std::runtime_error &) {
      std::puts("caught");
    }
  }
  if (!std::strcmp(how, "handler")) {
    MPI_Errhandler handler;
    MPI_Comm_create_errhandler(thrower, &handler);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, handler);
    for (int i = 0; i < 3; i++) try {
        MPI_Send(&i, 1, MPI_INT, 5, 0, MPI_COMM_SELF);
        std::puts("nothing thrown");
      } catch (int code) {
        std::printf("code %d\n", code == MPI_ERR_RANK);
      }
    MPI_Errhandler_free(&handler);
    int got;
    MPI_Sendrecv(&passed, 1, MPI_INT, 0, 0, &got, 1, MPI_INT, 0, 0, MPI_COMM_SELF, MPI_STATUS_IGNORE);
    std::puts("goes on");
  }
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  if (argc > 1) {
    uncaught(argv[1]);
  } else {
    language();
    library();
    callbacks();
    frames(5);
    std::printf("%d passed, %d failed\n", passed, failed);
  }
  MPI_Finalize();
  return failed != 0;
}
