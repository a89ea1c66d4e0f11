#include "runtime.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace soft {

static std::atomic<long> liveObjects;

/** Where objects have died and none lives now: touching one is a fault in the caller, not to be read as memory. */
static std::mutex graveLock;
static std::unordered_set<const void *> &graves() {
  static auto &set = *new std::unordered_set<const void *>;
  return set;
}

Object::Object(const char *className) : isa(classNamed(className)) {
  liveObjects++;
  std::lock_guard guard(graveLock);
  graves().erase(this);
}

Object::~Object() {
  if (!isa) return;
  liveObjects--;
  std::lock_guard guard(graveLock);
  graves().insert(this);
}

static void checkAlive(const void *object, const char *what) {
  std::lock_guard guard(graveLock);
  if (graves().count(object)) fatal("%s sent to an object that is gone (over-released?)", what);
}

static std::map<std::string, Class *> &classTable() {
  static auto &table = *new std::map<std::string, Class *>;
  return table;
}

Class *classNamed(const std::string &name) {
  Class *&entry = classTable()[name];
  if (!entry) entry = new Class(name);
  return entry;
}

void fatal(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("software Metal: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  abort();
}

std::string format(const char *format, ...) {
  char text[2048];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return text;
}

/** The innermost pool is the last; what it holds is released when it is popped. */
static thread_local std::vector<std::vector<id>> pools;

}  // namespace soft

using namespace soft;

SOFT_EXPORT Selector sel_registerName(const char *name) {
  static std::mutex lock;
  static auto &names = *new std::unordered_map<std::string, Selector>;
  std::lock_guard guard(lock);
  Selector &entry = names[name];
  if (!entry) entry = new std::string(name);
  return entry;
}

SOFT_EXPORT Class *objc_getClass(const char *name) {
  auto found = classTable().find(name);
  return found == classTable().end() ? nullptr : found->second;
}

SOFT_EXPORT Class *object_getClass(id object) { return object ? object->isa : nullptr; }

static Method *find(std::unordered_map<Selector, Method> &methods, Selector selector) {
  auto found = methods.find(selector);
  return found == methods.end() ? nullptr : &found->second;
}

SOFT_EXPORT Method *class_getInstanceMethod(Class *c, Selector selector) { return find(c->instanceMethods, selector); }
SOFT_EXPORT Method *class_getClassMethod(Class *c, Selector selector) { return find(c->classMethods, selector); }
SOFT_EXPORT const char *method_getTypeEncoding(Method *method) { return method ? method->encoding.c_str() : nullptr; }

SOFT_EXPORT id objc_retain(id object) {
  if (object) checkAlive(object, "retain");
  if (object && object->isa) object->references++;
  return object;
}

SOFT_EXPORT void objc_release(id object) {
  if (!object) return;
  checkAlive(object, "release");
  if (object->isa && --object->references == 0) delete object;
}

SOFT_EXPORT void *objc_autoreleasePoolPush() {
  pools.emplace_back();
  return reinterpret_cast<void *>(pools.size());
}

SOFT_EXPORT void objc_autoreleasePoolPop(void *pool) {
  while (pools.size() >= reinterpret_cast<size_t>(pool)) {
    auto objects = std::move(pools.back());
    pools.pop_back();
    for (id object : objects) objc_release(object);
  }
}

SOFT_EXPORT id objc_autorelease(id object) {
  if (pools.empty()) fatal("%s autoreleased with no pool in place: it would leak", object->isa->name.c_str());
  pools.back().push_back(object);
  return object;
}

/** Objects alive now, classes aside: the test of retain counts. */
SOFT_EXPORT long soft_live_objects() { return liveObjects; }

/** What objc_msgSend jumps to (switch.S). */
SOFT_HIDDEN void *soft_lookup(id self, Selector selector) {
  checkAlive(self, selector->c_str());
  bool isClass = !self->isa;
  Class *c = isClass ? static_cast<Class *>(self) : self->isa;
  Method *method = find(isClass ? c->classMethods : c->instanceMethods, selector);
  if (!method) fatal("%c[%s %s]: unrecognized selector", isClass ? '+' : '-', c->name.c_str(), selector->c_str());
  return method->code;
}
