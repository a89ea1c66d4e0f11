// Checked mode. Every access of a kernel is looked at: is it inside a buffer or written threadgroup memory, and does a barrier lie between
// it and other threads' accesses to the same byte? Threads of one group are ordered by barriers with the right flag; groups of one
// dispatch are not ordered at all.
#include "run.h"

namespace soft {

static const char *nameOf(AccessKind kind) { return kind == Read ? "read" : kind == Write ? "write" : "atomic access"; }

Trace &Checker::traceOf(uintptr_t address) {
  uintptr_t number = address / 4096;
  if (number != lastNumber || !lastPage) {
    auto &page = pages[number];
    if (!page) page = std::make_unique<Page>();
    lastNumber = number;
    lastPage = page.get();
  }
  return lastPage->traces[address % 4096];
}

const Range *Checker::rangeOf(const char *at, unsigned bytes) const {
  for (const Range &range : ranges) if (at >= range.start && at + bytes <= range.end) return &range;
  return nullptr;
}

bool Checker::inThreadgroupMemory(const char *at, unsigned bytes) const {
  const char *start = worker.threadgroupMemory.data();
  return at >= start && at + bytes <= start + worker.threadgroupUsed;
}

void Checker::outOfBounds(const char *at, unsigned bytes, AccessKind kind) {
  std::string where;
  long nearest = 1 << 20;
  for (const Range &range : ranges) {
    long distance = at >= range.start ? at - range.end : range.start - at;
    if (distance < -long(bytes) || distance >= nearest) continue;
    nearest = distance;
    where = format(", %ld bytes %s buffer(%d) of %ld bytes", std::max(distance, 0l), at >= range.start ? "past the end of" : "before", range.index, long(range.end - range.start));
  }
  const char *memory = worker.threadgroupMemory.data();
  if (at >= memory && at < memory + worker.threadgroupMemory.size()) where = format(", past the %lu bytes of threadgroup memory", worker.threadgroupUsed);
  worker.fault(format("%s: thread %d of group %u: %s of %u bytes out of bounds%s",
                      worker.kernelName().c_str(), worker.current->thread, worker.group, nameOf(kind), bytes, where.c_str()));
}

bool Checker::race(unsigned otherThread, unsigned otherGroup, const Range *range, const char *at, AccessKind kind) {
  std::string what = range ? format("buffer(%d)", range->index) : "threadgroup memory";
  std::string other = otherThread ? format("thread %u of group %u", otherThread - 1, otherGroup - 1) : format("group %u", otherGroup - 1);
  long byte = at - (range ? range->start : worker.threadgroupMemory.data());
  worker.fault(format("%s: race on %s: %s by thread %d of group %u and an access by %s with no barrier between (byte %ld)",
                      worker.kernelName().c_str(), what.c_str(), nameOf(kind), worker.current->thread, worker.group, other.c_str(), byte));
  return false;
}

/** Compares one byte's access with those before it, then notes it; false where they race. */
/** Notes in `groups` that `group` was here: 0 nobody, ~0 several groups. */
static void noteGroup(unsigned &groups, unsigned group) { groups = groups && groups != group ? ~0u : group; }

/** The same for a thread of the group since the last barrier. */
static void noteThread(unsigned short &thread, bool &many, unsigned me) {
  many |= thread && thread != me;
  thread = static_cast<unsigned short>(me);
}

/** Compares one byte's access with those before it, then notes it; false where they race. */
bool Checker::record(Trace &trace, const Range *range, const char *at, AccessKind kind) {
  const unsigned me = unsigned(worker.current->thread) + 1, group = worker.group + 1;
  const unsigned epoch = range ? worker.deviceEpoch : worker.threadgroupEpoch;
  const bool atomic = kind == Atomic || kind == AtomicStore;
  if (range) {
    if (trace.written && trace.written != group) return race(0, trace.written, range, at, kind);
    if (kind != Read && trace.read && trace.read != group) return race(0, trace.read, range, at, kind);
    if (!atomic && trace.counted && trace.counted != group) return race(0, trace.counted, range, at, kind);
  } else if (trace.group != group && (kind == Read || kind == Atomic)) {
    worker.fault(format("%s: thread %u of group %u reads threadgroup memory that nobody wrote (byte %ld)",
                        worker.kernelName().c_str(), me - 1, worker.group, long(at - worker.threadgroupMemory.data())));
    return false;
  }
  if (trace.group != group || trace.epoch != epoch) {
    trace.group = group;
    trace.epoch = epoch;
    trace.writer = trace.reader = trace.atomic = 0;
    trace.manyReaders = trace.manyAtomics = false;
  }
  if (trace.writer && trace.writer != me) return race(trace.writer, group, range, at, kind);
  if (kind != Read && trace.reader && (trace.reader != me || trace.manyReaders)) return race(trace.reader, group, range, at, kind);
  if (!atomic && trace.atomic && (trace.atomic != me || trace.manyAtomics)) return race(trace.atomic, group, range, at, kind);
  if (kind == Write) {
    trace.writer = static_cast<unsigned short>(me);
    trace.written = group;
  } else if (kind == Read) {
    noteThread(trace.reader, trace.manyReaders, me);
    noteGroup(trace.read, group);
  } else {
    noteThread(trace.atomic, trace.manyAtomics, me);
    noteGroup(trace.counted, group);
  }
  return true;
}

void Checker::access(const char *at, unsigned bytes, AccessKind kind) {
  const Fiber *fiber = worker.current;
  if (at >= fiber->stack - 4096 && at < fiber->stack + kStackBytes) return;
  const Range *range = rangeOf(at, bytes);
  if (!range && !inThreadgroupMemory(at, bytes)) {
    const Library *library = worker.pipeline.function->library;
    if (kind == Read && at >= library->imageStart && at < library->imageEnd) return;
    return outOfBounds(at, bytes, kind);
  }
  if (range && kind != Read && !range->writable) {
    return worker.fault(format("%s wrote to constant buffer(%d)", worker.kernelName().c_str(), range->index));
  }
  for (unsigned i = 0; i < bytes; i++) if (!record(traceOf(reinterpret_cast<uintptr_t>(at) + i), range, at + i, kind)) return;
}

}  // namespace soft
