// How a dispatch runs: each host thread takes threadgroups, each GPU thread of a group has a stack of its own.
#pragma once
#include <memory>
#include <random>
#include <unordered_map>
#include <vector>

#include "objects.h"

namespace soft {

using uint3 = unsigned __attribute__((ext_vector_type(3)));

/** The layout of soft_thread in msl.h. */
struct ThreadInfo {
  uint3 positionInGrid, positionInGroup, group, threadsPerGroup, groups, threads;
  unsigned index;
};

constexpr NSUInteger kStackBytes = 256 << 10;

struct Fiber {
  void *stackPointer;
  char *stack;
  int thread;
};

enum AccessKind { Read, Write, Atomic, AtomicStore };
enum BarrierFlag : unsigned { DeviceMemory = 1, ThreadgroupMemory = 2 };

/** Who touched one byte, in this group since the last barrier that orders it, and in other groups since the dispatch began. */
struct Trace {
  unsigned group = 0, epoch = 0;                       // 1 + the group whose accesses the next line describes
  unsigned short writer = 0, reader = 0, atomic = 0;   // 1 + thread
  bool manyReaders = false, manyAtomics = false;
  unsigned written = 0, read = 0, counted = 0;         // 1 + a group that wrote, read, used it atomically
};

struct Range { const char *start, *end; int index; bool writable; };

struct Worker;

/** Checked mode: follows every access of a dispatch. */
class Checker {
 public:
  explicit Checker(Worker &w) : worker(w) {}
  void addRange(Range range) { ranges.push_back(range); }
  void access(const char *at, unsigned bytes, AccessKind kind);

 private:
  struct Page { Trace traces[4096]; };
  Worker &worker;
  std::vector<Range> ranges;
  std::unordered_map<uintptr_t, std::unique_ptr<Page>> pages;
  uintptr_t lastNumber = 0;
  Page *lastPage = nullptr;

  Trace &traceOf(uintptr_t address);
  const Range *rangeOf(const char *at, unsigned bytes) const;
  bool inThreadgroupMemory(const char *at, unsigned bytes) const;
  void outOfBounds(const char *at, unsigned bytes, AccessKind kind);
  bool record(Trace &trace, const Range *range, const char *at, AccessKind kind);
  bool race(unsigned otherThread, unsigned otherGroup, const Range *range, const char *at, AccessKind kind);
};

/** One host thread at work on a dispatch. */
struct Worker {
  enum State : char { Ready, Waiting, Done };
  Dispatch &dispatch;
  const Pipeline &pipeline;
  Checker checker;
  void *buffers[kMaxBuffers] = {};
  std::vector<char> threadgroupMemory;
  NSUInteger threadgroupUsed = 0;
  std::unordered_map<int, NSUInteger> variables;       // number of a threadgroup variable -> its place
  // The group at work:
  unsigned group = 0;
  MTLSize position{};
  int threads = 0;
  std::vector<ThreadInfo> info;
  std::vector<State> states;
  std::vector<int> barrierLines;
  std::vector<Fiber *> running, owned, idle;
  Fiber *current = nullptr;
  void *hostStack = nullptr;
  unsigned barrierFlags = 0, threadgroupEpoch = 1, deviceEpoch = 1;
  std::string error;
  std::mt19937 random{12345};

  explicit Worker(Dispatch &d);
  ~Worker();
  /** Runs one group; false where a kernel did wrong. */
  bool run(unsigned number);
  /** Called on a GPU thread's stack. */
  void barrier(unsigned flags, int line);
  void *variable(int number, NSUInteger bytes);
  void fault(const std::string &why);
  std::string kernelName() const { return "kernel " + pipeline.function->signature.name; }

 private:
  void prepare(unsigned number);
  Fiber *fiberFor(int thread);
  bool step(const std::vector<int> &order, int &done);
  bool releaseBarrier(int done);
};

}  // namespace soft
