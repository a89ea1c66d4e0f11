// The types and functions of Metal Shading Language that the kernels use, for clang on a CPU. Included in front of the translated text.
// Address spaces are clang's own, so mixing device, threadgroup, constant and thread pointers is a compile error here as it is in Metal.
#pragma once
#pragma clang system_header

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef unsigned long size_t;
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef int int32_t;
typedef ulong uint64_t;
typedef long int64_t;
typedef ulong uintptr_t;
typedef _Float16 half;

#define SOFT_VECTORS(T) \
  typedef T T##2 __attribute__((ext_vector_type(2))); \
  typedef T T##3 __attribute__((ext_vector_type(3))); \
  typedef T T##4 __attribute__((ext_vector_type(4)));
SOFT_VECTORS(float) SOFT_VECTORS(half) SOFT_VECTORS(int) SOFT_VECTORS(uint)

#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")

/** What the host gives to each GPU thread; members are named as the attributes of kernel parameters. */
struct soft_thread {
  uint3 thread_position_in_grid, thread_position_in_threadgroup, threadgroup_position_in_grid, threads_per_threadgroup, threadgroups_per_grid, threads_per_grid;
  uint thread_index_in_threadgroup;
};

/** The way back to the host, filled in after loading. */
struct soft_host_table {
  void (*barrier)(uint flags, int line);
  void *(*variable)(int number, ulong bytes);
  void (*access)(const void *at, uint bytes, int kind);   // AccessKind of run.h: read, write, atomic, atomic store
};
extern "C" { __attribute__((visibility("default"))) soft_host_table soft_host; }

template <typename To, typename From> struct soft_conversion { static To of(From value) { return (To)value; } };
template <> struct soft_conversion<uint, uint3> { static uint of(uint3 value) { return value.x; } };
template <> struct soft_conversion<uint2, uint3> { static uint2 of(uint3 value) { return value.xy; } };
template <typename To, typename From> inline To soft_convert(From value) { return soft_conversion<To, From>::of(value); }

// Constructors: an ext_vector_type has no call syntax outside Metal's own clang. They may be called with as many scalars as they have members.
#define float2(x, y) ((float2){float(x), float(y)})
#define float4(x, y, z, w) ((float4){float(x), float(y), float(z), float(w)})
#define int2(x, y) ((int2){int(x), int(y)})
#define int4(x, y, z, w) ((int4){int(x), int(y), int(z), int(w)})
#define uint2(x, y) ((uint2){uint(x), uint(y)})

namespace metal {

enum class mem_flags : uint { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };
inline constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
inline void threadgroup_barrier(mem_flags flags, int line = __builtin_LINE()) { soft_host.barrier(uint(flags), line); }

#define SOFT_UNARY(name, builtin) \
  template <typename T> inline T name(T x) { return __builtin_elementwise_##builtin(x); }
SOFT_UNARY(exp, exp) SOFT_UNARY(exp2, exp2) SOFT_UNARY(log, log) SOFT_UNARY(log2, log2) SOFT_UNARY(log10, log10) SOFT_UNARY(sqrt, sqrt)
SOFT_UNARY(sin, sin) SOFT_UNARY(cos, cos) SOFT_UNARY(tan, tan) SOFT_UNARY(sinh, sinh) SOFT_UNARY(cosh, cosh) SOFT_UNARY(tanh, tanh)
SOFT_UNARY(floor, floor) SOFT_UNARY(ceil, ceil) SOFT_UNARY(trunc, trunc) SOFT_UNARY(rint, rint) SOFT_UNARY(round, round)
SOFT_UNARY(fabs, abs) SOFT_UNARY(abs, abs)

// One template parameter: a call with mixed types, max(int, uint) for one, is an error here as it is ambiguous in Metal.
template <typename T> inline T rsqrt(T x) { return T(1) / sqrt(x); }
template <typename T> inline T max(T a, T b) { return __builtin_elementwise_max(a, b); }
template <typename T> inline T min(T a, T b) { return __builtin_elementwise_min(a, b); }
template <typename T> inline T fmax(T a, T b) { return __builtin_elementwise_max(a, b); }
template <typename T> inline T fmin(T a, T b) { return __builtin_elementwise_min(a, b); }
template <typename T> inline T pow(T a, T b) { return __builtin_elementwise_pow(a, b); }
template <typename T> inline T fmod(T a, T b) { return T(__builtin_fmodf(float(a), float(b))); }
template <typename T> inline T copysign(T a, T b) { return __builtin_elementwise_copysign(a, b); }
template <typename T> inline T fma(T a, T b, T c) { return __builtin_elementwise_fma(a, b, c); }
inline float dot(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }
template <typename T> inline T clamp(T x, T low, T high) { return min(max(x, low), high); }
template <typename T> inline T select(T a, T b, bool c) { return c ? b : a; }
template <typename T> inline T sign(T x) { return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0); }
template <typename T> inline bool isinf(T x) { return __builtin_isinf(float(x)); }
template <typename T> inline bool isnan(T x) { return __builtin_isnan(float(x)); }
template <typename T> inline bool isfinite(T x) { return __builtin_isfinite(float(x)); }
namespace precise { using metal::exp; using metal::log; using metal::pow; using metal::sqrt; using metal::tanh; using metal::sin; using metal::cos; }

enum memory_order { memory_order_relaxed = __ATOMIC_RELAXED };
template <typename T> struct soft_atomic { T value; };
typedef soft_atomic<int> atomic_int;
typedef soft_atomic<uint> atomic_uint;
#define SOFT_ATOMICS(space) \
  template <typename T> inline T atomic_load_explicit(space const soft_atomic<T> *p, memory_order) { T r; __atomic_load((T *)(uintptr_t)&p->value, &r, 0); return r; } \
  template <typename T> inline void atomic_store_explicit(space soft_atomic<T> *p, T x, memory_order) { __atomic_store((T *)(uintptr_t)&p->value, &x, 0); } \
  template <typename T> inline T atomic_fetch_add_explicit(space soft_atomic<T> *p, T x, memory_order) { return __atomic_fetch_add((T *)(uintptr_t)&p->value, x, 0); } \
  template <typename T> inline T atomic_fetch_max_explicit(space soft_atomic<T> *p, T x, memory_order) { return __atomic_fetch_max((T *)(uintptr_t)&p->value, x, 0); }
#ifdef SOFT_CHECKED
SOFT_ATOMICS()
#else
SOFT_ATOMICS(__attribute__((address_space(1))))
SOFT_ATOMICS(__attribute__((address_space(3))))
#endif

}  // namespace metal

template <typename To, typename From> inline To as_type(From value) {
  static_assert(sizeof(To) == sizeof(From), "as_type needs types of one size");
  return __builtin_bit_cast(To, value);
}

#ifdef SOFT_CHECKED
// clang watches no access outside address space 0, so the spaces vanish here; an earlier, plain compilation has checked them.
#define device
#define constant const
#define threadgroup
#else
#define device __attribute__((address_space(1)))
#define constant __attribute__((address_space(2))) const
#define threadgroup __attribute__((address_space(3)))
#endif
#define thread
#define kernel static __attribute__((noinline))
#define SOFT_ENTRY __attribute__((visibility("default"), disable_sanitizer_instrumentation))

// What the language leaves out or keeps for itself.
#define double soft_no_double_in_metal
#define goto soft_no_goto_in_metal
#define new soft_no_new_in_metal
#define delete soft_no_delete_in_metal
#define throw soft_no_throw_in_metal
#define try soft_no_try_in_metal
#define virtual soft_no_virtual_in_metal
#define vertex soft_vertex_is_a_keyword_in_metal
#define fragment soft_fragment_is_a_keyword_in_metal
#define __METAL_VERSION__ 240
