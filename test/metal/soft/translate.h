// Metal Shading Language text to C++ text.
#pragma once
#include <map>
#include <string>

#include "objects.h"

namespace soft {

/** C++ that clang compiles with msl.h in front, and the signature of every kernel; or an error text in the manner of Metal's compiler. */
struct Translation {
  std::string text;
  std::map<std::string, KernelSignature> kernels;
  std::string error;
};

Translation translate(const std::string &source);

}  // namespace soft
