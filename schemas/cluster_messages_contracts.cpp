// What a node counts of its stages' contracts.
#include <algorithm>

#include "schemas/cluster_codec.hpp"

namespace troupe::schemas {

void write(const policy::PerStage<policy::StageCounts>& counts, capnp::List<cluster::StageCounts>::Builder out) {
  for (unsigned i = 0; i < out.size(); ++i) {
    out[i].setHeld(counts[i].held);
    out[i].setLate(counts[i].late);
    out[i].setOversized(counts[i].oversized);
    out[i].setMalformed(counts[i].malformed);
    out[i].setFailed(counts[i].failed);
  }
}

/// A node of another version may know fewer stages, or more.
Result<void> read(capnp::List<cluster::StageCounts>::Reader in, policy::PerStage<policy::StageCounts>& counts) {
  for (unsigned i = 0; i < std::min<unsigned>(in.size(), static_cast<unsigned>(counts.size())); ++i) {
    counts[i] = {in[i].getHeld(), in[i].getLate(), in[i].getOversized(), in[i].getMalformed(), in[i].getFailed()};
  }
  return {};
}

}  // namespace troupe::schemas
