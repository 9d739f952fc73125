#include "bench/nccl_plain.hpp"

#ifdef TROUPE_WITH_NCCL
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstring>
#endif

namespace troupe::bench {

#ifdef TROUPE_WITH_NCCL

namespace {

Result<void> check(ncclResult_t status, const std::string& doing) {
  if (status == ncclSuccess) return {};
  return Error{ErrorCode::unavailable, doing + ": " + ncclGetErrorString(status)};
}
Result<void> check(cudaError_t status, const std::string& doing) {
  if (status == cudaSuccess) return {};
  return Error{ErrorCode::unavailable, doing + ": " + cudaGetErrorString(status)};
}

class Plain final : public NcclPlain {
 public:
  explicit Plain(int rank) : peer_(1 - rank) {}
  ~Plain() override {
    if (communicator_ != nullptr) ncclCommAbort(communicator_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }
  Plain(const Plain&) = delete;
  Plain& operator=(const Plain&) = delete;

  Result<void> start(const std::string& id, int device) {
    ncclUniqueId unique;
    if (id.size() != sizeof(unique.internal)) return Error{ErrorCode::invalid_argument, "that is no id of NCCL's"};
    std::memcpy(unique.internal, id.data(), sizeof(unique.internal));
    TROUPE_TRY_DO(check(cudaSetDevice(device), "choosing a device"));
    TROUPE_TRY_DO(check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"));
    return check(ncclCommInitRank(&communicator_, 2, unique, 1 - peer_), "making a communicator");
  }
  Result<void> send(std::span<const std::byte> memory, int times) override {
    for (int i = 0; i < times; ++i) {
      TROUPE_TRY_DO(check(ncclSend(memory.data(), memory.size(), ncclInt8, peer_, communicator_, stream_), "sending"));
    }
    return check(cudaStreamSynchronize(stream_), "waiting for what was sent");
  }
  Result<void> receive(std::span<std::byte> memory, int times) override {
    for (int i = 0; i < times; ++i) {
      TROUPE_TRY_DO(check(ncclRecv(memory.data(), memory.size(), ncclInt8, peer_, communicator_, stream_), "receiving"));
    }
    return check(cudaStreamSynchronize(stream_), "waiting for what is received");
  }

 private:
  const int peer_;
  ncclComm_t communicator_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

}  // namespace

Result<std::string> NcclPlain::draw_id() {
  ncclUniqueId id;
  TROUPE_TRY_DO(check(ncclGetUniqueId(&id), "drawing an id"));
  return std::string(id.internal, sizeof(id.internal));
}

Result<std::unique_ptr<NcclPlain>> NcclPlain::join(const std::string& id, int rank, int device) {
  auto plain = std::make_unique<Plain>(rank);
  TROUPE_TRY_DO(plain->start(id, device));
  return std::unique_ptr<NcclPlain>(std::move(plain));
}

#else

Result<std::string> NcclPlain::draw_id() {
  return Error{ErrorCode::unsupported, "NCCL is not here: this was built where CMake found no nccl.h or no CUDA runtime"};
}
Result<std::unique_ptr<NcclPlain>> NcclPlain::join(const std::string& /*id*/, int /*rank*/, int /*device*/) {
  return Error{ErrorCode::unsupported, "NCCL is not here: this was built where CMake found no nccl.h or no CUDA runtime"};
}

#endif

}  // namespace troupe::bench
