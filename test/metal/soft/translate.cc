// Metal Shading Language is C++ with attributes and address spaces. clang reads most of it as it stands once msl.h has defined the
// keywords; what remains to be rewritten here:
//   - attributes ([[buffer(0)]] and the like) are noted and blanked out;
//   - threadgroup variables of a kernel's body become references into the threadgroup's memory;
//   - each kernel gets an entry point that takes its arguments from tables;
//   - a pointer without an address space is refused, as Metal refuses it (plain C++ would not).
// Everything is blanked in place, so line numbers in messages stay those of the source.
#include "translate.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

namespace soft {
namespace {

struct Token { size_t start, length; };

bool wordStart(char c) { return isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool wordPart(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; }

class Translator {
 public:
  explicit Translator(std::string source) : text(std::move(source)) {}

  Translation run() {
    dropIncludes();
    tokenize();
    for (size_t i = 0; i + 3 < tokens.size() && result.error.empty(); i++) {
      if (is(i, "kernel") && is(i + 1, "void") && is(i + 3, "(")) readKernel(i + 2);
    }
    if (result.error.empty()) checkParameterSpaces();
    if (result.error.empty()) checkDeclarationSpaces();
    if (!result.error.empty()) return std::move(result);
    noteAttributes();
    applyEdits();
    result.text = "#line 1 \"program_source\"\n" + text + "\n#line 1 \"entry_points\"\n";
    for (auto &[name, kernel] : result.kernels) result.text += entryPoint(kernel);
    return std::move(result);
  }

 private:
  struct Edit { size_t start, end; std::string replacement; };

  std::string text;
  std::vector<Token> tokens;
  std::vector<Edit> edits;
  Translation result;
  int variables = 0;

  bool is(size_t i, const char *word) const { return i < tokens.size() && text.compare(tokens[i].start, tokens[i].length, word) == 0; }
  std::string at(size_t i) const { return text.substr(tokens[i].start, tokens[i].length); }
  bool isWord(size_t i) const { return i < tokens.size() && wordStart(text[tokens[i].start]); }
  bool isSpace(size_t i) const { return is(i, "device") || is(i, "constant") || is(i, "threadgroup") || is(i, "thread"); }
  long lineOf(size_t i) const { return 1 + std::count(text.begin(), text.begin() + long(tokens[i].start), '\n'); }
  void fail(size_t i, const std::string &why) { result.error = format("program_source:%ld: error: %s", lineOf(i), why.c_str()); }

  void blank(size_t start, size_t end) {
    for (; start < end; start++) if (text[start] != '\n') text[start] = ' ';
  }

  void dropIncludes() {
    for (const char *header : {"#include <metal", "#include <simd/simd.h>"}) {
      for (size_t i; (i = text.find(header)) != std::string::npos;) blank(i, std::min(text.find('\n', i), text.size()));
    }
  }

  void tokenize() {
    for (size_t i = 0; i < text.size();) {
      if (isspace(static_cast<unsigned char>(text[i]))) { i++; continue; }
      if (!text.compare(i, 2, "//")) { i = std::min(text.find('\n', i), text.size()); continue; }
      if (!text.compare(i, 2, "/*")) { i = std::min(text.find("*/", i + 2), text.size() - 2) + 2; continue; }
      if (text[i] == '#') {   // a preprocessor line, with its continuations
        for (; i < text.size() && text[i] != '\n'; i++) if (text[i] == '\\') i++;
        continue;
      }
      size_t start = i;
      if (isdigit(static_cast<unsigned char>(text[i]))) while (i < text.size() && (wordPart(text[i]) || text[i] == '.')) i++;
      else if (wordStart(text[i])) while (i < text.size() && wordPart(text[i])) i++;
      else i += !text.compare(i, 2, "[[") || !text.compare(i, 2, "]]") || !text.compare(i, 2, "==") ? 2 : 1;
      tokens.push_back({start, i - start});
    }
  }

  void noteAttributes() {
    for (size_t i = 0; i < tokens.size(); i++) {
      if (!is(i, "[[")) continue;
      size_t open = i;
      while (i < tokens.size() && !is(i, "]]")) i++;
      if (i < tokens.size()) edits.push_back({tokens[open].start, tokens[i].start + 2, ""});
    }
  }

  void readKernel(size_t nameToken) {
    KernelSignature kernel;
    kernel.name = at(nameToken);
    size_t first = nameToken + 2, i = first;
    for (int depth = 0;; i++) {
      if (i >= tokens.size()) return fail(nameToken, "kernel " + kernel.name + ": its parameter list does not end");
      bool closes = is(i, ")") && depth == 0;
      if (is(i, "(")) depth++;
      if (is(i, ")") && !closes) depth--;
      if (!closes && !(is(i, ",") && depth == 0)) continue;
      if (first < i) readParameter(kernel, first, i);
      if (!result.error.empty()) return;
      first = i + 1;
      if (closes) break;
    }
    readBody(i + 1);
    result.kernels[kernel.name] = kernel;
  }

  void readParameter(KernelSignature &kernel, size_t first, size_t end) {
    size_t attribute = first;
    while (attribute < end && !is(attribute, "[[")) attribute++;
    if (attribute == end) return fail(first, "kernel " + kernel.name + ": parameter '" + at(end - 1) + "' has no attribute");
    Parameter parameter;
    parameter.name = at(attribute - 1);
    parameter.type = text.substr(tokens[first].start, tokens[attribute - 1].start - tokens[first].start);
    parameter.attribute = at(attribute + 1);
    parameter.isReference = parameter.type.find('&') != std::string::npos;
    parameter.isConstant = parameter.type.find("constant") != std::string::npos;
    parameter.kind = parameter.attribute == "buffer" ? Parameter::Buffer : Parameter::Builtin;
    if (parameter.kind == Parameter::Buffer) {
      if (is(attribute + 2, "(")) parameter.index = atoi(at(attribute + 3).c_str());
      if (parameter.index < 0 || parameter.index >= int(kMaxBuffers)) return fail(attribute, "kernel " + kernel.name + ": the index of '" + parameter.name + "' is out of range");
      for (const Parameter &other : kernel.parameters) {
        if (other.kind == Parameter::Buffer && other.index == parameter.index) {
          return fail(attribute, "kernel " + kernel.name + ": '" + other.name + "' and '" + parameter.name + "' share a buffer index");
        }
      }
    }
    kernel.parameters.push_back(parameter);
  }

  /** Finds `threadgroup float tile[64], other;` among a kernel's statements. */
  void readBody(size_t i) {
    for (int depth = 0; i < tokens.size(); i++) {
      if (is(i, "{")) depth++;
      if (is(i, "}") && --depth == 0) return;
      bool begins = is(i - 1, "{") || is(i - 1, "}") || is(i - 1, ";");
      if (!begins || !is(i, "threadgroup")) continue;
      size_t end = i;
      bool isVariable = true;   // and not a pointer into threadgroup memory, which needs nothing done
      for (int brackets = 0; end < tokens.size() && !is(end, ";"); end++) {
        brackets += is(end, "[") - is(end, "]");
        if (brackets == 0 && (is(end, "*") || is(end, "=") || is(end, "&"))) isVariable = false;
      }
      if (isVariable) replaceVariables(i, end);
    }
  }

  void replaceVariables(size_t start, size_t end) {
    size_t i = start + 1;
    std::string type, replacement;
    while (i + 1 < end && !is(i + 1, "[") && !is(i + 1, ",") && !is(i + 1, ";")) type += at(i++) + " ";
    while (i < end) {
      std::string name = at(i++), dimensions;
      for (; i < end && !is(i, ","); i++) dimensions += at(i);
      i++;
      const char *n = name.c_str();
      replacement += format("typedef %s soft_type_%s%s; threadgroup soft_type_%s &%s = *(threadgroup soft_type_%s *)(uintptr_t)soft_host.variable(%d, sizeof(soft_type_%s)); ",
                            type.c_str(), n, dimensions.c_str(), n, n, n, variables++, n);
    }
    edits.push_back({tokens[start].start, tokens[end].start + 1, replacement});
  }

  void checkParameterSpaces() {
    for (size_t i = 1; i + 1 < tokens.size(); i++) {
      if (!is(i, "{") || !is(i - 1, ")")) continue;
      size_t open = i - 1;
      for (int depth = 0; open > 0; open--) {
        if (is(open, ")")) depth++;
        if (is(open, "(") && --depth == 0) break;
      }
      if (open < 2) continue;
      std::string name = at(open - 1);
      if (!isWord(open - 1) || name == "if" || name == "for" || name == "while" || name == "switch") continue;
      bool hasSpace = false, isPointer = false;
      for (size_t q = open + 1; q < i; q++) {
        if (is(q, ",") || q == i - 1) {
          if (isPointer && !hasSpace) return fail(q, "function " + name + ": a pointer or reference parameter must have an address space");
          hasSpace = isPointer = false;
        }
        if (isSpace(q)) hasSpace = true;
        if (is(q, "*") || is(q, "&")) isPointer = true;
      }
    }
  }

  /** A statement that begins `TYPE * NAME =` can only be a declaration. */
  void checkDeclarationSpaces() {
    for (size_t i = 1; i + 4 < tokens.size(); i++) {
      if (!is(i - 1, ";") && !is(i - 1, "{") && !is(i - 1, "}")) continue;
      size_t q = is(i, "const") ? i + 1 : i;
      if (!isWord(q) || isSpace(q) || is(q, "return")) continue;
      if (!(is(q + 1, "*") || is(q + 1, "&")) || !isWord(q + 2)) continue;
      if (is(q + 3, "=") || is(q + 3, ";")) return fail(q, "'" + at(q + 2) + "': a pointer or reference must have an address space");
    }
  }

  void applyEdits() {
    std::sort(edits.begin(), edits.end(), [](const Edit &a, const Edit &b) { return a.start > b.start; });
    for (const Edit &edit : edits) {
      blank(edit.start, edit.end);
      text.insert(edit.start, edit.replacement);
    }
  }

  static std::string entryPoint(const KernelSignature &kernel) {
    std::string call, sizes;
    for (const Parameter &parameter : kernel.parameters) {
      std::string type = parameter.type;
      if (parameter.isReference) type.erase(type.find('&'), 1);
      if (!call.empty()) call += ", ";
      const char *t = type.c_str(), *attribute = parameter.attribute.c_str();
      if (parameter.kind == Parameter::Builtin) call += format("soft_convert<%s>(thread_info->%s)", t, attribute);
      else call += format("%s(%s%s)(uintptr_t)buffers[%d]", parameter.isReference ? "*" : "", t, parameter.isReference ? " *" : "", parameter.index);
      sizes += parameter.isReference ? "sizeof(" + type + "), " : "0, ";
    }
    const char *n = kernel.name.c_str();
    return format("extern \"C\" SOFT_ENTRY void soft_entry_%s(void *const *buffers, const soft_thread *thread_info) { %s(", n, n) + call + "); }\n" +
           format("extern \"C\" __attribute__((visibility(\"default\"))) const unsigned long soft_sizes_%s[] = { %s0 };\n", n, sizes.c_str());
  }
};

}  // namespace

Translation translate(const std::string &source) { return Translator(source).run(); }

}  // namespace soft
