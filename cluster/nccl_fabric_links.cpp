// NCCL as device links: each a communicator of two ranks that never blocks, a stream, and an event behind each group.
#ifdef TROUPE_WITH_NCCL

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "cluster/nccl_fabric.hpp"

namespace troupe::cluster {

namespace {

Result<void> check_cuda(cudaError_t status, const std::string& doing) {
  if (status == cudaSuccess) return {};
  return Error{ErrorCode::unavailable, doing + ": " + cudaGetErrorString(status)};
}

/// Of a communicator that does not block, "in progress" is no error.
Result<void> check_nccl(ncclResult_t status, const std::string& doing, ncclComm_t communicator = nullptr) {
  if (status == ncclSuccess || status == ncclInProgress) return {};
  const char* const details = communicator == nullptr ? nullptr : ncclGetLastError(communicator);
  return Error{ErrorCode::unavailable, doing + ": " + ncclGetErrorString(status) +
                                           (details == nullptr || *details == '\0' ? "" : std::string(" (") + details + ")")};
}

class NcclLink final : public DeviceLink {
 public:
  static Result<std::unique_ptr<NcclLink>> start(const NcclOptions& options, const ncclUniqueId& id, int rank) {
    std::unique_ptr<NcclLink> link(new NcclLink(options.device, rank));
    // Links are used by a thread of the fabric's, which thereby knows its device.
    TROUPE_TRY_DO(check_cuda(cudaSetDevice(options.device), "choosing CUDA's device " + std::to_string(options.device)));
    TROUPE_TRY_DO(check_cuda(cudaStreamCreateWithFlags(&link->stream_, cudaStreamNonBlocking), "making a stream"));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    config.minCTAs = 1;
    config.maxCTAs = options.channels_max;
    TROUPE_TRY_DO(check_nccl(ncclCommInitRankConfig(&link->communicator_, 2, id, rank, &config), "making a communicator"));
    return link;
  }

  ~NcclLink() override {
    if (communicator_ != nullptr && !aborted_) abort();
    if (aborter_.joinable()) aborter_.join();
    for (cudaEvent_t event : events_) cudaEventDestroy(event);
    for (cudaEvent_t event : spare_events_) cudaEventDestroy(event);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  NcclLink(const NcclLink&) = delete;
  NcclLink& operator=(const NcclLink&) = delete;

  Result<Progress> poll() override {
    TROUPE_CHECK(!aborted_, "a link is not polled after its abort");
    if (!failed_) {
      if (const auto advanced = advance(); !advanced) failed_ = advanced.error();
    }
    if (failed_) return *failed_;
    return Progress{ready_, ended_};
  }

  void enqueue(std::vector<DeviceMove> group) override { waiting_.push_back(std::move(group)); }

  void abort() override {
    aborted_ = true;
    // It waits for kernels and NCCL's threads to give up; the fabric's other links do not wait for that.
    aborter_ = std::thread([this] {
      cudaSetDevice(device_);
      ncclCommAbort(communicator_);
      cudaStreamSynchronize(stream_);
      quiet_ = true;
    });
  }
  bool quiet() override { return quiet_; }

 private:
  NcclLink(int device, int rank) : device_(device), peer_(1 - rank) {}

  /// Whether NCCL has nothing in hand that it is still beginning; only then it may be given more.
  Result<bool> idle() {
    ncclResult_t state = ncclSuccess;
    TROUPE_TRY_DO(check_nccl(ncclCommGetAsyncError(communicator_, &state), "asking for a communicator's state", communicator_));
    TROUPE_TRY_DO(check_nccl(state, "NCCL", communicator_));
    return state == ncclSuccess;
  }

  Result<void> advance() {
    TROUPE_TRY(bool free, idle());
    ready_ = ready_ || free;
    while (free) {
      // The kernel of a group is on the stream once NCCL is idle again, and not before.
      if (std::exchange(launching_, false)) TROUPE_TRY_DO(mark());
      if (waiting_.empty()) break;
      TROUPE_TRY_DO(launch(waiting_.front()));
      waiting_.pop_front();
      launching_ = true;
      TROUPE_TRY(free, idle());
    }
    while (!events_.empty()) {
      const cudaError_t status = cudaEventQuery(events_.front());
      if (status == cudaErrorNotReady) break;
      TROUPE_TRY_DO(check_cuda(status, "asking whether a group has ended"));
      spare_events_.push_back(events_.front());
      events_.pop_front();
      ++ended_;
    }
    return {};
  }

  Result<void> launch(const std::vector<DeviceMove>& group) {
    TROUPE_TRY_DO(check_nccl(ncclGroupStart(), "beginning a group"));
    Result<void> added;
    for (const DeviceMove& move : group) {
      added = move.sends ? check_nccl(ncclSend(move.memory, move.bytes, ncclInt8, peer_, communicator_, stream_), "sending")
                         : check_nccl(ncclRecv(move.memory, move.bytes, ncclInt8, peer_, communicator_, stream_), "receiving");
      if (!added) break;
    }
    // A group that was begun is ended, whatever came between.
    const auto ended = check_nccl(ncclGroupEnd(), "ending a group", communicator_);
    if (!added) return added;
    return ended;
  }

  Result<void> mark() {
    cudaEvent_t event = nullptr;
    if (spare_events_.empty()) {
      TROUPE_TRY_DO(check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event"));
    } else {
      event = spare_events_.back();
      spare_events_.pop_back();
    }
    events_.push_back(event);
    return check_cuda(cudaEventRecord(event, stream_), "putting an event on the stream");
  }

  const int device_;
  const int peer_;
  ncclComm_t communicator_ = nullptr;
  cudaStream_t stream_ = nullptr;
  std::deque<std::vector<DeviceMove>> waiting_;  ///< groups that NCCL does not know of; the pair bounds them
  bool ready_ = false;
  bool launching_ = false;  ///< NCCL was given a group that has no event behind it yet
  std::deque<cudaEvent_t> events_;
  std::vector<cudaEvent_t> spare_events_;
  std::uint64_t ended_ = 0;
  std::optional<Error> failed_;
  bool aborted_ = false;
  std::thread aborter_;
  std::atomic<bool> quiet_ = false;
};

class NcclLinks final : public DeviceLinks {
 public:
  explicit NcclLinks(const NcclOptions& options) : options_(options) {}

  Result<bool> is_device_memory(std::span<const std::byte> memory) const override {
    if (memory.empty()) return false;
    TROUPE_TRY(const bool first, on_device(&memory.front()));
    TROUPE_TRY(const bool last, on_device(&memory.back()));
    if (first == last) return first;
    return Error{ErrorCode::invalid_argument, "memory that is the device's at one end and the host's at the other"};
  }
  Result<std::string> draw_link_id() override {
    ncclUniqueId id;
    TROUPE_TRY_DO(check_nccl(ncclGetUniqueId(&id), "drawing a communicator's id"));
    return std::string(id.internal, sizeof(id.internal));
  }
  Result<std::unique_ptr<DeviceLink>> open(std::string_view link_id, int rank) override {
    ncclUniqueId id;
    if (link_id.size() != sizeof(id.internal)) {
      return Error{ErrorCode::invalid_argument, "a communicator's id of " + std::to_string(link_id.size()) +
                                                    " bytes, expected " + std::to_string(sizeof(id.internal))};
    }
    std::memcpy(id.internal, link_id.data(), sizeof(id.internal));
    TROUPE_TRY(auto link, NcclLink::start(options_, id, rank));
    return std::unique_ptr<DeviceLink>(std::move(link));
  }

 private:
  Result<bool> on_device(const std::byte* byte) const {
    cudaPointerAttributes about{};
    TROUPE_TRY_DO(check_cuda(cudaPointerGetAttributes(&about, byte), "asking whose memory it is"));
    if (about.type == cudaMemoryTypeUnregistered || about.type == cudaMemoryTypeHost) return false;
    if (about.type == cudaMemoryTypeDevice && about.device == options_.device) return true;
    return Error{ErrorCode::invalid_argument,
                 about.type == cudaMemoryTypeDevice
                     ? "memory of device " + std::to_string(about.device) + ", expected " + std::to_string(options_.device)
                     : std::string("managed memory, expected the device's or the host's")};
  }

  const NcclOptions options_;
};

}  // namespace

Result<std::unique_ptr<DeviceLinks>> open_nccl_links(const NcclOptions& options) {
  int devices = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&devices); status != cudaSuccess || options.device >= devices) {
    return Error{ErrorCode::unavailable, "NCCL is not here: device " + std::to_string(options.device) + " of " +
                                             std::to_string(devices) + ": " + cudaGetErrorString(status)};
  }
  TROUPE_TRY_DO(check_cuda(cudaSetDevice(options.device), "choosing CUDA's device " + std::to_string(options.device)));
  TROUPE_TRY_DO(check_cuda(cudaFree(nullptr), "starting CUDA's device " + std::to_string(options.device)));
  return std::unique_ptr<DeviceLinks>(std::make_unique<NcclLinks>(options));
}

}  // namespace troupe::cluster

#endif  // TROUPE_WITH_NCCL
