// Metal text -> C++ text -> clang -> a shared library, kept in a cache folder under a hash of all that went into it.
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include "translate.h"

// Both are given by build.mjs.
#ifndef SOFT_COMPILER
#define SOFT_COMPILER "clang++-19"
#endif
#ifndef SOFT_HEADERS
#define SOFT_HEADERS "."
#endif

namespace soft {

static std::string readFile(const std::string &path) {
  std::string text;
  if (FILE *file = fopen(path.c_str(), "r")) {
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, file)) > 0;) text.append(chunk, n);
    fclose(file);
  }
  return text;
}

static void writeFile(const std::string &path, const std::string &text) {
  FILE *file = fopen(path.c_str(), "w");
  if (!file || fwrite(text.data(), 1, text.size(), file) != text.size() || fclose(file)) fatal("cannot write %s", path.c_str());
}

static std::string cacheFolder() {
  const char *temporary = getenv("TMPDIR");
  std::string folder = format("%s/tapegrad-soft-metal-%d", temporary && *temporary ? temporary : "/tmp", int(getuid()));
  mkdir(folder.c_str(), 0700);
  return folder;
}

/** FNV-1a, twice from different starts: 128 bits to name a file with. */
static std::string hashOf(const std::string &text) {
  unsigned long a = 0xcbf29ce484222325ul, b = 0x84222325cbf29ce4ul;
  for (unsigned char c : text) {
    a = (a ^ c) * 0x100000001b3ul;
    b = (b ^ c) * 0x100000001b3ul + (b >> 29);
  }
  return format("%016lx%016lx", a, b);
}

static std::string flagsFor(bool fastMath) {
  // Metal 2.4 is C++14; the kernels are to be free of warnings, as CI asks of Apple's compiler too; contraction to fused multiply-add is on in Metal whether or not fast math is.
  std::string flags = " -std=c++14 -Wall -Wvla -Werror -fno-exceptions -fno-rtti"
                      " -fPIC -nostdlib -nostdinc -fvisibility=hidden -fno-math-errno -ferror-limit=20 -Wno-unknown-attributes -x c++ ";
  flags += fastMath ? "-ffast-math" : "-ffp-contract=fast";
#if defined(__x86_64__)
  flags += " -mf16c -mfma -mavx2";
#else
  flags += " -mno-outline-atomics";
#endif
  return flags + " -include " + std::string(SOFT_HEADERS) + "/msl.h";
}

/** Runs clang over `base`.cc; false where it does not compile, its words then being in `base`.log. */
static bool runCompiler(const std::string &base, const std::string &flags) {
  return system((std::string(SOFT_COMPILER) + flags + " " + base + ".cc 2> " + base + ".log").c_str()) == 0;
}

static std::string build(const std::string &text, bool fastMath, const std::string &image) {
  static std::atomic<int> sequence;
  std::string base = format("%s.%d-%d", image.c_str(), int(getpid()), sequence++);
  writeFile(base + ".cc", text);
  std::string flags = flagsFor(fastMath), link = " -shared -fuse-ld=lld -o " + base + ".so";
  bool good = settings.checked
    ? runCompiler(base, flags + " -fsyntax-only") && runCompiler(base, flags + link + " -O1 -fsanitize=thread -DSOFT_CHECKED -include " + std::string(SOFT_HEADERS) + "/msl_checked.h")
    : runCompiler(base, flags + link + " -O2");
  std::string error = good ? "" : readFile(base + ".log");
  if (!good && error.empty()) error = SOFT_COMPILER " does not run";
  // Renamed when complete: another process may be building the same kernel.
  if (good) rename((base + ".so").c_str(), image.c_str());
  for (const char *ending : {".cc", ".so", ".log"}) unlink((base + ending).c_str());
  return error;
}

/** Where the library's own data lies: a kernel may read its constants. */
static void findImage(Library *library) {
  link_map *map;
  dlinfo(library->image, RTLD_DI_LINKMAP, &map);
  library->imageStart = reinterpret_cast<const char *>(map->l_addr);
  auto widen = [](dl_phdr_info *info, size_t, void *data) {
    auto l = static_cast<Library *>(data);
    if (reinterpret_cast<const char *>(info->dlpi_addr) != l->imageStart) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
      auto &header = info->dlpi_phdr[i];
      if (header.p_type == PT_LOAD) l->imageEnd = std::max(l->imageEnd, l->imageStart + header.p_vaddr + header.p_memsz);
    }
    return 1;
  };
  dl_iterate_phdr(widen, library);
}

Library *compileLibrary(const std::string &source, bool fastMath, std::string &error) {
  Translation translation = translate(source);
  error = translation.error;
  if (!error.empty()) return nullptr;
  const std::string folder = SOFT_HEADERS;
  std::string key = translation.text + flagsFor(fastMath) + (settings.checked ? "checked" : "plain") + readFile(folder + "/msl.h") + readFile(folder + "/msl_checked.h");
  std::string image = cacheFolder() + "/" + hashOf(key) + ".so";
  if (access(image.c_str(), R_OK) != 0) error = build(translation.text, fastMath, image);
  if (!error.empty()) return nullptr;
  auto library = new Library;
  library->kernels = translation.kernels;
  library->checked = settings.checked;
  library->image = dlopen(image.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library->image) {
    error = dlerror();
    objc_release(library);
    return nullptr;
  }
  *static_cast<HostTable *>(dlsym(library->image, "soft_host")) = hostTable;
  findImage(library);
  return library;
}

Pipeline *buildPipeline(Function *function) {
  void *image = function->library->image;
  const std::string &name = function->signature.name;
  auto entry = reinterpret_cast<Entry>(dlsym(image, ("soft_entry_" + name).c_str()));
  auto sizes = static_cast<const NSUInteger *>(dlsym(image, ("soft_sizes_" + name).c_str()));
  return new Pipeline(function, entry, sizes);
}

}  // namespace soft
