#include "kernels/cpu_device.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <system_error>

#include "kernels/processors.hpp"
#include "kernels/weight_writer.hpp"

namespace troupe::kernels {
namespace {

constexpr std::size_t cache_line_bytes = 64;
/// From this size on, memory comes in huge pages: walking 2 GB of weights through 4 KiB pages would miss the TLB each 4 KiB.
constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr int threads_max = 1024;

std::size_t round_up(std::size_t value, std::size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

std::int64_t now_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Zeroed, aligned to a huge page and a whole number of them long; null if the system has no room.
void* map_huge_pages(std::size_t bytes) {
  const std::size_t length = round_up(bytes, huge_page_bytes);
  const std::size_t mapped = length + huge_page_bytes;
  void* const start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(start);
  const std::size_t before =
      round_up(reinterpret_cast<std::uintptr_t>(begin), huge_page_bytes) - reinterpret_cast<std::uintptr_t>(begin);
  const std::size_t after = mapped - before - length;
  if (before != 0) munmap(begin, before);
  if (after != 0) munmap(begin + before + length, after);
  madvise(begin + before, length, MADV_HUGEPAGE);  // where the kernel has none, small pages do
  return begin + before;
}

void* allocate_small(std::size_t bytes) {
  const std::size_t length = round_up(bytes, cache_line_bytes);
  void* const data = std::aligned_alloc(cache_line_bytes, length);
  if (data != nullptr) std::memset(data, 0, length);
  return data;
}

}  // namespace

void CpuStream::copy(void* target, const void* source, std::size_t bytes) {
  if (bytes != 0) std::memcpy(target, source, bytes);
}

CpuStream::Timing::Timing(CpuStream& stream) : stream_(stream), start_(now_nanoseconds()) {}

CpuStream::Timing::~Timing() { stream_.busy_seconds_ += static_cast<double>(now_nanoseconds() - start_) * 1e-9; }

Result<std::unique_ptr<CpuDevice>> CpuDevice::create(const CpuOptions& options) {
  const InstructionSet set = options.instruction_set.value_or(best_instruction_set());
  if (!is_supported(set)) {
    return Error{ErrorCode::unsupported, "this processor or this build has no " + std::string(to_string(set)) +
                                             "; the best that it has is " + std::string(to_string(best_instruction_set()))};
  }
  if (options.threads < 0 || options.threads > threads_max) {
    return Error{ErrorCode::out_of_range, "asked for " + std::to_string(options.threads) + " compute threads; use 1 to " +
                                              std::to_string(threads_max) + ", or 0 for one per usable processor"};
  }
  const int threads = options.threads > 0 ? options.threads : std::min(usable_processors(), threads_max);
  const CpuOps& ops = options.operations != nullptr ? *options.operations : kernels::operations(set);
  try {
    return std::unique_ptr<CpuDevice>(new CpuDevice(set, threads, ops));
  } catch (const std::system_error& error) {
    return Error{ErrorCode::overloaded,
                 "the operating system refused to start " + std::to_string(threads) + " compute threads: " + error.what()};
  }
}

CpuDevice::CpuDevice(InstructionSet instruction_set, int threads, const CpuOps& operations)
    : instruction_set_(instruction_set), pool_(threads), stream_(pool_, operations) {}

std::string CpuDevice::description() const {
  const int threads = pool_.threads();
  return "cpu, " + std::string(to_string(instruction_set_)) + ", " + std::to_string(threads) +
         (threads == 1 ? " thread" : " threads");
}

Result<Memory> CpuDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return Memory{};
  void* data = nullptr;
  if (bytes <= std::numeric_limits<std::size_t>::max() - 2 * huge_page_bytes) {
    data = bytes < huge_page_bytes ? allocate_small(bytes) : map_huge_pages(bytes);
  }
  if (data == nullptr) {
    return Error{ErrorCode::overloaded, "the operating system refused an allocation of " + std::to_string(bytes) +
                                            " bytes; free memory, or lower what is configured to use it"};
  }
  return Memory(*this, data, bytes);
}

Result<std::unique_ptr<WeightWriter>> CpuDevice::weight_writer() { return host_weight_writer(); }

void CpuDevice::release(void* data, std::size_t bytes) noexcept {
  if (bytes < huge_page_bytes) {
    std::free(data);
  } else {
    munmap(data, round_up(bytes, huge_page_bytes));
  }
}

}  // namespace troupe::kernels
