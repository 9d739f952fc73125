#include "kernels/targets.hpp"

#include "base/check.hpp"

#if defined(__x86_64__)
#define TROUPE_X86_TARGETS 1
#else
#define TROUPE_X86_TARGETS 0
#endif

namespace troupe::kernels {

// Filled by kernels/targets/<isa>.cpp.
namespace plain {
extern const CpuOps operations;
}
#if TROUPE_X86_TARGETS
namespace avx2 {
extern const CpuOps operations;
}
namespace avx512 {
extern const CpuOps operations;
}
#endif

std::string_view to_string(InstructionSet set) {
  switch (set) {
    case InstructionSet::plain: return "plain";
    case InstructionSet::avx2: return "avx2";
    case InstructionSet::avx512: return "avx512";
  }
  return {};
}

std::optional<InstructionSet> instruction_set_named(std::string_view name) {
  for (const InstructionSet set : instruction_sets) {
    if (to_string(set) == name) return set;
  }
  return std::nullopt;
}

bool is_supported(InstructionSet set) {
  switch (set) {
    case InstructionSet::plain: return true;
#if TROUPE_X86_TARGETS
    // These ask the operating system too: without its saving of wide registers they say no.
    case InstructionSet::avx2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case InstructionSet::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("fma");
#else
    case InstructionSet::avx2:
    case InstructionSet::avx512: return false;
#endif
  }
  return false;
}

InstructionSet best_instruction_set() {
  for (const InstructionSet set : {InstructionSet::avx512, InstructionSet::avx2}) {
    if (is_supported(set)) return set;
  }
  return InstructionSet::plain;
}

const CpuOps& operations(InstructionSet set) {
  TROUPE_CHECK(is_supported(set), "an instruction set is asked for operations only where it is supported");
#if TROUPE_X86_TARGETS
  if (set == InstructionSet::avx512) return avx512::operations;
  if (set == InstructionSet::avx2) return avx2::operations;
#endif
  return plain::operations;
}

}  // namespace troupe::kernels
