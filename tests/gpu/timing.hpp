// How long the GPU takes for something, and how fast it can read its memory.
#pragma once

#include <functional>

#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

/// A stream that belongs to whoever has this.
class Stream {
 public:
  Stream() { check_cuda(cudaStreamCreate(&stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Work captured from a stream, which begins again without the host's launches.
class Graph {
 public:
  Graph(const Stream& stream, const std::function<void(cudaStream_t)>& work);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  ~Graph();
  void launch(const Stream& stream) const { check_cuda(cudaGraphLaunch(executable_, stream.get())); }

 private:
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

/// The median of nine runs, after two that do not count; seconds.
double median_seconds(const Stream& stream, const std::function<void()>& begin);

/// Bytes per second of ordinary loads of four GiB, each byte once, by as many blocks as read them fastest.
double read_ceiling();

}  // namespace troupe::kernels::cuda
