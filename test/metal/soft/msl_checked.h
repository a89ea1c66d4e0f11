// Checked mode: clang's -fsanitize=thread puts a call on every load and store of a kernel; these are the functions it calls.
#pragma once
#pragma clang system_header

#define SOFT_HOOK extern "C" __attribute__((disable_sanitizer_instrumentation))

// The table is empty while a library's own initialisers run.
SOFT_HOOK void soft_access(const void *at, ulong bytes, int kind) { if (soft_host.access) soft_host.access(at, uint(bytes), kind); }

#define SOFT_ACCESS(n) \
  SOFT_HOOK void __tsan_read##n(void *p) { soft_access(p, n, 0); } \
  SOFT_HOOK void __tsan_write##n(void *p) { soft_access(p, n, 1); } \
  SOFT_HOOK void __tsan_read_write##n(void *p) { soft_access(p, n, 0); soft_access(p, n, 1); } \
  SOFT_HOOK void __tsan_unaligned_read##n(void *p) { soft_access(p, n, 0); } \
  SOFT_HOOK void __tsan_unaligned_write##n(void *p) { soft_access(p, n, 1); }
SOFT_ACCESS(1) SOFT_ACCESS(2) SOFT_ACCESS(4) SOFT_ACCESS(8) SOFT_ACCESS(16)

SOFT_HOOK void __tsan_init() {}
SOFT_HOOK void __tsan_func_entry(void *) {}
SOFT_HOOK void __tsan_func_exit() {}
SOFT_HOOK void *__tsan_memset(void *p, int value, ulong n) { soft_access(p, n, 1); return __builtin_memset(p, value, n); }
SOFT_HOOK void *__tsan_memcpy(void *to, const void *from, ulong n) { soft_access(from, n, 0); soft_access(to, n, 1); return __builtin_memcpy(to, from, n); }
SOFT_HOOK void *__tsan_memmove(void *to, const void *from, ulong n) { soft_access(from, n, 0); soft_access(to, n, 1); return __builtin_memmove(to, from, n); }

SOFT_HOOK uint __tsan_atomic32_load(const volatile uint *p, int) { soft_access((const void *)p, 4, 2); return __atomic_load_n(p, 0); }
SOFT_HOOK void __tsan_atomic32_store(volatile uint *p, uint v, int) { soft_access((const void *)p, 4, 3); __atomic_store_n(p, v, 0); }
SOFT_HOOK uint __tsan_atomic32_fetch_add(volatile uint *p, uint v, int) { soft_access((const void *)p, 4, 2); return __atomic_fetch_add(p, v, 0); }
SOFT_HOOK int __tsan_atomic32_compare_exchange_strong(volatile uint *p, uint *expected, uint v, int, int) {
  soft_access((const void *)p, 4, 2);
  return __atomic_compare_exchange_n(p, expected, v, false, 0, 0);
}
SOFT_HOOK uint __tsan_atomic32_compare_exchange_val(volatile uint *p, uint expected, uint v, int, int) {
  soft_access((const void *)p, 4, 2);
  __atomic_compare_exchange_n(p, &expected, v, false, 0, 0);
  return expected;
}
