// A software Metal device for Linux: the part of Apple's C and Objective-C interface that tapegrad calls on a Mac, so that the same
// binding, backend and kernels run where there is no Mac.
//
//   runtime   selectors, classes, reference counts, autorelease pools        switch.S   objc_msgSend, changing stacks
//   objects   buffers, queues, command buffers, encoders, API validation     device     this file: classes, methods, entry points
//   translate Metal Shading Language to C++ for clang, kernel signatures     compile    clang, cache, loading
//   run       threadgroups: one stack a GPU thread, so barriers are real     check      races, bounds, unwritten memory
//   msl.h     the language's types and functions; msl_checked.h reports every memory access of a kernel
//
// It is a stand-in, not an emulator. What it cannot show: kernels that only Apple's compiler rejects; the precision of a GPU's exp, log
// and division (a CPU's are used here); real speed; limits on registers; and anything that depends on how a GPU runs the 32 threads of
// a SIMD-group together. A kernel that passes here has still to run on Apple's hardware.
#include "objects.h"

using namespace soft;

static void defineFoundation() {
  Class *string = classNamed("NSString");
  addClassMethod(string, "stringWithUTF8String:", [](id, Selector, const char *text) -> id { return objc_autorelease(new String(text)); });
  addMethod(string, "UTF8String", [](id self, Selector) -> const char * { return static_cast<String *>(self)->text.c_str(); });
  addMethod(classNamed("NSError"), "localizedDescription", [](id self, Selector) -> id {
    return objc_autorelease(new String(static_cast<Error *>(self)->text));
  });
  addMethod(classNamed("NSArray"), "firstObject", [](id self, Selector) -> id {
    auto &items = static_cast<Array *>(self)->items;
    return items.empty() ? nullptr : items[0];
  });
}

static void defineDevice() {
  Class *options = classNamed("MTLCompileOptions");
  addClassMethod(options, "new", [](id, Selector) -> id { return new CompileOptions; });
  addMethod(options, "setFastMathEnabled:", [](id self, Selector, bool on) { static_cast<CompileOptions *>(self)->fastMath = on; });

  Class *device = classNamed("SoftMTLDevice");
  addMethod(device, "name", [](id, Selector) -> id { return objc_autorelease(new String("Software Metal device")); });
  addMethod(device, "supportsFamily:", [](id, Selector, long family) -> bool { return family >= 1001 && family <= settings.newestFamily; });
  addMethod(device, "maxBufferLength", [](id, Selector) -> NSUInteger { return kMaxBufferLength; });
  addMethod(device, "newCommandQueue", [](id, Selector) -> id { return new CommandQueue; });
  addMethod(device, "newBufferWithLength:options:", [](id, Selector, NSUInteger length, NSUInteger options) -> id {
    if (options >> 4 & 15) fatal("only MTLResourceStorageModeShared exists here");
    bool fits = length > 0 && length <= kMaxBufferLength && (!settings.memoryLimit || MemoryBuffer::allocated + length <= settings.memoryLimit);
    return fits ? new MemoryBuffer(length) : nullptr;
  });
  addMethod(device, "newLibraryWithSource:options:error:", [](id, Selector, id source, id options, id *error) -> id {
    std::string text;
    bool fastMath = options ? static_cast<CompileOptions *>(options)->fastMath : true;
    Library *library = compileLibrary(static_cast<String *>(source)->text, fastMath, text);
    if (!library && error) *error = objc_autorelease(new Error(text));
    return library;
  });
}

static void defineLibrary() {
  addMethod(classNamed("SoftMTLDevice"), "newComputePipelineStateWithFunction:error:", [](id, Selector, id function, id *) -> id {
    if (!function) fatal("computeFunction must not be nil.");
    return buildPipeline(static_cast<Function *>(function));
  });
  addMethod(classNamed("SoftMTLLibrary"), "newFunctionWithName:", [](id self, Selector, id name) -> id {
    auto library = static_cast<Library *>(self);
    auto found = library->kernels.find(static_cast<String *>(name)->text);
    return found == library->kernels.end() ? nullptr : new Function(library, found->second);
  });
  addMethod(classNamed("SoftMTLComputePipelineState"), "maxTotalThreadsPerThreadgroup", [](id, Selector) -> NSUInteger { return kMaxThreads; });
  addMethod(classNamed("SoftMTLBuffer"), "contents", [](id self, Selector) -> void * { return static_cast<MemoryBuffer *>(self)->contents; });
}

static void defineCommands() {
  addMethod(classNamed("SoftMTLCommandQueue"), "commandBuffer", [](id self, Selector) -> id {
    return objc_autorelease(new CommandBuffer(static_cast<CommandQueue *>(self)));
  });

  Class *commandBuffer = classNamed("SoftMTLCommandBuffer");
  addMethod(commandBuffer, "computeCommandEncoder", [](id self, Selector) -> id {
    auto buffer = static_cast<CommandBuffer *>(self);
    if (buffer->encoding) fatal("A command encoder is already encoding to this command buffer");
    buffer->encoding = true;
    return objc_autorelease(new Encoder(buffer));
  });
  addMethod(commandBuffer, "commit", [](id self, Selector) { static_cast<CommandBuffer *>(self)->commit(); });
  addMethod(commandBuffer, "waitUntilCompleted", [](id self, Selector) { static_cast<CommandBuffer *>(self)->wait(); });
  addMethod(commandBuffer, "status", [](id self, Selector) -> NSUInteger {
    auto &progress = *static_cast<CommandBuffer *>(self)->progress;
    std::lock_guard guard(progress.lock);
    return progress.status;
  });
  addMethod(commandBuffer, "error", [](id self, Selector) -> id {
    auto &progress = *static_cast<CommandBuffer *>(self)->progress;
    std::lock_guard guard(progress.lock);
    return progress.error.empty() ? nullptr : objc_autorelease(new Error(progress.error));
  });
  addMethod(commandBuffer, "GPUStartTime", [](id self, Selector) -> double { return static_cast<CommandBuffer *>(self)->progress->started; });
  addMethod(commandBuffer, "GPUEndTime", [](id self, Selector) -> double { return static_cast<CommandBuffer *>(self)->progress->ended; });

  Class *encoder = classNamed("SoftMTLComputeCommandEncoder");
  addMethod(encoder, "setComputePipelineState:", [](id self, Selector, id pipeline) {
    auto e = static_cast<Encoder *>(self);
    e->current.pipeline = static_cast<Pipeline *>(pipeline);
    e->commandBuffer->held.push_back(objc_retain(pipeline));
  });
  addMethod(encoder, "setBuffer:offset:atIndex:", [](id self, Selector, id buffer, NSUInteger offset, NSUInteger index) {
    static_cast<Encoder *>(self)->setBuffer(static_cast<MemoryBuffer *>(buffer), offset, index);
  });
  addMethod(encoder, "setBytes:length:atIndex:", [](id self, Selector, const void *bytes, NSUInteger length, NSUInteger index) {
    static_cast<Encoder *>(self)->setBytes(bytes, length, index);
  });
  addMethod(encoder, "dispatchThreadgroups:threadsPerThreadgroup:", [](id self, Selector, MTLSize groups, MTLSize threads) {
    static_cast<Encoder *>(self)->dispatch(groups, threads);
  });
  addMethod(encoder, "endEncoding", [](id self, Selector) {
    auto e = static_cast<Encoder *>(self);
    if (e->ended) fatal("endEncoding twice");
    e->ended = true;
    e->commandBuffer->encoding = false;
  });
}

__attribute__((constructor)) static void defineClasses() {
  defineFoundation();
  defineDevice();
  defineLibrary();
  defineCommands();
}

SOFT_EXPORT id MTLCreateSystemDefaultDevice() { return settings.hasDefaultDevice ? new Object("SoftMTLDevice") : nullptr; }

SOFT_EXPORT id MTLCopyAllDevices() {
  auto all = new Array;
  if (settings.hasDevices) all->items.push_back(new Object("SoftMTLDevice"));
  return all;
}

/** The tests' way to choose a mode: "checked", "order" (0 forward, 1 reverse, 2 shuffled), "memory" (bytes), "defaultDevice", "devices", "family". */
SOFT_EXPORT void soft_set(const char *name, long value) {
  std::string which = name;
  if (which == "checked") settings.checked = value != 0;
  else if (which == "order") settings.order = static_cast<Settings::Order>(value);
  else if (which == "memory") settings.memoryLimit = NSUInteger(value);
  else if (which == "defaultDevice") settings.hasDefaultDevice = value != 0;
  else if (which == "devices") settings.hasDevices = value != 0;
  else if (which == "family") settings.newestFamily = value;
  else fatal("no setting is named %s", name);
}
