// What KV shards say to each other. The bytes of blocks go over the fabric.
#include <cstring>

#include "schemas/cluster_codec.hpp"
#include "schemas/cluster_frame.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::schemas {

namespace {

using Names = std::vector<policy::BlockId>;
constexpr std::size_t name_bytes = sizeof(policy::BlockId::bytes);
static_assert(sizeof(policy::BlockId) == name_bytes);

capnp::Data::Reader data_of(const Names& names) {
  return {reinterpret_cast<const kj::byte*>(names.data()), names.size() * name_bytes};
}
Result<void> read_names(capnp::Data::Reader in, std::size_t count_max, Names& names) {
  if (in.size() % name_bytes != 0) {
    return Error{ErrorCode::corrupt,
                 std::to_string(in.size()) + " bytes, expected a multiple of the " + std::to_string(name_bytes) + " of a name"};
  }
  TROUPE_TRY_DO(check_count(in.size() / name_bytes, count_max));
  names.resize(in.size() / name_bytes);
  if (!names.empty()) std::memcpy(names.data(), in.begin(), in.size());
  return {};
}
Result<void> read_key(capnp::Data::Reader in, std::string& key) {
  TROUPE_TRY_DO(check_count(in.size(), ClusterLimits::name_bytes_max));
  key.assign(reinterpret_cast<const char*>(in.begin()), in.size());
  return {};
}

}  // namespace

void write(const KvHoldings& holdings, cluster::KvHoldings::Builder out) {
  out.setNode(text_of(holdings.node.value));
  out.setAll(holdings.all);
  out.setCome(data_of(holdings.come));
  out.setGone(data_of(holdings.gone));
}
Result<void> read(cluster::KvHoldings::Reader in, KvHoldings& holdings) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), holdings.node.value); }));
  holdings.all = in.getAll();
  TROUPE_TRY_DO(read_field("come", [&] { return read_names(in.getCome(), kv_holdings_max, holdings.come); }));
  return read_field("gone", [&] { return read_names(in.getGone(), kv_holdings_max, holdings.gone); });
}

void write(const KvLease& lease, cluster::KvLease::Builder out) {
  out.setNode(text_of(lease.node.value));
  write(lease.model, out.initModel());
  out.setChain(data_of(lease.chain));
  out.setValidMs(lease.valid_ms);
}
Result<void> read(cluster::KvLease::Reader in, KvLease& lease) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), lease.node.value); }));
  TROUPE_TRY_DO(read_field("model", [&] { return read(in.getModel(), lease.model); }));
  TROUPE_TRY_DO(read_field("chain", [&] { return read_names(in.getChain(), kv_chain_max, lease.chain); }));
  lease.valid_ms = in.getValidMs();
  return {};
}

void write(const KvLeased& leased, cluster::KvLeased::Builder out) {
  out.setLease(leased.lease);
  out.setRegionKey({reinterpret_cast<const kj::byte*>(leased.region_key.data()), leased.region_key.size()});
  out.setRegionBytes(leased.region_bytes);
  out.setBlockBytes(leased.block_bytes);
  auto offsets = out.initOffsets(count_of(leased.blocks));
  auto checksums = out.initChecksums(count_of(leased.blocks));
  for (unsigned i = 0; i < offsets.size(); ++i) {
    offsets.set(i, leased.blocks[i].offset);
    checksums.set(i, leased.blocks[i].checksum);
  }
}
Result<void> read(cluster::KvLeased::Reader in, KvLeased& leased) {
  leased.lease = in.getLease();
  TROUPE_TRY_DO(read_field("region_key", [&] { return read_key(in.getRegionKey(), leased.region_key); }));
  leased.region_bytes = in.getRegionBytes();
  leased.block_bytes = in.getBlockBytes();
  return read_field("blocks", [&]() -> Result<void> {
    const auto offsets = in.getOffsets();
    const auto checksums = in.getChecksums();
    TROUPE_TRY_DO(check_count(offsets.size(), kv_chain_max));
    if (offsets.size() != checksums.size()) {
      return Error{ErrorCode::corrupt,
                   std::to_string(offsets.size()) + " offsets and " + std::to_string(checksums.size()) + " checksums"};
    }
    leased.blocks.reserve(offsets.size());
    for (unsigned i = 0; i < offsets.size(); ++i) leased.blocks.push_back({offsets[i], checksums[i]});
    return {};
  });
}

void write(const KvRelease& release, cluster::KvRelease::Builder out) {
  out.setNode(text_of(release.node.value));
  out.setLease(release.lease);
}
Result<void> read(cluster::KvRelease::Reader in, KvRelease& release) {
  TROUPE_TRY_DO(read_field("node", [&] { return read_name(in.getNode(), release.node.value); }));
  release.lease = in.getLease();
  return {};
}

TROUPE_CLUSTER_CODEC(KvHoldings, cluster::KvHoldings);
TROUPE_CLUSTER_CODEC(KvLease, cluster::KvLease);
TROUPE_CLUSTER_CODEC(KvLeased, cluster::KvLeased);
TROUPE_CLUSTER_CODEC(KvRelease, cluster::KvRelease);

}  // namespace troupe::schemas
