// Buffers, command buffers and encoders, with the checks that Metal's validation layer makes.
#include "objects.h"

#include <cstring>
#include <dlfcn.h>
#include <sys/mman.h>
#include <time.h>

namespace soft {

Settings settings;
std::atomic<NSUInteger> MemoryBuffer::allocated;

constexpr NSUInteger kPage = 4096;

MemoryBuffer::MemoryBuffer(NSUInteger bytes) : Object("SoftMTLBuffer"), length(bytes) {
  allocated += length;
  mapped = (bytes + kPage - 1) / kPage * kPage + 2 * kPage;
  void *memory = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) fatal("no memory for a buffer of %lu bytes", bytes);
  mapping = static_cast<char *>(memory);
  contents = mapping + kPage;
  mprotect(mapping, kPage, PROT_NONE);
  mprotect(mapping + mapped - kPage, kPage, PROT_NONE);
  memset(contents, 0xff, length);
}

MemoryBuffer::~MemoryBuffer() {
  munmap(mapping, mapped);
  allocated -= length;
}

Library::~Library() { if (image) dlclose(image); }

CommandQueue::CommandQueue() : Object("SoftMTLCommandQueue"), thread([work = work] { work->run(); }) {}

CommandQueue::~CommandQueue() {
  {
    std::lock_guard guard(work->lock);
    work->stopping = true;
  }
  work->changed.notify_all();
  // The last reference may be given up by a command buffer that the queue's own thread has just finished.
  if (thread.get_id() == std::this_thread::get_id()) thread.detach();
  else thread.join();
}

static double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

void CommandQueue::Work::run() {
  for (;;) {
    CommandBuffer *next;
    {
      std::unique_lock guard(lock);
      changed.wait(guard, [&] { return stopping || !pending.empty(); });
      if (pending.empty()) return;
      next = pending.front();
      pending.pop_front();
    }
    double started = now();
    std::string error;
    for (Dispatch &dispatch : next->dispatches) if (error.empty()) error = runDispatch(dispatch);
    double ended = now();
    // All that the work used, itself included, is given back before anybody can see that it is done: live objects can be counted then.
    auto progress = next->progress;
    for (id object : next->held) objc_release(object);
    next->held.clear();
    objc_release(next);
    std::lock_guard guard(progress->lock);
    progress->error = error;
    progress->started = started;
    progress->ended = ended;
    progress->status = error.empty() ? CommandBuffer::Completed : CommandBuffer::Failed;
    progress->changed.notify_all();
  }
}

CommandBuffer::CommandBuffer(CommandQueue *q) : Object("SoftMTLCommandBuffer"), queue(q) { objc_retain(q); }

CommandBuffer::~CommandBuffer() {
  for (id object : held) objc_release(object);
  objc_release(queue);
}

void CommandBuffer::commit() {
  if (encoding) fatal("commit command buffer with uncommitted encoder");
  if (progress->status != NotEnqueued) fatal("command buffer already committed");
  progress->status = Committed;
  objc_retain(this);
  std::lock_guard guard(queue->work->lock);
  queue->work->pending.push_back(this);
  queue->work->changed.notify_all();
}

void CommandBuffer::wait() {
  std::unique_lock guard(progress->lock);
  if (progress->status == NotEnqueued) fatal("waitUntilCompleted before commit");
  progress->changed.wait(guard, [&] { return progress->status >= Completed; });
}

Encoder::Encoder(CommandBuffer *c) : Object("SoftMTLComputeCommandEncoder"), commandBuffer(c) { objc_retain(c); }

Encoder::~Encoder() {
  if (!ended) fatal("Command encoder released without endEncoding");
  objc_release(commandBuffer);
}

void Encoder::setBuffer(MemoryBuffer *buffer, NSUInteger offset, NSUInteger index) {
  if (index >= kMaxBuffers) fatal("buffer index(%lu) must be < %lu", index, kMaxBuffers);
  if (buffer && offset >= buffer->length) fatal("offset(%lu) must be < [buffer length](%lu)", offset, buffer->length);
  Binding &binding = current.bindings[index];
  binding = Binding{};
  binding.buffer = buffer;
  binding.offset = offset;
  binding.isSet = buffer != nullptr;
  if (buffer) commandBuffer->held.push_back(objc_retain(buffer));
}

void Encoder::setBytes(const void *bytes, NSUInteger length, NSUInteger index) {
  if (index >= kMaxBuffers) fatal("buffer index(%lu) must be < %lu", index, kMaxBuffers);
  if (length == 0 || length > kMaxInlineBytes) fatal("length(%lu) must be 1..%lu", length, kMaxInlineBytes);
  Binding &binding = current.bindings[index];
  binding = Binding{};
  binding.bytes.assign(static_cast<const char *>(bytes), static_cast<const char *>(bytes) + length);
  binding.isSet = true;
}

void Encoder::dispatch(MTLSize groups, MTLSize size) {
  if (ended) fatal("dispatch after endEncoding");
  if (!current.pipeline) fatal("dispatch without a pipeline state");
  NSUInteger threads = size.width * size.height * size.depth;
  if (threads == 0 || threads > kMaxThreads) {
    fatal("(threadsPerThreadgroup.width(%lu) * height(%lu) * depth(%lu))(%lu) must be 1..%lu", size.width, size.height, size.depth, threads, kMaxThreads);
  }
  if (groups.width * groups.height * groups.depth == 0) fatal("threadgroupsPerGrid has a zero");
  const KernelSignature &kernel = current.pipeline->function->signature;
  for (size_t i = 0; i < kernel.parameters.size(); i++) {
    const Parameter &parameter = kernel.parameters[i];
    if (parameter.kind != Parameter::Buffer) continue;
    Binding &binding = current.bindings[parameter.index];
    if (!binding.isSet) fatal("Compute Function(%s): missing Buffer binding at index %d for %s", kernel.name.c_str(), parameter.index, parameter.name.c_str());
    NSUInteger need = current.pipeline->sizes[i];
    if (binding.size() < need) {
      fatal("Compute Function(%s): argument %s[0] from Buffer(%d) has space for %lu bytes, but argument has a length(%lu)",
            kernel.name.c_str(), parameter.name.c_str(), parameter.index, binding.size(), need);
    }
  }
  current.groups = groups;
  current.threadsPerGroup = size;
  commandBuffer->dispatches.push_back(current);
}

}  // namespace soft
