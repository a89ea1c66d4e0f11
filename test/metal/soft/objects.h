// Metal's objects, as far as compute needs them.
#pragma once
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime.h"

namespace soft {

/** What a test asked of the device; read when a device is made and when work runs. */
struct Settings {
  enum Order { Forward, Reverse, Shuffled };
  bool checked = false;
  Order order = Forward;
  NSUInteger memoryLimit = 0;       // bytes of buffers that may exist at once; 0: no limit
  bool hasDefaultDevice = true;     // what MTLCreateSystemDefaultDevice answers
  bool hasDevices = true;           // what MTLCopyAllDevices holds
  long newestFamily = 1005;         // MTLGPUFamilyApple5, the family of GitHub's runners
};
extern Settings settings;

constexpr NSUInteger kMaxThreads = 1024, kMaxBuffers = 31, kMaxInlineBytes = 4096;
constexpr NSUInteger kMaxBufferLength = 1ul << 32;
// Apple's GPUs have 32 KB; the kernels here promise to stay within half of it.
constexpr NSUInteger kMaxThreadgroupMemory = 16384;

struct String : Object {
  std::string text;
  explicit String(std::string t) : Object("NSString"), text(std::move(t)) {}
};

struct Error : Object {
  std::string text;
  explicit Error(std::string t) : Object("NSError"), text(std::move(t)) {}
};

struct Array : Object {
  std::vector<id> items;
  Array() : Object("NSArray") {}
  ~Array() { for (id item : items) objc_release(item); }
};

struct CompileOptions : Object {
  bool fastMath = true;
  CompileOptions() : Object("MTLCompileOptions") {}
};

/** One parameter of a kernel, as its signature declares it. */
struct Parameter {
  enum Kind { Buffer, Builtin } kind;
  int index = -1;             // of [[buffer(index)]]
  std::string type, name, attribute;
  bool isReference = false, isConstant = false;
};

struct KernelSignature {
  std::string name;
  std::vector<Parameter> parameters;
};

struct Library : Object {
  void *image = nullptr;      // from dlopen
  bool checked = false;
  const char *imageStart = nullptr, *imageEnd = nullptr;
  std::map<std::string, KernelSignature> kernels;
  Library() : Object("SoftMTLLibrary") {}
  ~Library();
};

/** Compiles Metal text; nullptr and a text where it does not compile. */
Library *compileLibrary(const std::string &source, bool fastMath, std::string &error);

struct Function : Object {
  Library *library;
  KernelSignature signature;
  Function(Library *l, KernelSignature s) : Object("SoftMTLFunction"), library(l), signature(std::move(s)) { objc_retain(l); }
  ~Function() { objc_release(library); }
};

struct ThreadInfo;
using Entry = void (*)(void *const *buffers, const ThreadInfo *thread);

/** soft_host_table of msl.h, seen from the host. */
struct HostTable {
  void (*barrier)(unsigned flags, int line);
  void *(*variable)(int number, unsigned long bytes);
  void (*access)(const void *at, unsigned bytes, int kind);
};
extern const HostTable hostTable;

struct Pipeline : Object {
  Function *function;
  Entry entry;
  const NSUInteger *sizes;    // bytes that each reference parameter needs, 0 for pointers
  Pipeline(Function *f, Entry e, const NSUInteger *s) : Object("SoftMTLComputePipelineState"), function(f), entry(e), sizes(s) { objc_retain(f); }
  ~Pipeline() { objc_release(function); }
};

/** A kernel of a loaded library, ready to run. */
Pipeline *buildPipeline(Function *function);

/** Memory between two pages that nobody may touch, filled with ones: floats start as NaN and reading the unwritten shows. */
struct MemoryBuffer : Object {
  char *mapping = nullptr, *contents = nullptr;
  NSUInteger length, mapped = 0;
  explicit MemoryBuffer(NSUInteger bytes);
  ~MemoryBuffer();
  static std::atomic<NSUInteger> allocated;
};

/** A kernel's argument: a buffer from an offset on, or bytes by value. */
struct Binding {
  MemoryBuffer *buffer = nullptr;
  NSUInteger offset = 0;
  std::vector<char> bytes;
  bool isSet = false;
  char *start() { return buffer ? buffer->contents + offset : bytes.data(); }
  char *end() { return buffer ? buffer->contents + buffer->length : bytes.data() + bytes.size(); }
  NSUInteger size() { return NSUInteger(end() - start()); }
};

struct Dispatch {
  Pipeline *pipeline = nullptr;
  Binding bindings[kMaxBuffers];
  MTLSize groups, threadsPerGroup;
};

/** Runs a dispatch to its end; a text where a kernel did wrong. */
std::string runDispatch(Dispatch &dispatch);

struct CommandBuffer;

struct CommandQueue : Object {
  /** Shared with the queue's thread, which may be the one to give up the queue's last reference, and goes on after that. */
  struct Work {
    std::deque<CommandBuffer *> pending;
    std::mutex lock;
    std::condition_variable changed;
    bool stopping = false;
    void run();
  };
  const std::shared_ptr<Work> work = std::make_shared<Work>();
  std::thread thread;
  CommandQueue();
  ~CommandQueue();
};

struct CommandBuffer : Object {
  enum Status : NSUInteger { NotEnqueued = 0, Committed = 2, Completed = 4, Failed = 5 };
  /** Shared with the queue's thread, which gives the command buffer back before it tells that it is done. */
  struct Progress {
    std::mutex lock;
    std::condition_variable changed;
    Status status = NotEnqueued;
    std::string error;
    double started = 0, ended = 0;
  };
  CommandQueue *queue;
  std::vector<Dispatch> dispatches;
  std::vector<id> held;       // what the dispatches use stays alive until they have run
  bool encoding = false;
  const std::shared_ptr<Progress> progress = std::make_shared<Progress>();
  explicit CommandBuffer(CommandQueue *q);
  ~CommandBuffer();
  void commit();
  void wait();
};

struct Encoder : Object {
  CommandBuffer *commandBuffer;
  Dispatch current;
  bool ended = false;
  explicit Encoder(CommandBuffer *c);
  ~Encoder();
  void setBuffer(MemoryBuffer *buffer, NSUInteger offset, NSUInteger index);
  void setBytes(const void *bytes, NSUInteger length, NSUInteger index);
  void dispatch(MTLSize groups, MTLSize threadsPerGroup);
};

}  // namespace soft
