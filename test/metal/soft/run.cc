#include "run.h"

#include <algorithm>
#include <cstring>
#include <sys/mman.h>

SOFT_HIDDEN void soft_switch(void **save, void *to);

namespace soft {

static thread_local Worker *worker;

const HostTable hostTable = {
  [](unsigned flags, int line) { worker->barrier(flags, line); },
  [](int number, unsigned long bytes) { return worker->variable(number, bytes); },
  [](const void *at, unsigned bytes, int kind) { worker->checker.access(static_cast<const char *>(at), bytes, static_cast<AccessKind>(kind)); },
};

// ---- stacks

static std::mutex spareLock;
static std::vector<Fiber *> &spareFibers() {   // stacks outlive their dispatch
  static auto &spare = *new std::vector<Fiber *>;
  return spare;
}

static void leave() { soft_switch(&worker->current->stackPointer, worker->hostStack); }

static void fiberMain() {
  for (;;) {
    Worker *w = worker;
    int thread = w->current->thread;
    w->pipeline.entry(w->buffers, &w->info[thread]);
    w->states[thread] = Worker::Done;
    leave();
  }
}

/** Lays out a stack so that the first switch to it enters fiberMain. */
static void resetStack(Fiber *fiber, size_t number) {
  // Stacks start at different offsets, or all of them would fall on the same cache sets.
  uintptr_t top = reinterpret_cast<uintptr_t>(fiber->stack) + kStackBytes - number % 32 * 128;
#if defined(__x86_64__)
  void **words = reinterpret_cast<void **>(top - 16);
  words[-1] = nullptr;
  words[-2] = reinterpret_cast<void *>(fiberMain);
  for (int i = 3; i <= 8; i++) words[-i] = nullptr;
  fiber->stackPointer = words - 8;
#else
  void **words = reinterpret_cast<void **>(top - 160);
  memset(words, 0, 160);
  words[1] = reinterpret_cast<void *>(fiberMain);
  fiber->stackPointer = words;
#endif
}

static Fiber *newFiber(size_t number) {
  Fiber *fiber = nullptr;
  {
    std::lock_guard guard(spareLock);
    if (!spareFibers().empty()) {
      fiber = spareFibers().back();
      spareFibers().pop_back();
    }
  }
  if (!fiber) {
    constexpr NSUInteger guardPage = 4096;
    void *memory = mmap(nullptr, kStackBytes + guardPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) fatal("no memory for a stack");
    mprotect(memory, guardPage, PROT_NONE);
    fiber = new Fiber{nullptr, static_cast<char *>(memory) + guardPage, 0};
  }
  resetStack(fiber, number);
  return fiber;
}

// ---- what a kernel asks of the host, on a GPU thread's stack

void Worker::barrier(unsigned flags, int line) {
  int thread = current->thread;
  states[thread] = Waiting;
  barrierLines[thread] = line;
  barrierFlags |= flags;
  leave();
}

void *Worker::variable(int number, NSUInteger bytes) {
  auto found = variables.find(number);
  if (found == variables.end()) {
    NSUInteger place = (threadgroupUsed + 15) / 16 * 16;
    if (place + bytes > kMaxThreadgroupMemory) {
      fault(format("%s: %lu bytes of threadgroup memory are over the limit of %lu", kernelName().c_str(), place + bytes, kMaxThreadgroupMemory));
    }
    threadgroupUsed = place + bytes;
    found = variables.emplace(number, place).first;
  }
  return threadgroupMemory.data() + found->second;
}

/** Notes what went wrong and never returns to the kernel. */
void Worker::fault(const std::string &why) {
  if (error.empty()) error = why;
  states[current->thread] = Done;
  leave();
}

// ---- a threadgroup

Worker::Worker(Dispatch &d) : dispatch(d), pipeline(*d.pipeline), checker(*this), threadgroupMemory(kMaxThreadgroupMemory + 64) {
  for (const Parameter &parameter : pipeline.function->signature.parameters) {
    if (parameter.kind != Parameter::Buffer) continue;
    Binding &binding = dispatch.bindings[parameter.index];
    buffers[parameter.index] = binding.start();
    checker.addRange({binding.start(), binding.end(), parameter.index, !parameter.isConstant});
  }
}

Worker::~Worker() {
  std::lock_guard guard(spareLock);
  for (Fiber *fiber : owned) spareFibers().push_back(fiber);
}

void Worker::prepare(unsigned number) {
  const MTLSize &size = dispatch.threadsPerGroup, &count = dispatch.groups;
  group = number;
  position = {number % count.width, number / count.width % count.height, number / (count.width * count.height)};
  threads = int(size.width * size.height * size.depth);
  states.assign(threads, Ready);
  barrierLines.assign(threads, 0);
  running.assign(threads, nullptr);
  info.resize(threads);
  idle = owned;
  threadgroupEpoch++;
  deviceEpoch++;
  // Threadgroup memory starts undefined: ones read as NaN.
  memset(threadgroupMemory.data(), 0xff, threadgroupMemory.size());
  uint3 place = {unsigned(position.width), unsigned(position.height), unsigned(position.depth)};
  uint3 full = {unsigned(size.width), unsigned(size.height), unsigned(size.depth)};
  uint3 groups = {unsigned(count.width), unsigned(count.height), unsigned(count.depth)};
  for (unsigned t = 0; t < unsigned(threads); t++) {
    uint3 local = {t % full.x, t / full.x % full.y, t / (full.x * full.y)};
    info[t] = {place * full + local, local, place, full, groups, groups * full, t};
  }
}

Fiber *Worker::fiberFor(int thread) {
  if (Fiber *fiber = running[thread]) return fiber;
  if (idle.empty()) {
    owned.push_back(newFiber(owned.size()));
    idle.push_back(owned.back());
  }
  Fiber *fiber = running[thread] = idle.back();
  idle.pop_back();
  fiber->thread = thread;
  return fiber;
}

/** Runs every thread that can run up to its next barrier. */
bool Worker::step(const std::vector<int> &order, int &done) {
  for (int thread : order) {
    if (states[thread] != Ready) continue;
    current = fiberFor(thread);
    soft_switch(&hostStack, current->stackPointer);
    if (!error.empty()) return false;
    if (states[thread] != Done) continue;
    done++;
    idle.push_back(current);
    running[thread] = nullptr;
  }
  return true;
}

/** Lets the threads go on if all of them have come to the same barrier. */
bool Worker::releaseBarrier(int done) {
  if (done > 0) {
    int waiting = 0;
    while (states[waiting] != Waiting) waiting++;
    error = format("%s: the barrier at line %d is not reached by every thread of group %u (%d of %d have finished)",
                   kernelName().c_str(), barrierLines[waiting], group, done, threads);
    return false;
  }
  for (int t = 1; t < threads; t++) {
    if (barrierLines[t] == barrierLines[0]) continue;
    error = format("%s: threads 0 and %d of group %u wait at different barriers (lines %d and %d)", kernelName().c_str(), t, group, barrierLines[0], barrierLines[t]);
    return false;
  }
  std::fill(states.begin(), states.end(), Ready);
  if (barrierFlags & ThreadgroupMemory) threadgroupEpoch++;
  if (barrierFlags & DeviceMemory) deviceEpoch++;
  barrierFlags = 0;
  return true;
}

bool Worker::run(unsigned number) {
  prepare(number);
  std::vector<int> order(threads);
  for (int i = 0; i < threads; i++) order[i] = settings.order == Settings::Reverse ? threads - 1 - i : i;
  for (int done = 0;;) {
    if (settings.order == Settings::Shuffled) std::shuffle(order.begin(), order.end(), random);
    if (!step(order, done)) return false;
    if (done == threads) return true;
    if (!releaseBarrier(done)) return false;
  }
}

std::string runDispatch(Dispatch &dispatch) {
  NSUInteger total = dispatch.groups.width * dispatch.groups.height * dispatch.groups.depth;
  std::atomic<NSUInteger> next{0};
  std::atomic<bool> failed{false};
  std::mutex lock;
  std::string error;
  auto work = [&] {
    Worker w(dispatch);
    worker = &w;
    for (NSUInteger i; !failed && (i = next++) < total;) {
      if (w.run(unsigned(settings.order == Settings::Reverse ? total - 1 - i : i))) continue;
      failed = true;
      std::lock_guard guard(lock);
      error = w.error;
    }
    worker = nullptr;
  };
  // Checked mode follows one thread of events; small dispatches are not worth a second host thread.
  bool alone = settings.checked || total == 1 || total * dispatch.threadsPerGroup.width < 16384;
  NSUInteger hosts = alone ? 1 : std::min<NSUInteger>(total, std::max(1u, std::thread::hardware_concurrency()));
  std::vector<std::thread> helpers;
  for (NSUInteger i = 1; i < hosts; i++) helpers.emplace_back(work);
  work();
  for (std::thread &helper : helpers) helper.join();
  return error;
}

}  // namespace soft
