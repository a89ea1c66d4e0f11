// A small Objective-C runtime with the C interface of Apple's: selectors, classes, reference counts, autorelease pools.
#pragma once
#include <atomic>
#include <string>
#include <unordered_map>

#define SOFT_EXPORT extern "C" __attribute__((visibility("default")))
#define SOFT_HIDDEN extern "C" __attribute__((visibility("hidden")))

using NSUInteger = unsigned long;
struct MTLSize { NSUInteger width, height, depth; };

namespace soft {

/** An interned name: two selectors are the same exactly when their addresses are. */
using Selector = const std::string *;

struct Method {
  Selector selector;
  void *code;
  std::string encoding;
};

struct Class;

struct Object {
  Class *isa;   // nullptr in classes themselves
  std::atomic<long> references{1};
  explicit Object(const char *className);
  virtual ~Object();

 protected:
  struct ForClass {};
  explicit Object(ForClass) : isa(nullptr) {}
};
using id = Object *;

struct Class : Object {
  std::string name;
  std::unordered_map<Selector, Method> instanceMethods, classMethods;
  explicit Class(std::string className) : Object(ForClass{}), name(std::move(className)) {}
};

/** The class of that name, made on first use. */
Class *classNamed(const std::string &name);

/** Ends the process, as Metal's validation layer does on misuse of its interface. */
[[noreturn]] __attribute__((format(printf, 1, 2))) void fatal(const char *format, ...);

/** printf into a string. */
__attribute__((format(printf, 1, 2))) std::string format(const char *format, ...);

// The runtime's type encodings, derived from the C++ types of the implementations so that they cannot disagree with the code.
template <typename T> struct Encoding;
#define SOFT_ENCODING(type, text) \
  template <> struct Encoding<type> { static constexpr const char *value = text; };
SOFT_ENCODING(void, "v")
SOFT_ENCODING(id, "@")
SOFT_ENCODING(Selector, ":")
SOFT_ENCODING(NSUInteger, "Q")
SOFT_ENCODING(long, "q")
SOFT_ENCODING(bool, "B")
SOFT_ENCODING(double, "d")
SOFT_ENCODING(const char *, "r*")
SOFT_ENCODING(void *, "^v")
SOFT_ENCODING(const void *, "r^v")
SOFT_ENCODING(id *, "^@")
SOFT_ENCODING(MTLSize, "{?=QQQ}")
#undef SOFT_ENCODING

}  // namespace soft

SOFT_EXPORT soft::Selector sel_registerName(const char *name);
SOFT_EXPORT soft::id objc_retain(soft::id object);
SOFT_EXPORT void objc_release(soft::id object);
SOFT_EXPORT soft::id objc_autorelease(soft::id object);
SOFT_EXPORT void *objc_autoreleasePoolPush();
SOFT_EXPORT void objc_autoreleasePoolPop(void *pool);

namespace soft {

template <typename R, typename... A> Method describe(const char *name, R (*code)(A...)) {
  std::string encoding = Encoding<R>::value;
  ((encoding += Encoding<A>::value), ...);
  return {sel_registerName(name), reinterpret_cast<void *>(code), encoding};
}

template <typename F> void addMethod(Class *to, const char *name, F code) {
  Method method = describe(name, +code);
  to->instanceMethods[method.selector] = method;
}

template <typename F> void addClassMethod(Class *to, const char *name, F code) {
  Method method = describe(name, +code);
  to->classMethods[method.selector] = method;
}

}  // namespace soft
