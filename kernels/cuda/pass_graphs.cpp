#include "kernels/cuda/pass_graphs.hpp"

#include <cuda_runtime.h>

#include <algorithm>

namespace troupe::kernels::cuda {

PassGraphs::~PassGraphs() {
  for (const Graph& graph : graphs_) cudaGraphExecDestroy(graph.executable);
}

void PassGraphs::run(const CudaStream& stream, const PassKind& kind, const std::function<void()>& launch) {
  const auto found = std::ranges::find(graphs_, kind, &Graph::kind);
  if (found != graphs_.end()) {
    graphs_.splice(graphs_.begin(), graphs_, found);
  } else {
    cudaGraph_t captured = nullptr;
    Graph graph{kind, nullptr};
    check_device(cudaStreamBeginCapture(stream.handle(), cudaStreamCaptureModeThreadLocal), "recording a pass");
    launch();
    check_device(cudaStreamEndCapture(stream.handle(), &captured), "recording a pass");
    check_device(cudaGraphInstantiate(&graph.executable, captured, 0), "making a graph of a pass");
    cudaGraphDestroy(captured);
    graphs_.push_front(graph);
    if (graphs_.size() > graphs_max) {
      // It may still be on the stream; the driver keeps it until it is done.
      cudaGraphExecDestroy(graphs_.back().executable);
      graphs_.pop_back();
    }
  }
  check_device(cudaGraphLaunch(graphs_.front().executable, stream.handle()), "launching a pass");
}

}  // namespace troupe::kernels::cuda
